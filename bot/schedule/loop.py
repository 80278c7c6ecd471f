"""The scheduler's loop: runs each entry of the table when it is due."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING

from bot.errors import RetryLater
from bot.log import bound, get_logger
from bot.schedule.rules import At, Every, due, next_at, occurrence
from bot.schedule.runs import last_finished
from bot.schedule.table import ScheduleEntry, entries
from bot.schedule.turns import turn
from bot.store import Conflict, Expect, Put, StoreUnavailable

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
POLL_SECONDS = 30.0
"""Seconds after which the wall clock is read again at the latest: it can be set, and a laptop can sleep."""
MAX_RETRY_AFTER = 3600.0
"""Seconds: a `Retry-After` is obeyed up to here."""


async def tick(ctx: Context, entry: ScheduleEntry) -> float:
    """Do what is due of this entry now. Returns the seconds until it has to be looked at again."""
    rule = entry.rule(ctx.settings)
    if rule is None:
        return 3600.0
    if isinstance(rule, Every):
        if not entry.in_turn:
            await entry.run(ctx, None)
            return rule.seconds
        async with turn(ctx, entry.name, rule.seconds) as taken:
            if taken.wait > 0:
                return taken.wait
            await entry.run(ctx, taken)
        return rule.seconds
    if not rule.asked:
        await _begin(ctx, entry.name, rule)
    for run in due(ctx.clock.now(), await last_finished(ctx, entry.name), rule, entry.name):
        await entry.run(ctx, run)
    now = ctx.clock.now()
    following = next_at(now, rule)
    return min(POLL_SECONDS, max(0.05, (following - now).total_seconds())) if following else POLL_SECONDS


async def _begin(ctx: Context, name: str, rule: At) -> None:
    """A new data folder owes nothing: a program that was just installed does not report a morning it was not there for.

    Where somebody has set the time themselves, today's late standup is what they can expect.
    """
    if await ctx.store.get("state", f"schedule:{name}") is not None:
        return
    now = ctx.clock.now()
    today = now.astimezone(rule.zone).date()
    planned = occurrence(rule, today)
    settled_until = today if planned is not None and planned <= now else today - timedelta(days=1)
    first = {"id": f"schedule:{name}", "at": now.isoformat(), "date": settled_until.isoformat()}
    with contextlib.suppress(Conflict):
        await ctx.store.commit(Put("state", first), expect=(Expect("state", first["id"]),))


async def _keep(ctx: Context, entry: ScheduleEntry) -> None:
    tries, said = 0, ""
    while True:
        reason = ""
        try:
            with bound(schedule=entry.name):
                wait = await tick(ctx, entry)
            tries = 0
        except RetryLater as error:
            reason = error.reason
            tries += 1
            wait = (
                min(max(error.after, 1.0), MAX_RETRY_AFTER)
                if error.after is not None
                else min(2.0 ** min(tries, 10), POLL_SECONDS)
            )
        except StoreUnavailable:
            reason = "the store does not take writes"
            wait = POLL_SECONDS
        except Exception:
            # One entry's bug must not stop the others, nor this one's next day.
            log.exception("schedule.failed", name=entry.name)
            wait = POLL_SECONDS
        if reason and reason != said:  # once for each change, however often it is tried
            log.warning("schedule.waits", name=entry.name, reason=reason, next_try_in=round(wait, 1))
        said = reason
        await _sleep(ctx, wait)


async def _sleep(ctx: Context, seconds: float) -> None:
    """Until so much time is over by the wall clock or by the other one, which stands still while a laptop sleeps."""
    ends, stops = ctx.clock.now() + timedelta(seconds=seconds), ctx.clock.monotonic() + seconds
    while (left := min((ends - ctx.clock.now()).total_seconds(), stops - ctx.clock.monotonic())) > 0:  # noqa: ASYNC110 - there is no event for a clock
        await asyncio.sleep(min(left, POLL_SECONDS))  # in steps: nobody tells when a clock was set


async def run_schedule(ctx: Context) -> None:
    """Keep the table, each entry by itself, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for entry in entries():
            group.create_task(_keep(ctx, entry), name=f"schedule:{entry.name}")
