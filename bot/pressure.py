"""How busy the door is: deliveries in flight at the same moment, which is what tells a flood from a steady stream.

At 500 events a second two or three are in flight at once; sixteen mean that senders wait for us. Taking deliveries in
goes first then: what is not taken in is sent again, and lost in the end, while work that is in the store can wait a
second. `bot.lanes` starts new work gently as long as `high` is true. Pure but for the monotonic clock.
"""

from __future__ import annotations

import time

MANY = 16
"""Deliveries in flight at the same moment from which on the door counts as saturated."""
LINGER = 0.25
"""Seconds for which it still counts as saturated: between two groups of a synced write nobody is in flight."""


class Pressure:
    """Counts deliveries in flight. The door calls `enter` when it begins with one and `leave` at its answer."""

    __slots__ = ("_high_until", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._high_until = 0.0

    def enter(self) -> None:
        """A delivery is being taken in."""
        self.in_flight += 1
        if self.in_flight >= MANY:
            self._high_until = time.monotonic() + LINGER

    def leave(self) -> None:
        """It was answered, or given up."""
        self.in_flight -= 1

    @property
    def high(self) -> bool:
        """Whether the door is saturated now, or was a moment ago."""
        return time.monotonic() < self._high_until
