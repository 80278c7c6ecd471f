"""The pace of writes to one Slack channel, and the waits that Slack asks for (about one message a second, 429)."""

from __future__ import annotations

import asyncio
import time

from bot.errors import RetryLater

PATIENCE = 30.0
"""A 429 up to this many seconds is waited out in place, which keeps the order; a longer one is handed to the caller."""


class Lane:
    """The order and the pace of one kind of write to one channel: one at a time, a burst, then about one a second."""

    def __init__(self, burst: int) -> None:
        self.lock = asyncio.Lock()
        self._burst = burst
        self._left = float(burst)
        self._at = time.monotonic()
        self.not_before = 0.0
        self._sent_home = 0

    async def turn(self) -> None:
        """Wait until the next write is due. Raises `RetryLater` when Slack asked for a longer wait than `PATIENCE`.

        Whoever is sent home like that comes back a second after the one before, at the pace that Slack takes: in order.
        """
        wait = self.not_before - time.monotonic()
        if wait > PATIENCE:
            self._sent_home += 1
            raise RetryLater("Slack asks to wait", after=wait + self._sent_home)
        self._sent_home = 0
        if wait > 0:
            await asyncio.sleep(wait)
        now = time.monotonic()
        self._left = min(float(self._burst), self._left + now - self._at)
        self._at = now
        if self._left < 1:
            await asyncio.sleep(1 - self._left)
            self._left, self._at = 1.0, time.monotonic()
        self._left -= 1
