"""The support check of a draft: its present wording held against the data that Claude was given. No I/O.

The figures in it are looked up by rule, persons and statuses as the model names them, and what it states of pull
requests and of the issue is compared with them as they were read. Each makes marks for the card, and holds nothing:
at Approve `bot.workflow.publishing.claims` has the facts of that moment.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.claims import Claim, Facts, claims_of, examine, named_in
from bot.domain.drafts import Draft
from bot.prompting import Material, facts_in
from bot.support import given, unsupported
from bot.workflow.drafting.asking import AskedClaude


def of_draft(asked: AskedClaude, material: Material) -> dict[str, Any]:
    """The fields of a new draft that say what it rests on."""
    decision, issue = asked.decision, material.issue
    found = given(facts_in(asked.request.message), material.local_now)
    claims = None if decision.claims is None else claims_of(decision.claims, decision.response_text, issue.key)
    facts = Facts(
        issue=issue, pulls=material.pull_requests, people=frozenset(issue.people().values()), now=material.local_now
    )
    wrong = examine(claims or (), facts).contradictions
    others = [claim for claim in claims or () if claim not in [one.claim for one in wrong]]  # each is said once
    return {
        "given": found, "stated": claims,
        "unsupported": unsupported(decision.response_text, found, named_in(others)),
        "doubts": tuple(one.sentence for one in wrong),
    }  # fmt: skip


def of_edit(draft: Draft, text: str, now: datetime) -> dict[str, Any]:
    """The same fields for a person's wording. `now`: local time. What it states is not known yet."""
    return {"stated": None, "unsupported": _marks(draft, text, (), now), "doubts": (), "look_twice": ""}


def of_claims(draft: Draft, claims: tuple[Claim, ...], now: datetime) -> dict[str, Any]:
    """The same for its present wording, when it is known what that states."""
    return {"stated": claims, "unsupported": _marks(draft, draft.text, claims, now)}


def _marks(draft: Draft, text: str, claims: tuple[Claim, ...], now: datetime) -> tuple[str, ...]:
    if draft.given is None:
        return ()
    found = draft.given.model_copy(update={"now": now.replace(tzinfo=None)})
    return unsupported(text, found, named_in(claims))
