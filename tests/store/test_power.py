"""A power cut: of what was written, only what was synced before is there. Needs strace, which tells what was."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bot.store.audit import verify
from bot.store.embedded.store import TinyStore
from tests.store.support import records

WRITER = """
    import asyncio, os, sys
    from pathlib import Path
    from bot.store import Audit, Put
    from bot.store.embedded.store import TinyStore

    async def one(store, name):
        for number in range(15):
            key = f"{name}-{number}"
            await store.commit(Put("keys", {"id": key, "x": "y" * 900}), audit=[Audit("system", "x", key)])
            os.write(1, f"{key}\\n".encode())

    async def main():
        store = TinyStore.open(Path(sys.argv[1]))
        store.alone(lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 30").fetchall())
        await asyncio.gather(*(one(store, name) for name in "abcd"))
        os.kill(os.getpid(), 9)

    asyncio.run(main())
"""
CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)")


class Disk:
    """The files as they are written, and as they were at each one's last sync."""

    def __init__(self, start: dict[str, bytes]) -> None:
        self.written = {name: bytearray(content) for name, content in start.items()}
        self.synced = dict(start)
        self._open: dict[str, str] = {}

    def call(self, name: str, arguments: str, result: int) -> None:
        """One system call, as strace tells it."""
        first = arguments.partition(",")[0].strip()
        if name == "openat":
            path = Path(arguments.split('"')[1]).name
            self._open[str(result)] = path
            if path in ("pm_agent.db", "pm_agent.db-wal"):
                self.written.setdefault(path, bytearray())
        elif name == "close":
            self._open.pop(first, None)
        if (file := self._open.get(first)) not in self.written:
            return
        content = self.written[file]
        if name == "pwrite64":
            data = bytes.fromhex(arguments.split('"')[1].replace("\\x", ""))
            offset = int(arguments.rpartition(",")[2])
            content.extend(bytes(max(0, offset + len(data) - len(content))))
            content[offset : offset + len(data)] = data
        elif name == "ftruncate":
            del content[int(arguments.rpartition(",")[2]) :]
        elif name in ("fdatasync", "fsync"):
            self.synced[file] = bytes(content)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: nobody tells what was synced")
@pytest.mark.timeout(240)
def test_49_unsynced_writes_are_dropped_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """At each acknowledgement: the files as of their last syncs are opened as after a power cut."""
    data, log = tmp_path / "data", tmp_path / "log"
    TinyStore.open(data).close_now()
    disk = Disk({"pm_agent.db": (data / "pm_agent.db").read_bytes()})
    calls = "trace=openat,close,pwrite64,ftruncate,fdatasync,fsync,write"
    strace = ["strace", "-f", "-xx", "-s", "100000", "-o", log, "-e", calls]
    subprocess.run([*strace, sys.executable, "-c", textwrap.dedent(WRITER), data], capture_output=True, timeout=120)
    acknowledged: list[str] = []
    cuts = 0
    for line in _whole_calls(log.read_text(errors="replace")):
        if (found := CALL.match(line)) is None:
            continue
        name, arguments, result = found[1], found[2], int(found[3])
        if name == "write" and arguments.startswith("1,"):
            acknowledged.append(_text(arguments).strip())
            if len(acknowledged) % 4 == 0:
                survives(tmp_path / f"cut{cuts}", disk, acknowledged)
                cuts += 1
        elif name == "openat":
            disk.call(name, f'AT_FDCWD, "{_text(arguments)}"', result)
        else:
            disk.call(name, arguments, result)
    assert len(acknowledged) == 60
    assert cuts == 15


def survives(folder: Path, disk: Disk, acknowledged: list[str]) -> None:
    folder.mkdir()
    for name, content in disk.synced.items():
        (folder / name).write_bytes(content)
    TinyStore.open(folder).close_now()
    assert set(acknowledged) <= {record["id"] for record in records(folder, "keys")}
    trail = records(folder, "audit")
    assert {record["event_id"] for record in trail} == {record["id"] for record in records(folder, "keys")}
    assert verify(trail).broken_at is None


def _text(arguments: str) -> str:
    return bytes.fromhex(arguments.split('"')[1].replace("\\x", "")).decode()


def _whole_calls(text: str) -> list[str]:
    """strace splits a call when another thread comes in between: `… <unfinished ...>`, `<... name resumed>…`."""
    begun: dict[str, str] = {}
    found = []
    for line in text.splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line.removesuffix("<unfinished ...>")
        elif " resumed>" in line and pid in begun:
            found.append(begun.pop(pid) + line.partition(" resumed>")[2])
        else:
            found.append(line)
    return found
