"""Reasons for a skip: asked for privately, stored once, counted without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.corrections import SkipReason
from bot.domain.draft_states import DraftState
from bot.errors import UserError
from bot.store import Conflict, Expect
from bot.workflow.records import audit, load_draft, save_draft

if TYPE_CHECKING:
    from bot.context import Context
    from bot.workflow.actor import Actor


async def give_reason(ctx: Context, draft_id: str, reason: SkipReason, by: Actor) -> None:
    """Store the reason, by compare and set. Raises `UserError` for somebody who did not skip it, and a second time."""
    while True:
        draft = await load_draft(ctx, draft_id)
        if draft.state is not DraftState.SKIPPED or draft.decision is None or draft.decision.by != by.id:
            raise UserError("Only who skipped a draft is asked why.")
        if draft.skip_reason == reason:
            return  # the same click, delivered twice
        if draft.skip_reason:
            raise UserError("You have answered this already.")
        after = draft.model_copy(update={"skip_reason": reason})
        told = audit(after, "draft.skip_reason", by.account, part=reason, reason=reason)
        try:
            await save_draft(ctx, draft, after, told, expect=(Expect("drafts", draft_id, {"skip_reason": None}),))
        except Conflict:
            continue  # its card was redrawn, or the same click came twice
        return
