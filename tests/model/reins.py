"""The reins of a running program: the hands of its clock in shared memory, and a pipe that sets its failpoint.

In shared memory, so that a jump is there for the very next look at the clock; a jump of the clock is no signal that
the program could notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import struct
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.model.disk import WRITES, Disk

SPEED = 5.0
_SIZE = 256


class ReinedClock:
    """The machine's clock, off by as many seconds as the reins say. Its `monotonic` never jumps."""

    def __init__(self, path: str) -> None:
        self._shared = _shared(path)

    def now(self) -> datetime:
        seconds: float = struct.unpack_from("d", self._shared)[0]
        return datetime.now(UTC) + timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return time.monotonic()


def obey(path: str) -> None:
    """In the program: do what comes through the pipe (a failpoint's name, or `disk …`), and say so in shared memory."""
    shared = _shared(path)
    disk = Disk(shared)
    disk.install()

    def listening() -> None:
        # Open for writing too: else the pipe ends with its first writer.
        with os.fdopen(os.open(f"{path}.pipe", os.O_RDWR), "rb") as pipe:
            for line in pipe:
                words = line.decode().strip()
                if words.startswith("disk"):
                    disk.order(words.removeprefix("disk"))
                else:
                    os.environ["PMAGENT_FAILPOINT"] = words
                _write(shared, words.encode())

    threading.Thread(target=listening, name="reins", daemon=True).start()


class Reins:
    """The test's end. Survives the program's restarts; the clock's hands stay where they are, a failpoint does not."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "reins"
        self.path.write_bytes(bytes(_SIZE))
        os.mkfifo(f"{self.path}.pipe", 0o600)
        self._shared = _shared(str(self.path))
        self.ahead = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """For the program's start. No failpoint yet, but there may be one later."""
        return {"PMAGENT_REINS": str(self.path), "PMAGENT_TEST_SPEED": str(SPEED), "PMAGENT_FAILPOINT": ""}

    def now(self) -> datetime:
        """What the program's clock says."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def shift(self, seconds: float) -> None:
        """Put the program's clock `seconds` off the machine's."""
        self.ahead = seconds
        struct.pack_into("d", self._shared, 0, seconds)

    @property
    def writes(self) -> int:
        """How often the program's SQLite has written since the disk's last order."""
        count: int = struct.unpack_from("q", self._shared, WRITES)[0]
        return count

    async def disk(self, order: str) -> bool:
        """Let the disk fail: see `tests.model.disk.Disk.order`. Empty: it works again."""
        return await self.arm(f"disk {order}".strip())

    async def arm(self, failpoint: str) -> bool:
        """Let the program die when it comes to this place next. False: there is no program."""
        _write(self._shared, b"-")
        with contextlib.suppress(OSError):  # nobody listens: it is just dying
            fd = os.open(f"{self.path}.pipe", os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(fd, f"{failpoint}\n".encode())
            finally:
                os.close(fd)
        for _ in range(200):
            if bytes(self._shared[16:]).rstrip(b"\0").decode() == failpoint:
                return True
            await asyncio.sleep(0.002)
        return False


def _shared(path: str) -> mmap.mmap:
    with open(path, "r+b") as file:  # noqa: PTH123 - a descriptor is what is wanted
        return mmap.mmap(file.fileno(), _SIZE)


def _write(shared: mmap.mmap, words: bytes) -> None:
    shared[16:] = words.ljust(_SIZE - 16, b"\0")
