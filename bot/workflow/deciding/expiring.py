"""Expiry: a draft on which nobody decides ends after some days. While the program is paused the clock stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.domain.draft_states import DraftState
from bot.domain.drafts import Draft
from bot.failpoints import failpoint
from bot.store import Conflict
from bot.store.paging import each
from bot.workflow.pausing import paused, paused_seconds
from bot.workflow.records import audit, read_draft, save_draft

if TYPE_CHECKING:
    from bot.context import Context

EXPIRES = frozenset({DraftState.WAITING, DraftState.HELD})


async def expire(ctx: Context) -> int:
    """Close the drafts that nobody decided in time; returns how many. Called by the schedule."""
    if await paused(ctx):
        return 0
    expired, now = 0, ctx.clock.now()
    for state in sorted(EXPIRES):
        async for record in each(ctx.store, "drafts", by="expires", until=now, state=str(state)):
            expired += await expire_one(ctx, read_draft(record), together=True)
    return expired


async def expires_at(ctx: Context, draft: Draft) -> datetime:
    """When this draft's time is over, as far as that is known: a pause moves it."""
    return draft.expires + timedelta(seconds=max(await paused_seconds(ctx) - draft.paused_before, 0.0))


async def expire_one(ctx: Context, draft: Draft, *, together: bool = False) -> bool:
    """Close this draft if its time is over; False: it is not, or somebody decided at the last moment.

    `together`: with many others, so that its card waits for its turn.
    """
    if draft.needs_search:
        return False  # it may have been posted
    if draft.state not in EXPIRES or (over := await expires_at(ctx, draft)) > ctx.clock.now():
        return False
    after = draft.moved(DraftState.EXPIRED, note="", due=None, expires=over)
    try:
        await save_draft(ctx, draft, after, audit(after, "draft.expired", "system"), together=together)
    except Conflict:
        return False
    failpoint("expire.stored")
    return True
