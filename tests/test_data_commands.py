"""The commands over the data folder, each as a process: exit codes, what is printed, with the bot there or not."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import __version__
from bot.errors import UserError
from bot.store import TABLES, Audit, Delete, Put
from bot.store.backup import backup, restore
from bot.store.embedded.data import FolderData
from bot.store.embedded.store import TinyStore
from tests.store.support import commit

ROOT = Path(__file__).parents[1]
AT = "2026-01-01T09:00:00Z"
LINK = '=HYPERLINK("http://evil.example")'


def bot(data: Path, *arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """`python -m bot …` with nothing set but the data folder."""
    environment = {"PATH": os.environ["PATH"], "PMAGENT_DATA_DIR": str(data)}
    return subprocess.run(
        [sys.executable, "-m", "bot", *map(str, arguments)],
        capture_output=True, text=True, encoding="utf-8", timeout=timeout, cwd=ROOT, env=environment,
    )  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three events, a draft and their audit trail."""
    folder = tmp_path / "data"
    store = TinyStore.open(folder)
    for number in (1, 2, 3):
        event = {
            "id": f"evt_{number}", "event_id": f"evt_{number}", "at": f"2026-01-0{number}T09:00:00+00:00",
            "state": "done", "issue": "ECD-1", "reason": LINK, "event": {"text": "Grüße\u2028, \"Ana\"\n"},
        }  # fmt: skip
        commit(store, Put("webhook_events", event), audit=[Audit("jira:712020:ana", "event.accepted", f"evt_{number}")])
    commit(
        store,
        Put("drafts", {"id": "d1", "event_id": "evt_1", "at": AT, "state": "waiting", "created": AT}),
        Put("state", {"id": "mode", "mode": "production", "at": AT}),
        audit=[Audit("system", "draft.created", "evt_1", "d1", "ECD-1", {"sha256": "00ff"})],
    )  # fmt: skip
    store.close_now()
    return folder


def everything(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.glob("pm_agent.db*")))


HOLD = """
    import asyncio, sys
    from pathlib import Path
    from bot.store import Audit, Put
    from bot.store.embedded.erasing import serve_requests
    from bot.store.embedded.store import TinyStore

    async def main():
        store = TinyStore.open(Path(sys.argv[1]))
        serving = asyncio.create_task(serve_requests(store, Path(sys.argv[1]), pause=0.05))
        print("ready", flush=True)
        number = 0
        while True:
            await store.commit(Put("keys", {"id": f"live{number}"}), audit=[Audit("system", "live")])
            number += 1
            await asyncio.sleep(0.002)

    asyncio.run(main())
"""


@pytest.fixture
def running(data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the folder and commits all the time, as the bot does."""
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLD), str(data)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    yield holder
    assert holder.poll() is None, "the holder has died"
    holder.kill()
    holder.wait()
    holder.stdout.close()


def test_stats_as_json_and_as_text(data: Path) -> None:
    found = json.loads(bot(data, "stats", "--json").stdout)
    assert (found["mode"], found["events"], found["drafts"], found["days"]) == ("production", 3, {"waiting": 1}, 1)
    text = bot(data, "stats", "--days", "7")
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.startswith("PM Agent, 7 days, mode production\n")
    refused = bot(data, "stats", "--days", "many")
    assert refused.returncode == 2
    assert "is not a number of days" in refused.stderr


def test_stats_without_any_data_makes_nothing(tmp_path: Path) -> None:
    done = bot(tmp_path / "none", "stats", "--json")
    assert (done.returncode, json.loads(done.stdout)["mode"]) == (0, "simulation")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("arguments", [["export", "drafts"], ["stats"], ["audit", "verify"]], ids=" ".join)
def test_small_commands_load_little(data: Path, arguments: list[str]) -> None:
    code = f"import sys; from bot.__main__ import main; main({arguments}); print(*sys.modules)"
    environment = {**os.environ, "PMAGENT_DATA_DIR": str(data)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert not {"anthropic", "slack_bolt", "slack_sdk", "atlassian", "fastapi", "aiohttp", "pydantic"} & set(
        loaded.stdout.split()
    )


def test_export_as_json_lines(data: Path) -> None:
    done = bot(data, "export", "webhook_events", "--since", "2026-01-02")
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert [record["id"] for record in records] == ["evt_2", "evt_3"]
    assert records[0]["event"]["text"] == 'Grüße\u2028, "Ana"\n'
    assert bot(data, "export", "webhook_events", "--since", "2026-01-02T09:00:01+00:00").stdout.count("\n") == 1
    assert bot(data, "audit", "export").stdout == bot(data, "export", "audit").stdout
    assert bot(data, "export", "keys").returncode == 2, "tables of our own are no business of others"
    assert bot(data, "export", "drafts", "--since", "yesterday").returncode == 2


def test_export_as_csv_is_safe_to_open_in_a_spreadsheet(data: Path) -> None:
    rows = list(
        csv.DictReader(io.StringIO(bot(data, "export", "webhook_events", "--format", "csv").stdout, newline=""))
    )
    assert [row["id"] for row in rows] == ["evt_1", "evt_2", "evt_3"]
    assert rows[0]["reason"] == f"'{LINK}"
    assert json.loads(rows[0]["event"])["text"] == 'Grüße\u2028, "Ana"\n'
    head = bot(data, "audit", "export", "--format", "csv").stdout.splitlines()[0]
    assert head.startswith("seq,at,actor,action,event_id,draft_id,issue,details,prev,hash")
    assert bot(data, "export", "agent_cycles", "--format", "csv").stdout.startswith("id,event_id,at,")


def test_a_pipe_that_closes_early_is_no_error(data: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m bot export webhook_events | head -c 1"], capture_output=True, cwd=ROOT,
        env={**os.environ, "PMAGENT_DATA_DIR": str(data)}, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_verify_says_ok_with_the_head(data: Path) -> None:
    done = bot(data, "audit", "verify")
    head = json.loads(bot(data, "audit", "export").stdout.splitlines()[-1])["hash"]
    assert (done.returncode, done.stdout) == (0, f"ok 4 records, head {head}\n")
    assert bot(data, "audit", "verify", "--head", head).returncode == 0
    lost = bot(data, "audit", "verify", "--head", "ab" * 32)
    assert lost.returncode == 1
    assert lost.stdout.startswith("broken at seq 5: ")


CHANGES = {
    "changed": "UPDATE audit SET doc = replace(doc, '712020:ana', '712020:bob') WHERE seq = 2",
    "removed": "DELETE FROM audit WHERE seq = 2",
    "reordered": "UPDATE audit SET doc = (SELECT doc FROM audit AS other WHERE other.seq = 5 - audit.seq) "
    "WHERE seq IN (2, 3)",
    "cut": "DELETE FROM audit WHERE seq = 4",
    "unreadable": "PRAGMA writable_schema = 1; DROP INDEX audit_draft_id; UPDATE audit SET doc = '{' WHERE seq = 2",
    "emptied": "DELETE FROM audit",
}


@pytest.mark.parametrize("fault", CHANGES)
def test_verify_names_what_was_done_to_the_trail(data: Path, fault: str) -> None:
    head = bot(data, "audit", "verify").stdout.split()[-1]
    connection = sqlite3.connect(data / "pm_agent.db")
    connection.executescript(CHANGES[fault])
    connection.close()
    done = bot(data, "audit", "verify", "--head", head)
    number = {"cut": 4, "emptied": 1}.get(fault, 2)
    assert done.returncode == 1
    assert done.stdout.startswith(f"broken at seq {number}: "), done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_damaged_file_is_refused_with_a_sentence(data: Path) -> None:
    (data / "pm_agent.db").write_bytes(b"")
    for command in (("stats",), ("export", "drafts"), ("backup", data.parent), ("erase", "U0ANA")):
        done = bot(data, *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert "restore" in done.stderr
        assert "Traceback" not in done.stderr
    verified = bot(data, "audit", "verify")
    assert (verified.returncode, verified.stderr) == (1, "")
    assert verified.stdout.startswith("broken at seq 1: ")
    assert (data / "pm_agent.db").read_bytes() == b""


def test_a_page_that_cannot_be_read_is_said_in_a_sentence(data: Path) -> None:
    database = data / "pm_agent.db"
    content = bytearray(database.read_bytes())
    page = content.index(b'"id":"evt_2"') // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    database.write_bytes(content)
    done = bot(data, "export", "webhook_events")
    assert done.returncode == 1
    assert "restore" in done.stderr
    assert "Traceback" not in done.stderr


def unpacked(path: Path) -> dict[str, bytes]:
    """The files in a backup, as anybody can read them."""
    with tarfile.open(path, "r:gz") as archive:
        return {m.name: file.read() for m in archive.getmembers() if (file := archive.extractfile(m))}


def archived(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The records of a backup's tables, each with its place in the order of arrival."""
    files = {name.removesuffix(".jsonl"): text for name, text in unpacked(path).items() if name.endswith(".jsonl")}
    return {table: [json.loads(line) for line in text.splitlines()] for table, text in files.items()}


def test_backup_and_restore(data: Path, tmp_path: Path) -> None:
    before = bot(data, "export", "webhook_events").stdout + bot(data, "audit", "export").stdout
    made = bot(data, "backup", tmp_path)
    path = Path(made.stdout.splitlines()[-1])
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o600
    assert [left.name for left in tmp_path.iterdir() if left.is_file()] == [path.name], "one file"
    assert "Writing webhook_events: 3 of 3 records\n" in made.stderr
    assert "Audit trail: ok 4 records" in made.stderr
    refused = bot(data, "restore", path)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    for target in (tmp_path / "new", data):
        (tmp_path / "new").mkdir(exist_ok=True)
        done = bot(target, "restore", path, *(["--force"] if target == data else []))
        assert done.returncode == 0, done.stderr
        assert "Audit trail: ok 4 records" in done.stdout
        assert "Restoring webhook_events: 3 of 3 records\n" in done.stderr
        assert bot(target, "export", "webhook_events").stdout + bot(target, "audit", "export").stdout == before
    assert bot(tmp_path / "new", "stats", "--json").stdout == bot(data, "stats", "--json").stdout


def test_a_backup_is_json_lines_of_every_table_with_a_manifest(data: Path, tmp_path: Path) -> None:
    store = TinyStore.open(data)
    commit(store, Put("deliveries", {"id": "jira:1", "at": AT, "event_id": "evt_1"}), Delete("webhook_events", "evt_2"))
    commit(store, Put("keys", {"id": "standup:1", "at": AT}), Put("webhook_events", {"id": "evt_4", "at": AT}))
    store.close_now()
    path = tmp_path / "b.tar.gz"
    assert bot(data, "backup", path).returncode == 0
    tables = archived(path)
    assert tables.keys() == set(TABLES)
    assert [(line["seq"], line["record"]["id"]) for line in tables["webhook_events"]] == [
        (1, "evt_1"), (3, "evt_3"), (4, "evt_4"),
    ]  # fmt: skip
    assert [line["record"]["id"] for line in tables["deliveries"] + tables["keys"]] == ["jira:1", "standup:1"]
    files = unpacked(path)
    assert next(iter(files)) == "manifest.json"
    manifest = json.loads(files["manifest.json"])
    digest = hashlib.sha256(files["drafts.jsonl"]).hexdigest()
    head = bot(data, "audit", "verify").stdout.split()[-1]
    assert (manifest["format"], manifest["program"]) == (1, __version__)
    assert manifest["audit"] == {"records": 4, "head": head, "broken": ""}
    assert manifest["tables"]["drafts"] == {"records": 1, "sha256": digest}

    new = tmp_path / "new"
    assert bot(new, "restore", path).returncode == 0
    again = tmp_path / "again.tar.gz"
    assert bot(new, "backup", again).returncode == 0
    restored = archived(again)
    [mark] = [line["record"] for line in restored.pop("state") if line["record"]["id"] == "restored"]
    assert mark["created"] == manifest["created"]
    tables.pop("state")
    assert restored == tables, "every record, at its place in the order of arrival"


def test_a_broken_trail_is_kept_by_backup_and_restore_and_said(data: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(data / "pm_agent.db")
    connection.executescript(CHANGES["changed"])
    connection.close()
    made = bot(data, "backup", tmp_path / "b.tar.gz")
    assert made.returncode == 0
    assert "broken at seq 2" in made.stderr
    restored = bot(tmp_path / "new", "restore", tmp_path / "b.tar.gz")
    assert restored.returncode == 0
    assert "broken at seq 2" in restored.stderr
    assert bot(tmp_path / "new", "audit", "export").stdout == bot(data, "audit", "export").stdout


def test_a_record_that_cannot_be_read_makes_no_backup(data: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(data / "pm_agent.db")
    connection.executescript(CHANGES["unreadable"])
    connection.close()
    done = bot(data, "backup", tmp_path / "b.tar.gz")
    assert (done.returncode, done.stdout) == (1, "")
    assert "record 2 of audit cannot be read" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"], "nothing is left"


def test_backup_is_careful_about_its_destination(data: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("mine")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    for destination in (precious, dangling, tmp_path / "no" / "such" / "folder.tar.gz"):
        done = bot(data, "backup", destination)
        assert (done.returncode, done.stdout) == (1, "")
        assert str(destination) in done.stderr
        assert "Traceback" not in done.stderr
    assert bot(data, "backup", f"{precious}/").returncode == 1
    assert precious.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert bot(tmp_path / "none", "backup", tmp_path).returncode == 1
    made = bot(data, "backup", f"{tmp_path}/new/folder/")
    path = Path(made.stdout.splitlines()[-1])
    assert path.parent == tmp_path / "new" / "folder"
    assert re.fullmatch(r"pm-agent-\d{8}-\d{6}\.tar.gz", path.name)
    before = path.read_bytes()
    assert bot(data, "backup", path).returncode == 1
    assert path.read_bytes() == before
    assert [left.name for left in path.parent.iterdir()] == [path.name]


def rewritten(good: Path, bad: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """A backup with other files in it, in an archive that is whole."""
    files = unpacked(good)
    change(files)
    with tarfile.open(bad, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def said(files: dict[str, bytes], **changes: object) -> None:
    files["manifest.json"] = json.dumps({**json.loads(files["manifest.json"]), **changes}).encode()


def line_changed(files: dict[str, bytes]) -> None:
    files["drafts.jsonl"] = files["drafts.jsonl"].replace(b"waiting", b"skipped")


def line_cut(files: dict[str, bytes]) -> None:
    files["drafts.jsonl"] = files["drafts.jsonl"][:-9]


def line_lost(files: dict[str, bytes]) -> None:
    files["webhook_events.jsonl"] = b"".join(files["webhook_events.jsonl"].splitlines(keepends=True)[:-1])


def file_lost(files: dict[str, bytes]) -> None:
    del files["keys.jsonl"]


def manifest_lost(files: dict[str, bytes]) -> None:
    del files["manifest.json"]


def manifest_cut(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"][:-9]


def file_added(files: dict[str, bytes]) -> None:
    files["moods.jsonl"] = b""


def newer_format(files: dict[str, bytes]) -> None:
    said(files, format=2, program="9.0.0")


def newer_table(files: dict[str, bytes]) -> None:
    tables = json.loads(files["manifest.json"])["tables"]
    said(files, program="9.0.0", tables={**tables, "moods": {"records": 0, "sha256": ""}})


def other_program(files: dict[str, bytes]) -> None:
    said(files, kind="somebody else's backup")


def trail_rewritten(files: dict[str, bytes]) -> None:
    """Somebody changed an audit record, and the manifest with it."""
    changed = files["audit.jsonl"].replace(b"712020:ana", b"712020:bob", 1)
    files["audit.jsonl"] = changed
    tables = json.loads(files["manifest.json"])["tables"]
    said(files, tables={**tables, "audit": {"records": 4, "sha256": hashlib.sha256(changed).hexdigest()}})


INSIDE = {
    line_changed: "drafts.jsonl is not what was written",
    line_cut: "line 1 of drafts.jsonl",
    line_lost: "webhook_events.jsonl is not what was written",
    file_lost: "keys.jsonl",
    file_added: "more than its manifest names",
    manifest_lost: "not a whole backup",
    manifest_cut: "manifest.json",
    newer_format: "9.0.0",
    newer_table: "moods",
    other_program: "not a backup",
    trail_rewritten: "broken at seq 1",
}
OUTSIDE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "garbage": (lambda _: b"garbage" * 100, "not a backup"),
    "empty": (lambda _: b"", "not a backup"),
    "cut in the middle": (lambda good: good[: len(good) // 2], "cut off"),
    "cut at the end": (lambda good: good[:-1], "cut off"),
    "checksum changed": (lambda good: good[:-8] + bytes([good[-8] ^ 255]) + good[-7:], "damaged"),
    "a byte changed": (lambda good: good[:900] + bytes([good[900] ^ 255]) + good[901:], "damaged"),
    "a zip file": (lambda _: b"PK\x03\x04" + bytes(200), "not a backup"),
    "a database": (lambda _: b"SQLite format 3\0" + bytes(4080), "not a backup"),
}


@pytest.mark.parametrize("fault", [*OUTSIDE, *INSIDE, None], ids=lambda f: getattr(f, "__name__", str(f)))
def test_restore_refuses_a_bad_backup_and_changes_nothing(
    data: Path, tmp_path: Path, fault: str | Callable[[dict[str, bytes]], None] | None
) -> None:
    good, _ = backup(FolderData(data), str(tmp_path / "good.tar.gz"), _quiet)
    bad = tmp_path / "bad.tar.gz"
    if isinstance(fault, str):
        change, words = OUTSIDE[fault]
        bad.write_bytes(change(good.read_bytes()))
    elif fault:
        rewritten(good, bad, fault)
        words = INSIDE[fault]
    else:
        words = "is not there"
    before = everything(data)
    with pytest.raises(UserError, match="Nothing was changed") as refused:
        restore(bad, FolderData(data), _quiet, force=True)
    assert str(bad) in str(refused.value)
    assert words in str(refused.value)
    assert everything(data) == before
    assert {path.name for path in data.iterdir()} <= {"pm_agent.db", "pm_agent.db-wal", "pm_agent.db-shm", "lock"}


def _quiet(_table: str, _done: int, _total: int) -> None:
    """No progress is shown."""


def test_everything_that_reads_works_while_the_bot_runs(
    data: Path, tmp_path: Path, running: subprocess.Popen[str]
) -> None:
    assert json.loads(bot(data, "stats", "--json").stdout)["events"] == 3
    assert bot(data, "export", "drafts").stdout.count("\n") == 1
    head = bot(data, "audit", "verify").stdout.split()[-1]
    made = bot(data, "backup", tmp_path).stdout.strip()
    assert bot(data, "audit", "verify", "--head", head).returncode == 0
    refused = bot(data, "restore", made, "--force")
    assert refused.returncode == 1
    assert str(running.pid) in refused.stderr
    copy = tmp_path / "copy"
    assert bot(copy, "restore", made).returncode == 0
    assert bot(copy, "audit", "verify", "--head", head).returncode == 0


def test_erase_with_and_without_the_bot(data: Path, running: subprocess.Popen[str]) -> None:
    head = bot(data, "audit", "verify").stdout.split()[-1]
    done = bot(data, "erase", "712020:ana")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Erased. Records changed: 3 in audit.\n"
    assert "backups" in done.stderr
    assert b"712020:ana" not in everything(data)
    assert bot(data, "audit", "verify", "--head", head).returncode == 0
    time.sleep(0.2)
    assert list((data / "requests").iterdir()) == [], "the request is gone, and the id in it"


def test_erase_refuses_what_is_no_account_and_finds_nothing_quietly(data: Path, tmp_path: Path) -> None:
    assert bot(data, "erase", "an").returncode == 1
    assert bot(data, "erase", "Ana Ruiz").returncode == 1
    done = bot(data, "erase", "U0NOBODY")
    assert (done.returncode, done.stdout) == (0, "Erased. Records changed: none.\n")
    assert bot(data, "audit", "verify").stdout.startswith("ok 4 records, head ")
    assert bot(tmp_path / "none", "erase", "U0NOBODY").returncode == 0
    assert not (tmp_path / "none").exists()


def test_help_explains_every_command(data: Path) -> None:
    text = bot(data, "--help").stdout
    for command in ("stats", "export", "audit", "backup", "restore", "erase"):
        assert f"\n    {command} " in text
        assert bot(data, command, "--help").returncode == 0
