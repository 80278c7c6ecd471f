"""`backup` and `restore`: the whole database as one file, as it was at one moment, checked both ways.

SQLite copies it page by page while the bot writes. A backup is a database of its own, so it can be looked into like the
original.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store.lock import FolderLock, make_folder
from bot.store.schema import NAME
from bot.store.sqlite import Damaged, exists, quick_check, reader


def backup(folder: Path, destination: Path) -> Path:
    """Write a backup of the data folder to `destination` (a dated file when that is a folder); its path.

    It appears whole or not at all, and replaces nothing. Raises `UserError`.
    """
    source = folder / NAME
    if not exists(source):
        raise UserError(f"There is nothing to back up: {folder} has no data yet. PMAGENT_DATA_DIR names the folder.")
    if destination.is_dir():
        destination = destination / f"pm-agent-{datetime.now(UTC):%Y%m%d-%H%M%S}.db"
    if destination.exists():
        raise UserError(f"{destination} exists, and is not replaced. Name another file, or a folder.")
    try:
        _copy(source, destination)
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"Cannot write the backup {destination}: {error}.") from error
    return destination


def restore(source: Path, folder: Path, *, force: bool = False) -> None:
    """Put a backup's data into `folder`. What was there is replaced only with `force`.

    Raises `UserError` (also `DataFolderLocked`); then the folder's data is as it was.
    """
    if not source.is_file():
        raise UserError(f"There is no backup file {source}.")
    make_folder(folder)
    with FolderLock(folder):
        target = folder / NAME
        log = target.with_name(f"{NAME}-wal")
        if not force and (target.exists() or log.exists()):
            raise UserError(
                f"The data folder {folder} is not empty. To replace what is in it for good, run this again with "
                "--force."
            )
        try:
            new = folder / f"{NAME}.restored"
            _copy(source, new)
            failpoint("restore.before_replace")
            # The old log first: it must never meet the new file.
            for name in (f"{NAME}-wal", f"{NAME}-shm"):
                (folder / name).unlink(missing_ok=True)
            new.replace(target)
            failpoint("restore.after_replace")
        except Damaged as error:
            raise UserError(f"{source} is not a good backup of PM Agent: {error}") from error
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"Cannot restore {source}: {error}.") from error


def _copy(source: Path, destination: Path) -> None:
    """A checked copy of a database, readable by its owner alone."""
    part = destination.with_name(f".{destination.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    try:
        with closing(reader(source)) as data, closing(sqlite3.connect(part)) as copy:
            data.backup(copy)  # in one step: beside a busy writer, several would begin anew again and again
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
            wrong = quick_check(copy, source)
            if wrong:
                raise UserError(wrong)
        part.replace(destination)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
