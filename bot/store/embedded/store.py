"""The store of one process: `bot.store.Store` over TinyDB on an SQLite file in the data folder.

Commits go to the writer's thread (`writer`). What reads little reads on the event loop, over a connection of its own;
what reads much does so on a thread. Neither waits for the writer, and both see only what is durable.

A folder holds `pm_agent.db` with its write-ahead log, `lock` and `pid` (the process that has it), and `requests/` (what
commands ask of it). All are readable by their owner alone.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from bot.clock import Clock, SystemClock
from bot.errors import UserError
from bot.store import Audit, Condition, Delete, Job, Put, Record, StoreUnavailable, Table
from bot.store.commits import Commit, ReadTable, prepared
from bot.store.embedded.lock import FolderLock
from bot.store.embedded.queries import equals as equal
from bot.store.embedded.schema import NAME
from bot.store.embedded.sqlite import RESTORING, create, empty, exists, note, noted, quick_check, reader
from bot.store.embedded.tiny import Database
from bot.store.embedded.writer import Listener, Writer
from bot.store.schema import indexed

READ_ON_LOOP = 64
"""Records that are read on the event loop; more are read on a thread."""
CHECK_EVERY = 86_400.0
"""Seconds between two checks of the file's structure."""
T = TypeVar("T")
log = logging.getLogger("pmagent.store")


def opened(folder: Path) -> Database:
    """The data in a folder, to read, whether a process has it or not; empty where there is none. Raises `UserError`."""
    try:
        return Database(reader(folder / NAME) if exists(folder / NAME) else empty())
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"Cannot open the data in {folder}: {error}.") from error


class TinyStore:
    """See `bot.store.Store`. The methods of the protocol may be called from any task of one event loop."""

    def __init__(self, folder: Path, db: Database, writer: Writer, lock: FolderLock) -> None:
        self.folder = folder
        self.damage = ""
        """What is wrong with the file, as a sentence; then nothing is read or written any more."""
        self._db = db
        self._writer = writer
        self._lock = lock
        self._stop = threading.Event()
        self._checker = threading.Thread(target=self._keep_checking, name="store-check", daemon=True)
        self._checker.start()

    @classmethod
    def open(cls, folder: Path, *, clock: Clock | None = None, zone: tzinfo = UTC) -> Self:
        """Open the data in `folder` to write; a new folder is made. `zone`: whose days the figures are kept by.

        Raises `DataFolderLocked`, `Damaged` (both `UserError`) or `UserError`.
        """
        lock = FolderLock(folder)
        path = folder / NAME
        try:
            path.with_name(f"{NAME}{RESTORING}").unlink(missing_ok=True)  # of a restore that was killed
            if not exists(path):
                create(path)
            writer = Writer(path, clock or SystemClock(), zone)
            return cls(folder, Database(reader(path)), writer, lock)
        except (OSError, sqlite3.Error) as error:
            lock.release()
            raise UserError(f"Cannot open the data in {folder}: {error}.") from error
        except BaseException:
            lock.release()
            raise

    async def commit(
        self,
        *changes: Put | Delete,
        expect: Sequence[Condition] = (),
        audit: Sequence[Audit] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        await self._writing().commit(prepared(changes, expect, audit, jobs))

    async def get(self, table: Table, record_id: str) -> Record | None:
        with self._readable():
            return cast("Record | None", self._db.of(table).get(doc_id=record_id))

    async def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        by: str = "",
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> list[Record]:
        query = equal(table, equals)

        def found(db: Database) -> Iterator[Record]:
            return db.of(table).find(query, since=since, until=until, by=by, newest_first=newest_first, limit=limit)

        if limit is not None or not indexed(table).isdisjoint(equals):
            with self._readable():
                some = list(islice(found(self._db), READ_ON_LOOP + 1))
            if len(some) <= READ_ON_LOOP:
                return some
        return await self._beside(lambda db: list(found(db)))

    async def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        query = equal(table, equals)
        return await self._beside(lambda db: db.of(table).count(query, since=since))

    async def audit_head(self) -> tuple[int, str]:
        return self._writer.head

    def on_jobs(self, listener: Listener) -> None:
        """Tell `listener`, on the running event loop, of every job that is stored or deleted from now on."""
        self._writing().on_jobs(listener)

    async def close(self) -> None:
        await asyncio.to_thread(self.close_now)

    # For threads and commands, which have no event loop

    def change(self, work: Callable[[ReadTable, datetime], tuple[Commit, T]]) -> T:
        """Look at all there is, and write the commit that comes of it, while nothing else is written. `work` is given
        what reads a table, and the time. Blocks. Raises `StoreUnavailable`."""
        return cast(T, self._writing().do(work))

    def alone(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Carry this out on the writing connection, outside of any transaction. Blocks."""
        return cast(T, self._writing().do_alone(work))

    def close_now(self) -> None:
        """Write what is queued, let go of the folder. Any number of times."""
        self._stop.set()
        self._checker.join()
        self._db.close()  # first: whoever closes last takes the log into the database, and this one cannot write
        self._writer.close()
        self._lock.release()

    # The inside

    def _writing(self) -> Writer:
        if self.damage:
            raise StoreUnavailable(self.damage)
        return self._writer

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """What SQLite says about a failing read becomes `StoreUnavailable`."""
        if self.damage:
            raise StoreUnavailable(self.damage)
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the data cannot be read: {error}") from error

    async def _beside(self, read: Callable[[Database], T]) -> T:
        """Read on a thread, over a connection of its own."""

        def reading() -> T:
            with self._readable():
                db = Database(reader(self.folder / NAME))
                try:
                    return read(db)
                finally:
                    db.close()

        return await asyncio.to_thread(reading)

    def _keep_checking(self) -> None:
        """On a thread: look the file over once a day, and at once when the process before did not end in order."""
        path, clock = self.folder / NAME, self._writer.clock
        with suppress(UserError, StoreUnavailable, sqlite3.Error, OSError):
            connection = reader(path)
            checked = noted(connection, "checked") if self._writer.clean else ""
            connection.close()
            age = (clock.now() - datetime.fromisoformat(checked)).total_seconds() if checked else CHECK_EVERY
            wait = CHECK_EVERY - age if 0 <= age < CHECK_EVERY else 0.0
            while not self._stop.wait(wait):
                wait = CHECK_EVERY
                self.damage = self._checked(path)
                if self.damage:
                    log.error("store: %s", self.damage)
                    return
                self.alone(partial(note, name="checked", value=clock.now().isoformat()))

    def _checked(self, path: Path) -> str:
        try:
            connection = reader(path)
        except UserError as error:
            return str(error)
        with closing(connection):
            connection.set_progress_handler(self._stop.is_set, 10_000)  # it ends when the store is closed
            return quick_check(connection, path)
