"""Drafts, events and cycles as the store's records, and the one way to change a draft: compare and set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.drafts import BUSY, OPEN, Draft, DraftState
from bot.errors import UserError
from bot.store import Audit, Expect, Figures, Job, Put, Record

if TYPE_CHECKING:
    from bot.context import Context

SOON = timedelta(seconds=0.3)
"""In which an approved draft is usually posted."""
PASSING = frozenset({DraftState.APPROVED, DraftState.POSTING, DraftState.UNDOING})


def draft_record(draft: Draft) -> Record:
    """The record of a draft, with the fields that the store indexes. `open`: somebody or something has a next move."""
    return {
        **draft.model_dump(mode="json"),
        "at": _iso(draft.created),
        "issue_key": draft.issue.key,
        "open": draft.state in OPEN or draft.state in BUSY or draft.due is not None or draft.card.shown < draft.version,
    }


def read_draft(record: Record) -> Draft:
    """A draft from its record."""
    return Draft.model_validate({k: v for k, v in record.items() if k not in ("at", "issue_key", "open")})


async def load_draft(ctx: Context, draft_id: str) -> Draft:
    """The draft as it is on stable storage. Raises `UserError` when there is none of this id."""
    record = await ctx.store.get("drafts", draft_id)
    if record is None:
        raise UserError(
            "This draft is not in the store any more, so nothing was done. Ask for a new one: /pmagent draft KEY"
        )
    return read_draft(record)


async def save_draft(ctx: Context, before: Draft, after: Draft, *audit: Audit, jobs: Sequence[Job] = ()) -> Draft:
    """Replace `before` by `after`, with its audit records and jobs, in one atomic write; its card follows by itself.

    Raises `bot.store.Conflict` when the stored draft is not `before` any more (its state, wording or card changed).
    """
    old = draft_record(before)
    await ctx.store.commit(
        Put("drafts", draft_record(after)),
        expect=(Expect("drafts", before.id, {"version": old["version"], "card": old["card"]}),),
        audit=audit,
        jobs=[*_card_job(ctx, before, after), *jobs],
    )
    return after


def _card_job(ctx: Context, before: Draft, draft: Draft) -> list[Job]:
    """The card is drawn anew after every change but those of the card's own state.

    A draft whose next state is a moment away waits that moment, so that a quick outcome is one update in Slack, which
    takes about one a second, and is seen at once.
    """
    if draft.version == before.version:
        return []
    return [Job("card", draft.id, at=ctx.clock.now() + SOON if draft.state in PASSING else None)]


def audit(
    draft: Draft, name: str, actor: str, /, *, seconds: float | None = None, usd: float = 0.0, **details: Any
) -> Audit:
    """An audit record about a draft: facts and hashes, no texts. `seconds`, `usd`: what it adds to the figures."""
    facts = {"state": str(draft.state), "mode": draft.mode, "sha256": draft.revisions[-1].sha256, **details}
    return Audit(
        actor, name, draft.event_id, draft.id, draft.issue.key, {k: v for k, v in facts.items() if v is not None},
        Figures(seconds, usd, draft.prompt),
    )  # fmt: skip


def _iso(at: datetime) -> str:
    return at.isoformat()
