"""The two engines of the queue, for tests: each with a store that keeps the jobs, and kinds that a test works with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from psycopg import AsyncConnection

from bot.clock import SystemClock
from bot.queue import Entry, Job, Kind, Kinds, Outcome, Queue
from bot.queue.embedded import EmbeddedQueue
from bot.queue.procrastinate.engine import ProcrastinateQueue
from bot.store import Delete
from bot.store.embedded.store import TinyStore
from bot.store.postgres import jobs as table
from bot.store.postgres.queue_schema import install


class Work:
    """Attempts that wait for the gate. `outcomes`: what they give, by key; then None. `during`: done in the midst."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        self.done: list[str] = []
        self.entries: list[Entry] = []
        self.during: Callable[[str], Any] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, entry: Entry) -> Outcome:
        await self.gate.wait()
        self.done.append(entry.key)
        self.entries.append(entry)
        if self.during is not None:
            during, self.during = self.during, None
            await during(entry.key)
        return self.outcomes[entry.key].pop(0) if self.outcomes.get(entry.key) else None


def kinds_of(work: Work) -> Kinds:
    return {"a": Kind(work, 2), "b": Kind(work, 2, told="cards")}


class JobStore:
    """The jobs of a PostgreSQL store and nothing else of it. Like that one, it leaves it to the queue to remove a job
    that has run."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    async def open(cls, url: str) -> JobStore:
        async with await AsyncConnection.connect(url) as connection:
            await install(connection)
        return cls(url)

    async def commit(self, *changes: Delete, jobs: Sequence[Job] = ()) -> None:
        assert all(change.table == "jobs" for change in changes)
        async with await AsyncConnection.connect(self.url) as connection:
            await table.defer(connection, jobs, SystemClock().now())

    async def find(self, name: str) -> list[dict[str, Any]]:
        assert name == "jobs"
        return [row[0] for row in await self.rows("SELECT doc FROM jobs ORDER BY seq")]

    async def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        async with await AsyncConnection.connect(self.url, autocommit=True) as connection:
            found = await connection.execute(query.encode(), values or None)
            return await found.fetchall() if found.description else []


class Engine(Protocol):
    """`store`: where its jobs are. `started`: another queue on it, as of another process."""

    store: Any

    async def started(self, kinds: Kinds) -> Queue: ...


class Embedded:
    def __init__(self, folder: Path) -> None:
        self.store = TinyStore.open(folder)
        self.queues: list[Queue] = []

    async def started(self, kinds: Kinds) -> Queue:
        self.queues.append(EmbeddedQueue(self.store, kinds, SystemClock()))
        await self.queues[-1].start()
        return self.queues[-1]


class OnPostgres:
    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.queues: list[Queue] = []

    async def started(self, kinds: Kinds) -> ProcrastinateQueue:
        queue = ProcrastinateQueue(self.store.url, self.store, kinds, SystemClock())
        self.queues.append(queue)
        await queue.start()
        await until(lambda: queue.ready() is None)
        return queue


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Embedded]:
    engine = Embedded(folder)
    yield engine
    for queue in engine.queues:
        await queue.drain(0.0)
    await engine.store.close()


@asynccontextmanager
async def on_postgres(url: str) -> AsyncIterator[OnPostgres]:
    engine = OnPostgres(await JobStore.open(url))
    yield engine
    for queue in engine.queues:
        await queue.drain(0.0)


async def until(look: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not look():  # noqa: ASYNC110 - a queue tells nobody when it is idle
            await asyncio.sleep(0.001)


async def jobs(store: Any) -> dict[str, str | None]:
    return {record["id"]: record["at"] for record in await store.find("jobs")}


async def empty(store: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while await jobs(store):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
