"""When Claude or Jira is away: one message after 15 minutes, and everything goes on by itself when it is back.

Events wait meanwhile. One at a time is tried when the time has come, and finds out for all others. When none is left
that could, a look of the program's own finds out, where that tells anything. What the outage is and when it is tried
again stands in the log, once for each change, in `/ready` and in `/pmagent health`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.cards import Message, outage_message
from bot.domain.outages import OnHold
from bot.errors import Permanent, RetryLater
from bot.log import get_logger
from bot.store import Conflict, Expect, Put, Record, StoreUnavailable
from bot.workflow.pausing import paused
from bot.workflow.presenting.announcing import announce, revise

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


MESSAGE_AFTER = timedelta(minutes=15)
MAX_BACKOFF = 60.0
"""Seconds between two attempts at most; the waits double up to here."""
TOLD_BY_MODELS = frozenset({"unreachable", "timeout", "server", "key", "model"})
"""Kinds of Claude's outages whose end a look at the models tells. It is answered in the midst of the others (overload,
billing, the usage limit): their message stays until the next event is answered."""


IN_A_ROW = 3
"""Attempts that fail one after another before all wait: then it is Jira that is away, and not one issue of it."""


@dataclass(frozen=True)
class OutageState:
    """What is stored about a service's outage: since when (None: there is none), why, and what people were told."""

    since: datetime | None = None
    cause: str = ""
    told_by_probe: bool = False
    announced: bool = False


class ServiceOutages:
    """The outages of the services that events wait for."""

    def __init__(self, ctx: Context) -> None:
        self.claude = ServiceOutage(ctx, "Claude", ctx.claude.probe, key="outage", first_wait=5.0)
        self.jira = ServiceOutage(ctx, "Jira", ctx.jira.probe, key="outage:jira", first_wait=1.0)

    async def load(self) -> None:
        """Take up what began before a restart."""
        await self.claude.load()
        await self.jira.load()

    async def follow(self) -> None:
        """Take up what other processes have found."""
        await self.claude.follow()
        await self.jira.follow()

    @property
    def away(self) -> dict[str, str]:
        """The services that events wait for, by name, and since when and why."""
        found = {"claude": self.claude.said(), "jira": self.jira.said()}
        return {name: said for name, said in found.items() if said}


class ServiceOutage:
    """What is known about one service's being away: in memory when it is tried again, the rest also in the store.

    Each process finds out for itself that a service is away, and tries it by itself again; the outage, its message and
    its end are one of all processes, which follow each other through the store.

    `probe`: raises while the service is away. `key`: the name of its record and of its messages. `first_wait`: seconds
    until the first new attempt.
    """

    def __init__(
        self, ctx: Context, service: str, probe: Callable[[], Awaitable[object]], *, key: str, first_wait: float
    ) -> None:
        self._ctx = ctx
        self._service = service
        self._probe = probe
        self._name = key
        self._first_wait = first_wait
        self._known = self._stored = OutageState()
        self._failed = 0
        self._seen_first = 0.0
        self._next_attempt = 0.0
        self._telling = asyncio.Lock()  # an outage does not end while its message is being stored

    async def load(self) -> None:
        """Take up an outage that began before a restart."""
        await self._change(lambda known: known)
        if self._known.since:
            self._seen_first = self._ctx.clock.monotonic()

    def hold(self) -> None:
        """Raise `OnHold` while nobody is to call the service: before anything else is done for a call."""
        left = self._next_attempt - self._ctx.clock.monotonic()
        if self._known.since is not None and left > 0:
            raise OnHold(f"{self._service} cannot be reached: {self._known.cause}", after=left + 0.05)

    def turn(self) -> None:
        """Return when a call may be made now; raise `OnHold` when somebody else is finding out."""
        self.hold()
        self._next_attempt = self._ctx.clock.monotonic() + self._wait  # in an outage, this caller finds out

    def failed_in_a_row(self) -> bool:
        """Count an attempt that failed for a reason of its own; whether it is the service after so many."""
        self._failed += 1
        return self._failed >= IN_A_ROW

    async def down(self, error: RetryLater, *, told_by_probe: bool = True) -> float:
        """A call found the service away. Returns the seconds until the next attempt."""
        if not self._ctx.leases.alone:
            with suppress(StoreUnavailable):
                await self.follow()  # another process may have found it back since: then this begins a new outage
        before, now = self._known, self._ctx.clock.now()
        if before.since is None:
            self._seen_first = self._ctx.clock.monotonic()
            self._known = replace(before, since=now)  # at once, whatever becomes of storing it
        wait = max(error.after or 0.0, self._wait)  # a `retry-after` of nothing is no reason to hurry
        self._next_attempt = self._ctx.clock.monotonic() + wait
        if before.since is None or before.cause != error.reason or self._stored.since != before.since:
            self._known = replace(self._known, cause=error.reason, told_by_probe=told_by_probe)
            log.warning(
                "outage.goes_on" if before.since else "outage.began", service=self._service, reason=error.reason,
                next_try=(now + timedelta(seconds=wait)).isoformat(timespec="seconds"),
            )  # fmt: skip
            async with self._telling:
                await self._change(
                    lambda known: replace(
                        known, since=known.since or now, cause=error.reason, told_by_probe=told_by_probe
                    )
                )
        await self.remind()
        return wait

    async def remind(self) -> None:
        """Post the one message once the outage is old enough. The schedule calls it too: attempts may be far apart."""
        async with self._telling:
            known = self._known
            if known.since is None or known.announced or self._ctx.clock.now() - known.since < MESSAGE_AFTER:
                return
            record = await self._ctx.store.get("state", self._name)
            if record is None or _read(record).since != known.since:
                return  # another process has found it back, or this one has not stored it yet
            # Its key keeps it to one; until it is stored, it is tried again.
            await announce(self._ctx, self._message_key, self._message())
            await self._change(
                lambda stored: replace(stored, announced=True) if stored.since == known.since else stored
            )

    async def follow(self) -> None:
        """Take up what other processes have found: that an outage began, was announced or is over."""
        async with self._telling:
            record = await self._ctx.store.get("state", self._name)
            stored = _read(record) if record else OutageState()
            if stored == self._stored:
                return
            known, self._known, self._stored = self._known, stored, stored
            if known.since is None:
                self._seen_first = self._ctx.clock.monotonic()
        if known.since is not None and stored.since is None:
            self._failed, self._next_attempt = 0, 0.0
            self._ctx.queue.lift("answer")

    async def look(self) -> None:
        """For the schedule: remind, and find out whether the service is back when no event is there to do it."""
        await self.remind()
        if self._known.since is None or not self._known.told_by_probe:
            return
        # While another service is away too, no event comes as far as this one.
        nobody_asks = self._ctx.queue.idle("answer") or len(self._ctx.outages.away) > 1
        if nobody_asks or await paused(self._ctx):
            with suppress(RetryLater, Permanent):
                await self._probe()
                await self.up()

    async def up(self) -> None:
        """A call was answered: an outage is over, its message says so, and everything that waits goes on."""
        self._failed = 0
        async with self._telling:
            known = self._known
            if known.since is None:
                return
            now = self._ctx.clock.now()
            record = await self._ctx.store.get("state", self._name)
            if record is None or _read(record).since is not None:  # else another process has said so already
                # Whether it was announced or not: a kill may have come between the message and the note of it.
                await revise(self._ctx, self._message_key, self._message(ended=now))
            log.info("outage.over", service=self._service, seconds=round((now - known.since).total_seconds(), 1))
            self._known = OutageState()
            try:
                await self._change(lambda stored: OutageState() if stored.since == known.since else stored)
            except StoreUnavailable:
                self._known = known  # it ends when that can be stored
                raise
        self._ctx.queue.lift("answer")

    def said(self) -> str | None:
        """Since when it is away, and why; None: it is not."""
        if self._known.since is None:
            return None
        local = self._known.since.astimezone(self._ctx.settings.timezone)
        return f"away since {local:%Y-%m-%d %H:%M}: {self._known.cause}"

    @property
    def _wait(self) -> float:
        """As long as it has been away, within limits: so each wait is about twice the one before."""
        if self._known.since is None:
            return self._first_wait
        age = self._ctx.clock.monotonic() - self._seen_first
        return min(max(self._first_wait, age), MAX_BACKOFF)

    def _message(self, ended: datetime | None = None) -> Message:
        since, cause = self._known.since or self._ctx.clock.now(), self._known.cause
        return outage_message(since, cause, ended, service=self._service, timezone=self._ctx.settings.timezone)

    @property
    def _message_key(self) -> str:
        return f"{self._name}:{self._known.since.isoformat() if self._known.since else ''}"

    async def _change(self, change: Callable[[OutageState], OutageState]) -> None:
        """Change what is stored: compare and set. What it is then is known."""
        while True:
            record = await self._ctx.store.get("state", self._name)
            before = _read(record) if record else OutageState()
            after = change(before)
            if after != before:
                stored = {
                    "id": self._name, "at": self._ctx.clock.now().isoformat(), "cause": after.cause,
                    "since": after.since.isoformat() if after.since else None,
                    "told_by_probe": after.told_by_probe, "announced": after.announced,
                }  # fmt: skip
                try:
                    await self._ctx.store.commit(Put("state", stored), expect=(Expect("state", self._name, record),))
                except Conflict:
                    continue
            self._known = self._stored = after
            return


def _read(record: Record) -> OutageState:
    since = record["since"] and datetime.fromisoformat(record["since"])
    return OutageState(since, record["cause"], record["told_by_probe"], record["announced"])
