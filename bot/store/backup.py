"""`backup` and `restore`: all data as one portable archive (`archive`), as they were at one moment.

A backup is read in one transaction, so the bot may go on writing meanwhile. A restore checks everything before anything
is replaced, and leaves a record (`state`, id `restored`) by which the bot knows at its next start that the world has
gone on since (`bot.workflow.restoring`).
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import Table
from bot.store.archive import Manifest, Progress, Stored
from bot.store.archive_reading import reading
from bot.store.archive_writing import write
from bot.store.audit import ChainCheck
from bot.store.embedded.loading import loading, sync
from bot.store.embedded.schema import NAME
from bot.store.embedded.sqlite import exists, reader
from bot.store.embedded.tiny import Database
from bot.store.encoding import to_json


def backup(folder: Path, destination: str, progress: Progress) -> tuple[Path, Manifest]:
    """Write a backup of the data folder; its path, and what it holds.

    `destination`: a file, or a folder (that is there, or ends in `/` and is made) for a dated file. The file appears
    whole or not at all, and replaces nothing. Raises `UserError`.
    """
    source, now = folder / NAME, datetime.now(UTC)
    if not exists(source):
        raise UserError(f"There is nothing to back up: {folder} has no data yet. PMAGENT_DATA_DIR names the folder.")
    path = Path(destination)
    try:
        if destination.endswith("/"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_dir():
            path /= f"pm-agent-{now:%Y%m%d-%H%M%S}.tar.gz"
        if os.path.lexists(path):  # before the work; the link below decides
            raise FileExistsError
        fd, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(fd, "wb") as file:
                manifest = _written(file, source, now, progress)
                file.flush()
                os.fsync(file.fileno())
            failpoint("backup.before_link")
            _appear(Path(part), path)
        finally:
            with suppress(OSError):
                Path(part).unlink()
    except FileExistsError:
        raise UserError(f"{path} exists, and is not replaced. Name another file, or a folder.") from None
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"Cannot write the backup {path}: {error}.") from error
    return path, manifest


def restore(source: Path, folder: Path, progress: Progress, *, force: bool = False) -> ChainCheck:
    """Put a backup's data into the data folder; what its audit trail is. What was there goes only with `force`.

    Raises `UserError` (also `DataFolderLocked`, `BadBackup`); then the folder's data are as they were.
    """
    with reading(source) as archive, loading(folder, force=force) as target:
        verdict = archive.load(target, progress)
        made = archive.manifest
        mark = {"id": "restored", "at": datetime.now(UTC).isoformat(), "created": made.created, "seen": False}
        target.put("state", [(None, "restored", to_json(mark))])
    return verdict


def _written(file: IO[bytes], source: Path, now: datetime, progress: Progress) -> Manifest:
    """Write all tables as they are at this moment."""
    with closing(reader(source)) as connection:
        connection.execute("BEGIN")
        db = Database(connection)

        def rows(table: Table) -> Iterator[Stored]:
            return (Stored(*row) for row in db.of(table).rows())

        return write(file, now, rows, lambda table: len(db.of(table)), progress)


def _appear(part: Path, path: Path) -> None:
    """Give a finished file its name. Raises FileExistsError where that is taken."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links: take the name first, then replace our own empty file
        path.touch(mode=0o600, exist_ok=False)
        part.replace(path)
    sync(path.parent)
