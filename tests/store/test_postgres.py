"""What is PostgreSQL's own: its tables, what it refuses to hold, and an address or a database that is not ours."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from bot.errors import UserError
from bot.store import Audit, Conflict, Delete, Expect, Job, Put, Record, StoreUnavailable, Table
from bot.store.audit import verify
from bot.store.postgres.data import DatabaseData
from bot.store.postgres.queries import Query
from bot.store.postgres.store import PostgresStore
from bot.store.schema import INDEXES, LISTS
from tests.postgres import fresh_database, store_database
from tests.store.support import NOW


@pytest.fixture
async def url() -> str:
    return await store_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(url)
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "value",
    ["a\0b", "\ufdd0", "\ufdd00\0\ufdd01\\u0000", {"\0": ["\0", {"\ufdd0": 1}]}, 1e22, 1e-7, 10**40, -0.0, 0.1 + 0.2,
     5e-324, 1.2345678901234567e20, -1e16, 1.7976931348623157e308, "𝄞\x7f\x01", [], {}, None, True, 1, 1.0, "\\u0000"],
)  # fmt: skip
async def test_what_is_written_is_read_back_and_found(store: PostgresStore, value: Any) -> None:
    line = Audit("system", "x", details={"value": value})
    await store.commit(Put("drafts", {"id": "d", "state": value}), Put("drafts", {"id": "other"}), audit=[line])
    assert await store.get("drafts", "d") == {"id": "d", "state": value}
    assert [record["id"] for record in await store.find("drafts", state=value)] == ["d"]
    assert await store.count("drafts", state=value) == 1
    [record] = await store.find("audit")
    assert record["details"] == {"value": value}
    assert verify([record]).broken_at is None


async def test_an_id_may_hold_what_postgresql_does_not(store: PostgresStore) -> None:
    for name in ("a\0", "\ufdd0", "\ufdd00"):
        event = {"id": name, "draft": name}
        await store.commit(Put("webhook_events", event), expect=[Expect("webhook_events", name)])
        await store.commit(Put("webhook_events", event), expect=[Expect("webhook_events", name, {"draft": name})])
        found = await store.get("webhook_events", name)
        assert found is not None
        assert found["id"] == name
    assert [r["arrived"] for r in await store.find("webhook_events")] == [1, 2, 3]


async def test_a_record_that_cannot_be_held_fails_alone(store: PostgresStore) -> None:
    """An index takes no more than 2,704 bytes, and every record of a group is written by one statement."""
    records: list[Record] = [{"id": f"k{n}"} for n in range(20)]
    records[7]["id"] = os.urandom(4000).hex()
    commits = [store.commit(Put("keys", record), audit=[Audit("system", "x")]) for record in records]
    found = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(error) for error in found if error is not None] == [StoreUnavailable]
    assert found[7] is not None
    assert [r["id"] for r in await store.find("keys")] == [r["id"] for n, r in enumerate(records) if n != 7]
    assert verify(await store.find("audit")).records == 19


@pytest.mark.parametrize("table", INDEXES)
async def test_every_field_that_is_looked_up_has_an_index(url: str, store: PostgresStore, table: Table) -> None:
    asked = {fields[0]: "x" for fields in INDEXES[table] if fields != ("at",)}
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off")
        for name in [*asked, *([LISTS[table]] if table in LISTS else [])]:
            for limit in (None, 1) if name in asked else (None,):
                query = Query.of(table, {name: "x"})
                sql = b"EXPLAIN " + query.sql("doc::text", table, newest_first=True, limit=limit)
                plan = str(connection.execute(sql, query.values).fetchall())
                assert f"{table}_{name}" in plan, plan
        if ("at",) in INDEXES[table]:
            query = Query.of(table, {}, NOW)
            plan = str(connection.execute(b"EXPLAIN " + query.sql("count(*)", table), query.values).fetchall())
            assert f"{table}_at" in plan, plan


async def test_of_the_ids_of_transactions_only_the_last_one_is_kept(url: str, store: PostgresStore) -> None:
    for n in range(10):
        await store.commit(Put("keys", {"id": f"k{n}"}))
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM commits").fetchone() == (1,)


async def test_a_later_schema_is_refused_in_words(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE about SET value = '99' WHERE name = 'schema'")
    with pytest.raises(UserError, match="schema 99, and this version of PM Agent knows schema 2"):
        await PostgresStore.open(url)


async def test_an_earlier_schema_is_upgraded_by_the_first_start_and_not_read_as_empty(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE corrections")
        connection.execute("UPDATE about SET value = '1' WHERE name = 'schema'")
    with pytest.raises(UserError, match="start this version of PM Agent once"), DatabaseData(url).snapshot():
        pass
    store = await PostgresStore.open(url)
    await store.commit(Put("corrections", {"id": "drf_1", "place": "ECD|public"}))
    assert [record["id"] for record in await store.find("corrections", place="ECD|public")] == ["drf_1"]
    await store.close()


async def test_tables_of_another_program_are_refused_in_words() -> None:
    url = fresh_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE drafts (title text)")
    with pytest.raises(UserError, match="tables of another program"):
        await PostgresStore.open(url)


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://pm:geheim@127.0.0.1:1/pm",
        "postgresql://pm:geheim@nowhere.invalid/pm",
        "postgresql://pm:geheim@127.0.0.1:port/pm",
        "postgresql://pm:geheim@localhost/pm?nonsense=geheim",
        "host=localhost geheim",
    ],
)
async def test_an_address_that_leads_nowhere_is_told_without_its_password(address: str) -> None:
    with pytest.raises(UserError) as found:
        await PostgresStore.open(address)
    assert "PMAGENT_DATABASE_URL" in str(found.value)
    assert "geheim" not in str(found.value)


async def test_jobs_are_stored_with_the_change_that_asks_for_them(store: PostgresStore) -> None:
    later = NOW + timedelta(days=36500)
    await store.commit(Put("keys", {"id": "a"}), jobs=[Job("card", "d1"), Job("draft", "d1", at=later)])
    with pytest.raises(Conflict):
        await store.commit(jobs=[Job("card", "d2")], expect=[Expect("keys", "a")])
    await store.commit(Delete("jobs", "card:d1"), jobs=[Job("card", "d1")])
    found = {record["id"]: record["at"] for record in await store.find("jobs")}
    assert found == {"card:d1": None, "draft:d1": later.isoformat(timespec="microseconds")}
