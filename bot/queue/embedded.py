"""The engine of one process: a keyed work queue for each kind, filled by the commits that store jobs.

The store tells it of each job that became durable, so nothing is polled; at start it reads those that wait. A job's
record goes in the commit that ends the work, where that commit deletes it, else in a commit after it. That one deletes
only what it has carried out: a job that came again meanwhile has another token. Retries, holds and their reasons are in
memory; after a restart everything that is stored is due at once, and its handler says when to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.clock import Clock
from bot.domain.health import HealthLine
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.queue import Job, Kind, Kinds
from bot.queue.engines import KindStatus, finish, health_lines
from bot.queue.keyed import Attempt, Entry, Hold, KeyedQueue, Outcome
from bot.store import Conflict, Delete, Expect, StoreUnavailable
from bot.store.embedded.store import TinyStore
from bot.store.embedded.transactions import StoredJob

log = get_logger(__name__)
BATCH_SIZE = 500
"""Stored jobs that a start takes up at once."""
RETRY_SECONDS = 5.0
"""Seconds until a job is carried out once more whose end could not be stored."""


class EmbeddedQueue:
    """See `bot.queue.Queue`."""

    def __init__(self, store: TinyStore, kinds: Kinds, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kinds = kinds
        self._queues = {name: KeyedQueue(name, kind.limit, self._attempt(name, kind)) for name, kind in kinds.items()}
        self._tokens: dict[str, str] = {}  # the stored jobs' ids → the tokens of their records
        self._started = self._stopping = False

    async def defer(self, *jobs: Job) -> None:
        if jobs:
            await self._store.commit(jobs=jobs)

    def hold(self, kind: str, hold: Hold) -> None:
        self._queues[kind].hold(hold)

    def lift(self, kind: str) -> None:
        self._queues[kind].lift()

    def idle(self, kind: str) -> bool:
        return self._queues[kind].idle

    async def start(self) -> None:
        self._store.on_jobs(self._told)  # before it is read, so that none comes in between
        for place, record in enumerate(await self._store.find("jobs"), 1):
            if record["id"] not in self._tokens:
                self._told([(record["id"], StoredJob.of(record))])
            if place % BATCH_SIZE == 0:
                await asyncio.sleep(0)  # others have their turn
        self._started = True

    async def drain(self, seconds: float) -> None:
        self._stopping = True
        await finish(set().union(*(queue.stop() for queue in self._queues.values())), seconds)

    def park(self) -> None:
        self._stopping = True
        for queue in self._queues.values():
            for task in queue.stop():
                task.cancel()

    # How it is

    def ready(self) -> str | None:
        if self._stopping:
            return "stopping"
        return None if self._started else "starting"

    def waits_for(self, key: str) -> str | None:
        for queue in self._queues.values():
            entry = queue.get(key)
            if entry is not None and (reason := entry.reason or queue.hold_reason):
                return reason
        return None

    def health(self) -> list[HealthLine]:
        told = {
            name: KindStatus(
                queue.running, queue.waiting, queue.hold_reason, [(e.key, e.reason) for e in queue.entries if e.reason]
            )
            for name, queue in self._queues.items()
        }
        return health_lines(self.ready(), self._kinds, told)

    # What the store tells, and what it is told

    def _told(self, jobs: Sequence[tuple[str, StoredJob | None]]) -> None:
        for job_id, stored in jobs:
            if stored is None:
                self._tokens.pop(job_id, None)
                continue
            if stored.job.kind not in self._queues:  # a newer version's: it stays stored for that
                log.warning("queue.unknown_kind", job=job_id)
                continue
            job, self._tokens[job_id] = stored
            after = (job.at - self._clock.now()).total_seconds() if job.at else 0.0
            self._queues[job.kind].add(job.key, after, lock=job.lock)

    def _attempt(self, name: str, kind: Kind) -> Attempt:
        async def attempt(entry: Entry) -> Outcome:
            job_id = Job(name, entry.key).id
            token = self._tokens.get(job_id)
            outcome = await kind.attempt(entry)
            if outcome is None and token is not None and self._tokens.get(job_id) == token:
                return await self._remove(job_id, token)
            return outcome

        return attempt

    async def _remove(self, job_id: str, token: str) -> Outcome:
        """Delete a job that is done. Where the store does not take that, the job is carried out once more later on."""
        failpoint("queue.before_removal")
        try:
            await self._store.commit(Delete("jobs", job_id), expect=(Expect("jobs", job_id, {"token": token}),))
        except Conflict:
            return None  # it came again, of which the store has told
        except StoreUnavailable as error:
            log.warning("queue.not_removed", job=job_id, reason=str(error), next_try_in=RETRY_SECONDS)
            return RETRY_SECONDS
        failpoint("queue.after_removal")
        return None
