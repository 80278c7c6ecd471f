"""What a claim is, what it is held against, and what comes of it. Pure data."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

from pydantic import Field

from bot.domain.issues import Frozen, Issue, PullRequest

ClaimKind = Literal[
    "state", "approvals", "approved_by", "build",  # of a pull request
    "status", "blocked", "assignee", "due",  # of an issue
    "person",  # somebody who is named
]  # fmt: skip


class PullRequestRef(Frozen):
    """A pull request as a text names it. `number` 0: "the pull request". `repository`: `workspace/repo`, or ""."""

    number: int = 0
    repository: str = ""

    @property
    def name(self) -> str:
        return f"PR #{self.number}" if self.number else "the pull request"


class IssueRef(Frozen):
    """An issue as a text names it. `key` "": the issue that is answered."""

    key: str = ""

    @property
    def name(self) -> str:
        return self.key or "the issue"


class Claim(Frozen):
    """One checkable statement. `quote` are the text's own words for it, which a card shows.

    `value`, by `kind`: `state` MERGED, OPEN, DECLINED, CLOSED or DRAFT; `approvals` their number; `approved_by` a name,
    `everybody` or `somebody`; `build` green, failed or running; `status` its name; `blocked` the other issue's key;
    `assignee` a name ("" for nobody); `due` 2026-11-27 or `none`; `person` a name. `negated`: the text says that it is
    not so.
    """

    kind: ClaimKind
    subject: PullRequestRef | IssueRef
    value: str
    negated: bool = False
    quote: str


class Facts(Frozen):
    """The state now. `issue` is the one answered, `others` those that were read besides, by key.

    `pulls`: what is known of every pull request in question. `unread`: name of a subject (`PR #12`, `ECD-5`) → why it
    could not be read. `people`: names that are known to be people's. `now` is in the time zone people read times in.
    """

    issue: Issue
    others: dict[str, Issue] = Field(default_factory=dict)
    pulls: tuple[PullRequest, ...] = ()
    unread: dict[str, str] = Field(default_factory=dict)
    people: frozenset[str] = frozenset()
    now: datetime


class Contradiction(Frozen):
    """A claim that the facts contradict. `sentence` is for a card. `fact` is what is so, without times that pass."""

    claim: Claim
    sentence: str
    fact: str

    @property
    def key(self) -> str:
        """The same for the same claim against the same fact, and nobody's words: what a person posted anyway."""
        return hashlib.sha256(f"{self.claim.quote}\0{self.fact}".encode()).hexdigest()[:16]


class Examined(Frozen):
    """What came of a text: contradictions, and sentences about claims that could not be checked."""

    contradictions: tuple[Contradiction, ...] = ()
    unchecked: tuple[str, ...] = ()
