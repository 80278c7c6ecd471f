"""The pause that Claude asked for: until it is over no process calls, as it is meant for the key."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta

from bot.clients.claude.errors import ClaudeBusy
from bot.clock import Clock
from bot.domain.leases import Leases
from bot.store import Put, Store, StoreUnavailable

PAUSE_RECORD = "claude:pause"
"""The record in `state` of the time before which no process calls."""


class Pause:
    """One per process; `share` tells the other processes, where there are any."""

    def __init__(self, store: Store, clock: Clock, leases: Leases) -> None:
        self._store = store
        self._clock = clock
        self._leases = leases
        self._until = 0.0

    def lengthen(self, seconds: float) -> None:
        """Claude asked not to be called for so long."""
        self._until = max(self._until, self._clock.monotonic() + seconds)

    async def respect(self) -> None:
        """Raise `ClaudeBusy` while the pause lasts, also one that another process was asked for."""
        left = self._until - self._clock.monotonic()
        if not self._leases.alone and (told := await self._store.get("state", PAUSE_RECORD)):
            left = max(left, (datetime.fromisoformat(told["until"]) - self._clock.now()).total_seconds())
        if left > 0:
            raise ClaudeBusy(left)

    async def share(self) -> None:
        """Store the end of the pause for the other processes."""
        left = self._until - self._clock.monotonic()
        if left > 0 and not self._leases.alone:
            now = self._clock.now()
            until = (now + timedelta(seconds=left)).isoformat()
            with contextlib.suppress(StoreUnavailable):
                await self._store.commit(Put("state", {"id": PAUSE_RECORD, "at": now.isoformat(), "until": until}))
