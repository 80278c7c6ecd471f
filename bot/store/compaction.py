"""Write the journal anew with only what is alive: a copy beside, then one atomic rename.

The journal only grows, so a copy can be made while commits go on: `plan` notes what is alive and where the file ends,
`copy` (on any thread) writes those records, `follow` adds the lines that came since, as often as it takes until few are
left, and for the last time on the writer's thread. `finish` syncs, renames and gives back the new journal and its
index. Whoever reads the old file goes on reading it.

A copy beside the running program gives way: it works for a millisecond and rests as long, for Python runs one thread
at a time, and it syncs as it goes, so that no commit waits for a gigabyte to reach the disk.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.failpoints import failpoint
from bot.store import TABLES, Record, StoreUnavailable, Table
from bot.store.encoding import to_json
from bot.store.index import Index, Places
from bot.store.journal import Journal, Line, body

TEMPORARY = "journal.new-"
SMALLEST = 4 * 1024 * 1024
"""A journal of fewer bytes is not worth the copy."""
ENOUGH = 128 * 1024
"""Bytes of new lines that are left for the writer's thread: about a millisecond of its time."""
ROUNDS = 50
"""Times that a copy is brought up to date beside; then it ends whatever is left."""
_CHUNK = 200
_SYNC_EVERY = 512 * 1024
_STEP = 0.001  # seconds of work, and of rest
_numbers = itertools.count(1)

Transform = Callable[[Table, Record], Record | None]
"""Gives back the record as it is to be kept (its id unchanged), or None to drop it."""


def worth_it(journal: Journal, index: Index) -> bool:
    """Whether more than half of what the journal holds is dead."""
    return journal.end > SMALLEST and index.puts > 2 * len(index) + 1000


class Compaction:
    """One run. `drop` gives it up at any time and leaves no trace."""

    def __init__(self, source: Journal, alive: dict[Table, Places], transform: Transform | None) -> None:
        self._source = source
        self._alive = alive
        self._end = source.end
        self._transform = transform
        self._index = Index()
        self._new: Journal | None = None
        self._rest: Callable[[], None] = _go_on
        self._synced = 0

    @classmethod
    def plan(cls, journal: Journal, index: Index, transform: Transform | None = None) -> Compaction:
        """On the writer's thread: note what is alive. Copies arrays, some milliseconds for a million records."""
        return cls(journal, {table: index.tables[table].pick({}) for table in TABLES}, transform)

    @classmethod
    def of(cls, journal: Journal, index: Index, transform: Transform) -> Compaction:
        """Plan and copy at once, on the writer's thread."""
        compaction = cls.plan(journal, index, transform)
        try:
            compaction.copy()
        except BaseException:
            compaction.drop()
            raise
        return compaction

    def copy_beside(self, stopped: Callable[[], bool]) -> None:
        """`copy`, then `follow` until little is left; gives way to other threads. Raises as `copy`."""
        pace = Pace(stopped)
        self._rest = pace.rest
        self.copy()
        for _ in range(ROUNDS):
            if self._source.end - self._end <= ENOUGH:
                break
            pace.hurry()
            self.follow()
        assert self._new is not None  # noqa: S101 - for the type checker: `copy` made it
        os.fsync(self._new.handle.fd)
        self._rest = _go_on

    def copy(self) -> None:
        """Write what was alive, not yet synced. Raises `StoreUnavailable` or OSError; then `drop`."""
        self._new = Journal.create(self._source.path.with_name(f"{TEMPORARY}{next(_numbers)}"))
        records: list[tuple[str, Record]] = []
        for table, places in self._alive.items():
            for place in places:
                found, record = self._source.put(place)
                if found != table:
                    raise LookupError(f"at byte {place[0]} is a record of {found}, not of {table}")
                kept = self._transform(table, record) if self._transform else record
                if kept is not None:
                    records.append((table, kept))
                if len(records) >= _CHUNK:
                    self.add(records)
                    records = []
                self._rest()
        self._alive = {}
        self.add(records)

    def add(self, records: Sequence[tuple[str, Record]]) -> None:
        """Write these records, one line each."""
        if records:
            self._append([Line(0, 0, [(table, record)], [], (0, 0)) for table, record in records])

    def follow(self) -> None:
        """Add the lines that the source has got since `plan`, or since the last time."""
        lines: list[Line] = []
        end, offset = self._source.end, self._end
        with os.fdopen(os.dup(self._source.handle.fd), "rb", buffering=1 << 20) as file:
            file.seek(offset)
            while offset < end:
                raw = file.readline()
                lines.append(self._source.line((offset, len(raw))))
                offset += len(raw)
                if len(lines) >= _CHUNK or offset >= end:
                    self._append(lines)
                    lines = []
                self._rest()
        self._end = offset

    def _append(self, lines: Sequence[Line]) -> None:
        assert self._new is not None  # noqa: S101 - for the type checker: `copy` came first
        texts = [body([(table, to_json(record)) for table, record in line.puts], line.deletes) for line in lines]
        spots = self._new.append(texts, sync=False)
        for line, spot in zip(lines, spots, strict=True):
            self._index.load(line._replace(spot=spot))
            self._rest()
        if self._new.end - self._synced > _SYNC_EVERY:
            os.fsync(self._new.handle.fd)
            self._synced = self._new.end

    def finish(self) -> tuple[Journal, Index]:
        """Make the copy the journal. Raises OSError; then nothing has changed."""
        assert self._new is not None  # noqa: S101 - for the type checker: `copy` came first
        path = self._source.path
        os.fsync(self._new.handle.fd)
        failpoint("store.before_compaction")
        self._new.path.replace(path)
        # From here on there is no way back: the old file has no name any more, so commits must go to the new one.
        self._new.path = path
        self._new.name_pending = True
        try:
            self._new.sync_name()
        except OSError:
            logging.getLogger("pmagent.store").exception("the folder could not be synced; tried again before a write")
        failpoint("store.after_compaction")
        return self._new, self._index

    def drop(self) -> None:
        """Give up and remove the copy."""
        if self._new is not None and self._new.path.name.startswith(TEMPORARY):
            self._new.path.unlink(missing_ok=True)
        self._new = None


class Pace:
    """Work for a moment, rest for a moment; less rest in each round, so that a busy journal is caught up with."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self._stopped = stopped
        self._rest = _STEP
        self._until = time.perf_counter() + _STEP

    def rest(self) -> None:
        """Rest if it is time. Raises `StoreUnavailable` when the store was closed: the copy is not wanted any more."""
        if time.perf_counter() < self._until:
            return
        if self._stopped():
            raise StoreUnavailable("the store is closed")
        time.sleep(self._rest)
        self._until = time.perf_counter() + _STEP

    def hurry(self) -> None:
        """The next round rests half as long."""
        self._rest /= 2


def _go_on() -> None:
    """No rest: nobody can do anything meanwhile."""


def remove_leftovers(folder: Path) -> None:
    """Remove copies that a killed process left unfinished."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir():  # a restore's
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
