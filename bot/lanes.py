"""Lanes: what is to be tried, in which order, how many at once, and when again. What an attempt is, the caller says.

::

    wake ─→ queued ─ its turn ─→ running ─→ (forgotten: nothing is left to do)
              ↑                     ├─ seconds ─→ timed ─ over, or woken ─→ queued
              │                     └─ Hold ────→ queued, in front; the whole lane rests
              └──── woken while it ran ───┘

What waits is an id and a few numbers, never a task: there are at most `width` of those. The entries of a group (an
issue) are tried one after the other in the order in which they were woken, and the groups take turns, so that a
thousand entries of one group hold up another one by one attempt. `Hold` is for what stops everybody (a pause, an
outage): no timers, no attempts, and afterwards one entry goes first to find out for all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hold:
    """An attempt's outcome: nothing of this lane can go on for so many seconds. `reason` is for people."""

    seconds: float
    reason: str


class Job:
    """An entry of a lane. `tries`: attempts that failed so far; `reason`: why it waits, for people."""

    __slots__ = ("again", "group", "id", "queued", "reason", "running", "timer", "tries", "unexpected")

    def __init__(self, job_id: str, group: str) -> None:
        self.id = job_id
        self.group = group
        self.tries = 0
        self.unexpected = 0
        self.reason = ""
        self.again = self.queued = self.running = False
        self.timer: asyncio.TimerHandle | None = None


Attempt = Callable[[Job], Awaitable[float | Hold | None]]
"""One attempt: None when nothing is left to do, seconds until the next one, or a `Hold`. It does not raise."""


class Lane:
    """See the module's docstring. All methods are for the event loop's thread and return at once."""

    def __init__(self, name: str, width: int, attempt: Attempt) -> None:
        """`width`: attempts at once."""
        self.name = name
        self.held: str | None = None
        self._width = width
        self._attempt = attempt
        self._jobs: dict[str, Job] = {}
        self._turns: deque[Job] = deque()  # the first of each group that waits and does not run
        self._behind: dict[str, deque[Job]] = {}  # the rest of each group, where there is more than one
        self._active: set[str] = set()  # the groups that have a turn coming, or run
        self._tasks: set[asyncio.Task[None]] = set()
        self._finding_out = self._stopped = False
        self._hold_over: asyncio.TimerHandle | None = None

    # What the caller says

    def wake(self, job_id: str, after: float = 0.0, *, group: str | None = None) -> None:
        """This is to be tried, in `after` seconds at the latest. As often as one likes: it stands here once."""
        if self._stopped:
            return
        job = self._jobs.get(job_id)
        if job is None:
            job = self._jobs[job_id] = Job(job_id, group or job_id)
        if after > 0:
            if not job.queued:
                self._at(job, after)
        elif job.running:
            job.again = True
        elif not job.queued:
            self._queue(job)
            self._pump()

    def hold(self, hold: Hold) -> None:
        """Let the lane rest. The longer of two holds counts."""
        loop = asyncio.get_running_loop()
        if self._hold_over is None or self._hold_over.when() < loop.time() + hold.seconds:
            if self._hold_over:
                self._hold_over.cancel()
            self._hold_over = loop.call_later(max(hold.seconds, 0.0), self._find_out)
            self.held = hold.reason
        self._finding_out = True

    def lift(self) -> None:
        """What held the lane may be over: go on, with one entry first."""
        if self._hold_over:
            self._hold_over.cancel()
        self._find_out()

    def stop(self) -> set[asyncio.Task[None]]:
        """Start nothing any more. Returns the attempts that are under way."""
        self._stopped = True
        for handle in (self._hold_over, *(job.timer for job in self._jobs.values())):
            if handle:
                handle.cancel()
        return set(self._tasks)

    # What it says of itself

    def job(self, job_id: str) -> Job | None:
        """The entry, if there is one."""
        return self._jobs.get(job_id)

    @property
    def jobs(self) -> list[Job]:
        """All entries."""
        return list(self._jobs.values())

    @property
    def running(self) -> int:
        return len(self._tasks)

    @property
    def waiting(self) -> int:
        """Entries that wait for their turn or their time."""
        return len(self._jobs) - len(self._tasks)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do, now or later."""
        return not self._jobs

    # Whose turn it is

    def _queue(self, job: Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        job.queued = True
        if job.group in self._active:
            self._behind.setdefault(job.group, deque()).append(job)
        else:
            self._active.add(job.group)
            self._turns.append(job)

    def _next_of(self, group: str) -> None:
        """An entry of this group has ended its attempt: the next one waits for the group's next turn."""
        behind = self._behind.get(group)
        if not behind:
            self._active.discard(group)
            return
        self._turns.append(behind.popleft())
        if not behind:
            del self._behind[group]

    def _at(self, job: Job, after: float) -> None:
        loop = asyncio.get_running_loop()
        if job.timer is not None:
            if job.timer.when() <= loop.time() + after:
                return
            job.timer.cancel()
        job.timer = loop.call_later(after, self._due, job)

    def _due(self, job: Job) -> None:
        job.timer = None
        self.wake(job.id)

    def _find_out(self) -> None:
        self._hold_over, self.held = None, None
        self._pump()

    def _pump(self) -> None:
        """Start what may start."""
        while self._turns and self._hold_over is None and not self._stopped:
            if len(self._tasks) >= (1 if self._finding_out else self._width):
                return
            job = self._turns.popleft()
            job.queued, job.running = False, True
            task = asyncio.create_task(self._run(job), name=f"{self.name}:{job.id}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._pump()

    async def _run(self, job: Job) -> None:
        outcome: float | Hold | None = None
        try:
            while True:
                job.again = False
                outcome = await self._attempt(job)
                if not job.again or self._stopped or isinstance(outcome, Hold):
                    break
        finally:
            job.running = False
            if isinstance(outcome, Hold):
                job.queued = True  # its group's turn stays its own
                self._turns.appendleft(job)
            else:
                self._next_of(job.group)
        if self._stopped:
            return
        if isinstance(outcome, Hold):
            self.hold(outcome)
            return
        if self._hold_over is None:
            self._finding_out = False
        if outcome is not None:
            self._at(job, outcome)
        elif job.timer is None and not job.queued:
            del self._jobs[job.id]
