"""The data folder as the commands see it (`bot.store.data`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from bot.errors import UserError
from bot.store import Record, Table
from bot.store.embedded.erasing import ask_running_bot, erase_now
from bot.store.embedded.loading import loading
from bot.store.embedded.lock import DataFolderLocked
from bot.store.embedded.queries import equals as equal
from bot.store.embedded.schema import NAME
from bot.store.embedded.sqlite import exists
from bot.store.embedded.store import TinyStore, opened
from bot.store.embedded.tiny import Database

if TYPE_CHECKING:
    from bot.store.archive.layout import StoredRecord, Target
    from bot.store.erasure.erase import Erased

T = TypeVar("T")


class FolderData:
    """See `bot.store.data.Data`."""

    beyond_reach = "backups made before now, what was posted in Slack and Jira, and log files"

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder

    @contextmanager
    def snapshot(self) -> Iterator[FolderSnapshot]:
        there = exists(self._folder / NAME)
        with ExitStack() as ends:
            db = opened(self._folder)
            ends.callback(db.close)
            yield FolderSnapshot(self._folder, db, ends, there=there)

    def loading(self, *, force: bool) -> AbstractContextManager[Target]:
        return loading(self._folder, force=force)

    def erase(self, account: str, also: Sequence[str] = ()) -> Erased | None:
        if not exists(self._folder / NAME):
            return None
        try:
            store = TinyStore.open(self._folder)
        except DataFolderLocked:
            return ask_running_bot(self._folder, account, also)
        try:
            return erase_now(store, account, also)
        finally:
            store.close_now()


class FolderSnapshot:
    """See `bot.store.data.Snapshot`: one transaction that reads."""

    def __init__(self, folder: Path, db: Database, ends: ExitStack, *, there: bool) -> None:
        """`ends`: closes what reads, where a reader has gone away in the midst of it, before the database is closed."""
        self.there = there
        self._ends = ends
        self._folder = folder
        self._db = db
        with self._in_words():
            db.connection.execute("BEGIN")
            db.connection.execute("SELECT count(*) FROM about").fetchone()  # from here on nothing new is seen

    def get(self, table: Table, record_id: str) -> Record | None:
        with self._in_words():
            return cast("Record | None", self._db.of(table).get(doc_id=record_id))

    def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[Record]:
        query = equal(table, equals)
        found = self._db.of(table).find(query, since=since, until=until, newest_first=newest_first, limit=limit)
        return self._closed(self._read(found))

    def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        with self._in_words():
            return self._db.of(table).count(equal(table, equals), since=since)

    def rows(self, table: Table) -> Iterator[StoredRecord]:
        from bot.store.archive.layout import StoredRecord  # here: a bot that runs makes no backups

        return self._closed(self._read(StoredRecord(*row) for row in self._db.of(table).rows()))

    def salvaged(self, table: Table) -> Iterator[Record | str]:
        return self._closed(found for found in self._db.of(table).salvaged())

    def _closed(self, reading: Generator[T, None, None]) -> Iterator[T]:
        self._ends.callback(reading.close)
        return reading

    def _read(self, found: Iterator[T]) -> Generator[T, None, None]:
        with self._in_words():
            yield from found

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(
                f"The data in {self._folder} cannot be read: {error}. If that stays so, restore a backup: "
                "python -m bot restore FILE --force"
            ) from error
