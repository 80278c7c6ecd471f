"""The jobs of one kind in one process: fetched while there is a place for them, carried out, and ended or put off.

::

    fetched ──→ runs ─┬─ None ───→ removed
                      ├─ seconds ─→ removed, and stored for later, in one transaction
                      ├─ Hold ────→ given back, its place in front; this kind rests here
                      └─ cancelled → given back when the process ends

While a kind rests nothing of it is fetched, so that what waits keeps its order and its locks. After a hold one job goes
first, to find out for all. Where PostgreSQL is away, what has run keeps its place until its end could be stored.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job as Row
from procrastinate.manager import JobManager
from psycopg_pool import AsyncConnectionPool

from bot.clock import Clock
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.queue import Entry, Hold, Job, Kind, Outcome
from bot.queue.procrastinate.lifeline import Away, Lifeline
from bot.store.postgres.jobs import defer, end, give_back, running, tell

log = get_logger(__name__)

POLL_SECONDS = 5.0
"""Seconds after which a runner looks for jobs without having heard of any."""
RETRY_SECONDS = 5.0
"""Seconds until a job is carried out once more whose attempt raised, which attempts do not."""
ENTRY_DEFAULTS: dict[str, Any] = {"tries": 0, "unexpected": 0, "reason": ""}
"""What an entry remembers of its attempts, and what a new one has instead."""
STORE_RETRY_SECONDS = 0.5
"""Seconds between attempts to store the end of a job."""


class Runner:
    """See the module's docstring.

    `hold_reason`: why the kind rests, in words. `waiting`, `reasons`: how many jobs wait, and why those do that wait
    for a reason, by their keys, by the last look. `known`: nothing has come since that look.
    """

    def __init__(
        self, name: str, kind: Kind, lifeline: Lifeline, manager: JobManager, pool: AsyncConnectionPool, clock: Clock
    ) -> None:
        self.name = name
        self.hold_reason: str | None = None
        self.waiting = 0
        self.reasons: dict[str, str] = {}
        self.known = False
        self._kind = kind
        self._lifeline = lifeline
        self._manager = manager
        self._pool = pool
        self._clock = clock
        self._entries: dict[int, Entry] = {}  # what runs, by the numbers of the rows
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        # Looking for a job costs as much as there are jobs behind others of their locks. So it is done until none is
        # found where there may be new ones, and once for each attempt that has ended: the next of its lock may start.
        self._news = True
        self._turns = 0
        self._finding_out = self._stopped = False
        self._hold_over: asyncio.TimerHandle | None = None
        self._looked = 0.0

    # What the queue says

    def hold(self, hold: Hold) -> None:
        """Let the kind rest. The longer of two holds counts."""
        loop = asyncio.get_running_loop()
        if self._hold_over is None or self._hold_over.when() < loop.time() + hold.seconds:
            if self._hold_over:
                self._hold_over.cancel()
            self._hold_over = loop.call_later(max(hold.seconds, 0.0), self.find_out)
            self.hold_reason = hold.reason
        self._finding_out = True

    def find_out(self) -> None:
        """The hold is over, or may be."""
        if self._hold_over:
            self._hold_over.cancel()
        self._hold_over, self.hold_reason = None, None
        self._wake.set()

    def stop(self) -> set[asyncio.Task[None]]:
        """Start nothing any more. Returns the attempts that are under way."""
        self._stopped = True
        if self._hold_over:
            self._hold_over.cancel()
        return set(self._tasks)

    @property
    def idle(self) -> bool:
        return self.known and not self.waiting and not self._entries

    @property
    def entries(self) -> list[Entry]:
        """What runs."""
        return list(self._entries.values())

    # What it does

    async def run(self) -> None:
        """Fetch and carry out, until this is cancelled."""
        while True:
            await self._lifeline.up.wait()
            self._wake.clear()
            if not (self._free() and (self._news or self._turns)):
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    self._news = True
                continue
            # What comes during the fetch is for the next one.
            news, turns, self._news, self._turns = self._news, self._turns, False, 0
            try:
                found = await self._start_one()
            except UniqueViolation:  # another process was quicker with a job of the same lock
                self._news = True
            except Away as error:
                self._news = True
                log.warning("queue.not_fetched", kind=self.name, reason=type(error.__cause__ or error).__name__)
                await asyncio.sleep(STORE_RETRY_SECONDS)
            else:
                if found:
                    self._news, self._turns = self._news or news, self._turns + turns - (not news)

    def heard(self) -> None:
        """There may be new jobs."""
        self._news, self.known = True, False
        self._wake.set()

    def _free(self) -> bool:
        """Whether one more may be started."""
        limit = 1 if self._finding_out else self._kind.limit
        return self._hold_over is None and not self._stopped and len(self._tasks) < limit

    async def _start_one(self) -> bool:
        """Fetch the job whose turn it is, and start its attempt. False: there is none."""
        worker = self._lifeline.worker
        if worker is None:
            return False
        await self._look_for_lost(worker)
        row = await self._manager.fetch_job(queues=[self.name], worker_id=worker)
        if row is None or row.id is None:
            return False
        if not self._free():  # a hold that came while it was fetched
            async with self._pool.connection() as connection:
                await give_back(connection, worker, [row.id])
            return True
        entry = entry_of(row.task_kwargs)
        self._entries[row.id] = entry
        work = self._carry_out(row.id, worker, str(row.task_kwargs["lock"]), entry)
        task = asyncio.create_task(work, name=f"{self.name}:{entry.key}")
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, row))
        return True

    async def _look_for_lost(self, worker: int) -> None:
        """Give back what was fetched here while the connection was lost, so that the answer never came. Nothing is
        being fetched by this runner meanwhile, so what it does not run is that."""
        now = asyncio.get_running_loop().time()
        if now < self._looked + POLL_SECONDS:
            return
        self._looked = now
        known = {*self._entries}  # before it is asked: what ends meanwhile is not lost
        async with self._pool.connection() as connection:
            lost = {*await running(connection, worker, self.name)} - known
            if lost:
                log.warning("queue.fetched_again", kind=self.name, jobs=len(lost))
                await give_back(connection, worker, [*lost])

    def _ended(self, task: asyncio.Task[None], row: Row) -> None:
        self._tasks.discard(task)
        if row.id is not None:
            self._entries.pop(row.id, None)
        self._turns += 1
        self._wake.set()

    async def _carry_out(self, row: int, worker: int, lock: str, entry: Entry) -> None:
        outcome: Outcome
        try:
            outcome = await self._kind.attempt(entry)
        except Exception:
            log.exception("queue.attempt_raised", kind=self.name, key=entry.key, next_try_in=RETRY_SECONDS)
            outcome = RETRY_SECONDS
        entry.running = False
        if outcome is None or not entry.reason:
            self.reasons.pop(entry.key, None)
        else:
            self.reasons[entry.key] = entry.reason
        if isinstance(outcome, Hold):
            self.hold(outcome)
        elif self._hold_over is None:
            self._finding_out = False
        told = False
        while True:
            try:
                await self._settle(row, worker, lock, entry, outcome)
            except Away as error:
                if not told:
                    told = True
                    log.warning("queue.not_removed", job=Job(self.name, entry.key).id, reason=type(error).__name__)
                await asyncio.sleep(STORE_RETRY_SECONDS)
                await self._lifeline.up.wait()
            else:
                return

    async def _settle(self, row: int, worker: int, lock: str, entry: Entry, outcome: Outcome) -> None:
        """Store what an attempt leaves. Where it was stored already, and only the answer was lost, nothing happens."""
        async with self._pool.connection() as connection:
            if isinstance(outcome, Hold):
                await give_back(connection, worker, [row], more=noted(entry))
                return
            failpoint("queue.before_removal")
            if outcome is None:
                await end(connection, row, worker)
            else:
                self.known = False
                now = self._clock.now()
                again = Job(self.name, entry.key, lock, now + timedelta(seconds=outcome))
                async with connection.transaction():
                    if await end(connection, row, worker):
                        await defer(connection, [again], now, more=noted(entry))
            if self._stopped or self._hold_over:  # else the next one of its lock is fetched here
                await tell(connection, self.name)
            failpoint("queue.after_removal")


def entry_of(args: dict[str, Any]) -> Entry:
    """The entry of a job that was fetched, by its arguments."""
    entry = Entry(args["key"], args["lock"] or args["key"])
    entry.tries, entry.unexpected, entry.reason = (args.get(name, default) for name, default in ENTRY_DEFAULTS.items())
    entry.running = True
    return entry


def noted(entry: Entry) -> dict[str, Any]:
    """The arguments that an entry takes with it to its next attempt, in whichever process that is."""
    known = {"tries": entry.tries, "unexpected": entry.unexpected, "reason": entry.reason.replace("\0", "")}
    return {name: value for name, value in known.items() if value}
