"""Claims read from the model's answer: what it says that a text states, where that is well-formed. Pure.

The model's entries are data for a comparison and nothing else. One counts only if it has the form, and if its quote
stands in the text: so a card shows no words of it but those that the text has anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from bot.claims.claim import Claim, ClaimKind, IssueRef, PullRequestRef
from bot.domain.issue_keys import ISSUE_KEY

MAX_CLAIMS = 40
"""Entries that are read of one answer."""
MAX_QUOTE = 200
"""Characters of a quote that are kept."""

Says = Literal[
    "merged", "open", "declined", "closed", "draft", "approvals", "approved_by", "build_passed", "build_failed",
    "build_running", "status", "assigned_to", "blocked_by", "due", "person",
]  # fmt: skip
_MEANT: dict[str, tuple[ClaimKind, str]] = {
    "merged": ("state", "MERGED"), "open": ("state", "OPEN"), "declined": ("state", "DECLINED"),
    "closed": ("state", "CLOSED"), "draft": ("state", "DRAFT"),
    "build_passed": ("build", "green"), "build_failed": ("build", "failed"), "build_running": ("build", "running"),
    "approvals": ("approvals", ""), "approved_by": ("approved_by", ""), "status": ("status", ""),
    "assigned_to": ("assignee", ""), "blocked_by": ("blocked", ""), "due": ("due", ""), "person": ("person", ""),
}  # fmt: skip
_PULL_KINDS = ("state", "approvals", "approved_by", "build")
_PULL = re.compile(r"(?:(?P<repo>[\w.-]+/[\w.-]+)?#|\b(?:PR|pull request) )(?P<number>\d{1,7})\b", re.IGNORECASE)
_VALUES = {
    "approvals": r"\d{1,3}", "blocked": r"[A-Z][A-Z0-9_]+-\d+", "due": r"\d{4}-\d\d-\d\d|none",
    "status": r"(?s).{1,80}", "approved_by": r"(?s).{1,80}", "person": r"(?s).{2,80}",
}  # fmt: skip
EVERYBODY = ("everybody", "somebody")
_MARKS = re.compile(r"(?<=\])\([^)\s]*\)|[*_`~\\\[\]]")


class StatedClaim(BaseModel):
    """One thing that the reply states."""

    about: str = Field(description="The pull request (PR #12) or issue (ECD-5) it is about; empty for a person.")
    says: Says = Field(description="What is stated of it.")
    value: str = Field(description="The number, name, status, key or date; empty where `says` is all.")
    negated: bool = Field(description="Whether the reply says that it is not so.")
    quote: str = Field(description="The words of the reply that say it, copied exactly.")


def well_formed(value: Any) -> tuple[StatedClaim, ...] | None:
    """The entries of an answer's list that have the form; None where there is no list."""
    if not isinstance(value, list | tuple):
        return None
    found: list[StatedClaim] = []
    for item in value[:MAX_CLAIMS]:
        try:
            found.append(StatedClaim.model_validate(item, strict=True))
        except ValidationError:
            continue
    return tuple(found)


def claims_of(stated: Iterable[StatedClaim], text: str, own: str) -> tuple[Claim, ...]:
    """The claims in `text` (Markdown), each once. `own`: the key of the issue that is answered."""
    plain = _plain(text)
    found = (_claim(one, own) for one in stated if _plain(one.quote) and _plain(one.quote) in plain)
    return tuple(dict.fromkeys(claim for claim in found if claim))


def _claim(stated: StatedClaim, own: str) -> Claim | None:
    kind, value = _MEANT[stated.says]
    value = value or " ".join(stated.value.split())
    if kind == "assignee" and value.casefold() in ("nobody", "none", ""):
        value = ""
    if (kind in _VALUES and not re.fullmatch(_VALUES[kind], value)) or len(value) > 80:
        return None
    if kind == "approved_by" and value.casefold() in ("nobody", "none"):
        kind, value = "approvals", "0"
    pull, key = _PULL.search(stated.about), ISSUE_KEY.search(stated.about)
    other = key[0] if key and key[0] != own else ""
    if kind == "state" and key and not pull and value in ("OPEN", "CLOSED"):
        kind, value = "status", value.lower()  # an issue can be open too
    subject: PullRequestRef | IssueRef = IssueRef(key=other)
    if kind in _PULL_KINDS:
        if other and not pull:
            return None  # which of its pull requests is not said
        subject = (
            PullRequestRef(number=int(pull["number"]), repository=pull["repo"] or "") if pull else PullRequestRef()
        )
    quote = " ".join(_MARKS.sub("", stated.quote).split())
    return Claim(kind=kind, subject=subject, value=value, negated=stated.negated, quote=quote[:MAX_QUOTE])


def named_in(claims: Iterable[Claim]) -> list[tuple[str, str]]:
    """The persons and statuses that the claims name: for the support check."""
    found = []
    for claim in claims:
        if claim.kind in ("person", "assignee") or (claim.kind == "approved_by" and claim.value not in EVERYBODY):
            found.append(("person", claim.value))
        if claim.kind == "status":
            found.append(("status", claim.value))
    return [(kind, name) for kind, name in found if name]


def _plain(text: str) -> str:
    return " ".join(_MARKS.sub("", text).casefold().split())
