"""Leases: who is at work on what must not be done twice, and until when nobody else is to take it up.

A lease stands in the record of what is being done (a draft that is being posted, a card or a message that is being
sent, a timed run), written by compare and set together with the intent. Found there later, it tells a crash from work
that is still under way: while it lives, whoever finds it comes back when it ends. Afterwards the work is taken over, by
compare and set of another lease, which begins with a look at what the other side has.

A process that hangs and comes back after its lease must not send what it was about to send. Three things see to that:
the lease is renewed by compare and set right before a request is sent, which fails once somebody has taken over; a
request carries a `Deadline`, which is looked at once more on the open connection, before each write of its bytes; and
the same deadline ends the wait for the answer, `MARGIN` before the lease ends. What remains is a stop between that last
look and the kernel's taking the bytes (well under a millisecond), a machine whose clocks all stood still while it was
stopped (a paused virtual machine) and that had just renewed its lease, machines whose clocks differ by more than
`MARGIN`, and bytes that the network delivers late. None of it leads to a second comment by itself: whoever takes over
looks first, and a comment that was not found is sent again only when a person says so.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from bot.clock import Clock
from bot.domain.issues import Frozen
from bot.errors import TooLate

MARGIN = 15.0
"""Seconds before a lease's end at which a request under it is over, answered or not: the clocks of two machines may
differ by so much."""


class Lease(Frozen):
    """`owner`: a random id of a process's start, and the number of its attempt. `until`: when it ends."""

    owner: str
    until: datetime


class Deadline:
    """The time by which a request is sent and answered, or given up. Threads may ask it too.

    It is kept by two clocks, and the one that has less left counts: the wall clock goes on while a machine sleeps, and
    the monotonic one while the wall clock is set back.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._wall = clock.now() + timedelta(seconds=seconds)
        self._steady = clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; 0 or less: it is over."""
        return min((self._wall - self._clock.now()).total_seconds(), self._steady - self._clock.monotonic())

    def check(self) -> None:
        """Raise `TooLate` when it is over."""
        if self.left() <= 0:
            raise TooLate


Begin = Callable[[], Awaitable[Deadline | None]]
"""Called right before a request is sent, each time that it is: it stores the intent under a renewed lease, by compare
and set, and gives the request's deadline. What it raises keeps the request from being sent."""


class OwnLease:
    """The lease of one attempt of ours; each renewal replaces the one before.

    `by`: the deadline of what is sent under the last one.
    """

    def __init__(self, leases: Leases, owner: str, seconds: float) -> None:
        self.owner = owner
        self._leases = leases
        self._seconds = seconds
        self.by = Deadline(leases.clock, seconds - MARGIN)

    def renew(self) -> Lease:
        """A lease from now on, to be stored by compare and set before anything is sent under it."""
        self.by = Deadline(self._leases.clock, self._seconds - MARGIN)
        return Lease(owner=self.owner, until=self._leases.clock.now() + timedelta(seconds=self._seconds))

    def left(self, lease: Lease | None) -> float:
        """Seconds for which somebody else may be at work under this lease; 0: nobody is."""
        return 0.0 if lease is not None and lease.owner == self.owner else self._leases.left(lease)


class Leases:
    """The leases of one process. Those of its own attempts end with the attempt, however that ends.

    `alone`: no other process works on this store while this one does, as where its folder is locked. Then whoever has
    another lease is dead, and nobody waits for it to end: a restart goes on at once.
    """

    def __init__(self, clock: Clock, *, alone: bool) -> None:
        self.clock = clock
        self.alone = alone
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._working: set[str] = set()

    @contextmanager
    def take(self, seconds: float) -> Iterator[OwnLease]:
        """Leases of so many seconds each for what is done inside."""
        own = self.begin(seconds)
        try:
            yield own
        finally:
            self.end(own.owner)

    def begin(self, seconds: float) -> OwnLease:
        """As `take`, until `end`."""
        own = OwnLease(self, f"{self._process}.{next(self._numbers)}", seconds)
        self._working.add(own.owner)
        return own

    def end(self, owner: str) -> None:
        """This attempt is over: its leases count no more for this process."""
        self._working.discard(owner)

    def left(self, lease: Lease | None) -> float:
        """Seconds for which somebody may be at work under this lease; 0: nobody is."""
        if lease is None:
            return 0.0
        mine = lease.owner.partition(".")[0] == self._process
        alive = lease.owner in self._working if mine else not self.alone
        return max(0.0, (lease.until - self.clock.now()).total_seconds()) if alive else 0.0
