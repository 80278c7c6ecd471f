"""Pause and resume: deliveries are accepted meanwhile, drafting waits, and no draft comes nearer to its expiry."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from bot.store import Audit, Conflict, Expect, Put, Record
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
        now = ctx.clock.now()
        record = {"id": "pause", "at": now.isoformat(), "by": by.id, "name": by.name, **fields}
        record["seconds"] = _seconds(before, now)
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


async def paused_seconds(ctx: Context) -> float:
    """How long all pauses together have lasted, the present one included."""
    return _seconds(await ctx.store.get("state", "pause"), ctx.clock.now())


def _seconds(record: Record | None, now: datetime) -> float:
    """`paused_seconds` by the last record of a pause or a resume."""
    if record is None:
        return 0.0
    before: float = record.get("seconds", 0.0)
    if not record["paused"]:
        return before
    end = min(now, datetime.fromisoformat(record["until"])) if record["until"] else now
    return before + max((end - datetime.fromisoformat(record["at"])).total_seconds(), 0.0)
