"""Old records leave the journal for archives: which ones, that each is in one place, and that the trail goes on."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import pytest

from bot.errors import UserError
from bot.reports.metrics import figures
from bot.store import Audit, Put, Record, Table
from bot.store.archive.closed import story_closed
from bot.store.archive.format import read, write
from bot.store.archive.moving import Retired, retire
from bot.store.archive.plan import Planner, Sizes
from bot.store.audit import verify
from bot.store.erase import erase_now
from bot.store.files import backup, restore
from bot.store.index import moment
from bot.store.salvage import audit_trail
from bot.store.tiny import TinyStore
from tests.old_records import NOW, Clock, cycle, small_tables, story

ROOT = Path(__file__).parents[1]
YEAR = timedelta(days=365)
ANA, BEN = "712020:ana", "712020:ben"
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


def retired(store: TinyStore, sizes: Sizes | None = None) -> Retired:
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


AT, LATER, UNTIL = "2025-01-01T00:00:00+00:00", "2025-03-01T00:00:00+00:00", moment("2025-02-01T00:00:00+00:00")


@pytest.mark.parametrize(
    ("event", "draft", "closed"),
    [
        ({"state": "done", "at": AT}, None, True),
        ({"state": "received", "at": AT}, None, False),
        ({"state": "done", "at": LATER}, None, False),
        (None, {"state": "skipped", "at": AT}, True),
        (None, {"state": "failed", "at": AT}, False),
        (None, {"state": "posted", "at": AT, "open": True}, False),
        (None, {"state": "posted", "at": AT, "posted": {"at": LATER}}, False),
        (None, {"state": "undone", "at": AT, "decided": [{"at": LATER}]}, False),
    ],
)
def test_when_a_story_is_over(event: Record | None, draft: Record | None, closed: bool) -> None:
    assert story_closed(event, [], [draft] if draft else [], UNTIL) is closed


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


def test_a_compaction_meanwhile_makes_a_new_plan(store: TinyStore) -> None:
    story(store, "1", OLD)
    made = Planner(today(store).engine, NOW - YEAR, NOW, Sizes()).plan()
    store.engine.compact()
    assert not store.engine.take_out(made.journal, made.leaving, None, ())
    assert retired(store).records["webhook_events"] == 1


async def test_commits_go_on_while_records_are_archived(store: TinyStore) -> None:
    for number in range(200):
        story(store, str(number), OLD + timedelta(minutes=number))
    moving = asyncio.create_task(asyncio.to_thread(retired, store, Sizes(stories=30, audit=60, full=200)))
    committed = 0
    while not moving.done():
        await store.commit(
            Put("webhook_events", {"id": f"evt_new{committed}", "at": NOW.isoformat(), "state": "received"}),
            audit=[Audit("system", "event.accepted")],
        )
        committed += 1
    assert (await moving).records["webhook_events"] == 200
    assert committed > 0
    assert everything(store)["webhook_events"] == [
        *(f"evt_{number}" for number in range(200)), *(f"evt_new{number}" for number in range(committed)),
    ]  # fmt: skip
    assert trail(store).startswith("ok")


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


def archived(tmp_path: Path, count: int = 3) -> tuple[TinyStore, Path]:
    """A store with an archive of so many stories and a live one, and the archive's file."""
    store = opened(tmp_path / "data")
    for number in range(count):
        story(store, str(number), OLD + timedelta(hours=number), author=ANA if number % 2 == 0 else BEN)
    (name,) = retired(store).archives
    story(store, "new", NOW, author=ANA)
    return store, store.folder / "archive" / name


def damage(path: Path, how: str) -> None:
    """What happens to a file on a disk, or by somebody's hand."""
    data = path.read_bytes()
    text = gzip.decompress(data)
    if how == "removed":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[: len(data) // 4])
    elif how == "a bit turned":
        path.write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    elif how == "an audit record changed":
        path.write_bytes(gzip.compress(text.replace(b'"actor":"jira:712020:ben"', b'"actor":"jira:712020:eve"')))
    elif how == "a draft changed":
        path.write_bytes(gzip.compress(text.replace(b"an answer to 712020:ben", b"an answer to 712020:eve")))
    elif how == "emptied":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "seq", "why"),
    [
        ("removed", "1", "the archive NAME is missing"),
        ("cut", "1", "NAME is damaged at line"),
        ("a bit turned", "", "NAME is damaged"),
        ("an audit record changed", "4", "NAME is damaged at line 14: it is not what was written"),
        ("a draft changed", "1", "NAME is damaged at line 7: it is not what was written"),
        ("emptied", "1", "NAME is damaged: its end is missing"),
    ],
)
def test_verify_names_a_bad_archive_and_where_and_the_store_still_opens(
    tmp_path: Path, how: str, seq: str, why: str
) -> None:
    store, path = archived(tmp_path)
    store.close_now()
    damage(path, how)
    notes: list[str] = []
    verdict = str(verify(audit_trail(store.folder, notes.append)))
    assert verdict.startswith(f"broken at seq {seq}")
    assert why.replace("NAME", path.name) in verdict
    assert any(path.name in note and "audit records 1 to 9" in note for note in notes)
    again = opened(store.folder)
    story(again, "newer", NOW)
    assert alive(again, "webhook_events") == ["evt_new", "evt_newer"]
    with pytest.raises(UserError, match=re.escape(path.name)):
        everything(again)
    # The next run leaves it alone and begins another.
    story(again, "later", OLD)
    assert retired(again).records["webhook_events"] == 1
    assert [one.number for one in again.engine.archives] == [1, 2]
    again.close_now()


def test_a_whole_file_made_anew_by_hand_is_found_too(tmp_path: Path) -> None:
    store, path = archived(tmp_path)
    lines = [(t, r | ({"state": "skipped"} if t == "drafts" else {})) for t, r in read(path)]
    made = write(tmp_path / "forged", 1, NOW, NOW, lines)
    (tmp_path / "forged" / made.name).replace(path)
    assert "is not the file that was closed" in str(verify(audit_trail(store.folder, lambda note: None)))
    store.close_now()


def test_an_erasure_goes_through_the_archives(tmp_path: Path) -> None:
    store, path = archived(tmp_path)
    before = len(everything(store)["webhook_events"])
    erased = erase_now(store, ANA)
    assert erased.records["webhook_events"] == 3
    assert erased.drafts == ["drf_new"]
    files = [file for file in store.folder.rglob("*") if file.is_file()]
    assert path not in files
    for file in files:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert b"Ana Ruiz" not in data
        assert b"712020:ana" not in data
    assert len(everything(store)["webhook_events"]) == before
    assert trail(store).startswith("ok")
    assert [record["event"]["comment"]["text"] for record in store.history_now("webhook_events")][
        1
    ] == f"a question by {BEN}"
    assert erase_now(store, ANA).records == {}
    store.close_now()


def test_a_backup_has_the_archives_and_a_restore_puts_them_back(tmp_path: Path) -> None:
    store, path = archived(tmp_path)
    before = everything(store)
    warned: list[str] = []
    saved = backup(store.folder, tmp_path / "saved.tar.gz", warned.append)
    assert warned == []
    story(store, "more", OLD)
    retired(store)
    store.close_now()
    restore(saved, store.folder, force=True)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    restore(saved, tmp_path / "elsewhere")
    for folder in (store.folder, tmp_path / "elsewhere"):
        found = opened(folder)
        assert everything(found) == before
        assert trail(found).startswith("ok")
        found.close_now()


def test_a_backup_of_the_first_format_still_restores(tmp_path: Path) -> None:
    store = opened(tmp_path / "data")
    story(store, "1", NOW)
    before = everything(store)
    store.close_now()
    journal = (store.folder / "journal.jsonl").read_bytes()
    manifest = {
        "pmagent": "backup", "format": 1, "created": NOW.isoformat(), "bytes": len(journal), "audit_records": 3,
        "sha256": hashlib.sha256(journal).hexdigest(), "audit_head": "",
    }  # fmt: skip
    with tarfile.open(tmp_path / "old.tar.gz", "w:gz") as file:
        for name, data in (("manifest.json", json.dumps(manifest).encode()), ("journal.jsonl", journal)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    restore(tmp_path / "old.tar.gz", tmp_path / "elsewhere")
    found = opened(tmp_path / "elsewhere")
    assert everything(found) == before
    found.close_now()


@pytest.mark.parametrize("how", ["removed", "a draft changed"])
def test_a_backup_of_a_damaged_archive_is_made_and_says_so(tmp_path: Path, how: str) -> None:
    store, path = archived(tmp_path)
    store.close_now()
    damage(path, how)
    warned: list[str] = []
    saved = backup(store.folder, tmp_path / "saved.tar.gz", warned.append)
    assert len(warned) == 1
    assert path.name in warned[0]
    restore(saved, tmp_path / "elsewhere")
    found = opened(tmp_path / "elsewhere")
    assert alive(found, "webhook_events") == ["evt_new"]
    found.close_now()


@pytest.mark.parametrize("how", ["removed", "a draft changed"])
def test_a_restore_keeps_an_archive_that_is_whole_where_the_backup_has_none(tmp_path: Path, how: str) -> None:
    """The file was found again since, in an older backup: the restored journal lists it."""
    store, path = archived(tmp_path)
    before = everything(store)
    store.close_now()
    whole = path.read_bytes()
    damage(path, how)
    saved = backup(store.folder, tmp_path / "saved.tar.gz")
    path.write_bytes(whole)
    restore(saved, store.folder, force=True)
    assert path.read_bytes() == whole
    found = opened(store.folder)
    assert everything(found) == before
    found.close_now()


def test_archives_without_their_journal_are_no_empty_store(tmp_path: Path) -> None:
    store, path = archived(tmp_path)
    saved = backup(store.folder, tmp_path / "saved.tar.gz")
    store.close_now()
    (store.folder / "journal.jsonl").unlink()
    for look in (
        lambda: opened(store.folder),
        lambda: TinyStore.open(store.folder, read_only=True),
        lambda: trail(store),
        lambda: backup(store.folder, tmp_path / "another.tar.gz"),
    ):
        with pytest.raises(UserError, match=r"journal\.jsonl is missing.*restore"):
            look()
    assert not (store.folder / "journal.jsonl").exists()
    environment = {**os.environ, "PMAGENT_DATA_DIR": str(store.folder)}
    command = [sys.executable, "-m", "bot", "erase", ANA]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)
    assert (done.returncode, "journal.jsonl is missing" in done.stderr) == (1, True), done
    restore(saved, store.folder, force=True)
    assert trail(store).startswith("ok")
    assert path.exists()


def test_a_backup_whose_archive_was_changed_is_refused(tmp_path: Path) -> None:
    store, path = archived(tmp_path)
    store.close_now()
    saved = backup(store.folder, tmp_path / "saved.tar.gz")
    with tarfile.open(saved) as old, tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name.endswith(path.name):
                data = data[:-1] + b"x"
            new.addfile(member, io.BytesIO(data))
    with pytest.raises(UserError, match="is not the one that was backed up"):
        restore(tmp_path / "bad.tar.gz", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / "journal.jsonl").exists()


def test_a_reader_goes_on_when_another_file_takes_an_archives_place(tmp_path: Path) -> None:
    store, _ = archived(tmp_path)
    reader = TinyStore.open(store.folder, read_only=True)
    running = reader.history_now("webhook_events")
    assert next(running)["id"] == "evt_0"
    story(store, "more", OLD)
    retired(store)
    assert [record["id"] for record in running] == ["evt_1", "evt_2", "evt_new"]
    # One that had looked at the list, and not yet opened the files, looks again.
    assert [r["id"] for r in reader.history_now("webhook_events")] == ["evt_0", "evt_1", "evt_2", "evt_more", "evt_new"]
    store.close_now()


KILLED = """
    import sys
    from datetime import timedelta
    from pathlib import Path
    from bot.store.archive.moving import retire
    from bot.store.archive.plan import Sizes
    from bot.store.tiny import TinyStore
    from tests.old_records import NOW, Clock

    store = TinyStore.open(Path(sys.argv[1]), clock=Clock())
    retire(store.engine, store.folder, NOW - timedelta(days=365), Sizes(stories=6, audit=6))
"""
PLACES = ("before_sync", "before_rename", "after_rename", "after_list", "after_tidy")


@pytest.mark.parametrize("place", [f"archive.{name}" for name in PLACES] + ["store.before_sync", "store.after_sync"])
def test_killed_at_any_place_nothing_is_lost_or_doubled(tmp_path: Path, place: str) -> None:
    store = opened(tmp_path)
    for number in range(5):
        story(store, str(number), OLD + timedelta(hours=number))
    before = everything(store)
    store.close_now()
    for _ in range(3):  # again and again: the second batch writes an archive in the first one's place
        environment = {**os.environ, "PMAGENT_FAILPOINT": place}
        killed = subprocess.run([sys.executable, "-c", dedent(KILLED), str(tmp_path)], cwd=ROOT, env=environment)
        assert killed.returncode == -signal.SIGKILL
        store = opened(tmp_path)
        after = everything(store)
        assert [i for i in after["audit"] if int(i) <= len(before["audit"])] == before["audit"]
        assert {**after, "audit": 0} == {**before, "audit": 0}
        assert trail(store).startswith("ok")
        store.close_now()
    store = opened(tmp_path)
    retired(store)
    assert {**everything(store), "audit": 0} == {**before, "audit": 0}
    listed = {one.name for one in store.engine.archives}
    assert {path.name for path in (tmp_path / "archive").iterdir()} == listed
    assert alive(store, "webhook_events") == []
    assert trail(store).startswith("ok")
    store.close_now()


RESTORE = """
    import sys
    from pathlib import Path
    from bot.store.files import restore

    restore(Path(sys.argv[1]), Path(sys.argv[2]), force=True)
"""


@pytest.mark.parametrize("place", ["restore.after_archive", "restore.after_journal"])
def test_a_restore_that_is_killed_leaves_the_old_data_or_the_new(tmp_path: Path, place: str) -> None:
    store, path = archived(tmp_path)
    saved, then = backup(store.folder, tmp_path / "saved.tar.gz"), everything(store)
    story(store, "more", OLD)
    retired(store)
    now = everything(store)
    store.close_now()
    environment = {**os.environ, "PMAGENT_FAILPOINT": place}
    arguments = [str(saved), str(store.folder)]
    killed = subprocess.run([sys.executable, "-c", dedent(RESTORE), *arguments], cwd=ROOT, env=environment)
    assert killed.returncode == -signal.SIGKILL
    found = opened(store.folder)
    assert everything(found) == (now if place == "restore.after_archive" else then)
    assert trail(found).startswith("ok")
    found.close_now()
    restore(saved, store.folder, force=True)
    found = opened(store.folder)
    assert everything(found) == then
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    found.close_now()
