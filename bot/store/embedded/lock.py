"""One process per data folder: a lock that the kernel releases with the process, and the holder's pid beside it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from bot.errors import UserError

if TYPE_CHECKING:
    from filelock import FileLock

LOCK, PID = "lock", "pid"


class DataFolderLocked(UserError):
    """Another process holds the data folder. `pid` is None when it could not be told."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        self.pid = pid
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"The data folder {folder} is in use by {who}. Stop it first (kill {pid or 'PID'}), "
            "or set PMAGENT_DATA_DIR to another folder."
        )


def make_folder(folder: Path) -> None:
    """The data folder, readable by its owner alone. Raises `UserError` when it cannot be made or used."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise UserError(
            f"Cannot use the data folder {folder}: {error.strerror or error}. Set PMAGENT_DATA_DIR to a folder that "
            "this user may write to."
        ) from error


class FolderLock:
    """Held from construction to `release`. Raises `DataFolderLocked` at once when somebody else has it."""

    def __init__(self, folder: Path) -> None:
        from filelock import FileLock, Timeout

        make_folder(folder)
        self._pid = folder / PID
        self._lock: FileLock = FileLock(folder / LOCK, mode=0o600, thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise DataFolderLocked(folder, _holder(folder)) from None
        except OSError as error:
            raise UserError(f"Cannot lock the data folder {folder}: {error.strerror or error}.") from error
        # A file of its own: the lock file's content belongs to the lock's library.
        with suppress(OSError):  # on a full disk the store opens all the same, and says so at the first write
            fd = os.open(self._pid, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, f"{os.getpid()}\n".encode())
            finally:
                os.close(fd)

    def release(self) -> None:
        if self._lock.is_locked:
            self._pid.unlink(missing_ok=True)
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


def _holder(folder: Path) -> int | None:
    """The holder's pid; waits a moment for one that has just got the lock and not yet written it."""
    for _ in range(20):
        try:
            pid = int((folder / PID).read_text())
            os.kill(pid, 0)
        except PermissionError:
            return None
        except (OSError, ValueError):
            time.sleep(0.025)
        else:
            return pid
    return None
