"""A keyed work queue: what is to be tried, in which order, how many at once, and when again.

::

    add ──→ queued ─ its turn ─→ running ─→ (forgotten: nothing is left to do)
              ↑                     ├─ seconds ─→ timed ─ over, or added ─→ queued
              │                     └─ Hold ────→ queued, in front; the whole queue rests
              └──── added while it ran ───┘

What waits is a key and a few numbers, never a task: there are at most `limit` of those. The entries of one lock (an
issue) are tried one after the other in the order in which they came, and the locks take turns, so that a thousand
entries of one lock hold up another one by one attempt. An entry that is due later has no lock until then. `Hold` is for
what stops everybody (a pause, an outage): no timers, no attempts, and afterwards one entry goes first to find out for
all. What an attempt is, the caller says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hold:
    """An attempt's outcome: nothing of this queue can go on for so many seconds. `reason` is for people."""

    seconds: float
    reason: str


class Entry:
    """One key of a queue. `tries`: attempts that failed so far; `reason`: why it waits, for people."""

    __slots__ = ("again", "key", "lock", "queued", "reason", "running", "timer", "tries", "unexpected")

    def __init__(self, key: str, lock: str) -> None:
        self.key = key
        self.lock = lock
        self.tries = 0
        self.unexpected = 0
        self.reason = ""
        self.again = self.queued = self.running = False
        self.timer: asyncio.TimerHandle | None = None


Outcome = float | Hold | None
"""What an attempt leaves: None when nothing is left to do, seconds until the next one, or a `Hold`."""
Attempt = Callable[[Entry], Awaitable[Outcome]]
"""One attempt. It does not raise."""


class KeyedQueue:
    """See the module's docstring. All methods are for the event loop's thread and return at once."""

    def __init__(self, name: str, limit: int, attempt: Attempt) -> None:
        """`limit`: attempts at once."""
        self.name = name
        self.hold_reason: str | None = None
        self._limit = limit
        self._attempt = attempt
        self._entries: dict[str, Entry] = {}
        self._turns: deque[Entry] = deque()  # the first of each lock that waits and does not run
        self._behind: dict[str, deque[Entry]] = {}  # the rest of each lock, where there is more than one
        self._active: set[str] = set()  # the locks that have a turn coming, or run
        self._tasks: set[asyncio.Task[None]] = set()
        self._finding_out = self._stopped = False
        self._hold_over: asyncio.TimerHandle | None = None

    # What the caller says

    def add(self, key: str, after: float = 0.0, *, lock: str = "") -> None:
        """This is to be tried, in `after` seconds at the latest. As often as one likes: it stands here once."""
        if self._stopped:
            return
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry(key, lock or key)
        if after > 0:
            if not entry.queued:
                self._at(entry, after)
        elif entry.running:
            entry.again = True
        elif not entry.queued:
            self._queue(entry)
            self._pump()

    def hold(self, hold: Hold) -> None:
        """Let the queue rest. The longer of two holds counts."""
        loop = asyncio.get_running_loop()
        if self._hold_over is None or self._hold_over.when() < loop.time() + hold.seconds:
            if self._hold_over:
                self._hold_over.cancel()
            self._hold_over = loop.call_later(max(hold.seconds, 0.0), self._find_out)
            self.hold_reason = hold.reason
        self._finding_out = True

    def lift(self) -> None:
        """What held entries back may be over: all are due now, and after a hold one goes first."""
        for entry in [entry for entry in self._entries.values() if entry.timer is not None]:
            self.add(entry.key)
        if self._hold_over:
            self._hold_over.cancel()
        self._find_out()

    def stop(self) -> set[asyncio.Task[None]]:
        """Start nothing any more. Returns the attempts that are under way."""
        self._stopped = True
        for handle in (self._hold_over, *(entry.timer for entry in self._entries.values())):
            if handle:
                handle.cancel()
        return set(self._tasks)

    # What it says of itself

    def get(self, key: str) -> Entry | None:
        """The entry, if there is one."""
        return self._entries.get(key)

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def waiting(self) -> int:
        """Entries that wait for their turn or their time."""
        return len(self._entries) - len(self._tasks)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, now or later."""
        return not self._entries

    # Whose turn it is

    def _queue(self, entry: Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        entry.queued = True
        if entry.lock in self._active:
            self._behind.setdefault(entry.lock, deque()).append(entry)
        else:
            self._active.add(entry.lock)
            self._turns.append(entry)

    def _next_of(self, lock: str) -> None:
        """An entry of this lock has ended its attempt: the next one waits for the lock's next turn."""
        behind = self._behind.get(lock)
        if not behind:
            self._active.discard(lock)
            return
        self._turns.append(behind.popleft())
        if not behind:
            del self._behind[lock]

    def _at(self, entry: Entry, after: float) -> None:
        loop = asyncio.get_running_loop()
        if entry.timer is not None:
            if entry.timer.when() <= loop.time() + after:
                return
            entry.timer.cancel()
        entry.timer = loop.call_later(after, self._due, entry)

    def _due(self, entry: Entry) -> None:
        entry.timer = None
        self.add(entry.key)

    def _find_out(self) -> None:
        self._hold_over, self.hold_reason = None, None
        self._pump()

    def _pump(self) -> None:
        """Start what may start."""
        while self._turns and self._hold_over is None and not self._stopped:
            if len(self._tasks) >= (1 if self._finding_out else self._limit):
                return
            entry = self._turns.popleft()
            entry.queued, entry.running = False, True
            task = asyncio.create_task(self._run(entry), name=f"{self.name}:{entry.key}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()

    async def _run(self, entry: Entry) -> None:
        outcome: Outcome = None
        try:
            while True:
                entry.again = False
                outcome = await self._attempt(entry)
                if not entry.again or self._stopped or isinstance(outcome, Hold):
                    break
        finally:
            entry.running = False
            if isinstance(outcome, Hold):
                entry.queued = True  # its lock's turn stays its own
                self._turns.appendleft(entry)
            else:
                self._next_of(entry.lock)
        if self._stopped:
            return
        if isinstance(outcome, Hold):
            self.hold(outcome)
            return
        if self._hold_over is None:
            self._finding_out = False
        if outcome is not None:
            self._at(entry, outcome)
        elif entry.timer is None and not entry.queued:
            del self._entries[entry.key]
