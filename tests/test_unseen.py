"""`Unseen`: a delivery is known again for 72 hours, by any of its keys, also after opening again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.store import REMEMBERED, Audit, Conflict, Delete, Put, Unseen
from bot.store.tiny import TinyStore
from tests.old_records import Clock

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(name: str, *keys: str, at: datetime = AT, **more: Any) -> Put:
    return Put("webhook_events", {"id": name, "event_id": name, "at": at.isoformat(), "keys": list(keys), **more})


async def take(store: TinyStore, name: str, *keys: str, at: datetime = AT) -> str | None:
    """Store an event unless one of its keys is known; the id of the first one if so."""
    try:
        await store.commit(
            event(name, *keys, at=at), expect=[Unseen(keys, at - REMEMBERED)], audit=[Audit("system", "x")]
        )
    except Conflict as conflict:
        return str((conflict.found or {})["event_id"])
    return None


async def test_any_key_is_known_again_at_once_and_after_reopening(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    assert await take(store, "evt_1", "jira:delivery:a", "jira:body:1") is None
    assert await take(store, "evt_2", "jira:delivery:b", "jira:body:1") == "evt_1"
    assert await take(store, "evt_3", "jira:delivery:a", "jira:body:2") == "evt_1"
    assert await take(store, "evt_4", "jira:delivery:c", "jira:body:3") is None
    assert await take(store, "evt_5") is None, "without a key it is always new"
    await store.commit(event("evt_1", "jira:delivery:a", "jira:body:1", state="done"))
    await store.close()
    store = TinyStore.open(tmp_path)
    for _ in range(2):
        assert await take(store, "evt_6", "jira:delivery:a") == "evt_1"
        assert await take(store, "evt_6", "jira:delivery:new", "jira:body:3") == "evt_4"
        await asyncio.to_thread(store.engine.compact)
    assert (await store.audit_head())[0] == 3
    await store.close()


async def test_of_twenty_at_once_one_wins_and_the_others_hear_of_it(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    found = await asyncio.gather(*(take(store, f"evt_{n}", "k", f"own {n}") for n in range(20)))
    (winner,) = [n for n, first in enumerate(found) if first is None]
    assert {first for first in found if first} == {f"evt_{winner}"}
    assert [r["id"] for r in await store.find("webhook_events")] == [f"evt_{winner}"]
    await store.close()


async def test_after_72_hours_it_is_new_again(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    assert await take(store, "evt_1", "k") is None
    just = AT + REMEMBERED
    assert await take(store, "evt_2", "k", at=just) == "evt_1"
    late = just + timedelta(seconds=1)
    for again in (False, True):
        if again:
            await store.close()
            store = TinyStore.open(tmp_path)
            assert await take(store, "evt_4", "k", at=late) == "evt_3"
        else:
            assert await take(store, "evt_3", "k", at=late) is None
    assert await take(store, "evt_5", "k", at=late + timedelta(hours=71)) == "evt_3"
    await store.close()


async def test_what_is_older_is_dropped_from_memory(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    for day in range(30):
        at = AT + timedelta(days=day)
        await asyncio.gather(*(take(store, f"evt_{day}_{n}", f"k{day}_{n}", at=at) for n in range(10)))
    assert store.engine.remembered() <= 50
    await store.close()
    store = TinyStore.open(tmp_path)
    assert store.engine.remembered() <= 50
    assert await take(store, "evt_x", "k29_0", at=AT + timedelta(days=29)) == "evt_29_0"
    await store.close()


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=4000), timedelta(days=-20), timedelta(days=-4000)])
@pytest.mark.parametrize("again", [False, True])
async def test_a_clock_that_was_wrong_for_a_while_makes_nobody_forget(
    tmp_path: Path, jump: timedelta, again: bool
) -> None:
    store = TinyStore.open(tmp_path)
    for hours in range(0, 72, 6):
        assert await take(store, f"evt_{hours}", f"k{hours}", at=AT + timedelta(hours=hours)) is None
    assert await take(store, "evt_jump", "jump", at=AT + REMEMBERED + jump) is None
    assert await take(store, "evt_more", "jump", at=AT + REMEMBERED + jump) == "evt_jump"
    if again:
        await store.close()
        store = TinyStore.open(tmp_path, clock=Clock(AT + REMEMBERED))
    for days in range(3):
        now = AT + REMEMBERED + timedelta(days=days)
        assert await take(store, f"evt_now_{days}", f"now {days}", at=now) is None
        assert await take(store, "evt_x", f"now {days}", at=now) == f"evt_now_{days}"
        for hours in range(24 * days, 72, 6):
            assert await take(store, "evt_x", f"k{hours}", at=now) == f"evt_{hours}"
    await store.close()


async def test_the_window_is_the_askers(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    await store.commit(event("evt_1", "k"), event("evt_2", "k", at=AT + timedelta(hours=2)))
    for hours, first in ((-1, "evt_1"), (0, "evt_1"), (1, "evt_2")):
        with pytest.raises(Conflict) as conflict:
            await store.commit(expect=[Unseen(("k",), AT + timedelta(hours=hours))])
        assert conflict.value.found is not None
        assert conflict.value.found["id"] == first
    await store.commit(expect=[Unseen(("k",), AT + timedelta(hours=3))])
    await store.close()


async def test_what_is_deleted_or_has_lost_its_key_was_not_seen(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    await store.commit(event("evt_1", "k", "other"))
    await store.commit(event("evt_1", "other"))
    assert await take(store, "evt_2", "k") is None
    await store.commit(Delete("webhook_events", "evt_2"))
    assert await take(store, "evt_3", "k") is None
    assert await take(store, "evt_4", "other") == "evt_1"
    await store.close()


async def test_keys_that_an_earlier_version_stored_count_for_72_hours(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    old = {"id": "jira:body:1", "at": AT.isoformat(), "event_id": "evt_old"}
    await store.commit(Put("keys", old), event("evt_old"))
    assert await take(store, "evt_1", "jira:delivery:a", "jira:body:1", at=AT + REMEMBERED) == "evt_old"
    late = AT + REMEMBERED + timedelta(minutes=1)
    assert await take(store, "evt_1", "jira:delivery:a", "jira:body:1", at=late) is None
    assert await take(store, "evt_2", "jira:body:1", at=late) == "evt_1"
    await store.close()


async def test_find_by_a_key_is_right_however_old_it_is(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    await take(store, "evt_1", "k")
    await take(store, "evt_2", "other", at=AT + timedelta(days=30))
    assert [r["id"] for r in await store.find("webhook_events", keys="k")] == ["evt_1"]
    assert (await store.count("webhook_events", keys="k"), await store.count("webhook_events")) == (1, 2)
    await store.close()
