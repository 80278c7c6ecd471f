"""The queue of a process that shares its jobs with others, through PostgreSQL.

What is asked of it without waiting (why a job waits, how many do) it answers from its last look, which is at most
`POLL_SECONDS` seconds old, and from what this process itself has just found out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from procrastinate import PsycopgConnector
from procrastinate.manager import JobManager
from psycopg_pool import AsyncConnectionPool

from bot.clock import Clock
from bot.domain.health import HealthLine
from bot.log import get_logger
from bot.queue import Hold, Job, Kinds
from bot.queue.engines import KindStatus, finish, health_lines
from bot.queue.procrastinate.lifeline import BOUNDED, CONNECTION, PAUSES, Away, Lifeline
from bot.queue.procrastinate.runner import Runner
from bot.store.postgres.jobs import LATER, come_due, forget_workers

log = get_logger(__name__)

FETCHING, STORING = 2, 3
"""Connections to PostgreSQL at most: to fetch jobs, and to store what becomes of them."""
UNHURRIED = "-c synchronous_commit=off"
"""What becomes of a job need not be on the server's disk when it is answered: should the server crash and forget it,
the job is still marked as running here, where it does not run, and is carried out once more."""
ALONG_THE_INDEX = " ".join(
    f"-c enable_{way}=off" for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin", "material")
)
"""The next job is found in the order of procrastinate's index, and not by sorting all that wait: for that the planner
decides where it believes that few do, as it always may of a table that is empty at one time and full at another."""
POLL_SECONDS = 2.0
"""Seconds between two looks at what waits."""
LONGEST_NAP = 5.0
"""Seconds after which it is looked for what is due, whatever the last look found."""
GATHER_SECONDS = 0.05
"""Seconds for which new jobs for later are gathered before the next time is looked up."""
MAX_REASONS = 1000
"""Jobs that wait for a reason, of which a look remembers the reason."""

_WAITING = "SELECT task_name, count(*) FROM procrastinate_jobs WHERE status = 'todo' GROUP BY task_name"
_REASONS = """
SELECT task_name, args ->> 'key', args ->> 'reason' FROM procrastinate_jobs
WHERE status = 'todo' AND (args ? 'reason' OR task_name = ANY(%s)) ORDER BY id LIMIT %s
"""


class Deferring(Protocol):
    """What the queue needs of the store."""

    async def commit(self, *, jobs: tuple[Job, ...]) -> None: ...


class ProcrastinateQueue:
    """See `bot.queue.Queue`."""

    def __init__(self, url: str, store: Deferring, kinds: Kinds, clock: Clock) -> None:
        self._store = store
        self._kinds = kinds
        self._clock = clock
        self._fetching = _pool(url, FETCHING, options=ALONG_THE_INDEX)
        self._pool = _pool(url, STORING, options=UNHURRIED)
        self._connector = PsycopgConnector()
        manager = JobManager(self._connector)
        self._lifeline = Lifeline(url, manager, [*kinds, LATER], self._heard)
        self._runners = {
            name: Runner(name, kind, self._lifeline, manager, self._pool, self._clock) for name, kind in kinds.items()
        }
        self._tasks: list[asyncio.Task[None]] = []
        self._later = asyncio.Event()
        # Settings may have changed since a job was put off (the budget, say): a start looks at all of them once more.
        self._lifted = {*kinds}
        self._unknown: set[str] = set()
        self._stopping = False

    async def defer(self, *jobs: Job) -> None:
        if jobs:
            await self._store.commit(jobs=jobs)

    def hold(self, kind: str, hold: Hold) -> None:
        self._runners[kind].hold(hold)

    def lift(self, kind: str) -> None:
        self._lifted.add(kind)
        self._later.set()
        self._runners[kind].find_out()

    def idle(self, kind: str) -> bool:
        return self._runners[kind].idle

    async def start(self) -> None:
        await self._pool.open()
        await self._fetching.open()
        await self._connector.open_async(self._fetching)
        loops = [("lifeline", self._lifeline.run), ("due", self._queue_what_is_due), ("looks", self._look_again)]
        loops += [(f"runner {name}", runner.run) for name, runner in self._runners.items()]  # a kind may have any name
        for name, work in loops:
            self._tasks.append(asyncio.create_task(self._keep_up(name, work), name=f"queue:{name}"))

    async def drain(self, seconds: float) -> None:
        self._stopping = True
        running = set[asyncio.Task[None]]().union(*(runner.stop() for runner in self._runners.values()))
        await finish(running, seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)
            await self._leave()

    async def _leave(self) -> None:
        """What was left goes back at once, and not when this process is found dead."""
        try:
            if self._lifeline.worker is not None:
                async with asyncio.timeout(2.0), self._pool.connection() as connection:
                    await forget_workers(connection, [self._lifeline.worker])
        except Away as error:
            log.warning("queue.not_left", reason=type(error).__name__)
        await self._fetching.close(timeout=1.0)
        await self._pool.close(timeout=1.0)

    def park(self) -> None:
        self._stopping = True
        for runner in self._runners.values():
            for task in runner.stop():
                task.cancel()

    # How it is

    def ready(self) -> str | None:
        if self._stopping:
            return "stopping"
        return (self._lifeline.away or None) if self._tasks else "starting"

    def waits_for(self, key: str) -> str | None:
        for runner in self._runners.values():
            if key in runner.reasons:
                return runner.reasons[key] or runner.hold_reason
        return None

    def health(self) -> list[HealthLine]:
        told = {
            name: KindStatus(
                len(runner.entries),
                runner.waiting,
                runner.hold_reason,
                [item for item in runner.reasons.items() if item[1]],
            )
            for name, runner in self._runners.items()
        }
        return health_lines(self.ready(), self._kinds, told)

    # What it hears and does

    def _heard(self, queue: str) -> None:
        """Something is new in a queue of procrastinate's; "": anything may be."""
        if queue in ("", LATER):
            self._later.set()
        for name, runner in self._runners.items():
            if queue in ("", name):
                runner.heard()
            elif queue == LATER:
                runner.known = False

    async def _keep_up(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do this work until it is cancelled, whatever fault of ours it meets."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("queue.begins_again", part=name)
                await asyncio.sleep(PAUSES[-1])

    async def _queue_what_is_due(self) -> None:
        while True:
            await self._lifeline.up.wait()
            self._later.clear()
            lifted, self._lifted = self._lifted, set()
            now = self._clock.now()
            try:
                async with self._pool.connection() as connection:
                    due = await come_due(connection, now, [*lifted])
            except Away as error:
                log.warning("queue.not_looked", what="due", reason=type(error).__name__)
                self._lifted |= lifted
                await asyncio.sleep(PAUSES[-1])
                continue
            nap = min(max((due - now).total_seconds(), 0.01), LONGEST_NAP) if due else LONGEST_NAP
            try:
                async with asyncio.timeout(nap):
                    await self._later.wait()
                await asyncio.sleep(min(nap, GATHER_SECONDS))
            except TimeoutError:
                continue

    async def _look_again(self) -> None:
        while True:
            await self._lifeline.up.wait()
            try:
                await self._look()
            except Away as error:
                log.warning("queue.not_looked", what="waiting", reason=type(error).__name__)
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        """See what waits, and why."""
        for runner in self._runners.values():
            runner.known = True
        on_hold = [runner.name for runner in self._runners.values() if runner.hold_reason]
        async with self._pool.connection() as connection:
            waiting: dict[str, int] = dict(await (await connection.execute(_WAITING)).fetchall())
            reasons = await (await connection.execute(_REASONS, [on_hold, MAX_REASONS])).fetchall()
        for name, runner in self._runners.items():
            runner.waiting = waiting.pop(name, 0)
            runner.reasons = {key: reason or "" for kind, key, reason in reasons if kind == name}
        for kind in waiting.keys() - self._unknown:  # a newer version's: it stays stored for that
            self._unknown.add(kind)
            log.warning("queue.unknown_kind", kind=kind)


def _pool(url: str, size: int, options: str) -> AsyncConnectionPool:
    """A pool that is soon back when the server is: by itself, it doubles its pauses for up to five minutes."""
    parameters = CONNECTION | {"autocommit": True, "options": f"{options} {BOUNDED}"}
    return AsyncConnectionPool(
        url, min_size=1, max_size=size, timeout=5.0, reconnect_timeout=3.0, open=False, kwargs=parameters
    )
