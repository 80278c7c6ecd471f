"""Leases: who is at work on what must not be done twice, and until when nobody else is to take it up.

A lease stands in the record of what is being done (a draft that is being posted, a card or a message that is being
sent, a timed run), written by compare and set together with the intent. Found there later, it tells a crash from work
that is still under way: while it lives, whoever finds it comes back when it ends; afterwards the work is taken over,
which begins with a look at what the other side has.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from bot.clock import Clock
from bot.domain.issues import Frozen


class Lease(Frozen):
    """`owner`: a random id of a process's start, and the number of its attempt. `until`: when it ends."""

    owner: str
    until: datetime


class Leases:
    """The leases of one process. Those of its own attempts end with the attempt, however that ends."""

    def __init__(self, clock: Clock, *, alone: bool) -> None:
        """`alone`: no other process works on this store while this one does, as where its folder is locked. Then
        whoever has another lease is dead, and nobody waits for it to end: a restart goes on at once."""
        self._clock = clock
        self._alone = alone
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._working: set[str] = set()

    @contextmanager
    def take(self, seconds: float) -> Iterator[Lease]:
        """A lease for what is done inside, to be stored with its intent."""
        owner = f"{self._process}.{next(self._numbers)}"
        self._working.add(owner)
        try:
            yield Lease(owner=owner, until=self._clock.now() + timedelta(seconds=seconds))
        finally:
            self._working.discard(owner)

    def left(self, lease: Lease | None) -> float:
        """Seconds for which somebody may be at work under this lease; 0: nobody is."""
        if lease is None:
            return 0.0
        mine = lease.owner.partition(".")[0] == self._process
        alive = lease.owner in self._working if mine else not self._alone
        return max(0.0, (lease.until - self._clock.now()).total_seconds()) if alive else 0.0
