"""Jobs that commits store, and the queue of one process that carries them out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.queue import Entry, Hold, Job, Kind, Outcome
from bot.queue.embedded import EmbeddedQueue
from bot.store import Conflict, Delete, Expect, Put
from bot.store.embedded.store import TinyStore

LATER = datetime.now(UTC) + timedelta(hours=1)


class Work:
    """Attempts that wait for the gate. `outcomes`: what they give, by key; then None. `during`: done in the midst."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}
        self.done: list[str] = []
        self.during: Callable[[str], Any] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, entry: Entry) -> Outcome:
        await self.gate.wait()
        self.done.append(entry.key)
        if self.during is not None:
            during, self.during = self.during, None
            await during(entry.key)
        return self.outcomes[entry.key].pop(0) if self.outcomes.get(entry.key) else None


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TinyStore]:
    found = TinyStore.open(tmp_path / "data")
    yield found
    await found.close()


@pytest.fixture
def work() -> Work:
    return Work()


async def started(store: TinyStore, work: Work) -> EmbeddedQueue:
    queue = EmbeddedQueue(store, {"a": Kind(work, 2), "b": Kind(work, 2, told="cards")}, SystemClock())
    await queue.start()
    return queue


async def jobs(store: TinyStore) -> dict[str, str | None]:
    return {record["id"]: record["at"] for record in await store.find("jobs")}


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - a queue tells nobody when it is idle
            await asyncio.sleep(0.001)


async def empty(store: TinyStore) -> None:
    async with asyncio.timeout(10):
        while await jobs(store):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)


async def test_a_job_is_stored_with_its_change_or_not_at_all(store: TinyStore) -> None:
    await store.commit(Put("keys", {"id": "k"}), jobs=[Job("a", "1", "ECD-1"), Job("b", "1", at=LATER)])
    with pytest.raises(Conflict):
        await store.commit(expect=[Expect("keys", "k")], jobs=[Job("a", "2")])
    assert await jobs(store) == {"a:1": None, "b:1": LATER.isoformat()}
    [first, _] = await store.find("jobs")
    assert (first["kind"], first["key"], first["lock"]) == ("a", "1", "ECD-1")


async def test_jobs_of_one_kind_and_key_are_one_at_the_earliest_time(store: TinyStore) -> None:
    sooner = LATER - timedelta(minutes=1)
    for at in (LATER, sooner, LATER):
        await store.commit(jobs=[Job("a", "1", at=at)])
        await store.commit(jobs=[Job("a", "2", at=at), Job("a", "2", at=LATER)])
    assert await jobs(store) == {"a:1": sooner.isoformat(), "a:2": sooner.isoformat()}
    await store.commit(jobs=[Job("a", "1")])
    await store.commit(jobs=[Job("a", "1", at=LATER)])
    assert (await jobs(store))["a:1"] is None


async def test_a_job_is_only_put_through_jobs(store: TinyStore) -> None:
    with pytest.raises(ValueError, match="jobs"):
        await store.commit(Put("jobs", {"id": "a:1"}))


async def test_what_was_stored_before_the_start_and_after_it_is_carried_out_and_removed(
    store: TinyStore, work: Work
) -> None:
    await store.commit(jobs=[Job("a", "before")])
    queue = await started(store, work)
    await store.commit(jobs=[Job("b", "after")])
    await queue.defer(Job("a", "alone"))
    await empty(store)
    assert sorted(work.done) == ["after", "alone", "before"]
    assert queue.idle("a")
    await queue.drain(1.0)


async def test_the_commit_that_ends_the_work_removes_the_job(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    work.during = lambda key: store.commit(Delete("jobs", Job("a", key).id))
    await queue.defer(Job("a", "1"))
    await empty(store)
    assert work.done == ["1"]
    await queue.drain(1.0)


async def test_a_job_that_comes_while_it_runs_is_carried_out_afterwards(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    work.during = lambda key: queue.defer(Job("a", key), Job("a", key))
    await queue.defer(Job("a", "1"))
    await empty(store)
    assert work.done == ["1", "1"]
    await queue.drain(1.0)


async def test_a_job_that_comes_for_later_while_it_runs_waits_for_its_time(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    work.during = lambda key: queue.defer(Job("a", key, at=LATER))
    await queue.defer(Job("a", "1"))
    await asyncio.sleep(0.1)
    assert work.done == ["1"]
    assert list(await jobs(store)) == ["a:1"]
    queue.lift("a")
    await empty(store)
    assert work.done == ["1", "1"]
    await queue.drain(1.0)


async def test_a_job_that_is_due_later_holds_up_nobody_of_its_lock(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    await store.commit(jobs=[Job("a", "later", "ECD-1", soon), Job("a", "now", "ECD-1")])
    await empty(store)
    assert work.done == ["now", "later"]
    await queue.drain(1.0)


async def test_what_has_to_come_back_stays_stored_and_is_due_at_once_after_a_restart(
    store: TinyStore, work: Work
) -> None:
    queue = await started(store, work)
    work.outcomes["1"] = [3600.0]
    await queue.defer(Job("a", "1"))
    await asyncio.sleep(0.1)
    assert (work.done, list(await jobs(store))) == (["1"], ["a:1"])
    await queue.drain(1.0)
    again = await started(store, work)
    await empty(store)
    assert work.done == ["1", "1"]
    await again.drain(1.0)


async def test_a_job_whose_caller_has_gone_is_carried_out_all_the_same(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    caller = asyncio.create_task(store.commit(jobs=[Job("a", "1")]))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    await until(lambda: work.done)
    await empty(store)
    await queue.drain(1.0)


async def test_a_hold_rests_one_kind_and_says_why(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    queue.hold("a", Hold(3600.0, "paused"))
    await queue.defer(Job("a", "1"), Job("b", "2"))
    await until(lambda: work.done == ["2"])
    assert queue.waits_for("1") == "paused"
    assert queue.waits_for("2") is None
    [worker] = queue.health()
    assert worker.text.endswith("; as wait: paused")
    queue.lift("a")
    await empty(store)
    await queue.drain(1.0)
    assert queue.ready() == "stopping"


async def test_what_runs_too_long_is_left_to_the_next_start(store: TinyStore, work: Work) -> None:
    queue = await started(store, work)
    work.gate.clear()
    await queue.defer(Job("a", "1"), Job("a", "2"), Job("a", "3"))
    await asyncio.sleep(0.05)
    await queue.drain(0.01)
    assert work.done == []
    assert list(await jobs(store)) == ["a:1", "a:2", "a:3"]
