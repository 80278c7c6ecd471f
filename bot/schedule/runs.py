"""The claim on a timed run, and which dates are settled, in the store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import TYPE_CHECKING

from bot.domain.leases import Lease
from bot.schedule.rules import Run
from bot.store import Conflict, Expect, Put, Record

if TYPE_CHECKING:
    from bot.context import Context
    from bot.domain.leases import Deadline, OwnLease

LEASE = 300.0
"""Seconds for one attempt at a run: Jira is read, Claude writes, Slack is told."""


def run_finished(run: Run, outcome: str, now: datetime) -> tuple[Put, Put]:
    """The changes that settle a run (`done` or `skipped`), for the commit that records what was done."""
    at = now.isoformat()
    return (
        Put("keys", {"id": run.key, "at": at, "state": outcome}),
        Put("state", {"id": f"schedule:{run.name}", "at": at, "date": run.day.isoformat()}),
    )


class ClaimedRun:
    """A run that this attempt has. `started`: when it was first started, now or before a crash."""

    def __init__(self, ctx: Context, run: Run, own: OwnLease, record: Record) -> None:
        self.started = datetime.fromisoformat(record["at"])
        self._ctx = ctx
        self._run = run
        self._own = own
        self._record = record

    @property
    def mine(self) -> Expect:
        """True while nobody has taken the run over: for the commits of what it leads to."""
        return Expect("keys", self._run.key, self._record)

    async def begin(self) -> Deadline:
        """Right before something is sent (see `bot.domain.leases.Begin`). Raises `Conflict` where it was taken over."""
        after = {**self._record, "lease": self._own.renew().model_dump(mode="json")}
        await self._ctx.store.commit(Put("keys", after), expect=(self.mine,))
        self._record = after
        return self._own.by


@contextlib.asynccontextmanager
async def claim(ctx: Context, run: Run) -> AsyncIterator[ClaimedRun | None]:
    """Take this run; None: it is settled, or somebody has it."""
    with ctx.leases.take(LEASE) as own:
        record = await _claimed(ctx, run, own)
        yield ClaimedRun(ctx, run, own, record) if record else None


async def _claimed(ctx: Context, run: Run, own: OwnLease) -> Record | None:
    now = ctx.clock.now()
    started = now.isoformat()
    found = await ctx.store.get("keys", run.key)
    if found and found["state"] == "started":
        if own.left(Lease.model_validate(found["lease"])) > 0:
            return None
        started = found["at"]  # whoever started it is gone
    # A skip from the future was recorded while the clock was wrong: the day it spoke of has not come yet.
    elif found and not (found["state"] == "skipped" and datetime.fromisoformat(found["at"]) > now):
        return None
    mine = {"id": run.key, "at": started, "state": "started", "lease": own.renew().model_dump(mode="json")}
    try:
        await ctx.store.commit(Put("keys", mine), expect=(Expect("keys", run.key, found),))
    except Conflict:
        return None  # another process was faster
    return mine


async def last_finished(ctx: Context, name: str) -> date | None:
    """The local date of the last settled run, or None: never, or written by a clock that was ahead of today's."""
    found = await ctx.store.get("state", f"schedule:{name}")
    if found is None or datetime.fromisoformat(found["at"]) > ctx.clock.now():
        return None
    return date.fromisoformat(found["date"])
