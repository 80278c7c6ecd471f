"""Pause and resume: deliveries are accepted meanwhile, and drafting waits."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from bot.store import Audit, Conflict, Expect, Put
from bot.workflow.actor import Actor

if TYPE_CHECKING:
    from bot.context import Context


async def pause(ctx: Context, until: datetime | None, by: Actor) -> None:
    """Drafting waits until then (None: until somebody resumes); deliveries are still accepted."""
    ends = until.isoformat() if until else None
    await _set_pause(ctx, by, Audit(by.account, "agent.paused", details={"until": ends}), until=ends, paused=True)


async def resume(ctx: Context, by: Actor) -> None:
    """Drafting goes on with what has waited."""
    await _set_pause(ctx, by, Audit(by.account, "agent.resumed"), until=None, paused=False)


async def _set_pause(ctx: Context, by: Actor, told: Audit, **fields: Any) -> None:
    while True:
        before = await ctx.store.get("state", "pause")
        record = {"id": "pause", "at": ctx.clock.now().isoformat(), "by": by.id, "name": by.name, **fields}
        try:
            await ctx.store.commit(Put("state", record), expect=(Expect("state", "pause", before),), audit=(told,))
        except Conflict:
            continue  # somebody else was faster, and the later one counts
        ctx.queue.lift("answer")
        return


async def paused(ctx: Context) -> datetime | Literal[True] | None:
    """None: not paused. True: until somebody resumes. A time: until then."""
    record = await ctx.store.get("state", "pause")
    if record is None or not record["paused"]:
        return None
    if record["until"] is None:
        return True
    until = datetime.fromisoformat(record["until"])
    return until if until > ctx.clock.now() else None
