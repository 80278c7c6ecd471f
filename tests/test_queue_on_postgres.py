"""The queue on PostgreSQL: what several processes share, and what becomes of it when one dies or the server is away."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from procrastinate.schema import migrations_path
from psycopg import AsyncConnection

from bot.clock import SystemClock
from bot.errors import UserError
from bot.queue import Entry, Hold, Job, Kind, Outcome
from bot.queue.procrastinate.engine import ProcrastinateQueue
from bot.queue.procrastinate.lifeline import LOCK
from bot.store.postgres import jobs as table
from bot.store.postgres.queue_schema import install, migrations
from tests import quick_time
from tests.postgres import fresh_database, private_server, stop
from tests.queues import JobStore, OnPostgres, Work, empty, jobs, kinds_of, on_postgres, until

anyio_backend = quick_time.backend

WORKER = Path(__file__).with_name("queue_worker.py")


@pytest.fixture
async def engine() -> AsyncIterator[OnPostgres]:
    async with on_postgres(fresh_database()) as found:
        yield found


@pytest.fixture
def store(engine: OnPostgres) -> JobStore:
    return engine.store


def now() -> datetime:
    return datetime.now(UTC)


class Busy:
    """Attempts that take a moment. `most`: how many ran at once, by lock; `order`: the keys as they began, by lock."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.most: dict[str, int] = {}
        self.order: dict[str, list[str]] = {}
        self._running: dict[str, int] = {}

    async def __call__(self, entry: Entry) -> Outcome:
        lock = entry.lock
        self.order.setdefault(lock, []).append(entry.key)
        self._running[lock] = self._running.get(lock, 0) + 1
        self.most[lock] = max(self.most.get(lock, 0), self._running[lock])
        await asyncio.sleep(self.seconds)
        self._running[lock] -= 1
        return None

    @property
    def started(self) -> int:
        return sum(map(len, self.order.values()))


# Storing


async def test_a_job_is_stored_with_the_transaction_or_not_at_all(store: JobStore) -> None:
    async with await AsyncConnection.connect(store.url) as connection:
        await table.defer(connection, [Job("a", "1")], now())
        await connection.rollback()
        assert await jobs(store) == {}
        await table.defer(connection, [Job("a", "2", "ECD-1"), Job("a", "2", "ECD-1")], now())
    [record] = await store.find("jobs")
    assert {name: record[name] for name in ("id", "kind", "key", "lock", "at")} == {
        "id": "a:2", "kind": "a", "key": "2", "lock": "ECD-1", "at": None,
    }  # fmt: skip


async def test_a_job_that_waits_already_does_not_abort_the_transaction(store: JobStore) -> None:
    await store.commit(jobs=[Job("a", "1")])
    async with await AsyncConnection.connect(store.url) as connection:
        await table.defer(connection, [Job("a", "1"), Job("a", "2")], now())
    assert list(await jobs(store)) == ["a:1", "a:2"]


async def test_a_job_whose_time_has_passed_is_due_at_once(store: JobStore) -> None:
    await store.commit(jobs=[Job("a", "1", at=now() - timedelta(seconds=1))])
    assert await jobs(store) == {"a:1": None}


async def test_two_transactions_with_the_same_jobs_in_another_order_do_not_block_each_other(store: JobStore) -> None:
    many = [Job("a", str(number)) for number in range(200)]

    async def storing(asked: list[Job]) -> None:
        async with await AsyncConnection.connect(store.url) as connection:
            for _ in range(10):
                await table.defer(connection, asked, now())
                await connection.commit()

    await asyncio.gather(storing(many), storing(many[::-1]), storing(many[100:] + many[:100]))
    assert len(await jobs(store)) == len(many)


async def test_no_attempt_begins_before_the_commit_that_asks_for_it_again(engine: OnPostgres, work: Work) -> None:
    """It would not see what it is asked to look at, and the job would be gone."""
    await engine.store.commit(jobs=[Job("a", "1")])
    async with await AsyncConnection.connect(engine.store.url) as connection:
        await table.defer(connection, [Job("a", "1")], now())
        await engine.started(kinds_of(work))
        await asyncio.sleep(0.3 * quick_time.SPEED)
        assert work.done == []
        await connection.commit()
        await until(lambda: work.done)
    await empty(engine.store)
    assert work.done == ["1"]


@pytest.fixture
def work() -> Work:
    return Work()


# Locks and times


async def test_jobs_of_a_lock_run_one_after_the_other_in_order_over_two_processes(engine: OnPostgres) -> None:
    busy = Busy(0.002)
    for _ in range(2):
        await engine.started({"a": Kind(busy, 8)})
    asked = [Job("a", f"{number:03}", f"ECD-{number % 3}") for number in range(150)]
    for start in range(0, len(asked), 10):
        await engine.store.commit(jobs=asked[start : start + 10])
    await empty(engine.store, 60)
    assert busy.most == {f"ECD-{number}": 1 for number in range(3)}
    assert all(order == sorted(order) for order in busy.order.values())
    assert busy.started == len(asked)


async def test_two_processes_share_the_work(engine: OnPostgres) -> None:
    one, other = Busy(0.01), Busy(0.01)
    await engine.started({"a": Kind(one, 4)})
    await engine.started({"a": Kind(other, 4)})
    await engine.store.commit(jobs=[Job("a", str(number)) for number in range(100)])
    await empty(engine.store, 30)
    assert one.started + other.started == 100
    assert min(one.started, other.started) > 10


@pytest.mark.parametrize("locks", [1, 2000])
async def test_two_thousand_jobs_are_each_carried_out_once(engine: OnPostgres, locks: int) -> None:
    busy = Busy()
    await engine.store.commit(jobs=[Job("a", f"{number:04}", f"ECD-{number % locks}") for number in range(2000)])
    await engine.started({"a": Kind(busy, 8)})
    await until(lambda: busy.started >= 2000, 120)
    await empty(engine.store)
    assert busy.started == 2000
    assert set(busy.most.values()) == {1}
    assert all(order == sorted(order) for order in busy.order.values())


async def test_a_flood_on_one_issue_takes_one_place(engine: OnPostgres, work: Work) -> None:
    await engine.store.commit(jobs=[Job("a", str(number), "ECD-1") for number in range(50)])
    work.gate.clear()
    queue = await engine.started(kinds_of(work))
    await engine.store.commit(jobs=[Job("a", "other", "ECD-2")])
    await until(lambda: "2 running" in queue.health()[0].text)
    work.gate.set()
    await until(lambda: "other" in work.done)
    assert work.done.index("other") <= 2


async def test_a_reminder_in_four_hours_does_not_hold_up_its_issue(engine: OnPostgres, work: Work) -> None:
    await engine.started(kinds_of(work))
    await engine.store.commit(jobs=[Job("a", "reminder", "ECD-1", now() + timedelta(hours=4)), Job("a", "1", "ECD-1")])
    await engine.store.commit(jobs=[Job("a", "2", "ECD-1")])
    await until(lambda: work.done == ["1", "2"])
    assert list(await jobs(engine.store)) == ["a:reminder"]


async def test_a_job_that_comes_again_under_another_lock_does_not_run_twice_at_once(engine: OnPostgres) -> None:
    """Its issue was moved in the meantime."""
    work = Work()
    work.gate.clear()
    queue = await engine.started(kinds_of(work))
    await engine.store.commit(jobs=[Job("a", "1", "ECD-1")])
    await until(lambda: queue.health()[0].text.startswith("1 running"))
    await engine.store.commit(jobs=[Job("a", "1", "NEW-1")])
    await asyncio.sleep(0.2 * quick_time.SPEED)
    assert queue.health()[0].text.startswith("1 running")
    work.gate.set()
    await empty(engine.store)
    assert work.done == ["1", "1"]


async def test_locks_of_two_kinds_are_two(engine: OnPostgres, work: Work) -> None:
    work.gate.clear()
    queue = await engine.started(kinds_of(work))
    await engine.store.commit(jobs=[Job("a", "1", "ECD-1"), Job("b", "1", "ECD-1")])
    await until(lambda: queue.health()[0].text.startswith("2 running"))
    work.gate.set()
    await empty(engine.store)


# Attempts and their outcomes


async def test_what_failed_is_known_to_the_next_attempt_in_another_process(engine: OnPostgres) -> None:
    seen: list[tuple[str, int, int, str]] = []

    def attempts(name: str) -> Kind:
        async def attempt(entry: Entry) -> Outcome:
            seen.append((name, entry.tries, entry.unexpected, entry.reason))
            entry.tries, entry.unexpected, entry.reason = entry.tries + 1, entry.unexpected + 2, "Jira is away"
            return 0.2

        return Kind(attempt, 2, told="cards")

    first = await engine.started({"a": attempts("first")})
    await engine.store.commit(jobs=[Job("a", "1", "ECD-1")])
    await until(lambda: seen)
    await until(lambda: first.waits_for("1") == "Jira is away")
    await first.drain(5.0)
    second = await engine.started({"a": attempts("second")})
    await until(lambda: len(seen) > 1)
    assert seen[0] == ("first", 0, 0, "")
    assert ("second", seen[-1][1], 2 * seen[-1][1], "Jira is away") == seen[-1]
    await until(lambda: [line.text for line in second.health()[1:]] == ["1 Jira is away"])


async def test_another_process_says_why_a_job_waits(engine: OnPostgres, work: Work) -> None:
    async def attempt(entry: Entry) -> Outcome:
        entry.reason = "Jira is away"
        return 3600.0

    await engine.started({"a": Kind(attempt, 1)})
    other = await engine.started({"b": Kind(work, 1), "a": Kind(attempt, 0, told="cards")})
    await engine.store.commit(jobs=[Job("a", "1")])
    await until(lambda: other.waits_for("1") == "Jira is away")
    assert not other.idle("a")


async def test_a_hold_gives_the_job_back_with_its_place_and_one_finds_out_for_all(engine: OnPostgres) -> None:
    work = Work()
    work.outcomes["1"] = [Hold(3600.0, "paused")]
    await engine.store.commit(jobs=[Job("a", str(number), "ECD-1") for number in (1, 2)] + [Job("a", "3")])
    work.gate.clear()
    queue = await engine.started(kinds_of(work))
    await until(lambda: queue.health()[0].text.startswith("2 running"))
    work.gate.set()
    await until(lambda: queue.waits_for("2") == "paused")
    assert sorted(work.done) == ["1", "3"]
    assert not queue.idle("a")
    queue.lift("a")
    await empty(engine.store)
    assert work.done[2:] == ["1", "2"]


async def test_a_job_that_came_again_during_an_attempt_that_holds_is_one(engine: OnPostgres, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    work.outcomes["1"] = [Hold(0.2, "busy")]
    work.during = lambda key: engine.store.commit(jobs=[Job("a", key)])
    await engine.store.commit(jobs=[Job("a", "1")])
    await empty(engine.store)
    assert work.done == ["1", "1"]
    assert queue.ready() is None


async def test_an_attempt_that_raises_comes_again(
    engine: OnPostgres, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    async def attempt(entry: Entry) -> Outcome:
        raise RuntimeError("a fault of ours")

    await engine.started({"a": Kind(attempt, 1)})
    await engine.store.commit(jobs=[Job("a", "1", "ECD-1")])
    async with asyncio.timeout(10):
        while not any((await jobs(engine.store)).values()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    [(status,)] = await engine.store.rows("SELECT status FROM procrastinate_jobs")
    assert status == "todo"


async def test_jobs_of_a_kind_that_is_unknown_here_stay(engine: OnPostgres, work: Work) -> None:
    await engine.store.commit(jobs=[Job("newer", "1"), Job("a", "2")])
    await engine.started(kinds_of(work))
    await until(lambda: work.done == ["2"])
    assert "newer:1" in await jobs(engine.store)


async def test_nothing_is_left_of_what_was_carried_out(engine: OnPostgres, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    work.outcomes["1"] = [0.01, Hold(0.01, "busy")]
    await engine.store.commit(jobs=[Job("a", "1"), Job("b", "2", at=now() + timedelta(seconds=0.1))])
    await empty(engine.store)
    assert await engine.store.rows("SELECT * FROM procrastinate_jobs, procrastinate_events") == []
    await queue.drain(1.0)
    assert await engine.store.rows("SELECT * FROM procrastinate_workers") == []


async def test_what_is_parked_is_there_for_the_others_at_once(engine: OnPostgres) -> None:
    stuck, work = Work(), Work()
    stuck.gate.clear()
    first = await engine.started(kinds_of(stuck))
    await engine.store.commit(jobs=[Job("a", "1"), Job("a", "2"), Job("a", "3")])
    await until(lambda: first.health()[0].text.startswith("2 running"))
    await engine.store.commit(jobs=[Job("a", "1")])  # comes again: still one job
    await engine.started({"a": Kind(work, 1)})
    await until(lambda: work.done == ["3"])
    first.park()
    await first.drain(5.0)
    await empty(engine.store, 2.0)
    assert sorted(work.done) == ["1", "2", "3"]
    assert stuck.done == []


# Deaths


async def test_the_jobs_of_a_killed_process_are_carried_out_by_another(engine: OnPostgres, work: Work) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        str(WORKER),
        engine.store.url,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "."},
    )
    try:
        await engine.store.commit(jobs=[Job("a", "1", "ECD-1"), Job("a", "2", "ECD-1"), Job("a", "3")])
        assert worker.stdout is not None
        async with asyncio.timeout(20):
            assert {await worker.stdout.readline(), await worker.stdout.readline()} == {b"1\n", b"3\n"}
        await engine.started(kinds_of(work))
        await engine.store.commit(jobs=[Job("a", "1", "ECD-1")])  # its twin waits
        await asyncio.sleep(0.5 * quick_time.SPEED)
        assert work.done == []
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        await empty(engine.store, 20)
        assert sorted(work.done) == ["1", "2", "3"]
        assert work.done.index("1") < work.done.index("2")
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


async def test_the_jobs_of_a_process_that_lives_are_its_own(engine: OnPostgres, work: Work) -> None:
    """Also while the server ends all of its connections, which are made anew."""
    stuck = Work()
    stuck.gate.clear()
    first = await engine.started(kinds_of(stuck))
    await engine.store.commit(jobs=[Job("a", "1")])
    await until(lambda: first.health()[0].text.startswith("1 running"))
    await engine.started(kinds_of(work))
    for _ in range(3):
        await cut_off(engine.store)
        await asyncio.sleep(2.0)
    assert work.done == []
    stuck.gate.set()
    await empty(engine.store)
    assert (stuck.done, work.done) == (["1"], [])


async def test_one_whose_jobs_were_given_to_others_leaves_them_alone(engine: OnPostgres, work: Work) -> None:
    """It hung, was taken for dead, and comes back."""
    stuck = Work()
    stuck.outcomes["1"] = [0.01]
    stuck.gate.clear()
    first = await engine.started({"a": Kind(stuck, 1)})
    await engine.store.commit(jobs=[Job("a", "1", "ECD-1"), Job("a", "2", "ECD-1")])
    await until(lambda: first.health()[0].text.startswith("1 running"))
    work.gate.clear()
    second = await engine.started({"a": Kind(work, 1)})
    async with await AsyncConnection.connect(engine.store.url, autocommit=True) as connection:
        [[worker]] = await engine.store.rows("SELECT worker_id FROM procrastinate_jobs WHERE status = 'doing'")
        await table.forget_workers(connection, [worker])
    await until(lambda: second.health()[0].text.startswith("1 running"))
    stuck.gate.set()
    await until(lambda: first.health()[0].text.startswith("0 running"))
    assert await engine.store.rows("SELECT queueing_lock, status FROM procrastinate_jobs ORDER BY id") == [
        ("a:1", "doing"),
        ("a:2", "todo"),
    ]
    await first.drain(1.0)
    work.gate.set()
    await empty(engine.store)
    assert (stuck.done, work.done) == (["1"], ["1", "2"])


async def test_a_worker_that_hangs_is_taken_for_dead_though_it_is_connected(engine: OnPostgres, work: Work) -> None:
    store = engine.store
    async with await AsyncConnection.connect(store.url, autocommit=True) as hanging:
        await hanging.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '20 s')")
        await hanging.execute("SELECT pg_advisory_lock(%s, 1)", [LOCK])
        await store.commit(jobs=[Job("a", "1")])
        await hanging.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = 1")
        await engine.started(kinds_of(work))
        await asyncio.sleep(3.0)
        assert work.done == []
        await hanging.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '40 s' WHERE id = 1")
        await until(lambda: work.done == ["1"])


async def test_a_fetch_whose_answer_was_lost_is_found(engine: OnPostgres, work: Work) -> None:
    queue = await engine.started(kinds_of(work))
    [[worker]] = await engine.store.rows("SELECT id FROM procrastinate_workers")
    async with await AsyncConnection.connect(engine.store.url) as connection:  # as the server has it then
        await table.defer(connection, [Job("a", "1")], now())
        await connection.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s", [worker])
    await empty(engine.store, 20)
    assert work.done == ["1"]
    assert queue.ready() is None


# PostgreSQL is away


async def cut_off(store: JobStore) -> None:
    """End all connections of the queues, as an administrator would."""
    await store.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND"
        " application_name = 'pm-agent queue'"
    )


async def test_connections_that_are_ended_again_and_again_lose_nothing_and_repeat_nothing(engine: OnPostgres) -> None:
    busy = Busy(0.005)
    for _ in range(2):
        await engine.started({"a": Kind(busy, 4)})
    for number in range(10):
        await engine.store.commit(jobs=[Job("a", f"{number}-{each:02}", f"ECD-{each % 5}") for each in range(30)])
        await cut_off(engine.store)
        await asyncio.sleep(0.2 * quick_time.SPEED)
    await empty(engine.store, 60)
    assert set(busy.most.values()) == {1}
    assert {key for order in busy.order.values() for key in order} == {
        f"{n}-{e:02}" for n in range(10) for e in range(30)
    }


async def test_the_queue_goes_on_when_the_server_is_back(work: Work) -> None:
    server = private_server()
    try:
        async with on_postgres(fresh_database(server.get_uri())) as engine:
            queue = await engine.started(kinds_of(work))
            work.gate.clear()
            await engine.store.commit(jobs=[Job("a", "1"), Job("a", "2", "ECD-1", now() + timedelta(seconds=0.5))])
            await until(lambda: queue.health()[0].text.startswith("1 running"))
            await asyncio.to_thread(stop, server)
            await until(lambda: queue.ready() not in (None, "stopping"))
            assert "PostgreSQL cannot be reached" in str(queue.ready())
            work.gate.set()  # it ends while nothing can be stored
            await asyncio.sleep(0.5 * quick_time.SPEED)
            await asyncio.to_thread(server.ensure_postgres_running)
            await until(lambda: queue.ready() is None, 20)
            await engine.store.commit(jobs=[Job("a", "3")])
            await empty(engine.store, 20)
            assert sorted(work.done) == ["1", "2", "3"]
    finally:
        await asyncio.to_thread(server.cleanup)


async def test_it_starts_before_the_server(work: Work) -> None:
    store = JobStore("host=/nowhere dbname=none")
    queue = ProcrastinateQueue(store.url, store, kinds_of(work), SystemClock())
    assert queue.ready() == "starting"
    await queue.start()
    await until(lambda: "PostgreSQL cannot be reached" in str(queue.ready()))
    await queue.drain(0.1)
    assert queue.ready() == "stopping"


# The schema


async def test_an_older_schema_of_procrastinate_is_upgraded() -> None:
    url = fresh_database()
    older = [name for name in migrations() if name < "03.04"]
    async with await AsyncConnection.connect(url) as connection:
        for name in older:
            await connection.execute((migrations_path / name).read_bytes())
        await connection.execute(f"COMMENT ON TABLE procrastinate_jobs IS '{older[-1]}'".encode())
        await connection.commit()
        await install(connection)
        found = await connection.execute("SELECT to_regproc('procrastinate_retry_job_v2') IS NOT NULL")
        assert await found.fetchone() == (True,)
        await install(connection)  # once more changes nothing


async def test_a_later_schema_and_a_foreign_one_are_refused_in_words() -> None:
    async with await AsyncConnection.connect(fresh_database()) as connection:
        await install(connection)
        await connection.execute("COMMENT ON TABLE procrastinate_jobs IS '99.00.00_01_of_the_future.sql'")
        with pytest.raises(UserError, match="update PM Agent"):
            await install(connection)
        await connection.execute("COMMENT ON TABLE procrastinate_jobs IS NULL")
        with pytest.raises(UserError, match="a database of its own"):
            await install(connection)


def test_the_drivers_are_loaded_where_they_are_needed_only() -> None:
    code = "import sys, bot.app, bot.queue; sys.exit({'procrastinate', 'psycopg'} & sys.modules.keys() != set())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
