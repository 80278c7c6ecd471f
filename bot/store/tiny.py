"""The store on TinyDB: `bot.store.Store` over a journal of JSON lines in the data folder.

Why not TinyDB's own file: it rewrites everything at each insert, a kill in between leaves it unreadable, and nothing
stops a second process. Here a commit is one synced line (`journal`), many commits share a sync (`engine`), only
positions are kept in memory (`index`), and TinyDB's queries work on top (`tables`).

A folder holds `journal.jsonl`, `archive/` (what is older than the retention, see `bot.store.archive`), `lock` and `pid`
(the process that has it), `requests/` (what commands ask of it), and `torn-*.jsonl` where a write was once cut short.
All are readable by their owner alone. TinyDB's queries see the journal, `history` the archives as well.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bot.clock import Clock, SystemClock
from bot.errors import UserError
from bot.store import INDEXED, TABLES, Audit, Condition, Delete, Put, Record, StoreUnavailable, Table, Totals
from bot.store.archive.format import ArchiveMissing
from bot.store.archive.listing import refuse_orphans
from bot.store.archive.reading import records as everywhere
from bot.store.compaction import remove_leftovers
from bot.store.engine import Engine
from bot.store.journal import NAME, Damaged, Journal, sync_folder
from bot.store.lock import DataFolderLocked, FolderLock
from bot.store.tables import Database, JournalStorage
from bot.store.tally import totals

if TYPE_CHECKING:
    from bot.store.archive.moving import Retired

__all__ = ["DataFolderLocked", "TinyStore"]

_FEW = 64
"""Documents that are read on the event loop; more are read on a thread."""


class TinyStore:
    """See `bot.store.Store`. Every method may be called from any task; the `…_now` methods block, for commands."""

    def __init__(self, folder: Path, engine: Engine, lock: FolderLock | None, kept_aside: Path | None) -> None:
        self.folder = folder
        self.engine = engine
        self.kept_aside = kept_aside
        self.db = Database(engine, storage=JournalStorage)
        self.upkeep = threading.Lock()
        """Held by whoever changes archives: one at a time."""
        self._lock = lock

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        only: Collection[Table] = TABLES,
    ) -> Self:
        """Open the store in `folder`; a new folder is made.

        `read_only`: no lock, nothing is changed, what was durable at this moment is seen; works while another process
        has the folder. `only` then are the tables that can be read; the others cost little time.
        Raises `DataFolderLocked`, `Damaged` (both `UserError`) or `UserError`.
        `kept_aside` afterwards is the file in which a torn write was kept, if there was one.
        """
        clock = clock or SystemClock()
        try:
            return cls._open_reading(folder, clock, only) if read_only else cls._open_writing(folder, clock)
        except (OSError, StoreUnavailable) as error:
            raise UserError(f"Cannot open the store in {folder}: {error}.") from error

    @classmethod
    def _open_writing(cls, folder: Path, clock: Clock) -> Self:
        lock = FolderLock(folder)
        try:
            remove_leftovers(folder)
            path = folder / NAME
            if not path.exists():
                refuse_orphans(folder)
                _create(path)
            journal = Journal.open(path)
            path.chmod(0o600)
            engine = Engine(journal, clock=clock, read_only=False)
            return cls(folder, engine, lock, engine.kept_aside)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_reading(cls, folder: Path, clock: Clock, only: Collection[Table]) -> Self:
        path = folder / NAME
        if not path.exists():
            refuse_orphans(folder)
            return cls(folder, Engine(None, clock=clock, read_only=True), None, None)
        try:
            engine = Engine(Journal.open(path, read_only=True), clock=clock, read_only=True, only=only)
        except Damaged:
            # A write that was taken back just now (disk full) can look like damage once, never twice.
            engine = Engine(Journal.open(path, read_only=True), clock=clock, read_only=True, only=only)
        return cls(folder, engine, None, None)

    # The protocol

    async def commit(
        self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()
    ) -> None:
        """Raises `Conflict` or `StoreUnavailable` (nothing written); ValueError, TypeError for what is no record."""
        await asyncio.wrap_future(self.engine.submit(changes, expect, audit))

    async def get(self, table: Table, record_id: str) -> Record | None:
        return self.engine.get(table, record_id)

    async def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> list[Record]:
        picked = self.engine.select(table, equals, since=since, newest_first=newest_first, limit=limit)
        found = islice(_matching(table, Engine.read(table, picked), equals), limit)
        if len(picked.places) <= _FEW:
            return list(found)
        return await asyncio.to_thread(list, found)

    async def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        counted = self.engine.count(table, equals, since=since)
        return len(await self.find(table, since=since, **equals)) if counted is None else counted

    async def ids(self, table: Table, **equals: Any) -> list[str]:
        if not all(name in INDEXED[table] for name in equals):
            raise ValueError(f"{table} is looked up by {', '.join(INDEXED[table])}, not by {', '.join(equals)}")
        if self.engine.count(table, equals) is None:  # the index has candidates only
            return [record["id"] for record in await self.find(table, **equals)]
        picked = self.engine.select(table, equals)
        return (
            list(Engine.ids(picked))
            if len(picked.places) <= _FEW
            else await asyncio.to_thread(list, Engine.ids(picked))
        )

    async def order(self, table: Table, record_id: str) -> int | None:
        return self.engine.order(table, record_id)

    async def history(self, table: Table, *, since: datetime | None = None) -> list[Record]:
        return await asyncio.to_thread(lambda: list(self.history_now(table, since=since)))

    async def totals(self) -> Totals:
        return totals(self.engine.tally, self.engine.archives)

    async def retire(self, older_than: timedelta) -> dict[str, int]:
        return dict((await asyncio.to_thread(self.retire_now, older_than)).records)

    async def audit_head(self) -> tuple[int, str]:
        return self.audit_head_now()

    async def close(self) -> None:
        await asyncio.to_thread(self.close_now)

    # For commands, which have no event loop

    def commit_now(self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()) -> None:
        self.engine.commit(*changes, expect=expect, audit=audit)

    def records(self, table: Table, *, since: datetime | None = None, **equals: Any) -> Iterator[Record]:
        """As `find`, one after another: for tables that are larger than memory."""
        picked = self.engine.select(table, equals, since=since)
        return _matching(table, Engine.read(table, picked), equals)

    def newest(self, table: Table) -> Iterator[Record]:
        """The record that came last; nothing for an empty table."""
        return Engine.read(table, self.engine.select(table, {}, newest_first=True, limit=1))

    def history_now(self, table: Table, *, since: datetime | None = None) -> Iterator[Record]:
        """As `history`, one after another. Raises `ArchiveMissing` at once, `ArchiveDamaged` where it is met."""
        engine = self.engine
        for _ in range(3):
            archives, places = engine.history(table, since)
            try:
                return everywhere(self.folder, archives, table, Engine.read(table, places), since)
            except ArchiveMissing:  # the last one has grown, or an erasure has written it anew: look at the list again
                if engine.read_only:
                    engine = type(self).open(self.folder, read_only=True).engine
        return everywhere(self.folder, archives, table, Engine.read(table, places), since)

    def retire_now(self, older_than: timedelta) -> Retired:
        from bot.store.archive.moving import retire  # here: commands that only read do not pay for it

        return retire(self.engine, self.folder, self.engine.clock.now() - older_than, alone=self.upkeep)

    def audit_head_now(self) -> tuple[int, str]:
        return self.engine.shown_head

    def close_now(self) -> None:
        """Write what is queued, let go of the folder. Any number of times."""
        self.engine.close()
        if self._lock is not None:
            self._lock.release()


def _create(path: Path) -> None:
    """A new journal appears whole or not at all: an empty file under its name is always a fault."""
    journal = Journal.create(path.with_name("journal.new-0"))
    journal.path.replace(path)
    sync_folder(path.parent)


def _matching(table: Table, records: Iterator[Record], equals: dict[str, Any]) -> Iterator[Record]:
    lists = INDEXED[table]
    for record in records:
        for name, wanted in equals.items():
            value = record.get(name)
            if value != wanted and not (name in lists and isinstance(value, list) and wanted in value):
                break
        else:
            yield record
