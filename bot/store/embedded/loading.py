"""The TinyDB side of a restore: a new database is filled beside the folder's own, and then takes its place.

::

    pm_agent.db.restoring   is being filled: a process that dies now leaves the old data as they were
    pm_agent.db.restored    whole and synced: from here on the folder is refused (`sqlite.exists`) until it is
                            pm_agent.db, so that no old write-ahead log meets a database that it does not belong to
    pm_agent.db             the restored data
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import Record, Table
from bot.store.embedded.lock import FolderLock
from bot.store.embedded.schema import NAME
from bot.store.embedded.sqlite import RESTORED_SUFFIX, RESTORING, create
from bot.store.embedded.tiny import Database, transaction
from bot.store.encoding import Row
from bot.store.files import sync


class _Filling:
    """See `bot.store.archive.layout.Target`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(self, table: Table, rows: list[Row]) -> None:
        self._db.of(table).put(rows)
        failpoint("restore.filling")

    def trail(self) -> Iterator[Record]:
        return cast("Iterator[Record]", self._db.of("audit").find())


@contextmanager
def loading(folder: Path, *, force: bool) -> Iterator[_Filling]:
    """An empty store to be filled; it replaces what is in `folder` when the block ends without an error.

    Raises `DataFolderLocked` while a process has the folder, `UserError` when it holds data and `force` is not given,
    or when it cannot be written.
    """
    with FolderLock(folder):
        path, log = folder / NAME, folder / f"{NAME}-wal"
        new, whole = folder / f"{NAME}{RESTORING}", folder / f"{NAME}{RESTORED_SUFFIX}"
        if not force and any(each.exists() for each in (path, log, whole)):
            raise UserError(
                f"The data folder {folder} is not empty. To replace what is in it for good, run this again with "
                "--force."
            )
        try:
            create(new)
            with closing(sqlite3.connect(new, isolation_level=None)) as connection:
                # Nobody else has this file, and after a crash it is made anew: neither a journal nor a sync is needed.
                for setting in (
                    "journal_mode = DELETE",
                    "journal_mode = OFF",
                    "synchronous = OFF",
                    "cache_size = -65536",
                ):
                    connection.execute(f"PRAGMA {setting}").fetchall()
                with transaction(connection):
                    yield _Filling(Database(connection))
            sync(new)
            new.replace(whole)
            sync(folder)
            failpoint("restore.before_replace")
            for name in (f"{NAME}-wal", f"{NAME}-shm"):
                (folder / name).unlink(missing_ok=True)
            sync(folder)
            failpoint("restore.without_log")
            whole.replace(path)
            sync(folder)
            failpoint("restore.after_replace")
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"Cannot restore into {folder}: {error}.") from error
        finally:
            new.unlink(missing_ok=True)
