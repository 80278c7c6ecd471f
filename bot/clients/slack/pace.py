"""The pace of writes to one Slack channel, and the waits that Slack asks for (429).

Slack takes about one new message a second in a channel, and 50 changes of messages a minute; a few more at once.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.errors import RetryLater
from bot.store import Conflict, Expect, Put, Record

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.store import Store

MAX_WAIT = 30.0
"""A 429 up to this many seconds is waited out in place, which keeps the order; a longer one is handed to the caller."""


RESERVED = 10
"""Writes that somebody patient leaves for others to make at once."""
CLOCK_SKEW = 5
"""Seconds by which the clocks of two machines may differ: a record that is further ahead is not believed."""


class WritePace:
    """The order and the pace of one kind of write to one channel: one at a time, a burst, then `rate` a second."""

    def __init__(self, burst: int, rate: float = 1.0) -> None:
        self.lock = asyncio.Lock()
        self._burst = burst
        self._rate = rate
        self._left = float(burst)
        self._at = time.monotonic()
        self.not_before = 0.0
        self._sent_home = 0

    async def turn(self) -> None:
        """Wait until the next write is due. Raises `RetryLater` when Slack asked for a longer wait than `MAX_WAIT`."""
        await self._sleep(self.not_before - time.monotonic())
        self._refill()
        if self._left < 1:
            await asyncio.sleep((1 - self._left) / self._rate)
            self._left, self._at = 1.0, time.monotonic()
        self._left -= 1

    async def room(self) -> None:
        """Wait until a write leaves `RESERVED` more to be made at once."""
        while self._refill() < RESERVED + 1:  # noqa: ASYNC110 - it refills as time passes
            await asyncio.sleep((RESERVED + 1 - self._left) / self._rate)

    def _refill(self) -> float:
        now = time.monotonic()
        self._left = min(float(self._burst), self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left

    async def wait(self, seconds: float) -> None:
        """Slack has asked for this wait."""
        self.not_before = time.monotonic() + seconds

    async def _sleep(self, seconds: float) -> None:
        """Whoever is sent home comes back a second after the one before, at the pace that Slack takes: in order."""
        if seconds > MAX_WAIT:
            self._sent_home += 1
            raise RetryLater("Slack asks to wait", after=seconds + self._sent_home)
        self._sent_home = 0
        if seconds > 0:
            await asyncio.sleep(seconds)


class SharedWritePace(WritePace):
    """A pace of several processes: its pace and its waits are a record in `state`, changed by compare and set.

    The record is `{id, at, full, not_before}`. `full`: when the whole burst is to be had again; each write moves it on
    by the time of one (the generic cell rate algorithm). The order holds within each process.
    """

    def __init__(self, burst: int, name: str, store: Store, clock: Clock, rate: float = 1.0) -> None:
        super().__init__(burst, rate)
        self._name = name
        self._store = store
        self._clock = clock

    async def turn(self) -> None:
        """As `WritePace.turn`. Raises `StoreUnavailable` as well."""
        while True:
            record, now = await self._store.get("state", self._name), self._clock.now()
            full = self._full(record, now)
            wait = (full - now).total_seconds() - (self._burst - 1) / self._rate
            asked = ((_time(record, "not_before") or now) - now).total_seconds()
            if wait > 0 or asked > 0:
                await self._sleep(max(asked, min(wait, MAX_WAIT)))
                continue  # somebody else may have been faster, or was asked to wait
            if await self._save(record, full=max(full, now) + timedelta(seconds=1 / self._rate)):
                self._sent_home = 0
                return

    async def room(self) -> None:
        """As `WritePace.room`. Raises `StoreUnavailable` as well."""
        while True:
            record, now = await self._store.get("state", self._name), self._clock.now()
            wait = (self._full(record, now) - now).total_seconds() - (self._burst - 1 - RESERVED) / self._rate
            if wait <= 0:
                return
            await asyncio.sleep(min(wait, MAX_WAIT))

    def _full(self, record: Record | None, now: datetime) -> datetime:
        full = _time(record, "full") or now
        if full - now > timedelta(seconds=self._burst / self._rate + CLOCK_SKEW):
            return now + timedelta(seconds=(self._burst - 1) / self._rate)  # it was written by a clock that is ahead
        return full

    async def wait(self, seconds: float) -> None:
        until = self._clock.now() + timedelta(seconds=seconds)
        while True:
            record = await self._store.get("state", self._name)
            known = _time(record, "not_before")
            if (known is not None and known >= until) or await self._save(record, not_before=until):
                return

    async def _save(self, record: Record | None, **times: datetime) -> bool:
        """False: somebody else was faster."""
        after = {"full": None, "not_before": None, **(record or {}), "id": self._name}
        after |= {"at": self._clock.now().isoformat(), **{name: at.isoformat() for name, at in times.items()}}
        try:
            await self._store.commit(Put("state", after), expect=(Expect("state", self._name, record),))
        except Conflict:
            await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
            return False
        return True


def _time(record: Record | None, name: str) -> datetime | None:
    return datetime.fromisoformat(record[name]) if record and record[name] else None
