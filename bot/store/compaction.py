"""Write the journal anew with only what is alive: a copy beside, then one atomic rename.

The journal only grows, so a copy can be made while commits go on: `plan` notes what is alive and where the file ends,
`copy` (on any thread) writes those records, `follow` (on the writer's thread) adds the lines that came since, `finish`
syncs, renames and gives back the new journal and its index. Whoever reads the old file goes on reading it.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.failpoints import failpoint
from bot.store import TABLES, Record, Table
from bot.store.encoding import to_json
from bot.store.index import Index
from bot.store.journal import Journal, Line, Spot, body

TEMPORARY = "journal.new-"
SMALLEST = 4 * 1024 * 1024
"""A journal of fewer bytes is not worth the copy."""
_CHUNK = 500
_numbers = itertools.count(1)

Transform = Callable[[Table, Record], Record | None]
"""Gives back the record as it is to be kept (its id unchanged), or None to drop it."""


def worth_it(journal: Journal, index: Index) -> bool:
    """Whether more than half of what the journal holds is dead."""
    return journal.end > SMALLEST and index.puts > 2 * len(index) + 1000


class Compaction:
    """One run. `drop` gives it up at any time and leaves no trace."""

    def __init__(self, source: Journal, alive: list[tuple[Table, str, Spot]], transform: Transform | None) -> None:
        self._source = source
        self._alive = alive
        self._end = source.end
        self._transform = transform
        self._index = Index()
        self._new: Journal | None = None

    @classmethod
    def plan(cls, journal: Journal, index: Index, transform: Transform | None = None) -> Compaction:
        """On the writer's thread: note what is alive."""
        alive = [(table, record_id, spot) for table in TABLES for record_id, spot in index.tables[table].pick({})]
        return cls(journal, alive, transform)

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

    def copy(self) -> None:
        """Write what was alive, not yet synced. Raises `StoreUnavailable` or OSError; then `drop`."""
        self._new = Journal.create(self._source.path.with_name(f"{TEMPORARY}{next(_numbers)}"))
        records: list[tuple[str, Record]] = []
        for table, record_id, spot in self._alive:
            record = self._source.record(table, record_id, spot)
            kept = self._transform(table, record) if self._transform else record
            if kept is not None:
                records.append((table, kept))
            if len(records) >= _CHUNK:
                self.add(records)
                records = []
        self.add(records)

    def add(self, records: Sequence[tuple[str, Record]]) -> None:
        """Write these records, one line each."""
        if not records or self._new is None:
            return
        spots = self._new.append([body([(table, to_json(record))], ()) for table, record in records], sync=False)
        for (table, record), spot in zip(records, spots, strict=True):
            self._index.load(Line(0, 0, [(table, record)], [], spot))

    def follow(self, source: Journal) -> None:
        """Add the lines that the source has got since `plan`."""
        assert self._new is not None  # noqa: S101 - for the type checker: `copy` came first
        offset = self._end
        with os.fdopen(os.dup(source.handle.fd), "rb", buffering=1 << 20) as file:
            file.seek(offset)
            for raw in file:
                if offset >= source.end:
                    break
                line = source.line((offset, len(raw)))
                text = body([(table, to_json(record)) for table, record in line.puts], line.deletes)
                (spot,) = self._new.append([text], sync=False)
                self._index.load(line._replace(spot=spot))
                offset += len(raw)

    def finish(self) -> tuple[Journal, Index]:
        """Make the copy the journal. Raises OSError; then nothing has changed."""
        assert self._new is not None  # noqa: S101 - for the type checker: `copy` came first
        path = self._source.path
        os.fsync(self._new.handle.fd)
        self._index.finish()
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


def remove_leftovers(folder: Path) -> None:
    """Remove copies that a killed process left unfinished."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if path.is_dir():  # a restore's
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
