"""The store's protocol over TinyDB: one atomic commit, expects in order, reads of what is durable, TinyDB's queries."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tinydb import where

from bot.errors import UserError
from bot.store import Audit, Conflict, Delete, Expect, Put, StoreUnavailable
from bot.store.audit import verify
from bot.store.tiny import DataFolderLocked, TinyStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[TinyStore]:
    opened = TinyStore.open(tmp_path / "data")
    yield opened
    await opened.close()


def children(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "at": f"2026-01-{number:02d}T00:00:00Z",
        "state": "received",
        "issue": "ECD-1",
        **more,
    }


async def test_a_commit_is_all_or_nothing(store: TinyStore) -> None:
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


async def test_expects_compare_fields_and_say_what_is_there_instead(store: TinyStore) -> None:
    await store.commit(Put("drafts", {"id": "d", "state": "waiting", "version": 1, "card": {"ts": None}}))
    expect = Expect("drafts", "d", {"version": 1, "card": {"ts": None}})
    await store.commit(Put("drafts", {"id": "d", "state": "approved", "version": 2}), expect=[expect])
    with pytest.raises(Conflict) as conflict:
        await store.commit(Put("drafts", {"id": "d", "state": "skipped", "version": 2}), expect=[expect])
    assert conflict.value.found == {"id": "d", "state": "approved", "version": 2}
    with pytest.raises(Conflict) as conflict:
        await store.commit(expect=[Expect("drafts", "no such draft", {})])
    assert conflict.value.found is None


async def test_of_many_who_expect_the_same_one_wins(store: TinyStore) -> None:
    async def claim(number: int) -> bool:
        try:
            await store.commit(Put("keys", {"id": "claim", "by": number}), expect=[Expect("keys", "claim")])
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(claim(number) for number in range(50)))) == 1


async def test_find_by_index_by_value_and_by_time(store: TinyStore) -> None:
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


async def test_what_is_read_is_a_copy(store: TinyStore) -> None:
    mine = event(1, nested={"a": 1})
    await store.commit(Put("webhook_events", mine))
    mine["nested"]["a"] = 2
    found = await store.get("webhook_events", "evt_1")
    assert found is not None
    found["nested"]["a"] = 3
    assert (await store.get("webhook_events", "evt_1") or {})["nested"] == {"a": 1}


async def test_the_last_change_of_a_record_in_a_commit_wins(store: TinyStore) -> None:
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
async def test_what_is_no_record_is_refused_alone(store: TinyStore, record: dict[str, Any]) -> None:
    good = asyncio.create_task(store.commit(Put("keys", {"id": "good"})))
    with pytest.raises((ValueError, TypeError)):
        await store.commit(Put("keys", record))
    await good
    assert [found["id"] for found in await store.find("keys")] == ["good"]


async def test_the_audit_trail_only_grows(store: TinyStore) -> None:
    await store.commit(audit=[Audit("system", "one"), Audit("slack:U1", "two", details={"a": (1, 2)})])
    with pytest.raises(ValueError, match="only grows"):
        await store.commit(Put("audit", {"id": "1"}))
    with pytest.raises(ValueError, match="only grows"):
        store.db.table("audit").remove(where("seq") == 1)
    records = await store.find("audit")
    assert [(r["seq"], r["action"]) for r in records] == [(1, "one"), (2, "two")]
    assert str(verify(records)) == f"ok 2 records, head {(await store.audit_head())[1]}"


async def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    await asyncio.gather(
        *(store.commit(Put("webhook_events", event(n)), audit=[Audit("system", "x")]) for n in range(1, 30))
    )
    await store.commit(Put("webhook_events", event(3, state="done")), Delete("webhook_events", "evt_4"))
    head, before = await store.audit_head(), await store.find("webhook_events")
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.commit(Put("keys", {"id": "late"}))
    store = TinyStore.open(tmp_path)
    assert (await store.audit_head(), await store.find("webhook_events")) == (head, before)
    assert [r["id"] for r in await store.find("webhook_events", state="done")] == ["evt_3"]
    await store.close()


async def test_compaction_keeps_what_is_alive_while_commits_go_on(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    for _ in range(3):
        await asyncio.gather(
            *(
                store.commit(Put("state", {"id": f"s{n}", "x": "y" * 5000}), audit=[Audit("system", "x")])
                for n in range(500)
            )
        )
    journal = tmp_path / "journal.jsonl"
    before, records = journal.stat().st_size, await store.find("state")
    reader = TinyStore.open(tmp_path, read_only=True)
    writing = [asyncio.create_task(store.commit(Put("keys", {"id": f"k{n}"}))) for n in range(50)]
    await asyncio.to_thread(store.engine.compact)
    await asyncio.gather(*writing)
    assert journal.stat().st_size < before / 2
    assert await store.find("state") == await reader.find("state") == records
    assert len(await store.find("keys")) == 50
    await store.close()
    store = TinyStore.open(tmp_path)
    assert (await store.find("state"), len(await store.find("keys"))) == (records, 50)
    assert verify(await store.find("audit")).broken_at is None
    await store.close()


async def test_a_journal_that_is_mostly_dead_is_compacted_by_itself(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    for round_ in range(6):
        await asyncio.gather(
            *(store.commit(Put("state", {"id": f"s{n}", "x": "y" * 3000, "r": round_})) for n in range(500))
        )
    end = time.monotonic() + 20
    while (tmp_path / "journal.jsonl").stat().st_size > 4_500_000 and time.monotonic() < end:
        await store.commit(Put("keys", {"id": "tick"}))
        await asyncio.sleep(0.02)
    assert (tmp_path / "journal.jsonl").stat().st_size <= 4_500_000
    assert {record["r"] for record in await store.find("state")} == {5}
    await store.close()
    assert not [path for path in children(tmp_path) if path.name.startswith("journal.new")]


async def test_tinydb_is_what_it_is(store: TinyStore) -> None:
    table = store.db.table("webhook_events")
    assert table.insert(event(1)) == "evt_1"
    assert table.insert_multiple([event(2), event(3, state="done")]) == ["evt_2", "evt_3"]
    with pytest.raises(ValueError, match="already exists"):
        table.insert(event(1))
    assert [d["id"] for d in table.search((where("state") == "received") & where("at").exists())] == ["evt_1", "evt_2"]
    assert table.get(doc_id="evt_3")["state"] == "done"  # type: ignore[call-overload]  # our document ids are texts
    table.update({"state": "failed"}, where("id") == "evt_2")
    assert await store.find("webhook_events", state="failed") == [event(2, state="failed")]
    table.upsert(event(4), where("id") == "evt_4")
    table.remove(where("state") == "done")
    assert (len(table), table.count(where("issue") == "ECD-1"), table.contains(doc_id="evt_3")) == (3, 3, False)  # type: ignore[arg-type]  # as above
    await store.commit(Put("webhook_events", event(1, state="done")))
    assert [d["id"] for d in table.search(where("state") == "done")] == ["evt_1"], "no stale query cache"
    assert len(store.db) == 3
    assert store.db.tables() == {"webhook_events"}
    number = store.db.table("state").insert({"a": 1})
    assert await store.find("state") == [{"a": 1, "id": number}]
    with pytest.raises(NotImplementedError):
        store.db.drop_tables()
    with pytest.raises(ValueError, match="no table"):
        store.db.table("elsewhere").all()


HOLD = """
    import sys, time
    from pathlib import Path
    from bot.store.tiny import TinyStore
    store = TinyStore.open(Path(sys.argv[1]))
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_quickly_and_told_the_pid(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        begun = time.monotonic()
        with pytest.raises(DataFolderLocked) as refused:
            TinyStore.open(tmp_path)
        assert time.monotonic() - begun < 2
        assert refused.value.pid == holder.pid
        assert str(holder.pid) in str(refused.value)
        assert isinstance(refused.value, UserError)
        assert list(TinyStore.open(tmp_path, read_only=True).records("keys")) == [], "reading needs no lock"
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    TinyStore.open(tmp_path).close_now()  # the kernel has released a dead process's lock


async def test_only_the_owner_can_read_the_folder(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}
    await store.close()


async def test_reading_a_folder_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path / "none", read_only=True)
    assert (await store.find("drafts"), await store.get("state", "mode"), await store.audit_head()) == (
        [],
        None,
        (0, ""),
    )
    with pytest.raises(StoreUnavailable):
        await store.commit(Put("keys", {"id": "a"}))
    assert not (tmp_path / "none").exists()
