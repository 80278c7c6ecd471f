"""Jobs that commits store, and the queues that carry them out: of one process, and of several on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.queue import Hold, Job
from bot.store import Conflict, Delete, Expect, Put
from bot.store.embedded.store import TinyStore
from tests.postgres import fresh_database
from tests.queues import Embedded, Engine, Work, embedded, empty, jobs, kinds_of, on_postgres, until

LATER = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(params=["embedded", "procrastinate"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    opening = embedded(tmp_path / "data") if request.param == "embedded" else on_postgres(fresh_database())
    async with opening as found:
        yield found


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Embedded]:
    """The engine of one process."""
    async with embedded(tmp_path / "data") as found:
        yield found


@pytest.fixture
def store(alone: Embedded) -> TinyStore:
    return alone.store


@pytest.fixture
def work() -> Work:
    return Work()


async def test_a_job_is_stored_with_its_change_or_not_at_all(store: TinyStore) -> None:
    await store.commit(Put("keys", {"id": "k"}), jobs=[Job("a", "1", "ECD-1"), Job("b", "1", at=LATER)])
    with pytest.raises(Conflict):
        await store.commit(expect=[Expect("keys", "k")], jobs=[Job("a", "2")])
    assert await jobs(store) == {"a:1": None, "b:1": LATER.isoformat()}
    [first, _] = await store.find("jobs")
    assert (first["kind"], first["key"], first["lock"]) == ("a", "1", "ECD-1")


async def test_jobs_of_one_kind_and_key_are_one_at_the_earliest_time(engine: Engine) -> None:
    sooner = LATER - timedelta(minutes=1)
    for at in (LATER, sooner, LATER):
        await engine.store.commit(jobs=[Job("a", "1", at=at)])
        await engine.store.commit(jobs=[Job("a", "2", at=at), Job("a", "2", at=LATER)])
    assert await jobs(engine.store) == {"a:1": sooner.isoformat(), "a:2": sooner.isoformat()}
    await engine.store.commit(jobs=[Job("a", "1")])
    await engine.store.commit(jobs=[Job("a", "1", at=LATER)])
    assert (await jobs(engine.store))["a:1"] is None


async def test_a_job_is_only_put_through_jobs(store: TinyStore) -> None:
    with pytest.raises(ValueError, match="jobs"):
        await store.commit(Put("jobs", {"id": "a:1"}))


async def test_what_was_stored_before_the_start_and_after_it_is_carried_out_and_removed(
    engine: Engine, work: Work
) -> None:
    await engine.store.commit(jobs=[Job("a", "before")])
    queue = await engine.started(kinds_of(work))
    await engine.store.commit(jobs=[Job("b", "after")])
    await queue.defer(Job("a", "alone"))
    await empty(engine.store)
    assert sorted(work.done) == ["after", "alone", "before"]
    await until(lambda: queue.idle("a"))
    await queue.drain(1.0)


async def test_the_commit_that_ends_the_work_removes_the_job(engine: Engine, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    work.during = lambda key: engine.store.commit(Delete("jobs", Job("a", key).id))
    await queue.defer(Job("a", "1"))
    await empty(engine.store)
    assert work.done == ["1"]
    await queue.drain(1.0)


async def test_a_job_that_comes_while_it_runs_is_carried_out_afterwards(engine: Engine, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    work.during = lambda key: queue.defer(Job("a", key), Job("a", key))
    await queue.defer(Job("a", "1"))
    await empty(engine.store)
    assert work.done == ["1", "1"]
    await queue.drain(1.0)


async def test_a_job_that_comes_for_later_while_it_runs_waits_for_its_time(engine: Engine, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    work.during = lambda key: queue.defer(Job("a", key, at=LATER))
    await queue.defer(Job("a", "1"))
    await asyncio.sleep(0.1)
    assert work.done == ["1"]
    assert list(await jobs(engine.store)) == ["a:1"]
    queue.lift("a")
    await empty(engine.store)
    assert work.done == ["1", "1"]
    await queue.drain(1.0)


async def test_a_job_that_is_due_later_holds_up_nobody_of_its_lock(engine: Engine, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    await engine.store.commit(jobs=[Job("a", "later", "ECD-1", soon), Job("a", "now", "ECD-1")])
    await empty(engine.store)
    assert work.done == ["now", "later"]
    await queue.drain(1.0)


async def test_what_has_to_come_back_stays_stored_and_is_due_at_once_after_a_restart(
    alone: Embedded, work: Work
) -> None:
    queue = await alone.started(kinds_of(work))
    work.outcomes["1"] = [3600.0]
    await queue.defer(Job("a", "1"))
    await asyncio.sleep(0.1)
    assert (work.done, list(await jobs(alone.store))) == (["1"], ["a:1"])
    await queue.drain(1.0)
    again = await alone.started(kinds_of(work))
    await empty(alone.store)
    assert work.done == ["1", "1"]
    await again.drain(1.0)


async def test_a_job_whose_caller_has_gone_is_carried_out_all_the_same(alone: Embedded, work: Work) -> None:
    queue = await alone.started(kinds_of(work))
    caller = asyncio.create_task(alone.store.commit(jobs=[Job("a", "1")]))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait({caller})
    await until(lambda: work.done)
    await empty(alone.store)
    await queue.drain(1.0)


async def test_a_hold_rests_one_kind_and_says_why(engine: Engine, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    queue.hold("a", Hold(3600.0, "paused"))
    await queue.defer(Job("a", "1"), Job("b", "2"))
    await until(lambda: work.done == ["2"])
    await until(lambda: queue.waits_for("1") == "paused")
    assert queue.waits_for("2") is None
    [worker] = queue.health()
    assert worker.text.endswith("; as wait: paused")
    queue.lift("a")
    await empty(engine.store)
    await queue.drain(1.0)
    assert queue.ready() == "stopping"


async def test_what_runs_too_long_is_left_to_the_next_start(engine: Engine, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    work.gate.clear()
    await queue.defer(Job("a", "1"), Job("a", "2"), Job("a", "3"))
    await asyncio.sleep(0.05)
    await queue.drain(0.01)
    assert work.done == []
    assert list(await jobs(engine.store)) == ["a:1", "a:2", "a:3"]
