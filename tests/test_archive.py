"""Old records leave the journal for archives: which ones, that each is in one place, and that the trail goes on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.reports.metrics import figures
from bot.store import Put, Table
from bot.store.archive.moving import Retired, retire
from bot.store.archive.plan import Planner, Sizes
from bot.store.audit import verify
from bot.store.salvage import audit_trail
from bot.store.tiny import TinyStore
from tests.old_records import NOW, Clock, cycle, small_tables, story

YEAR = timedelta(days=365)
OLD = NOW - timedelta(days=400)
SEEN: tuple[Table, ...] = ("webhook_events", "agent_cycles", "drafts", "audit", "messages", "development")


def opened(folder: Path) -> TinyStore:
    return TinyStore.open(folder, clock=Clock())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TinyStore]:
    store = opened(tmp_path)
    yield store
    store.close_now()


def everything(store: TinyStore) -> dict[str, list[str]]:
    """The ids of all records of all places, as an export gives them."""
    return {table: [record["id"] for record in store.history_now(table)] for table in SEEN}


def alive(store: TinyStore, table: Table) -> list[str]:
    return [record["id"] for record in store.records(table)]


def today(store: TinyStore) -> TinyStore:
    assert isinstance(store.engine.clock, Clock)
    store.engine.clock.at = NOW
    return store


def retired(store: TinyStore, sizes: Sizes = Sizes()) -> Retired:  # noqa: B008 - it is frozen
    return retire(today(store).engine, store.folder, NOW - YEAR, sizes)


def trail(store: TinyStore) -> str:
    return str(verify(audit_trail(store.folder, pytest.fail)))


def test_closed_stories_leave_whole_and_open_ones_stay(store: TinyStore) -> None:
    for number, state in enumerate(("posted", "silence", "waiting", "received", "failed", "skipped"), start=1):
        story(store, str(number), OLD + timedelta(hours=number), state)
    story(store, "7", NOW - timedelta(days=3), "posted")
    # A story that began long ago and was decided lately is as young as its decision.
    story(store, "8", OLD + timedelta(days=1), "posted")
    late = {**next(store.records("drafts", id="drf_8")), "decision": {"at": (NOW - timedelta(days=1)).isoformat()}}
    store.commit_now(Put("drafts", late))
    before = everything(store)
    done = retired(store)
    assert done.records == {
        "webhook_events": 3,
        "agent_cycles": 3,
        "drafts": 2,
        "audit": 13,
    }  # of the trail, all up to story 7
    assert alive(store, "webhook_events") == ["evt_3", "evt_4", "evt_5", "evt_7", "evt_8"]
    assert alive(store, "drafts") == ["drf_3", "drf_5", "drf_7", "drf_8"]
    after = everything(store)
    assert {table: sorted(ids) for table, ids in after.items() if table != "audit"} == {
        table: sorted(ids) for table, ids in before.items() if table != "audit"
    }
    assert after["audit"][:-1] == before["audit"]
    assert trail(store).startswith(f"ok {len(after['audit'])} records, head {store.audit_head_now()[1]}")
    assert retired(store).records == {}


def test_it_is_the_same_after_opening_again_and_after_compaction(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(6):
        story(store, str(number), OLD + timedelta(hours=number))
    small_tables(store, OLD)
    retired(store)
    before, head = everything(store), store.audit_head_now()
    for compacted in (False, True):
        if compacted:
            store.engine.compact()
        store.close_now()
        store = opened(tmp_path)
        assert (everything(store), store.audit_head_now()) == (before, head)
        assert alive(store, "audit")[0] == str(19)
        story(store, f"new{compacted}", NOW)
        assert trail(store).startswith(f"ok {head[0] + 3} records")
        before, head = everything(store), store.audit_head_now()
    store.close_now()


def test_the_small_tables_do_not_grow_either(store: TinyStore) -> None:
    small_tables(store, OLD)
    small_tables_now = NOW - timedelta(days=100)
    store.commit_now(Put("keys", {"id": "schedule:standup:late", "at": small_tables_now.isoformat(), "state": "done"}))
    done = retired(store)
    assert done.records == {"messages": 1, "development": 2, "state": 1}
    assert done.dropped == 2
    assert alive(store, "messages") == ["msg_waits"]
    assert alive(store, "development") == ["r#2"]
    assert alive(store, "keys") == ["schedule:standup:late"]
    assert sorted(alive(store, "state")) == ["archive:0001", "mode"]
    assert sorted(everything(store)["messages"]) == ["msg_done", "msg_waits"]


def test_nothing_younger_than_the_memory_for_deliveries_leaves(store: TinyStore) -> None:
    story(store, "1", NOW - timedelta(days=3, hours=1))
    today(store)
    assert store.retire_now(timedelta(hours=1)).records == {}


def test_an_archive_is_read_with_ordinary_tools(store: TinyStore) -> None:
    story(store, "1", OLD)
    (name,) = retired(store).archives
    path = store.folder / "archive" / name
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    first, *lines, last = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert (first["pmagent"], first["version"], first["number"]) == ("archive", 1, 1)
    assert [line["record"]["id"] for line in lines if line["table"] == "webhook_events"] == ["evt_1"]
    assert last["records"] == {"webhook_events": 1, "agent_cycles": 1, "drafts": 1, "audit": 3}
    assert (last["audit"]["first"], last["audit"]["last"], last["audit"]["prev"]) == (1, 3, "0" * 64)


def test_a_small_archive_takes_the_next_batch_and_a_full_one_does_not(store: TinyStore) -> None:
    for number in range(4):
        story(store, str(number), OLD + timedelta(hours=number))
        retired(store, Sizes(full=12))
    files = sorted(path.name for path in (store.folder / "archive").iterdir())
    assert [name[:4] for name in files] == ["0001", "0002"]
    assert [sum(one.records.values()) for one in store.engine.archives] == [12, 3]
    assert everything(store)["webhook_events"] == ["evt_0", "evt_1", "evt_2", "evt_3"]
    assert trail(store).startswith("ok")


def test_a_long_backlog_goes_in_batches(store: TinyStore) -> None:
    for number in range(10):
        story(store, str(number), OLD + timedelta(minutes=number))
    before = everything(store)
    done = retired(store, Sizes(stories=9, audit=4))
    assert len(done.archives) > 3
    assert len(list((store.folder / "archive").iterdir())) == 1
    after = everything(store)
    assert after["drafts"] == before["drafts"]
    assert after["audit"][: len(before["audit"])] == before["audit"]
    assert trail(store).startswith("ok")


def test_a_record_that_changes_meanwhile_is_not_taken(store: TinyStore) -> None:
    story(store, "1", OLD)
    today(store)
    made = Planner(store.engine, NOW - YEAR, NOW, Sizes()).plan()
    again = {**next(store.records("webhook_events")), "state": "received"}
    store.commit_now(Put("webhook_events", again))
    assert not store.engine.take_out(made.journal, made.leaving, None, ())
    assert alive(store, "webhook_events") == ["evt_1"]
    assert retired(store).records == {"audit": 3}


async def test_the_figures_count_what_is_archived(store: TinyStore) -> None:
    for number, state in enumerate(("posted", "silence", "skipped", "waiting"), start=1):
        story(store, str(number), OLD + timedelta(hours=number), state)
    small_tables(store, OLD)
    story(store, "9", NOW - timedelta(days=1), "posted")
    today(store)
    before = await figures(store, store.engine.clock, None)
    assert (before["events"], before["silences"], before["posted"], before["claude_calls"]) == (5, 1, 2, 3)
    assert (before["seconds_to_card"], before["seconds_to_decision"], before["days"]) == (60.0, 60.0, 401)
    retired(store)
    assert await figures(store, store.engine.clock, None) == before
    assert await figures(store, store.engine.clock, 2000) == {
        **before,
        "days": 2000,
        "since": "2020-12-10T00:00:00+00:00",
    }
    reader = TinyStore.open(store.folder, read_only=True, clock=store.engine.clock)
    assert await figures(reader, store.engine.clock, None) == before
    store.engine.compact()
    reader = TinyStore.open(store.folder, read_only=True, clock=store.engine.clock)
    assert await figures(reader, store.engine.clock, None) == before


async def test_a_draft_that_is_edited_again_after_its_first_edit_was_archived_counts_once(store: TinyStore) -> None:
    from bot.store import Audit

    story(store, "1", OLD, "waiting")
    store.commit_now(audit=[Audit("slack:U1", "draft.edited", "evt_1", "drf_1")])
    retired(store)
    store.commit_now(audit=[Audit("slack:U1", "draft.edited", "evt_1", "drf_1")])
    assert (await store.totals()).drafts["draft.edited"] == 1
    store.engine.compact()
    reader = TinyStore.open(store.folder, read_only=True, clock=store.engine.clock)
    assert (await reader.totals()).drafts["draft.edited"] == 1
    assert (await reader.totals()).lines["draft.edited"] == 2


def test_a_cycle_without_its_event_goes_too(store: TinyStore) -> None:
    store.commit_now(Put("agent_cycles", cycle("alone", OLD.isoformat(), "silence", None)))
    assert retired(store).records == {"agent_cycles": 1}
