"""The database file under faults: cut off, corrupt, empty, foreign, full disk, failing disk, kill −9; and its lock."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path

import pytest

from bot.errors import UserError
from bot.store import Audit, Put, StoreUnavailable
from bot.store.audit import verify
from bot.store.embedded.data import FolderData
from bot.store.embedded.lock import DataFolderLocked
from bot.store.embedded.sqlite import Damaged, noted
from bot.store.embedded.store import CHECK_EVERY, TinyStore, opened
from tests.store.support import Clock, commit, records


def filled(folder: Path, count: int = 5) -> Path:
    """A closed store with `count` commits; its file."""
    store = TinyStore.open(folder)
    for number in range(count):
        commit(store, Put("keys", {"id": f"k{number}", "text": "ä\u2028"}), audit=[Audit("system", "x")])
    store.close_now()
    return folder / "pm_agent.db"


def ids(folder: Path) -> list[str]:
    """The keys in the store, opened to write."""
    TinyStore.open(folder).close_now()
    assert verify(records(folder, "audit")).broken_at is None
    return [record["id"] for record in records(folder, "keys")]


def looked_into(folder: Path) -> None:
    with FolderData(folder).snapshot():
        pass


def refused(folder: Path) -> str:
    """What is said to whoever opens this, to read or to write."""
    said = []
    for way in (TinyStore.open, looked_into):
        with pytest.raises(UserError, match=r"restore") as error:
            way(folder)
        said.append(str(error.value))
    assert said[0] == said[1]
    return said[0]


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 4096, b"SQLite format 3\0"])
def test_an_empty_or_foreign_file_is_never_a_silent_empty_start(tmp_path: Path, content: bytes) -> None:
    file = filled(tmp_path)
    file.write_bytes(content)
    assert str(file) in refused(tmp_path)
    assert file.read_bytes() == content


def test_another_programs_database_and_another_version_are_refused(tmp_path: Path) -> None:
    file = filled(tmp_path)
    for pragma, words in (("user_version = 99", "schema 99"), ("application_id = 7", "another program")):
        with sqlite3.connect(file) as connection:
            connection.execute(f"PRAGMA {pragma}")
        connection.close()
        assert words in refused(tmp_path)


def test_an_earlier_versions_file_is_read_as_it_is_and_upgraded_by_the_first_start(tmp_path: Path) -> None:
    file = filled(tmp_path)
    with sqlite3.connect(file) as connection:
        connection.executescript("DROP TABLE corrections; PRAGMA user_version = 1")
    connection.close()
    assert records(tmp_path, "corrections") == []
    store = TinyStore.open(tmp_path)
    commit(store, Put("corrections", {"id": "drf_1", "place": "ECD|public"}))
    store.close_now()
    assert [record["id"] for record in records(tmp_path, "corrections", place="ECD|public")] == ["drf_1"]
    assert ids(tmp_path)
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    file = filled(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    with pytest.raises(Damaged, match="cut off"):
        TinyStore.open(tmp_path)
    assert file.read_bytes() == whole[:-20]


def test_a_log_without_its_database_is_refused(tmp_path: Path) -> None:
    file = filled(tmp_path)
    file.rename(tmp_path / "pm_agent.db-wal")
    assert "is missing" in refused(tmp_path)
    assert not file.exists()


async def damaged_in_the_middle(folder: Path, clock: Clock | None = None) -> Path:
    """A large store, checked when it was new, with a page in the middle that is no page any more."""
    store = TinyStore.open(folder, clock=clock)
    while not store.alone(lambda connection: noted(connection, "checked")):  # noqa: ASYNC110 - a thread notes it
        await asyncio.sleep(0.01)
    await store.commit(*(Put("webhook_events", {"id": f"e{n}", "text": "x" * 2000}) for n in range(200)))
    await store.close()
    file = folder / "pm_agent.db"
    content = bytearray(file.read_bytes())
    middle = content.index(b'"id":"e100"') // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    file.write_bytes(content)
    return file


async def until_damaged(store: TinyStore) -> str:
    for _ in range(500):
        if store.damage:
            break
        await asyncio.sleep(0.01)
    return store.damage


async def test_damage_is_found_after_an_unclean_end(tmp_path: Path) -> None:
    file = await damaged_in_the_middle(tmp_path)
    store = TinyStore.open(tmp_path)
    await asyncio.sleep(0.3)
    assert store.damage == "", "the process before ended well"
    await store.close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE about SET value = 'no' WHERE name = 'ended'")
    connection.close()
    store = TinyStore.open(tmp_path)
    assert "restore" in await until_damaged(store)
    for call in (
        store.commit(Put("keys", {"id": "a"})),
        store.get("keys", "a"),
        store.find("keys"),
        store.count("keys"),
    ):
        with pytest.raises(StoreUnavailable, match=r"pm_agent\.db is damaged"):
            await call
    await store.close()


async def test_the_file_is_checked_once_a_day(tmp_path: Path) -> None:
    clock = Clock()
    await damaged_in_the_middle(tmp_path, clock)
    clock.at += timedelta(seconds=CHECK_EVERY - 1)
    store = TinyStore.open(tmp_path, clock=clock)
    await asyncio.sleep(0.3)
    assert store.damage == "", "not yet"
    await store.close()
    clock.at += timedelta(seconds=2)
    store = TinyStore.open(tmp_path, clock=clock)
    assert "damaged" in await until_damaged(store)
    await store.close()


async def test_reading_a_damaged_page_is_unavailable_and_not_wrong(tmp_path: Path) -> None:
    await damaged_in_the_middle(tmp_path)
    with FolderData(tmp_path).snapshot() as snapshot, pytest.raises(UserError, match="malformed"):
        list(snapshot.find("webhook_events"))
    store = TinyStore.open(tmp_path)
    with pytest.raises(StoreUnavailable, match=r"malformed|damaged"):
        await store.find("webhook_events")
    await store.close()


FULL_DISK = """
    import asyncio, resource, sys
    from pathlib import Path
    from bot.store import Audit, Expect, Put, StoreUnavailable
    from bot.store.embedded.store import TinyStore

    async def main():
        folder = Path(sys.argv[1])
        store = TinyStore.open(folder)
        await store.commit(Put("keys", {"id": "before"}), audit=[Audit("system", "x")])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = max(path.stat().st_size for path in folder.glob("pm_agent.db*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, hard))  # a short write, then an error
        for number in range(3):
            results = await asyncio.gather(*(
                store.commit(Put("keys", {"id": f"lost{number}-{i}", "x": "y" * 500_000}), audit=[Audit("system", "x")])
                for i in range(25)
            ), return_exceptions=True)
            assert all(isinstance(result, StoreUnavailable) for result in results), results
            assert [r["id"] for r in await store.find("keys")] == ["before"]
            assert (await store.audit_head())[0] == 1
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


FULL_AT_START = """
    import asyncio, resource, sys
    from pathlib import Path
    from bot.store import Put, StoreUnavailable
    from bot.store.embedded.store import TinyStore

    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))

    async def main():
        store = TinyStore.open(Path(sys.argv[1]))
        known = len(await store.find("webhook_events"))
        try:
            await store.commit(Put("keys", {"id": "refused"}))
        except StoreUnavailable:
            print(known)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.commit(Put("keys", {"id": "taken"}))
        await store.close()

    asyncio.run(main())
"""


def test_a_disk_that_is_full_at_start_is_said_at_the_first_write(tmp_path: Path) -> None:
    """Also with a log of a process that was killed, for whose content there is no room in the database."""
    acknowledged = run_and_kill(
        tmp_path, "r", 0.0, least=50
    )  # all of it is in the log: none was taken into the database
    room = (tmp_path / "pm_agent.db").stat().st_size + 1000
    command = [sys.executable, "-c", textwrap.dedent(FULL_AT_START), str(tmp_path), str(room)]
    done = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert int(done.stdout) >= len(acknowledged)
    assert [record["id"] for record in records(tmp_path, "keys")][-1] == "taken"


ONE_AFTER_ANOTHER = """
    import asyncio, sys
    from pathlib import Path
    from bot.store import Put, StoreUnavailable
    from bot.store.embedded.store import TinyStore

    async def main():
        store = TinyStore.open(Path(sys.argv[1]))
        for number in range(12):
            try:
                await store.commit(Put("keys", {"id": f"k{number}"}))
                print(f"k{number}")
            except StoreUnavailable:
                assert await store.get("keys", f"k{number}") is None
        await store.close()

    asyncio.run(main())
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: failing syncs are not injected")
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_failing_disk_is_an_error_and_nothing_of_it_stays(tmp_path: Path, call: str) -> None:
    filled(tmp_path, 0)
    first = 12 if call == "pwrite64" else 6
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={call}:error=EIO:when={first}..{first + 3}"]
    done = subprocess.run(
        [*command, sys.executable, "-c", textwrap.dedent(ONE_AFTER_ANOTHER), str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert 6 <= len(done.stdout.split()) < 12
    assert ids(tmp_path) == done.stdout.split()


COMMIT_FOREVER = """
    import asyncio, os, sys
    from pathlib import Path
    from bot.store import Audit, Put
    from bot.store.embedded.store import TinyStore

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
    TinyStore.open(folder).close_now()
    events = {record["id"] for record in records(folder, "webhook_events")}
    trail = records(folder, "audit")
    assert acknowledged <= events
    assert events == {record["id"] for record in records(folder, "keys")} == {record["event_id"] for record in trail}
    assert len(trail) == len(events) == sum(r["count"] for r in records(folder, "rollup", day="ever"))
    assert verify(trail).broken_at is None
    for record in records(folder, "state"):
        assert {f"{record['id']}-{n}" for n in range(record["last"] + 1)} <= events
        assert f"{record['id']}-{record['last'] + 1}" not in events


def run_and_kill(folder: Path, name: str, seconds: float, least: int = 1) -> set[str]:
    """What a process acknowledged before it was killed, `seconds` after its `least`th acknowledgement."""
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COMMIT_FOREVER), str(folder), name], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    first = b"".join(child.stdout.readline() for _ in range(least))
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()
    child.wait()
    child.stdout.close()
    return set((first + rest).decode().split("\n")[:-1])


def test_twenty_kills_lose_nothing_acknowledged_and_leave_nothing_half_done(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    chance = random.Random(20)  # noqa: S311 - moments to kill at, no secret
    for number in range(20):
        acknowledged |= run_and_kill(tmp_path, f"r{number}", chance.uniform(0, 0.06))
        survivors(tmp_path, acknowledged)
    assert len(acknowledged) > 100


@pytest.mark.parametrize("name", ["store.before_write", "store.before_commit", "store.after_commit"])
def test_killed_at_each_place_of_a_write(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setenv("PMAGENT_FAILPOINT", name)
    code = (
        "import asyncio, sys; from pathlib import Path; from bot.store import Audit, Put\n"
        "from bot.store.embedded.store import TinyStore; store = TinyStore.open(Path(sys.argv[1]))\n"
        "async def last(): await store.commit(Put('keys', {'id': 'last'}), audit=[Audit('system', 'x')])\n"
        "asyncio.run(last())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    monkeypatch.delenv("PMAGENT_FAILPOINT")
    found = ids(tmp_path)
    assert found[:5] == ["k0", "k1", "k2", "k3", "k4"]
    assert ("last" in found) == (name == "store.after_commit")


def test_a_reader_sees_a_consistent_moment_while_another_process_writes(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(COMMIT_FOREVER), str(tmp_path), "r"], stdout=subprocess.DEVNULL
    )
    try:
        seen: list[int] = []
        end = time.monotonic() + 30  # it may take a while to start
        while len([number for number in seen if number]) < 10 and time.monotonic() < end:
            time.sleep(0.05)
            db = opened(tmp_path)
            db.connection.execute("BEGIN")
            trail = list(db.of("audit").find())
            assert verify(trail).broken_at is None
            assert {r["event_id"] for r in trail} == {r["id"] for r in db.of("keys").find()}
            db.close()
            seen.append(len(trail))
        assert seen == sorted(seen)
        assert seen[-1] > 0
    finally:
        child.kill()
        child.wait()
    assert len(records(tmp_path, "audit")) >= seen[-1], "and when nobody has it any more"


HOLD = """
    import sys, time
    from pathlib import Path
    from bot.store.embedded.store import TinyStore
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
        with pytest.raises(DataFolderLocked) as locked:
            TinyStore.open(tmp_path)
        assert time.monotonic() - begun < 2
        assert locked.value.pid == holder.pid
        assert str(holder.pid) in str(locked.value)
        assert isinstance(locked.value, UserError)
        assert records(tmp_path, "keys") == [], "reading needs no lock"
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    TinyStore.open(tmp_path).close_now()  # the kernel has released a dead process's lock


def test_only_the_owner_can_read_the_folder(tmp_path: Path) -> None:
    filled(tmp_path / "data")
    store = TinyStore.open(tmp_path / "data")
    commit(store, Put("keys", {"id": "a"}))
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}
    store.close_now()


def test_reading_a_folder_that_is_not_there_makes_nothing(tmp_path: Path) -> None:
    with FolderData(tmp_path / "none").snapshot() as snapshot:
        assert not snapshot.there
        assert (list(snapshot.find("drafts")), snapshot.get("state", "mode"), snapshot.count("audit")) == ([], None, 0)
    assert not (tmp_path / "none").exists()
