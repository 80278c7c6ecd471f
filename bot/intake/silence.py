"""Rules that end an event without a draft, from the event alone, and the records of that end. Pure.

The door asks `at_the_door` before it stores an event, so that context is stored with its end in the same commit and
never has to be worked on. What needs the store's view is in `bot.workflow.drafting.rule_skips`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.domain.events import DraftRequested, Event, IssueChanged, IssueCommented, IssueCreated
from bot.domain.issues import Person
from bot.rules.questions import asks_something
from bot.store import Audit, Figures, Record

CONTEXT = "context"
"""The reason that every handled event gets which is context only."""


class Silence(Exception):
    """The event is not answered. `reason` is short and countable, `detail` a sentence for `/pmagent why`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def sets_security_level(event: Event) -> bool:
    """Whether an issue got a security level, or another one: what waits on it has to end."""
    return isinstance(event, IssueChanged) and any(c.field.casefold() == "security" and c.after for c in event.changes)


def may_lead_to_draft(event: Event) -> bool:
    """Whether this kind of event can be answered at all; the others are context."""
    asks = isinstance(event, IssueChanged) and bool(event.asks)
    return asks or isinstance(event, IssueCommented | IssueCreated | DraftRequested)


def by_its_words(event: Event, own_account: str | None) -> Silence | None:
    """The silence that the event itself gives reason for; None: it may deserve an answer.

    `own_account`: our account's id in Jira, where it is known.
    """
    if not may_lead_to_draft(event):
        return Silence(CONTEXT)
    if isinstance(event, IssueCreated) and not asks_something(event.text):
        return Silence(CONTEXT, "a new issue that asks nothing")
    if isinstance(event, IssueCommented):
        if silence := _by_its_author(event.comment.author, own_account):
            return silence
        if not event.comment.text.strip():
            return Silence("no words", "the comment holds no text")
    if isinstance(event, IssueChanged) and event.by:
        return _by_its_author(event.by, own_account, "change")
    return None


def _by_its_author(author: Person, own_account: str | None, what: str = "comment") -> Silence | None:
    if author.account_id == own_account:
        return Silence(f"our own {what}")
    return Silence("written by an app", f"{author.name} is a bot") if author.kind == "app" else None


def at_the_door(event: Event, own_account: str | None) -> Silence | None:
    """What can be stored as settled at once. Bitbucket's events cannot: they change `development` first. Nor can a new
    security level, which changes drafts."""
    if isinstance(event, IssueChanged | IssueCommented | IssueCreated) and not sets_security_level(event):
        return by_its_words(event, own_account)
    return None


def silence_records(
    record: Record, silence: Silence, *, started: datetime, ended: datetime
) -> tuple[Record, Record, Audit]:
    """An event that no call was made for, at its end: its record, its `agent_cycles` record, its audit line.

    All three belong into one commit. `started`, `ended`: when it was looked at, aware.
    """
    after = {**record, "state": "done", "reason": silence.reason}
    return (
        after,
        cycle(record, "silence", silence.reason, silence.detail, started=started, ended=ended),
        silent(record, silence.reason),
    )


def silent(record: Record, reason: str, usd: float = 0.0) -> Audit:
    """The audit line of a silence. `usd`: what it cost to find that no answer is due."""
    details = {"reason": reason}
    return Audit("system", "cycle.silence", record["id"], None, record["issue"], details, Figures(usd=usd))


def cycle(
    record: Record, outcome: str, reason: str, reasoning: str = "", *, started: datetime, ended: datetime,
    confidence: float | None = None, calls: Sequence[dict[str, Any]] = (), cost_usd: float = 0.0,
    draft_id: str | None = None,
) -> Record:  # fmt: skip
    """The `agent_cycles` record of one attempt at an event. `calls`: as `CallRecord` dumps them."""
    return {
        "id": f"cyc_{str(record['id']).removeprefix('evt_')}{record['attempts'] or ''}",
        "event_id": record["id"],
        "at": started.isoformat(),
        "ended": ended.isoformat(),
        "issue": record["issue"],
        "outcome": outcome,
        "reason": reason,
        "reasoning": reasoning,
        "confidence": confidence,
        "calls": list(calls),
        "cost_usd": cost_usd,
        "draft_id": draft_id,
    }
