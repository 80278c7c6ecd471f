"""Drafts that nobody decides end after some days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.drafts import DraftState
from bot.failpoints import failpoint
from bot.store import Conflict
from bot.workflow.records import audit, open_drafts, save_draft

if TYPE_CHECKING:
    from bot.context import Context


async def expire(ctx: Context) -> int:
    """Close the drafts that nobody decided in time; returns how many. Called by the schedule."""
    expired = 0
    for draft in await open_drafts(ctx):
        if draft.needs_search:
            continue  # it may have been posted
        if draft.state in (DraftState.WAITING, DraftState.HELD) and draft.expires <= ctx.clock.now():
            after = draft.moved(DraftState.EXPIRED, note="", due=None)
            try:
                await save_draft(ctx, draft, after, audit(after, "draft.expired", "system"))
            except Conflict:
                continue  # somebody decided at the last moment
            failpoint("expire.stored")
            expired += 1
    return expired
