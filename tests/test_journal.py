"""The journal under faults: cut off, corrupt, empty, full disk, failing disk, kill −9."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from bot.errors import UserError
from bot.store import Audit, Expect, Put, StoreUnavailable
from bot.store.audit import verify
from bot.store.journal import Damaged, seal
from bot.store.tiny import TinyStore


def filled(folder: Path, count: int = 5) -> Path:
    """A closed store with `count` commits; its journal."""
    store = TinyStore.open(folder)
    for number in range(count):
        store.commit_now(Put("keys", {"id": f"k{number}", "text": "ä\u2028"}), audit=[Audit("system", "x")])
    store.close_now()
    return folder / "journal.jsonl"


def ids(folder: Path, *, read_only: bool = False) -> list[str]:
    store = TinyStore.open(folder, read_only=read_only)
    try:
        assert verify(store.records("audit")).broken_at is None
        return [record["id"] for record in store.records("keys")]
    finally:
        store.close_now()


def test_every_line_is_json(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in filled(tmp_path).read_bytes().splitlines()]
    assert (lines[0]["pmagent"], lines[0]["version"]) == ("journal", 1)
    assert lines[1]["put"][0] == ["keys", {"id": "k0", "text": "ä\u2028"}]
    assert [line["n"] for line in lines[1:]] == [1, 2, 3, 4, 5]


def test_a_torn_line_is_cut_off_kept_aside_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = filled(tmp_path / "whole").read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in (*range(last + 1, len(whole), 37), len(whole) - 1):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        assert ids(folder, read_only=True) == ["k0", "k1", "k2", "k3"]
        assert ids(folder) == ["k0", "k1", "k2", "k3"]
        assert (folder / "journal.jsonl").read_bytes() == whole[:last]
        (aside,) = folder.glob("torn-*.jsonl")
        assert aside.read_bytes() == whole[last:cut]
        assert str(aside) in caplog.text
        assert ids(folder) == ["k0", "k1", "k2", "k3"]


def test_an_unsynced_group_may_miss_its_beginning(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    group = [seal(b'{"n":%d,"g":6,"put":[["keys",{"id":"new%d"}]]' % (n, n)) for n in (6, 7)]
    journal.write_bytes(journal.read_bytes() + b"\0" * len(group[0]) + group[1])  # the first page was never written
    assert ids(tmp_path) == ["k0", "k1", "k2", "k3", "k4"]


@pytest.mark.parametrize("fault", ["flip", "remove", "swap", "garbage", "repeat"])
def test_damage_in_the_middle_is_refused_and_nothing_is_changed(tmp_path: Path, fault: str) -> None:
    journal = filled(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    if fault == "flip":
        lines[2] = lines[2].replace(b'"k1"', b'"k7"')
    elif fault == "remove":
        del lines[2]
    elif fault == "swap":
        lines[2], lines[3] = lines[3], lines[2]
    elif fault == "repeat":
        lines[3] = lines[2]
    else:
        lines[2] = b"\xff\xfe garbage\n"
    journal.write_bytes(b"".join(lines))
    for read_only in (True, False):
        with pytest.raises(Damaged, match="restore") as refused:
            TinyStore.open(tmp_path, read_only=read_only)
        assert isinstance(refused.value, UserError)
    assert journal.read_bytes() == b"".join(lines)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 4096, b"{}\n", b'{"pmagent":"jour'])
def test_an_empty_or_foreign_file_is_never_a_silent_empty_start(tmp_path: Path, content: bytes) -> None:
    journal = filled(tmp_path)
    journal.write_bytes(content)
    for read_only in (True, False):
        with pytest.raises(UserError, match="restore"):
            TinyStore.open(tmp_path, read_only=read_only)
    assert journal.read_bytes() == content


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(seal(b'{"pmagent":"journal","version":2') + b"".join(lines[1:]))
    with pytest.raises(UserError, match="another version"):
        TinyStore.open(tmp_path)


FULL_DISK = """
    import asyncio, resource, signal, sys
    from pathlib import Path
    from bot.store import Audit, Conflict, Expect, Put, StoreUnavailable
    from bot.store.tiny import TinyStore

    async def main():
        store = TinyStore.open(Path(sys.argv[1]))
        await store.commit(Put("keys", {"id": "before"}), audit=[Audit("system", "x")])
        size = (Path(sys.argv[1]) / "journal.jsonl").stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))  # a short write, then an error
        for number in range(3):
            results = await asyncio.gather(*(
                store.commit(Put("keys", {"id": f"lost{number}-{i}", "x": "y" * 200}), audit=[Audit("system", "x")])
                for i in range(5)
            ), return_exceptions=True)
            assert all(isinstance(result, StoreUnavailable) for result in results), results
            assert [r["id"] for r in await store.find("keys")] == ["before"]
            assert (Path(sys.argv[1]) / "journal.jsonl").stat().st_size == size
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        never = Expect("keys", "lost0-0")
        await store.commit(Put("keys", {"id": "after"}), audit=[Audit("system", "x")], expect=[never])
        assert (await store.audit_head())[0] == 2
        await store.close()

    asyncio.run(main())
"""


def test_a_full_disk_loses_nothing_shows_nothing_and_recovers(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(FULL_DISK), str(tmp_path)], check=True, timeout=60)
    assert ids(tmp_path) == ["before", "after"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: failing syncs are not injected")
def test_a_failing_sync_is_an_error_and_nothing_of_it_stays(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from bot.store import Put, StoreUnavailable
        from bot.store.tiny import TinyStore
        store = TinyStore.open(Path(sys.argv[1]))
        for number in range(6):
            try:
                store.commit_now(Put("keys", {"id": f"k{number}"}))
                print(f"k{number}")
            except StoreUnavailable:
                pass
        store.close_now()
    """
    command = ["strace", "-f", "-o", "/dev/null", "-e", "inject=fdatasync:error=EIO:when=3..4"]
    done = subprocess.run(
        [*command, sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert len(done.stdout.split()) == 4
    assert ids(tmp_path) == done.stdout.split()


COMMIT_FOREVER = """
    import asyncio, os, sys
    from pathlib import Path
    from bot.store import Audit, Put
    from bot.store.tiny import TinyStore

    async def writer(store, name):
        number = 0
        while True:
            key = f"{name}-{number}"
            await store.commit(
                Put("webhook_events", {"id": key, "at": "2026-01-01T00:00:00Z", "text": "x" * 700}),
                Put("keys", {"id": key}),
                Put("state", {"id": name, "last": number, "pad": "y" * 3000}),
                audit=[Audit("system", "event.accepted", event_id=key)],
            )
            os.write(1, f"{key}\\n".encode())
            number += 1

    async def main():
        store = TinyStore.open(Path(sys.argv[1]))
        await asyncio.gather(*(writer(store, f"{sys.argv[2]}w{n}") for n in range(8)))

    asyncio.run(main())
"""


def survivors(folder: Path, acknowledged: set[str]) -> None:
    """Everything acknowledged is there, whole; what was not acknowledged is there whole or not at all."""
    store = TinyStore.open(folder)
    try:
        events = {record["id"] for record in store.records("webhook_events")}
        keys = {record["id"] for record in store.records("keys")}
        trail = list(store.records("audit"))
        assert acknowledged <= events
        assert events == keys == {record["event_id"] for record in trail}
        assert len(trail) == len(events)
        assert verify(trail).broken_at is None
        last = {record["id"]: record["last"] for record in store.records("state")}
        for name, number in last.items():
            assert {f"{name}-{n}" for n in range(number + 1)} <= events
            assert f"{name}-{number + 1}" not in events
    finally:
        store.close_now()


def run_and_kill(folder: Path, name: str, seconds: float) -> set[str]:
    """What a process acknowledged before it was killed, `seconds` after its first acknowledgement."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COMMIT_FOREVER), str(folder), name], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    child.wait()
    child.stdout.close()
    lines = (first + rest).decode().split("\n")
    return set(lines[:-1])


def test_twenty_kills_lose_nothing_acknowledged_and_leave_nothing_half_done(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    chance = random.Random(20)  # noqa: S311 - moments to kill at, no secret
    for number in range(20):
        acknowledged |= run_and_kill(tmp_path, f"r{number}", chance.uniform(0, 0.06))
        survivors(tmp_path, acknowledged)
    assert len(acknowledged) > 100


@pytest.mark.parametrize("name", ["store.before_write", "store.before_sync", "store.after_sync"])
def test_killed_at_each_place_of_a_write(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setenv("PMAGENT_FAILPOINT", name)
    code = (
        "import sys; from pathlib import Path; from bot.store import Audit, Put; from bot.store.tiny import TinyStore\n"
        "TinyStore.open(Path(sys.argv[1])).commit_now(Put('keys', {'id': 'last'}), audit=[Audit('system', 'x')])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    monkeypatch.delenv("PMAGENT_FAILPOINT")
    assert ids(tmp_path)[:5] == ["k0", "k1", "k2", "k3", "k4"]
    assert ("last" in ids(tmp_path)) == (name != "store.before_write")


@pytest.mark.parametrize("name", ["store.before_compaction", "store.after_compaction"])
def test_killed_around_the_rename_of_a_compaction(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setenv("PMAGENT_FAILPOINT", name)
    code = (
        "import sys; from pathlib import Path; from bot.store.tiny import TinyStore\n"
        "TinyStore.open(Path(sys.argv[1])).engine.compact()"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60).returncode == -signal.SIGKILL
    monkeypatch.delenv("PMAGENT_FAILPOINT")
    assert ids(tmp_path) == ["k0", "k1", "k2", "k3", "k4"]
    assert [path.name for path in tmp_path.glob("journal.new*")] == []


def test_a_reader_sees_a_consistent_moment_while_another_process_writes(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COMMIT_FOREVER), str(tmp_path), "r"], stdout=subprocess.DEVNULL
    )
    try:
        seen: list[int] = []
        end = time.monotonic() + 30  # it may take a while to start
        while len([number for number in seen if number]) < 10 and time.monotonic() < end:
            time.sleep(0.05)
            store = TinyStore.open(tmp_path, read_only=True)
            trail: list[dict[str, Any]] = list(store.records("audit"))
            assert verify(trail).broken_at is None
            assert {r["event_id"] for r in trail} == {r["id"] for r in store.records("keys")}
            seen.append(len(trail))
        assert seen == sorted(seen)
        assert seen[-1] > 0
    finally:
        child.kill()
        child.wait()


async def test_cancelled_callers_do_not_disturb_the_writer(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    tasks = [asyncio.create_task(store.commit(Put("keys", {"id": f"k{n}"}))) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.commit(Put("keys", {"id": "end"}), expect=[Expect("keys", "k1", {})])
    await store.close()
    with pytest.raises(StoreUnavailable):
        store.commit_now(Put("keys", {"id": "x"}))
