"""PostgreSQL away, restarted, and connections that are lost at any point of a transaction."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
import pytest

from bot.store import Audit, Expect, Put, StoreUnavailable
from bot.store.audit import verify
from bot.store.postgres.connecting import connect
from bot.store.postgres.store import PostgresStore
from tests.postgres import fresh_database, private_server, stop, store_database
from tests.postgres_proxy import At, Proxy


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(url, application_name="the store")
    try:
        yield store
    finally:
        await store.close()


def terminate(url: str) -> int:
    """End all connections of the store; how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'the store'"
        return len(connection.execute(sql).fetchall())


async def until_it_works(work: Callable[[], Awaitable[Any]]) -> None:
    while True:
        try:
            await work()
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def test_connections_that_were_ended_while_idle_are_not_noticed() -> None:
    url = await store_database()
    async with opened(url) as store:
        await store.commit(Put("keys", {"id": "a"}))
        await asyncio.gather(*(store.get("keys", "a") for _ in range(20)))
        assert terminate(url) >= 2
        await store.commit(Put("keys", {"id": "b"}), audit=[Audit("system", "x")])
        terminate(url)
        assert await asyncio.gather(*(store.get("keys", "b") for _ in range(20))) == [{"id": "b"}] * 20
        terminate(url)
        assert (await store.count("keys"), (await store.audit_head())[0]) == (2, 1)


async def test_connections_that_are_ended_again_and_again_lose_and_double_nothing() -> None:
    url = await store_database()
    done: set[str] = set()
    async with opened(url) as store:

        async def work(name: str) -> None:
            for n in range(40):
                record = {"id": f"{name}{n}", "n": n}
                try:
                    await store.commit(
                        Put("webhook_events", record), expect=[Expect("webhook_events", record["id"])],
                        audit=[Audit("system", "x", record["id"])],
                    )  # fmt: skip
                except StoreUnavailable:
                    continue
                done.add(record["id"])

        working = asyncio.gather(*(work(name) for name in "abcdefgh"))
        while not working.done():
            await asyncio.to_thread(terminate, url)
            await asyncio.sleep(0.02)
        await working
        events = {record["id"] for record in await store.find("webhook_events")}
        trail = await store.find("audit")
    assert done <= events
    assert sorted(line["event_id"] for line in trail) == sorted(events), "each is there once, with its line"
    assert verify(trail).broken_at is None


@pytest.mark.parametrize("at", ["before", "during", "after"])
@pytest.mark.parametrize("down", [False, True])
async def test_a_commit_whose_answer_is_lost_is_stored_once(at: At, down: bool) -> None:
    async with Proxy(await store_database()) as network, opened(network.url) as store:
        await store.commit(Put("keys", {"id": "a"}), audit=[Audit("system", "first")])
        network.at, network.down_after = at, down
        commit = asyncio.create_task(
            store.commit(Put("webhook_events", {"id": "e"}), expect=[Expect("webhook_events", "e")],
                         audit=[Audit("system", "second")])
        )  # fmt: skip
        await network.lost.wait()
        if down:
            await asyncio.sleep(0.5)
            assert not commit.done(), "nobody is answered before it is known"
            network.down = False
        await commit
        await store.commit(Put("keys", {"id": "b"}), audit=[Audit("system", "third")])
        trail = await store.find("audit")
        assert [line["action"] for line in trail] == ["first", "second", "third"]
        assert verify(trail).broken_at is None
        assert [record["arrived"] for record in await store.find("webhook_events")] == [1]


@pytest.mark.parametrize("sealed", [True, False])
async def test_a_commit_that_reaches_the_server_after_the_connection_is_stored_once(sealed: bool) -> None:
    """With a line for the audit trail the transaction is open on the server by then, without one nothing of it is."""
    async with Proxy(await store_database()) as network, opened(network.url) as store:
        await store.commit(Put("keys", {"id": "a", "n": 0}))
        network.at = "held"
        line = [Audit("system", "once")] if sealed else []
        commit = asyncio.create_task(store.commit(Put("keys", {"id": "a", "n": 1}), audit=line))
        await network.lost.wait()
        await asyncio.sleep(0.3)
        assert commit.done() is not sealed, "PostgreSQL is still at it, or has never heard of it"
        network.release.set()
        await network.delivered.wait()
        await commit
        await store.commit(Put("keys", {"id": "a", "n": 2}))
        assert await store.get("keys", "a") == {"id": "a", "n": 2}
        assert len(await store.find("audit")) == len(line)


async def test_a_caller_does_not_wait_forever_to_be_told() -> None:
    async with Proxy(await store_database()) as network, opened(network.url) as store:
        network.at, network.down_after = "after", True
        with pytest.raises(StoreUnavailable, match="may or may not be stored"):
            await store.commit(Put("keys", {"id": "a"}), audit=[Audit("system", "once")])
        network.down = False
        await until_it_works(lambda: store.commit(Put("keys", {"id": "b"})))
        assert [record["id"] for record in await store.find("keys")] == ["a", "b"]


async def test_a_server_that_is_away_is_told_at_once_and_found_again() -> None:
    server = private_server()
    url = fresh_database(server.get_uri())
    try:
        async with opened(url) as store:
            await store.commit(Put("keys", {"id": "a"}), audit=[Audit("system", "first")])
            await asyncio.to_thread(stop, server)
            for work in (
                lambda: store.commit(Put("keys", {"id": "lost"})),
                lambda: store.get("keys", "a"),
                lambda: store.find("keys"),
                lambda: store.count("keys"),
                store.audit_head,
            ):
                with pytest.raises(StoreUnavailable):
                    await work()
            await asyncio.to_thread(server.ensure_postgres_running)
            await until_it_works(lambda: store.get("keys", "a"))
            await until_it_works(lambda: store.commit(Put("keys", {"id": "b"}), audit=[Audit("system", "second")]))
            assert [record["id"] for record in await store.find("keys")] == ["a", "b"]
            assert verify(await store.find("audit")).records == 2
    finally:
        await asyncio.to_thread(server.cleanup)


async def test_a_process_that_hangs_in_a_transaction_does_not_hold_up_the_others_for_long() -> None:
    url = await store_database()
    hanging = await connect(url, "hangs")
    await hanging.execute("BEGIN")
    await hanging.execute("SELECT * FROM head FOR UPDATE")
    async with opened(url) as store:
        await store.commit(audit=[Audit("system", "x")])
        assert (await store.audit_head())[0] == 1
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        await hanging.execute("UPDATE head SET seq = 7")
    await hanging.close()


async def test_a_process_that_hangs_between_two_statements_that_it_sends_in_a_row_does_not_either() -> None:
    """For PostgreSQL such a session is not idle: it waits for the next message of the row."""
    url = await store_database()
    hanging = await connect(url, "hangs")

    async def row(store: PostgresStore) -> None:
        async with hanging.pipeline():
            await hanging.execute("BEGIN")
            await (await hanging.execute("SELECT * FROM head FOR UPDATE")).fetchall()
            for _ in range(5):
                with suppress(StoreUnavailable):
                    await store.commit(audit=[Audit("system", "x")])
                    break
            await hanging.execute("UPDATE head SET seq = 7")

    async with opened(url) as store:
        with pytest.raises(psycopg.OperationalError):  # the session was ended
            await row(store)
        assert (await store.audit_head())[0] == 1
    await hanging.close()


KILLED = """
import asyncio, sys
from bot.store import Audit, Put
from bot.store.postgres.store import PostgresStore
async def run():
    store = await PostgresStore.open(sys.argv[1])
    await store.commit(Put("webhook_events", {"id": "e"}), audit=[Audit("system", "x")])
asyncio.run(run())
"""


@pytest.mark.parametrize("at", ["before_write", "before_commit", "after_commit"])
async def test_a_process_that_is_killed_has_stored_all_or_nothing(at: str) -> None:
    url = await store_database()
    environment = {**os.environ, "PMAGENT_FAILPOINT": f"store.{at}"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, url, env=environment)
    assert await process.wait() == -signal.SIGKILL
    stored = at == "after_commit"
    async with opened(url) as store:
        await store.commit(audit=[Audit("system", "y")])
        assert [e["arrived"] for e in await store.find("webhook_events")] == [1] * stored
        assert verify(await store.find("audit")).records == 1 + stored
