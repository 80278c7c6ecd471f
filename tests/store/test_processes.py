"""Several processes on one database: each `PostgresStore` here stands for one, and knows nothing of the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from bot.store import DELIVERY_KEYS_KEPT, Audit, Conflict, Delete, Expect, Put, Unseen
from bot.store.audit import verify
from bot.store.postgres.locks import MAX_LOCKS
from bot.store.postgres.store import PostgresStore
from tests.postgres import fresh_database, store_database
from tests.store.support import NOW, Clock

Two = tuple[PostgresStore, PostgresStore]


@pytest.fixture
async def two(clock: Clock) -> AsyncIterator[Two]:
    url = await store_database()
    one, other = await PostgresStore.open(url, clock=clock), await PostgresStore.open(url, clock=clock)
    yield one, other
    await one.close()
    await other.close()


async def test_of_a_delivery_that_comes_to_both_one_is_stored_and_the_other_hears_of_it(two: Two) -> None:
    async def take(store: PostgresStore, name: str, keys: tuple[str, ...]) -> str:
        about = {"at": NOW.isoformat(), "event_id": name}
        changes = [Put("webhook_events", {"id": name, **about}), *(Put("deliveries", {"id": k, **about}) for k in keys)]
        try:
            await store.commit(*changes, expect=[Unseen(keys, NOW - DELIVERY_KEYS_KEPT)])
        except Conflict as conflict:
            first = str((conflict.found or {})["event_id"])
            durable.append(await two[0].get("webhook_events", first) is not None)
            return first
        return name

    durable: list[bool] = []

    def both(n: int) -> list[tuple[PostgresStore, str, tuple[str, ...]]]:
        keys = (f"delivery {n}", f"body {n}")
        return [(two[0], f"a{n}", keys), (two[1], f"b{n}", keys[::-1])]

    found = await asyncio.gather(*(take(*one) for n in range(100) for one in both(n)))
    assert durable == [True] * 100, "it is by the time that somebody is told of it"
    for n in range(100):
        assert found[2 * n] == found[2 * n + 1]
    assert {r["id"] for r in await two[0].find("webhook_events")} == set(found)


async def test_compare_and_set_over_both_loses_nothing(two: Two) -> None:
    await two[0].commit(Put("state", {"id": "n", "value": 0}))

    async def add(store: PostgresStore) -> None:
        for _ in range(10):
            while True:
                record = await store.get("state", "n")
                assert record is not None
                try:
                    changed = Put("state", {"id": "n", "value": record["value"] + 1})
                    await store.commit(changed, expect=[Expect("state", "n", {"value": record["value"]})])
                except Conflict:
                    continue
                break

    await asyncio.gather(*(add(store) for store in two for _ in range(4)))
    assert await two[1].get("state", "n") == {"id": "n", "value": 80}


async def test_the_chain_has_one_order_and_no_gaps(two: Two) -> None:
    def commit(store: PostgresStore, n: int, name: str) -> Coroutine[Any, Any, None]:
        line = Audit("system", "draft.edited", name, f"d{n % 50}", "ECD-1", {"usd": 0.1 + n})
        return store.commit(Put("webhook_events", {"id": name, "at": NOW.isoformat()}), audit=[line])

    async def some(store: PostgresStore, who: str) -> None:
        for begin in range(0, 500, 25):
            await asyncio.gather(*(commit(store, n, f"{who}{n}") for n in range(begin, begin + 25)))

    await asyncio.gather(some(two[0], "a"), some(two[1], "b"))
    trail = await two[0].find("audit")
    verdict = verify(trail)
    assert (verdict.records, verdict.broken_at) == (1000, None)
    assert await two[1].audit_head() == (1000, verdict.head)
    events = await two[1].find("webhook_events")
    assert [record["arrived"] for record in events] == list(range(1, 1001))
    assert [record["event_id"] for record in trail] == [record["id"] for record in events]
    counted = {r["day"]: (r["count"], r["drafts"]) for r in await two[0].find("rollup")}
    assert set(counted.values()) == {(1000, 50)}


async def test_commits_of_many_records_and_of_few_do_not_wait_for_each_other_forever(two: Two) -> None:
    async def many(store: PostgresStore, order: int) -> None:
        for n in range(3):
            names = [f"k{number}" for number in range(MAX_LOCKS + 50)][::order]
            await store.commit(*(Put("keys", {"id": name, "n": n}) for name in names))

    async def few(store: PostgresStore, order: int) -> None:
        for n in range(20):
            names = [f"k{number}" for number in range(n, n + 9)][::order]
            await store.commit(*(Put("keys", {"id": name, "n": n}) for name in names), expect=[Expect("keys", "none")])

    await asyncio.gather(many(two[0], 1), many(two[1], -1), few(two[0], -1), few(two[1], 1))
    assert await two[0].count("keys") == MAX_LOCKS + 50


async def test_a_record_that_comes_and_goes_is_seen_by_both(two: Two) -> None:
    won: Counter[str] = Counter()

    async def hold(store: PostgresStore, name: str) -> None:
        for _ in range(25):
            try:
                await store.commit(Put("keys", {"id": "lease", "by": name}), expect=[Expect("keys", "lease")])
            except Conflict:
                continue
            won[name] += 1
            await store.commit(Delete("keys", "lease"), expect=[Expect("keys", "lease", {"by": name})])

    await asyncio.gather(*(hold(store, f"{n}{m}") for n, store in enumerate(two) for m in range(3)))
    assert won.total() > 0
    assert await two[0].get("keys", "lease") is None


async def test_processes_that_start_at_once_make_the_tables_once() -> None:
    url = fresh_database()
    stores = await asyncio.gather(*(PostgresStore.open(url) for _ in range(4)))
    await asyncio.gather(*(store.commit(audit=[Audit("system", "x")]) for store in stores))
    assert (await stores[0].audit_head())[0] == 4
    for store in stores:
        await store.close()
