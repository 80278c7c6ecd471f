"""The contract of any store: atomic commits, conditions in order, reads of what is durable, figures."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from bot.store import DELIVERY_KEYS_KEPT, Audit, Conflict, Delete, Expect, Figures, Put, Store, StoreUnavailable, Unseen
from bot.store.audit import verify
from bot.store.embedded.store import TinyStore
from bot.store.paging import each
from bot.store.postgres.connecting import Connection
from bot.store.postgres.queries import Query
from bot.store.postgres.store import PostgresStore
from tests.store.conftest import Opening
from tests.store.support import NOW, Clock


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "at": f"2026-01-{number:02d}T00:00:00Z",
        "state": "received",
        "issue": "ECD-1",
        **more,
    }


async def test_a_commit_is_all_or_nothing(store: Store) -> None:
    await store.commit(
        Put("webhook_events", event(1)), Put("keys", {"id": "k"}), audit=[Audit("system", "event.accepted")]
    )
    with pytest.raises(Conflict) as conflict:
        await store.commit(
            Put("webhook_events", event(2)), expect=[Expect("keys", "k")], audit=[Audit("system", "event.accepted")]
        )
    assert conflict.value.found == {"id": "k"}
    assert await store.get("webhook_events", "evt_2") is None
    assert (await store.audit_head())[0] == 1


async def test_expects_compare_fields_and_say_what_is_there_instead(store: Store) -> None:
    await store.commit(Put("drafts", {"id": "d", "state": "waiting", "version": 1, "card": {"ts": None}}))
    expect = Expect("drafts", "d", {"version": 1, "card": {"ts": None}})
    await store.commit(Put("drafts", {"id": "d", "state": "approved", "version": 2}), expect=[expect])
    with pytest.raises(Conflict) as conflict:
        await store.commit(Put("drafts", {"id": "d", "state": "skipped", "version": 2}), expect=[expect])
    assert conflict.value.found == {"id": "d", "state": "approved", "version": 2}
    with pytest.raises(Conflict) as conflict:
        await store.commit(expect=[Expect("drafts", "no such draft", {})])
    assert conflict.value.found is None


async def test_of_many_who_expect_the_same_one_wins(store: Store) -> None:
    async def claim(number: int) -> bool:
        try:
            await store.commit(Put("keys", {"id": "claim", "by": number}), expect=[Expect("keys", "claim")])
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(claim(number) for number in range(50)))) == 1


async def test_find_by_index_by_value_and_by_time(store: Store) -> None:
    for number in range(1, 6):
        await store.commit(Put("webhook_events", event(number, state="done" if number % 2 else "received")))
    await store.commit(Put("webhook_events", event(2, state="done")))
    ids = [record["id"] for record in await store.find("webhook_events", state="done", issue="ECD-1")]
    assert ids == ["evt_1", "evt_2", "evt_3", "evt_5"], "in order of first insertion"
    newest = await store.find("webhook_events", state="done", newest_first=True, limit=2)
    assert [record["id"] for record in newest] == ["evt_5", "evt_3"]
    assert [record["id"] for record in await store.find("webhook_events", limit=2)] == ["evt_1", "evt_2"]
    one = await store.find("webhook_events", state="done", at="2026-01-05T00:00:00Z", limit=1)
    assert [record["id"] for record in one] == ["evt_5"], "a limit counts what matches"
    since = await store.find("webhook_events", since=datetime(2026, 1, 4, tzinfo=UTC))
    assert [record["id"] for record in since] == ["evt_4", "evt_5"]
    assert await store.find("webhook_events", at="2026-01-01T00:00:00Z", state="received") == []
    await store.commit(Put("development", {"id": "pr", "keys": ["ECD-1", "ECD-2"]}))
    assert len(await store.find("development", keys="ECD-2")) == 1
    await store.commit(Put("development", {"id": "pr", "keys": ["ECD-1"]}))
    assert await store.find("development", keys="ECD-2") == []
    await store.commit(Delete("development", "pr"), Delete("development", "never there"))
    assert await store.find("development", keys="ECD-1") == []


async def test_what_is_read_is_a_copy(store: Store) -> None:
    mine = event(1, nested={"a": 1})
    await store.commit(Put("webhook_events", mine))
    mine["nested"]["a"] = 2
    found = await store.get("webhook_events", "evt_1")
    assert found is not None
    found["nested"]["a"] = 3
    assert (await store.get("webhook_events", "evt_1") or {})["nested"] == {"a": 1}


async def test_the_last_change_of_a_record_in_a_commit_wins(store: Store) -> None:
    await store.commit(
        Put("keys", {"id": "a", "n": 1}),
        Put("keys", {"id": "a", "n": 2}),
        Put("keys", {"id": "b"}),
        Delete("keys", "b"),
    )
    assert await store.find("keys") == [{"id": "a", "n": 2}]


@pytest.mark.parametrize(
    "record",
    [{}, {"id": 1}, {"id": ""}, {"id": "a", "x": float("nan")}, {"id": "a", "x": "\ud800"}, {"id": "a", "x": object()}],
)
async def test_what_is_no_record_is_refused_alone(store: Store, record: dict[str, Any]) -> None:
    good = asyncio.create_task(store.commit(Put("keys", {"id": "good"})))
    with pytest.raises((ValueError, TypeError)):
        await store.commit(Put("keys", record))
    await good
    assert [found["id"] for found in await store.find("keys")] == ["good"]


async def test_the_audit_trail_only_grows(store: Store) -> None:
    await store.commit(audit=[Audit("system", "one"), Audit("slack:U1", "two", details={"a": (1, 2)})])
    with pytest.raises(ValueError, match="only grows"):
        await store.commit(Put("audit", {"id": "1"}))
    records = await store.find("audit")
    assert [(r["seq"], r["action"]) for r in records] == [(1, "one"), (2, "two")]
    assert str(verify(records)) == f"ok 2 records, head {(await store.audit_head())[1]}"


async def test_everything_is_there_after_opening_again(opening: Opening) -> None:
    store = await opening()
    await asyncio.gather(
        *(store.commit(Put("webhook_events", event(n)), audit=[Audit("system", "x")]) for n in range(1, 30))
    )
    await store.commit(Put("webhook_events", event(3, state="done")), Delete("webhook_events", "evt_4"))
    head, before = await store.audit_head(), await store.find("webhook_events")
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit(Put("keys", {"id": "late"}))
    store = await opening()
    assert (await store.audit_head(), await store.find("webhook_events")) == (head, before)
    assert [r["id"] for r in await store.find("webhook_events", state="done")] == ["evt_3"]


async def test_an_event_keeps_the_number_of_its_arrival(opening: Opening) -> None:
    store = await opening()
    await store.commit(Put("webhook_events", event(9)), Put("webhook_events", event(2)))
    await store.commit(Put("webhook_events", event(5)))

    async def arrived() -> dict[str, int]:
        return {record["id"]: record["arrived"] for record in await store.find("webhook_events")}

    first = await arrived()
    assert first["evt_9"] < first["evt_2"] < first["evt_5"], "whatever their times"
    found = await store.get("webhook_events", "evt_2") or {}
    await store.commit(Put("webhook_events", {**found, "state": "done"}))
    await store.commit(Put("webhook_events", event(9, state="done")))
    await store.commit(Delete("webhook_events", "evt_5"))
    await store.close()
    store = await opening()
    await store.commit(Put("webhook_events", event(1)))
    after = await arrived()
    assert (after["evt_9"], after["evt_2"]) == (first["evt_9"], first["evt_2"])
    assert after["evt_1"] > first["evt_5"], "a number is not given twice"


async def test_counts_are_those_of_find(store: Store) -> None:
    await store.commit(*(Put("drafts", {**event(n), "state": "waiting", "open": n > 3}) for n in range(1, 8)))
    assert await store.count("drafts") == 7
    assert await store.count("drafts", state="waiting", since=datetime(2026, 1, 5, tzinfo=UTC)) == 3
    assert (await store.count("drafts", open=True), await store.count("drafts", open=False)) == (4, 3)
    assert (await store.count("drafts", issue="ECD-1"), await store.count("drafts", issue="ECD-2")) == (7, 0)
    assert [r["id"] for r in await store.find("drafts", open=True, until=datetime(2026, 1, 6, tzinfo=UTC))] == [
        "evt_4", "evt_5",
    ]  # fmt: skip


async def test_records_are_found_by_another_time_of_theirs(store: Store) -> None:
    """In its order, and between its bounds; the order of arrival decides where it is the same."""
    ends = (5, 3, 3, 9, 1)
    await store.commit(
        *(Put("drafts", {**event(n), "state": "waiting", "expires": event(end)["at"]}) for n, end in enumerate(ends, 1))
    )

    async def found(**how: Any) -> list[str]:
        return [record["id"] for record in await store.find("drafts", by="expires", state="waiting", **how)]

    assert await found() == ["evt_5", "evt_2", "evt_3", "evt_1", "evt_4"]
    assert await found(newest_first=True, limit=2) == ["evt_4", "evt_1"]
    assert await found(until=datetime(2026, 1, 5, tzinfo=UTC)) == ["evt_5", "evt_2", "evt_3"]
    assert await found(since=datetime(2026, 1, 5, tzinfo=UTC)) == ["evt_1", "evt_4"]


async def test_pages_give_each_record_once_while_they_change(store: Store) -> None:
    """Also where more of them than a page holds have the same time."""
    ends = [1, 2, 2, 2, 2, 2, 3, 4, 4, 5]
    records = {n: {**event(n), "state": "waiting", "expires": event(end)["at"]} for n, end in enumerate(ends, 1)}
    await store.commit(*(Put("drafts", record) for record in records.values()))
    for changes in (False, True):
        seen = []
        async for record in each(store, "drafts", by="expires", page=2, state="waiting"):
            seen.append(record["id"])
            if changes:
                await store.commit(Put("drafts", {**record, "state": "expired"}))
        assert sorted(seen) == sorted(record["id"] for record in records.values())
    assert await store.count("drafts", state="waiting") == 0


WHILE_MANY_WAIT: tuple[dict[str, Any], ...] = (
    {"state": "waiting", "by": "at", "limit": 20},
    {"state": "waiting", "by": "expires", "until": datetime(2026, 1, 1, tzinfo=UTC), "limit": 50},
    {"mode": "production", "state": "waiting", "by": "at", "newest_first": True, "limit": 1},
    {"behind": "card", "by": "at", "newest_first": True, "limit": 1},
    {"issue_key": "ECD-1", "newest_first": True, "limit": 1},
    {"issue_key": "ECD-1", "open": True},
)
"""What is asked of drafts on the way of a click or a command, or again and again."""


@pytest.mark.parametrize("how", WHILE_MANY_WAIT, ids=str)
async def test_what_is_asked_while_many_drafts_wait_reads_few_of_them(store: Store, how: dict[str, Any]) -> None:
    """By the plans of both databases: an index has the fields that are asked for and the order; nothing is sorted."""
    asked = dict(how)
    until, by, newest, limit = (asked.pop(name, None) for name in ("until", "by", "newest_first", "limit"))
    if isinstance(store, TinyStore):
        said: list[str] = []
        store._db.connection.set_trace_callback(said.append)
        await store.find("drafts", **how)
        store._db.connection.set_trace_callback(None)
        plan = [row[3] for row in store._db.connection.execute(f"EXPLAIN QUERY PLAN {said[-1]}")]
    else:
        assert isinstance(store, PostgresStore)
        plan = await store._read(partial(_plan, Query.of("drafts", asked, until=until, by=by or ""), newest, limit))
    text = "\n".join(plan)
    assert f"drafts_{'_'.join([*asked, *([by] if by else [])] if limit else [*asked][:1])}" in text, text
    assert "TEMP B-TREE" not in text, text
    assert "Sort" not in text, text


async def _plan(query: Query, newest: bool, limit: int | None, connection: Connection) -> list[str]:
    """PostgreSQL's, where a sequence of rows that is read or sorted counts as dear, as it is where there are many."""
    sql = b"EXPLAIN " + query.sql("doc::text", "drafts", newest_first=bool(newest), limit=limit)
    ways = ("seqscan", "bitmapscan", "sort")
    for way in ways:
        await connection.execute(f"SET enable_{way} = off".encode())
    try:
        return [row[0] for row in await (await connection.execute(sql, query.values)).fetchall()]
    finally:
        for way in ways:
            await connection.execute(f"RESET enable_{way}".encode())


async def test_many_records_are_found_as_few_are(store: Store) -> None:
    await store.commit(*(Put("webhook_events", {**event(1), "id": f"e{n:03}", "n": n % 2}) for n in range(300)))
    assert [r["id"] for r in await store.find("webhook_events", state="received")] == [f"e{n:03}" for n in range(300)]
    assert len(await store.find("webhook_events", state="received", n=1)) == 150
    assert [r["id"] for r in await store.find("webhook_events", n=1, newest_first=True, limit=2)] == ["e299", "e297"]
    assert len(await store.find("webhook_events", issue="ECD-1", limit=200)) == 200


async def test_a_large_commit_is_taken(store: Store) -> None:
    """More than the buffers of a connection hold."""
    await store.commit(*(Put("drafts", {"id": f"d{n}", "text": "x" * 20_000}) for n in range(500)))
    line = Audit("system", "x", details={"text": "x" * 4_000_000})
    await store.commit(
        *(Put("webhook_events", {**event(1), "id": f"e{n}", "text": "é" * 20_000}) for n in range(200)), audit=[line]
    )
    assert (await store.count("drafts"), await store.count("webhook_events")) == (500, 200)
    assert verify(await store.find("audit")).records == 1


async def test_a_cancelled_caller_disturbs_nobody(store: Store) -> None:
    tasks = [asyncio.create_task(store.commit(Put("keys", {"id": f"k{n}"}))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.commit(Put("keys", {"id": "end"}), expect=[Expect("keys", "k1", {})])


# Deliveries


def delivery(name: str, *keys: str, at: datetime = NOW) -> list[Put]:
    about = {"at": at.isoformat(), "event_id": name}
    return [Put("webhook_events", {"id": name, **about}), *(Put("deliveries", {"id": key, **about}) for key in keys)]


async def take(store: Store, name: str, *keys: str, at: datetime = NOW) -> str | None:
    """Store an event unless one of its keys is known; the id of the first one if so."""
    try:
        await store.commit(*delivery(name, *keys, at=at), expect=[Unseen(keys, at - DELIVERY_KEYS_KEPT)])
    except Conflict as conflict:
        return str((conflict.found or {})["event_id"])
    return None


async def test_any_key_is_known_again_at_once_and_after_reopening(opening: Opening) -> None:
    store = await opening()
    assert await take(store, "evt_1", "jira:delivery:a", "jira:body:1") is None
    assert await take(store, "evt_2", "jira:delivery:b", "jira:body:1") == "evt_1"
    assert await take(store, "evt_3", "jira:delivery:a", "jira:body:2") == "evt_1"
    assert await take(store, "evt_4", "jira:delivery:c", "jira:body:3") is None
    assert await take(store, "evt_5") is None, "without a key it is always new"
    await store.close()
    store = await opening()
    assert await take(store, "evt_6", "jira:delivery:a") == "evt_1"
    assert await take(store, "evt_6", "jira:delivery:new", "jira:body:3") == "evt_4"
    assert [r["id"] for r in await store.find("webhook_events")] == ["evt_1", "evt_4", "evt_5"]


async def test_of_twenty_at_once_one_wins_and_the_others_hear_of_it(store: Store) -> None:
    found = await asyncio.gather(*(take(store, f"evt_{n}", "k", f"own {n}") for n in range(20)))
    (winner,) = [n for n, first in enumerate(found) if first is None]
    assert {first for first in found if first} == {f"evt_{winner}"}
    assert [r["id"] for r in await store.find("webhook_events")] == [f"evt_{winner}"]


async def test_after_72_hours_it_is_new_again(store: Store) -> None:
    assert await take(store, "evt_1", "k") is None
    just = NOW + DELIVERY_KEYS_KEPT
    assert await take(store, "evt_2", "k", at=just) == "evt_1"
    late = just + timedelta(seconds=1)
    assert await take(store, "evt_3", "k", at=late) is None
    assert await take(store, "evt_5", "k", at=late + timedelta(hours=71)) == "evt_3"


async def test_old_keys_are_deleted_in_passing(store: Store, clock: Clock) -> None:
    for day in range(12):
        clock.at = NOW + timedelta(days=day)
        keys = [f"k{day}_{n}" for n in range(600)]
        await store.commit(*delivery(f"evt_{day}", *keys, at=clock.at))
    assert await store.count("deliveries") <= 6 * 600
    assert await take(store, "evt_x", "k11_0", at=clock.at) == "evt_11"
    assert await take(store, "evt_x", "k9_599", at=clock.at) == "evt_9"


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=4000), timedelta(days=-20), timedelta(days=-4000)])
async def test_a_clock_that_was_wrong_for_a_while_makes_nobody_forget(
    store: Store, clock: Clock, jump: timedelta
) -> None:
    for hours in range(0, 72, 6):
        clock.at = NOW + timedelta(hours=hours)
        assert await take(store, f"evt_{hours}", f"k{hours}", at=clock.at) is None
    clock.at = NOW + DELIVERY_KEYS_KEPT + jump
    assert await take(store, "evt_jump", "jump", at=clock.at) is None
    assert await take(store, "evt_more", "jump", at=clock.at) == "evt_jump"
    for days in range(3):
        clock.at = NOW + DELIVERY_KEYS_KEPT + timedelta(days=days)
        assert await take(store, f"evt_now_{days}", f"now {days}", at=clock.at) is None
        for hours in range(24 * days, 72, 6):
            assert await take(store, "evt_x", f"k{hours}", at=clock.at) == f"evt_{hours}"


# Figures


async def test_figures_are_kept_by_day_project_action_and_prompt(store: Store, clock: Clock) -> None:
    def line(action: str, draft: str, issue: str = "ECD-1", **figures: Any) -> Audit:
        return Audit("slack:U1", action, None, draft, issue, figures=Figures(**figures))

    await store.commit(
        audit=[line("draft.created", "d1", seconds=42.4, usd=0.25, prompt="p1"), line("draft.posted", "d1")]
    )
    await store.commit(audit=[line("draft.edited", "d1"), line("draft.edited", "d1"), line("draft.edited", "d2")])
    clock.at += timedelta(days=1)
    await store.commit(
        audit=[line("draft.edited", "d2"), line("draft.created", "d3", "OPS-7", seconds=10, prompt="p2")]
    )
    found = {
        (r["day"], r["project"], r["action"], r["prompt"]): (r["count"], r["drafts"], r["usd"], r["spread"])
        for r in await store.find("rollup")
    }
    day, next_day = f"{NOW:%Y-%m-%d}", f"{clock.at:%Y-%m-%d}"
    assert found[day, "ECD", "draft.created", "p1"] == (1, 0, 0.25, {"42": 1})
    assert found[day, "ECD", "draft.edited", ""] == (3, 2, 0.0, {})
    assert found[next_day, "ECD", "draft.edited", ""] == (1, 0, 0.0, {}), "d2 was counted the day before"
    assert found["ever", "ECD", "draft.edited", ""] == (4, 2, 0.0, {})
    assert found["ever", "OPS", "draft.created", "p2"] == (1, 0, 0.0, {"10": 1})
    assert len(found) == 9
    assert "U1" not in str(await store.find("rollup")), "no person is in it"
    with pytest.raises(Conflict):
        await store.commit(audit=[line("draft.edited", "d9")], expect=[Expect("drafts", "d9", {})])
    assert len(await store.find("rollup")) == 9
