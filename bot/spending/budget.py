"""The day's money: a call takes its highest possible cost out of the budget before it is made, and gives back the rest.

The day's record is `state/spend:<local date>`::

    {id, at, usd, calls, reserved: {reservation id: dollars}, until: {reservation id: time}, version}

`usd` is what was spent; `reserved` is what calls in flight may cost, of any process, each under a lease `until` a time.
A reservation of a process that ended without settling (kill −9) stays in the record and counts as spent, after its
lease: nobody knows whether that call was billed. The day turns at midnight in PMAGENT_TIMEZONE; a call belongs to the
day on which it was reserved.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from bot.clock import Clock
from bot.domain.leases import Lease, Leases
from bot.errors import RetryLater
from bot.settings import Settings
from bot.store import Conflict, Expect, Put, Record, Store

# Compare-and-set is retried; within one process a lock makes every first try succeed.
_TRIES = 20
LEASE = 120.0
"""Seconds for one call, with what goes before and after it."""


class BudgetReached(RetryLater):
    """No call is made until `until` (aware, UTC): today's budget is spent. `spent` and `limit` are dollars."""

    def __init__(self, reason: str, *, until: datetime, spent: float, limit: float, after: float) -> None:
        super().__init__(reason, after=after, nothing_sent=True)
        self.until = until
        self.spent = spent
        self.limit = limit
        self.calls: tuple[Any, ...] = ()


class BudgetReserved(RetryLater):
    """There is money left today, but calls in flight have reserved it: try again in some seconds."""

    def __init__(self) -> None:
        super().__init__("calls in flight have reserved the rest of today's budget", after=5.0, nothing_sent=True)
        self.calls: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Reservation:
    """Money taken out of the day's budget for one call."""

    id: str
    day: str
    usd: float


@dataclass
class Budget:
    """Reads and writes the day's record. One object per process."""

    store: Store
    settings: Settings
    clock: Clock
    leases: Leases
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def limit(self) -> float:
        """Dollars a day."""
        return self.settings.pmagent_daily_budget_usd

    def day(self) -> str:
        """Today's date in PMAGENT_TIMEZONE."""
        return self.clock.now().astimezone(self.settings.timezone).date().isoformat()

    def until(self) -> datetime:
        """The next local midnight, in UTC: when the next day's budget begins."""
        zone = self.settings.timezone
        tomorrow = self.clock.now().astimezone(zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time(), zone).astimezone(UTC)

    async def spent(self) -> float:
        """Dollars spent today, with what calls of unknown outcome may have cost and without calls in flight."""
        return self._spent(await self.store.get("state", f"spend:{self.day()}") or {})

    async def reserve(self, usd: float) -> Reservation:
        """Take `usd` out of today's budget, durably. Raises `BudgetReached`, `BudgetReserved` or StoreUnavailable."""
        attempt = self.leases.begin(LEASE)
        reservation = Reservation(attempt.owner, self.day(), usd)

        def take(record: Record) -> None:
            spent, reserved = self._spent(record), self._reserved(record)
            if spent >= self.limit or spent + usd > self.limit:
                raise self._reached(spent, usd)
            if spent + reserved + usd > self.limit:
                raise BudgetReserved
            record["reserved"][reservation.id] = usd
            record["until"][reservation.id] = attempt.renew().until.isoformat()

        try:
            await self._change(reservation.day, take)
        except BaseException:
            self.leases.end(reservation.id)
            raise
        return reservation

    async def charge(self, reservation: Reservation, usd: float) -> None:
        """The call was answered and cost `usd`."""
        await self._end(reservation, usd, calls=1)

    async def release(self, reservation: Reservation) -> None:
        """The call was refused or never sent: it cost nothing."""
        await self._end(reservation, 0.0, calls=0)

    def keep(self, reservation: Reservation) -> None:
        """Nobody knows whether the call was billed: the reservation stays in the record and counts as spent."""
        self.leases.end(reservation.id)

    async def _end(self, reservation: Reservation, usd: float, calls: int) -> None:
        def give_back(record: Record) -> None:
            for names in (record["reserved"], record["until"]):
                names.pop(reservation.id, None)
            record["usd"] = round(record["usd"] + usd, 9)
            record["calls"] += calls

        try:
            await self._change(reservation.day, give_back)
        finally:
            # If the store failed, the record still holds the reservation, which from now on counts as spent.
            self.leases.end(reservation.id)

    async def _change(self, day: str, change: Callable[[Record], None]) -> None:
        key = f"spend:{day}"
        async with self._lock:
            for _ in range(_TRIES):
                before = await self.store.get("state", key)
                record = before or {"id": key, "at": self.clock.now().isoformat(), "usd": 0.0, "calls": 0, "version": 0}
                record = {**record, **{name: dict(record.get(name) or {}) for name in ("reserved", "until")}}
                change(record)
                expect = Expect("state", key, {"version": before["version"]} if before else None)
                record["version"] += 1
                try:
                    return await self.store.commit(Put("state", record), expect=[expect])
                except Conflict:
                    await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
        raise RetryLater("today's spend record is changed by too many at once", after=1.0)

    def _spent(self, record: Record) -> float:
        orphans = [usd for name, usd in (record.get("reserved") or {}).items() if not self._in_flight(record, name)]
        return math.fsum([float(record.get("usd", 0.0)), *orphans])

    def _reserved(self, record: Record) -> float:
        return math.fsum(usd for name, usd in (record.get("reserved") or {}).items() if self._in_flight(record, name))

    def _in_flight(self, record: Record, name: str) -> bool:
        until = (record.get("until") or {}).get(name)
        return until is not None and self.leases.left(Lease(owner=name, until=datetime.fromisoformat(until))) > 0

    def _reached(self, spent: float, usd: float) -> BudgetReached:
        until = self.until()
        reason = f"today's budget of ${self.limit:,.2f} is used up: ${spent:,.2f} spent"
        if usd > self.limit:
            reason = (
                f"PMAGENT_DAILY_BUDGET_USD is ${self.limit:,.2f}, but one call can cost up to ${usd:,.4f}: "
                "raise it to let calls through"
            )
        elif spent < self.limit:
            reason += f", and the next call can cost up to ${usd:,.2f}"
        after = max(1.0, (until - self.clock.now()).total_seconds())
        return BudgetReached(reason, until=until, spent=spent, limit=self.limit, after=after)
