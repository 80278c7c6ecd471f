"""Undo: a posted comment is deleted in Jira while its ten minutes last, and the button goes when they are over."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.domain.draft_states import DraftState
from bot.domain.drafts import UNDO_FOR, Draft
from bot.errors import OutcomeUnknown, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.store import Conflict
from bot.workflow.modes import mode
from bot.workflow.records import move, save_draft, seconds_left

if TYPE_CHECKING:
    from bot.context import Context
    from bot.domain.leases import OwnLease

S = DraftState
TRIED_FOR = timedelta(minutes=2)
"""How long deleting is tried again: the person may still wait for it."""


async def undo(ctx: Context, draft: Draft, own: OwnLease) -> None:
    """Delete the comment of a draft that is being undone. Raises `RetryLater` when it has to be tried again.

    `own`: the lease that the draft is under.
    """
    if draft.posted is None:
        return
    if (await mode(ctx)).mode != draft.mode:  # while it was being undone: in simulation Jira is not written to
        await _not_undone(ctx, draft, "the mode was switched meanwhile.")
        return
    failpoint("undo.before_delete")
    try:
        await ctx.jira.delete_comment(draft.issue.key, draft.posted.comment_id, by=own.by)
    except (RetryLater, OutcomeUnknown) as error:
        # Deleting twice is harmless, so it is tried again while the person may still wait for it.
        asked = draft.decision.at if draft.decision else ctx.clock.now()
        if ctx.clock.now() - asked < TRIED_FOR:
            raise RetryLater(error.reason, after=getattr(error, "after", None) or 3.0) from None
        await _not_undone(ctx, draft, error.reason)
    except Permanent as error:
        await _not_undone(ctx, draft, error.reason)
    else:
        failpoint("undo.after_delete")
        note = "A customer may already have been mailed what it said." if draft.customer else ""
        await move(ctx, draft, S.UNDONE, "draft.undone", comment_id=draft.posted.comment_id, note=note, due=None)


async def _not_undone(ctx: Context, draft: Draft, reason: str) -> None:
    ends = draft.posted.at + UNDO_FOR if draft.posted else None
    note = f"The comment could not be deleted, and is still in Jira: {reason}"
    await move(ctx, draft, S.POSTED, "draft.undo_failed", note=note, due=ends)


async def close_undo(ctx: Context, draft: Draft) -> float | None:
    """Take the Undo button away when its ten minutes are over; until then, the seconds that are left."""
    if (left := seconds_left(ctx, draft)) > 0:
        return left
    with suppress(Conflict):  # somebody pressed it at the last moment, or the card was just drawn
        await save_draft(ctx, draft, draft.moved(S.POSTED, due=None))
        return None
    return 0.0
