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
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot import __version__
from bot.errors import UserError
from bot.store import TABLES, Audit, Delete, Figures, Job, Put, Record, Table
from bot.store.audit import verify
from bot.store.backup import backup, restore
from bot.store.embedded.data import FolderData
from bot.store.text_hashes import text_sha256
from tests import warm
from tests.homes import KINDS, Home, Kind, new_home

ROOT = Path(__file__).parents[1]
AT = "2026-01-01T09:00:00Z"
LINK = '=HYPERLINK("http://evil.example")'


def bot(where: Path | Home, *arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """`python -m bot …` with nothing set but where the data are."""
    variables = {"PMAGENT_DATA_DIR": str(where)} if isinstance(where, Path) else where.variables
    environment = {"PATH": os.environ["PATH"], **variables}
    return warm.run("bot", *map(str, arguments), folder=ROOT, environment=environment, timeout=timeout)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three events, a draft and their audit trail."""
    return filled("folder", tmp_path).folder


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """The same in each kind of place."""
    return filled(request.param, tmp_path)


def filled(kind: Kind, tmp_path: Path) -> Home:
    found = new_home(kind, tmp_path / "data")
    events = [
        {
            "id": f"evt_{number}", "event_id": f"evt_{number}", "at": f"2026-01-0{number}T09:00:00+00:00",
            "state": "done", "issue": "ECD-1", "reason": LINK, "event": {"text": "Grüße\u2028, \"Ana\"\n"},
        }
        for number in (1, 2, 3)
    ]  # fmt: skip
    found.commit(
        *(Put("webhook_events", event) for event in events),
        Put("drafts", {
            "id": "d1", "event_id": "evt_1", "at": AT, "state": "waiting", "created": AT, "decided": [], "posted": None,
            "revisions": [{"text": "In review.", "by": "claude", "at": AT}],
        }),
        Put("state", {"id": "mode", "mode": "production", "at": AT}),
        audit=[
            *(Audit("jira:712020:ana", "event.accepted", str(event["id"])) for event in events),
            Audit("system", "draft.created", "evt_1", "d1", "ECD-1", {"sha256": text_sha256("In review.")}),
        ],
    )  # fmt: skip
    return found


def everything(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.glob("pm_agent.db*")))


HOLD = """
    import asyncio, sys
    from datetime import UTC
    from pathlib import Path
    from bot.clock import SystemClock
    from bot.store import Audit, Put
    from bot.store.opening import store_of

    async def main():
        folder, url = Path(sys.argv[1]), sys.argv[2]
        store = await store_of(folder, url, clock=SystemClock(), zone=UTC)
        if not url:
            from bot.store.embedded.erasing import serve_requests
            serving = asyncio.create_task(serve_requests(store, folder, pause=0.05))
        print("ready", flush=True)
        number = 0
        while True:
            await store.commit(Put("keys", {"id": f"live{number}"}), audit=[Audit("system", "live")])
            number += 1
            await asyncio.sleep(0.002)

    asyncio.run(main())
"""


@pytest.fixture
def running(home: Home) -> Iterator[subprocess.Popen[str]]:
    """A process that has the store open and commits all the time, as the bot does."""
    program = [sys.executable, "-c", textwrap.dedent(HOLD), str(home.folder), home.url]
    holder = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "ready\n"
    yield holder
    assert holder.poll() is None, "the holder has died"
    holder.kill()
    holder.wait()
    holder.stdout.close()


def test_stats_as_json_and_as_text(home: Home) -> None:
    found = json.loads(bot(home, "stats", "--json").stdout)
    assert (found["mode"], found["events"], found["drafts"], found["days"]) == ("production", 3, {"waiting": 1}, 1)
    text = bot(home, "stats", "--days", "7")
    assert (text.returncode, text.stderr) == (0, "")
    assert text.stdout.startswith("PM Agent, 7 days, mode production\n")
    refused = bot(home, "stats", "--days", "many")
    assert refused.returncode == 2
    assert "is not a number of days" in refused.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_commands_without_any_data_make_nothing(kind: Kind, tmp_path: Path) -> None:
    none = new_home(kind, tmp_path / "none")
    done = bot(none, "stats", "--json")
    assert (done.returncode, json.loads(done.stdout)["mode"]) == (0, "simulation"), done.stderr
    assert bot(none, "export", "audit").stdout == ""
    assert bot(none, "audit", "verify").stdout.startswith("ok 0 records, head ")
    assert "has no data yet" in bot(none, "backup", tmp_path).stderr
    with none.data.snapshot() as snapshot:
        assert not snapshot.there
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["export", "drafts"], ["stats"], ["audit", "verify"]], ids=" ".join)
def test_small_commands_load_little(data: Path, arguments: list[str]) -> None:
    code = f"import sys; from bot.__main__ import main; main({arguments}); print(*sys.modules)"
    environment = {**os.environ, "PMAGENT_DATA_DIR": str(data)}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    assert not {
        "psycopg",
        "procrastinate",
        "anthropic",
        "slack_bolt",
        "slack_sdk",
        "atlassian",
        "fastapi",
        "aiohttp",
        "pydantic",
    } & set(loaded.stdout.split())


def test_export_as_json_lines(home: Home) -> None:
    done = bot(home, "export", "webhook_events", "--since", "2026-01-02")
    records = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert [record["id"] for record in records] == ["evt_2", "evt_3"]
    assert records[0]["event"]["text"] == 'Grüße\u2028, "Ana"\n'
    assert bot(home, "export", "webhook_events", "--since", "2026-01-02T09:00:01+00:00").stdout.count("\n") == 1
    assert bot(home, "audit", "export").stdout == bot(home, "export", "audit").stdout
    assert bot(home, "export", "keys").returncode == 2, "tables of our own are no business of others"
    assert bot(home, "export", "drafts", "--since", "yesterday").returncode == 2


def test_export_as_csv_is_safe_to_open_in_a_spreadsheet(home: Home) -> None:
    rows = list(
        csv.DictReader(io.StringIO(bot(home, "export", "webhook_events", "--format", "csv").stdout, newline=""))
    )
    assert [row["id"] for row in rows] == ["evt_1", "evt_2", "evt_3"]
    assert rows[0]["reason"] == f"'{LINK}"
    assert json.loads(rows[0]["event"])["text"] == 'Grüße\u2028, "Ana"\n'
    head = bot(home, "audit", "export", "--format", "csv").stdout.splitlines()[0]
    assert head.startswith("seq,at,actor,action,event_id,draft_id,issue,details,prev,hash")
    assert bot(home, "export", "agent_cycles", "--format", "csv").stdout.startswith("id,event_id,at,")


def test_a_pipe_that_closes_early_is_no_error(home: Home) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m bot export webhook_events | head -c 1"], capture_output=True, cwd=ROOT,
        env={**os.environ, **home.variables}, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_verify_says_ok_with_the_head(home: Home) -> None:
    done = bot(home, "audit", "verify")
    head = json.loads(bot(home, "audit", "export").stdout.splitlines()[-1])["hash"]
    assert (done.returncode, done.stdout) == (0, f"ok 4 records, head {head}\n")
    assert bot(home, "audit", "verify", "--head", head).returncode == 0
    lost = bot(home, "audit", "verify", "--head", "ab" * 32)
    assert lost.returncode == 1
    assert lost.stdout.startswith("broken at seq 5: ")


@pytest.mark.parametrize("head", ["", " ", "abc", "ab" * 7, "ab" * 33, "not-a-head" * 4])
def test_what_is_no_head_is_not_called_a_broken_trail(home: Home, head: str) -> None:
    done = bot(home, "audit", "verify", "--head", head)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{head!r} is not a head, so nothing was verified")
    whole = json.loads(bot(home, "audit", "export").stdout.splitlines()[-1])["hash"]
    assert bot(home, "audit", "verify", "--head", f" {whole[:16].upper()}\n").returncode == 0


CHANGES = {
    "changed": "UPDATE audit SET doc = replace(doc, '712020:ana', '712020:bob') WHERE seq = 2",
    "removed": "DELETE FROM audit WHERE seq = 2",
    "reordered": "UPDATE audit SET doc = (SELECT doc FROM audit AS other WHERE other.seq = 5 - audit.seq) "
    "WHERE seq IN (2, 3)",
    "cut": "DELETE FROM audit WHERE seq = 4",
    "unreadable": "PRAGMA writable_schema = 1; DROP INDEX audit_draft_id; UPDATE audit SET doc = '{' WHERE seq = 2",
    "emptied": "DELETE FROM audit",
}


def changed(home: Home, fault: str) -> None:
    if home.url and fault == "unreadable":
        pytest.skip("PostgreSQL holds nothing in a column of JSON that is none")
    home.tamper(
        CHANGES[fault].replace("replace(doc, ", "replace(doc::text, ").replace("'712020:bob')", "'712020:bob')::json")
        if home.url
        else CHANGES[fault]
    )


@pytest.mark.parametrize(
    ("home", "fault"),  # PostgreSQL holds nothing in a column of JSON that is none
    [(kind, fault) for kind in KINDS for fault in CHANGES if (kind, fault) != ("database", "unreadable")],
    indirect=["home"],
)
def test_verify_names_what_was_done_to_the_trail(home: Home, fault: str) -> None:
    head = bot(home, "audit", "verify").stdout.split()[-1]
    changed(home, fault)
    done = bot(home, "audit", "verify", "--head", head)
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


def exported(where: Home) -> list[Any]:
    """What `export` prints of two tables, as programs read it."""
    lines = [bot(where, "export", table).stdout.split("\n")[:-1] for table in ("webhook_events", "audit")]
    return [[json.loads(line) for line in table] for table in lines]


@pytest.mark.parametrize("kind", KINDS, ids="into a {}".format)
def test_backup_and_restore(home: Home, kind: Kind, tmp_path: Path) -> None:
    before = exported(home)
    made = bot(home, "backup", tmp_path)
    path = Path(made.stdout.splitlines()[-1])
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o600
    assert [left.name for left in tmp_path.iterdir() if left.is_file()] == [path.name], "one file"
    assert "Writing webhook_events: 3 of 3 records\n" in made.stderr
    assert "Audit trail: ok 4 records" in made.stderr
    refused = bot(home, "restore", path)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    new = new_home(kind, tmp_path / "new")
    for target in (new, home):
        done = bot(target, "restore", path, *(["--force"] if target == home else []))
        assert done.returncode == 0, done.stderr
        assert "Audit trail: ok 4 records" in done.stdout
        assert "Restoring webhook_events: 3 of 3 records\n" in done.stderr
        assert exported(target) == before
    assert bot(new, "stats", "--json").stdout == bot(home, "stats", "--json").stdout


LATER = datetime(2031, 1, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("kind", KINDS, ids="into a {}".format)
def test_a_restored_store_goes_on_where_the_other_was(home: Home, kind: Kind, tmp_path: Path) -> None:
    """Records and their order, head, figures, and what is due; whichever the two homes are."""
    odd = "\0 \ufdd0 \ufdd00 Grüße \U0001f600 " + "x" * 3000
    figures = Figures(2.5, 0.01, "p1")
    record = {"id": f"k {odd}", "at": AT, "text": odd, odd: [1.5, 0.1 + 0.2, 10**20, -0.25, True, None, {"": ""}]}
    home.commit(
        Put("keys", record), Put("messages", {"id": "m", "pending": False}), Delete("webhook_events", "evt_2"),
        Put("development", {"id": "p", "keys": ["ECD-1"]}), Put("deliveries", {"id": "jira:1", "at": AT}),
        Put("corrections", {"id": "d1", "at": AT, "place": "ECD|public", "issue": "ECD-1", "made": "ä"}),
        Put("agent_cycles", {"id": "c", "event_id": "evt_1"}),
        audit=[Audit("slack:U0", "draft.posted", "evt_1", "d1", "ECD-1", {odd: odd, "n": 0.1}, figures)],
        jobs=[Job("answer", "evt_1", "ECD-1"), Job("card", "d1", at=LATER), Job("look", "#1 é")],
    )  # fmt: skip
    before = home.content()
    assert all(before.values()), "a record in each table"
    made, manifest = backup(home.data, f"{tmp_path}/", _quiet)
    new = new_home(kind, tmp_path / "new")
    verdict = restore(made, new.data, _quiet)
    assert (verdict.records, verdict.head, verdict.broken_at) == (5, manifest.audit.head, None)
    after = new.content()
    restored = after["state"].pop()
    assert restored[1]["id"] == "restored"
    assert due(after) == due(before)
    assert {**after, "jobs": None} == {**before, "jobs": None}

    new.commit(
        Put("webhook_events", {"id": "evt_4"}), Put("keys", {"id": "new"}),
        audit=[Audit("slack:U0", "draft.posted", "evt_1", "d1", "ECD-1", {}, figures)],
        jobs=[Job("look", "evt_4")],
    )  # fmt: skip
    went_on = new.content()
    assert went_on["webhook_events"][-1] == (4, {"id": "evt_4", "arrived": 4})
    assert [record["id"] for _, record in went_on["keys"]] == [record["id"], "new"]
    assert due(went_on)[-1] == ("look:evt_4", "look", "evt_4", "", None)
    assert went_on["audit"][-1][1]["prev"] == manifest.audit.head
    ever = next(record for _, record in went_on["rollup"] if record["id"] == "ever|ECD|draft.posted|p1")
    assert (ever["count"], ever["drafts"], ever["usd"]) == (2, 1, 0.02)
    assert verify(record for _, record in went_on["audit"]).broken_at is None


def due(content: Mapping[Table, list[tuple[int, Record]]]) -> list[tuple[object, ...]]:
    """The jobs, in their order, without what is a backend's own."""
    jobs = [record for _, record in content["jobs"]]
    times = [job["at"] and datetime.fromisoformat(job["at"]) for job in jobs]
    return [(job["id"], job["kind"], job["key"], job["lock"], at) for job, at in zip(jobs, times, strict=True)]


def test_a_backup_is_json_lines_of_every_table_with_a_manifest(home: Home, tmp_path: Path) -> None:
    home.commit(Put("deliveries", {"id": "jira:1", "at": AT, "event_id": "evt_1"}), Delete("webhook_events", "evt_2"))
    home.commit(Put("keys", {"id": "standup:1", "at": AT}), Put("webhook_events", {"id": "evt_4", "at": AT}))
    path = tmp_path / "b.tar.gz"
    assert bot(home, "backup", path).returncode == 0
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
    head = home.records("audit")[-1]["hash"]
    assert (manifest["format"], manifest["program"]) == (1, __version__)
    assert manifest["audit"] == {"records": 4, "head": head, "broken": ""}
    assert manifest["tables"]["drafts"] == {"records": 1, "sha256": digest}


def test_a_broken_trail_is_kept_by_backup_and_restore_and_said(home: Home, tmp_path: Path) -> None:
    changed(home, "changed")
    made = bot(home, "backup", tmp_path / "b.tar.gz")
    assert made.returncode == 0
    assert "broken at seq 2" in made.stderr
    new = new_home("database" if home.url else "folder", tmp_path / "new")
    restored = bot(new, "restore", tmp_path / "b.tar.gz")
    assert restored.returncode == 0
    assert "broken at seq 2" in restored.stderr
    assert bot(new, "audit", "export").stdout == bot(home, "audit", "export").stdout


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
        assert ".part" not in done.stderr, "a name of our own making"
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


def test_backups_of_one_second_stand_side_by_side(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    made = [bot(data, "backup", f"{folder}/") for _ in range(5)]  # each takes a fifth of a second
    assert [done.returncode for done in made] == [0] * 5
    assert {done.stdout.splitlines()[-1] for done in made} == {str(path) for path in folder.iterdir()}
    assert len(list(folder.iterdir())) == 5


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


def table_lost(files: dict[str, bytes]) -> None:
    """A whole table is gone, and the manifest does not name it."""
    del files["keys.jsonl"]
    said(files, tables={k: v for k, v in json.loads(files["manifest.json"])["tables"].items() if k != "keys"})


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
    table_lost: "lacks keys",
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
    home: Home, tmp_path: Path, fault: str | Callable[[dict[str, bytes]], None] | None
) -> None:
    good, _ = backup(home.data, str(tmp_path / "good.tar.gz"), _quiet)
    bad = tmp_path / "bad.tar.gz"
    if isinstance(fault, str):
        change, words = OUTSIDE[fault]
        bad.write_bytes(change(good.read_bytes()))
    elif fault:
        rewritten(good, bad, fault)
        words = INSIDE[fault]
    else:
        words = "is not there"
    before = home.content()
    with pytest.raises(UserError, match="Nothing was changed") as refused:
        restore(bad, home.data, _quiet, force=True)
    assert str(bad) in str(refused.value)
    assert words in str(refused.value)
    assert home.content() == before
    left = {"pm_agent.db", "pm_agent.db-wal", "pm_agent.db-shm", "lock"}
    assert home.url or {path.name for path in home.folder.iterdir()} <= left


def test_a_backup_of_an_earlier_version_may_lack_a_table_that_came_later(data: Path, tmp_path: Path) -> None:
    good, _ = backup(FolderData(data), str(tmp_path / "good.tar.gz"), _quiet)

    def of_earlier_version(files: dict[str, bytes]) -> None:
        table_lost(files)
        said(files, program="0.0.9")

    rewritten(good, tmp_path / "old.tar.gz", of_earlier_version)
    new = FolderData(tmp_path / "new")
    assert restore(tmp_path / "old.tar.gz", new, _quiet).broken_at is None


def _quiet(_table: str, _done: int, _total: int) -> None:
    """No progress is shown."""


def test_everything_that_reads_works_while_the_bot_runs(
    home: Home, tmp_path: Path, running: subprocess.Popen[str]
) -> None:
    assert json.loads(bot(home, "stats", "--json").stdout)["events"] == 3
    assert bot(home, "export", "drafts").stdout.count("\n") == 1
    head = bot(home, "audit", "verify").stdout.split()[-1]
    made = bot(home, "backup", tmp_path).stdout.strip()
    assert bot(home, "audit", "verify", "--head", head).returncode == 0
    refused = bot(home, "restore", made, "--force")
    assert refused.returncode == 1
    assert ("pm-agent from this machine (session " if home.url else str(running.pid)) in refused.stderr
    copy = new_home("database" if home.url else "folder", tmp_path / "copy")
    assert bot(copy, "restore", made).returncode == 0
    assert bot(copy, "audit", "verify", "--head", head).returncode == 0


def test_erase_with_and_without_the_bot(home: Home, running: subprocess.Popen[str]) -> None:
    head = bot(home, "audit", "verify").stdout.split()[-1]
    done = bot(home, "erase", "712020:ana")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Erased. Records changed: 3 in audit.\n"
    assert "backups" in done.stderr
    assert "712020:ana" not in str(home.content())
    assert bot(home, "audit", "verify", "--head", head).returncode == 0
    if not home.url:
        assert b"712020:ana" not in everything(home.folder)
        time.sleep(0.2)
        assert list((home.folder / "requests").iterdir()) == [], "the request is gone, and the id in it"


def test_erase_refuses_what_is_no_account_and_finds_nothing_quietly(home: Home, tmp_path: Path) -> None:
    assert bot(home, "erase", "an").returncode == 1
    assert bot(home, "erase", "Ana Ruiz").returncode == 1
    done = bot(home, "erase", "U0NOBODY")
    assert (done.returncode, done.stdout) == (0, "Erased. Records changed: none.\n")
    assert bot(home, "audit", "verify").stdout.startswith("ok 4 records, head ")
    none = bot(new_home("database" if home.url else "folder", tmp_path / "none"), "erase", "U0NOBODY")
    assert (none.returncode, none.stdout.endswith("has no data.\n")) == (0, True)
    assert not (tmp_path / "none").exists()


def test_help_explains_every_command(data: Path) -> None:
    text = bot(data, "--help").stdout
    for command in ("stats", "export", "audit", "backup", "restore", "erase"):
        assert f"\n    {command} " in text
        assert bot(data, command, "--help").returncode == 0
