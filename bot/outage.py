"""When Claude or Jira is away: one notice after 15 minutes, and everything goes on by itself when it is back.

Events wait meanwhile. One at a time is tried when the time has come, and finds out for all others. When none is left
that could, a look of the program's own finds out, where that tells anything. What the outage is and when it is tried
again stands in the log, once for each change, in `/ready` and in `/pmagent health`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.cards import Message, outage_notice
from bot.errors import Permanent, RetryLater
from bot.log import get_logger
from bot.store import Put
from bot.workflow.controls import paused
from bot.workflow.messages import announce, revise

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


class Held(RetryLater):
    """Nobody's turn: what holds this event holds all that wait for an answer."""


NOTICE_AFTER = timedelta(minutes=15)
LONGEST_WAIT = 60.0
"""Seconds between two attempts at most; the waits double up to here."""
TOLD_BY_MODELS = frozenset({"unreachable", "timeout", "server", "key", "model"})
"""Kinds of Claude's outages whose end a look at the models tells. It is answered in the midst of the others (overload,
billing, the usage limit): their notice stays until the next event is answered."""


class Outage:
    """What is known about one service's being away. In memory, with its beginning on stable storage.

    `probe`: raises while the service is away. `key`: the name of its record and of its notices. `first_wait`: seconds
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
        self._since: datetime | None = None
        self._cause = ""
        self._told_by_probe = self._announced = False
        self._seen_first = 0.0
        self._next_attempt = 0.0
        self._telling = asyncio.Lock()  # an outage does not end while its notice is being stored

    async def load(self) -> None:
        """Take up an outage that began before a restart."""
        record = await self._ctx.store.get("state", self._name)
        if record and record["since"]:
            self._since, self._cause = datetime.fromisoformat(record["since"]), record["cause"]
            self._announced, self._told_by_probe = record["announced"], record.get("told_by_probe", False)
            self._seen_first = self._ctx.clock.monotonic()

    def hold(self) -> None:
        """Raise `Held` while nobody is to call the service: before anything else is done for a call."""
        left = self._next_attempt - self._ctx.clock.monotonic()
        if self._since is not None and left > 0:
            raise Held(f"{self._service} cannot be reached: {self._cause}", after=left + 0.05)

    def turn(self) -> None:
        """Return when a call may be made now; raise `Held` when somebody else is finding out."""
        self.hold()
        self._next_attempt = self._ctx.clock.monotonic() + self._wait  # in an outage, this caller finds out

    async def down(self, error: RetryLater, *, told_by_probe: bool = True) -> float:
        """A call found the service away. Returns the seconds until the next attempt."""
        first = self._since is None
        if first:
            self._since, self._seen_first = self._ctx.clock.now(), self._ctx.clock.monotonic()
        changed = first or self._cause != error.reason
        self._cause, self._told_by_probe = error.reason, told_by_probe
        wait = max(error.after or 0.0, self._wait)  # a `retry-after` of nothing is no reason to hurry
        self._next_attempt = self._ctx.clock.monotonic() + wait
        if changed:
            next_try = self._ctx.clock.now() + timedelta(seconds=wait)
            log.warning(
                "outage.began" if first else "outage.goes_on", service=self._service, reason=error.reason,
                next_try=next_try.isoformat(timespec="seconds"),
            )  # fmt: skip
            await self._save()
        await self.remind()
        return wait

    async def remind(self) -> None:
        """Post the one notice once the outage is old enough. The schedule calls it too: attempts may be far apart."""
        async with self._telling:
            if self._since is None or self._announced or self._ctx.clock.now() - self._since < NOTICE_AFTER:
                return
            # Its key keeps it to one; until it is stored, it is tried again.
            await announce(self._ctx, self._notice_key, self._notice())
            self._announced = True
            await self._save()

    async def look(self) -> None:
        """For the schedule: remind, and find out whether the service is back when no event is there to do it."""
        await self.remind()
        if self._since is None or not self._told_by_probe:
            return
        worker = self._ctx.worker
        # While another service is away too, no event comes as far as this one.
        if worker.nothing_to_ask or len(worker.away) > 1 or await paused(self._ctx):
            with suppress(RetryLater, Permanent):
                await self._probe()
                await self.up()

    async def up(self) -> None:
        """A call was answered: an outage is over, its notice says so, and everything that waits goes on."""
        async with self._telling:
            if self._since is None:
                return
            now = self._ctx.clock.now()
            # Whether it was announced or not: a kill may have come between the notice and the note of it.
            await revise(self._ctx, self._notice_key, self._notice(ended=now))
            log.info("outage.over", service=self._service, seconds=round((now - self._since).total_seconds(), 1))
            self._since, self._cause, self._told_by_probe, self._announced = None, "", False, False
            await self._save()
        self._ctx.worker.wake_all_events()

    def said(self) -> str | None:
        """Since when it is away, and why; None: it is not."""
        if self._since is None:
            return None
        local = self._since.astimezone(self._ctx.settings.timezone)
        return f"away since {local:%Y-%m-%d %H:%M}: {self._cause}"

    @property
    def _wait(self) -> float:
        """As long as it has been away, within limits: so each wait is about twice the one before."""
        if self._since is None:
            return self._first_wait
        age = self._ctx.clock.monotonic() - self._seen_first
        return min(max(self._first_wait, age), LONGEST_WAIT)

    def _notice(self, ended: datetime | None = None) -> Message:
        since = self._since or self._ctx.clock.now()
        return outage_notice(since, self._cause, ended, service=self._service, timezone=self._ctx.settings.timezone)

    @property
    def _notice_key(self) -> str:
        return f"{self._name}:{self._since.isoformat() if self._since else ''}"

    async def _save(self) -> None:
        since = self._since.isoformat() if self._since else None
        record = {
            "id": self._name, "at": self._ctx.clock.now().isoformat(), "since": since, "cause": self._cause,
            "told_by_probe": self._told_by_probe, "announced": self._announced,
        }  # fmt: skip
        await self._ctx.store.commit(Put("state", record))
