"""Redrawing many cards: after a switch of the mode, and when many drafts expire at once.

There is one job for all of them. It looks in the store for the newest draft whose card is behind, brings that one up
to date, and looks again, at Slack's pace. So a switch of the mode writes no draft, nothing is held in memory for them,
and a card that is new, or that somebody has clicked on, has a job of its own and does not wait for the others.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bot.domain.draft_states import SUPERSEDABLE
from bot.domain.drafts import Draft, Mode
from bot.errors import RetryLater
from bot.failpoints import failpoint
from bot.store import Conflict, Job, Record
from bot.workflow.modes import mode
from bot.workflow.presenting.card import CardRefused, present
from bot.workflow.records import audit, load_draft, move, read_draft, save_draft

if TYPE_CHECKING:
    from bot.context import Context

OTHER: dict[Mode, Mode] = {"simulation": "production", "production": "simulation"}
SPELL = 0.5
"""Seconds for which one attempt goes on, so that a stop does not wait for it; the next one follows at once."""
REFUSED = 60.0
"""Seconds until a card that Slack did not take is tried by itself: it does not hold up the others."""


async def redraw(ctx: Context, _: str) -> float | None:
    """Redraw what is behind, the newest first. Returns 0 when there may be more. Raises `RetryLater` while Slack is
    away."""
    ends = ctx.clock.monotonic() + SPELL
    while True:
        current = (await mode(ctx)).mode
        draft = await _newest_behind(ctx, current)
        if draft is None:
            return None
        await _bring_up(ctx, draft, current)
        if ctx.clock.monotonic() >= ends:
            return 0.0


async def count_under_other_mode(ctx: Context) -> int:
    """How many drafts still stand under the mode that is over."""
    other = OTHER[(await mode(ctx)).mode]
    return sum([await ctx.store.count("drafts", state=str(state), mode=other) for state in SUPERSEDABLE])


async def under_mode(ctx: Context, draft: Draft, current: Mode) -> None:
    """Have this card redrawn at once, under the mode in force where it can be decided on: somebody looks at it."""
    if draft.state in SUPERSEDABLE and draft.mode != current:
        await move(ctx, draft, draft.state, "draft.mode_changed", mode=current)
    else:
        await ctx.queue.defer(Job("card", draft.id))


async def _newest_behind(ctx: Context, current: Mode) -> Draft | None:
    """The newest draft that stands under another mode than the one in force, or whose card waits for its turn."""
    newest: list[Record] = await ctx.store.find("drafts", behind="card", by="at", newest_first=True, limit=1)
    for state in SUPERSEDABLE:
        newest += await ctx.store.find(
            "drafts", mode=OTHER[current], state=str(state), by="at", newest_first=True, limit=1
        )
    return read_draft(max(newest, key=lambda record: record["at"])) if newest else None


async def _bring_up(ctx: Context, draft: Draft, current: Mode) -> None:
    """This draft under the mode in force, and its card as the draft is."""
    try:
        if draft.state in SUPERSEDABLE and draft.mode != current:
            card = draft.card.model_copy(update={"behind": True})
            after = draft.moved(draft.state, mode=current, card=card)
            await save_draft(ctx, draft, after, audit(after, "draft.mode_changed", "system"))
            failpoint("redraw.stored")
        try:
            left = await present(ctx, draft.id, patient=True)
        except RetryLater as error:
            await _on_its_own(ctx, draft.id, REFUSED)
            if not isinstance(error, CardRefused):
                raise  # Slack is away, or asks to wait
        else:
            if left is not None:
                await _on_its_own(ctx, draft.id, left)
    except Conflict:
        return  # somebody has decided on it, or draws it: it is looked at again


async def _on_its_own(ctx: Context, draft_id: str, seconds: float) -> None:
    """This card is tried again by itself, and the others have their turn. Raises `Conflict`."""
    draft = await load_draft(ctx, draft_id)
    alone = draft.model_copy(update={"card": draft.card.model_copy(update={"behind": False})})
    at = ctx.clock.now() + timedelta(seconds=seconds)
    await save_draft(ctx, draft, alone, jobs=[Job("card", draft_id, at=at)])
