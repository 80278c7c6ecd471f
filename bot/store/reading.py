"""What is durable, for readers on any thread: the journal and its index as one, and the look-ups over both."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from bot.store import Record, Table
from bot.store.archive.listing import Listed
from bot.store.index import SEEN, Index, Places, moment
from bot.store.journal import Journal


class Picked(NamedTuple):
    """Records that were found, not yet read: those of one moment, whatever is committed or compacted since."""

    journal: Journal | None
    places: Places


class Reading:
    """A journal with its index. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._journal: Journal | None = None
        self.index = Index()
        self.archives: tuple[Listed, ...] = ()

    def get(self, table: Table, record_id: str) -> Record | None:
        """The record, or None."""
        return self.row_and_record(table, record_id)[1]

    def row_and_record(self, table: Table, record_id: str) -> tuple[int, Record | None]:
        """The record and its row; (-1, None) when there is none. The index knows ids by hash, so the record is read."""
        with self._lock:
            index, journal = self.index.tables[table], self._journal
            rows = index.rows_of(hash(record_id) or 1)
            places = [index.place_of(row) for row in rows]
        for row, place in zip(rows, places, strict=True):
            found, record = journal.put(place) if journal else ("", {})
            if found == table and record["id"] == record_id:
                return row, record
        return -1, None

    def row_of(self, table: Table, record_id: str) -> int:
        """The record's row by the hash of its id; -1 when there is certainly none."""
        with self._lock:
            return self.index.tables[table].row_of(hash(record_id) or 1)

    def prepare(self, table: Table) -> None:
        """For whoever is about to look up many records by id: step by step, so that nobody else waits for it."""
        more = True
        while more:
            with self._lock:
                more = self.index.tables[table].relieve()

    def select(self, table: Table, equals: Mapping[str, Any], **how: Any) -> Picked:
        """Where the records are that may match (see `TableIndex.pick`), as of now; `read` gives them."""
        with self._lock:
            return Picked(self._journal, self.index.tables[table].pick(equals, **how))

    def history(self, table: Table, since: datetime | None = None) -> tuple[tuple[Listed, ...], Picked]:
        """The archives, and where the table's records are that are in none of them, of one moment."""
        with self._lock:
            return self.archives, Picked(self._journal, self.index.tables[table].pick({}, since=since))

    def count(self, table: Table, equals: Mapping[str, Any], *, since: datetime | None = None) -> int | None:
        """How many records match; None where the index alone cannot tell."""
        with self._lock:
            return self.index.tables[table].count(equals, since=since)

    def size(self, table: Table) -> int:
        """How many records a table has."""
        with self._lock:
            return self.index.tables[table].alive

    def order(self, table: Table, record_id: str) -> int | None:
        """The record's place in the order of first insertion; it holds until the next compaction."""
        row = self.row_of(table, record_id)
        return None if row < 0 else row

    def remembered(self) -> int:
        """How many keys of deliveries are in memory."""
        with self._lock:
            return len(self.index.tables[SEEN[0]].seen)

    def rows_and_held(
        self, places: Iterable[tuple[Table, str]], keys: Collection[str]
    ) -> tuple[dict[tuple[Table, str], int], set[str]]:
        """The records' rows by the hash of their ids, -1 where there is certainly none; and the keys that may be held.

        `holder` knows whether such a key is: almost always, there is none.
        """
        with self._lock:
            tables = self.index.tables
            rows = {place: tables[place[0]].row_of(hash(place[1]) or 1) for place in places}
            held = tables[SEEN[0]].seen.among(keys)
            if tables["keys"].alive:
                row_of = tables["keys"].row_of
                held.update([key for key in keys if row_of(hash(key) or 1) >= 0])
        return rows, held

    def holder(self, keys: Sequence[str], since: float) -> Record | None:
        """The first record that holds one of a delivery's keys and is not older than `since` (seconds)."""
        with self._lock:
            journal, events, older = self._journal, self.index.tables[SEEN[0]], self.index.tables["keys"]
            places = [
                (key, events.place_of(row))
                for key in keys
                for row in events.seen.rows(key, since)
                if events.at_of(row) >= since
            ]
            named = [key for key in keys if older.row_of(hash(key) or 1) >= 0] if older.alive else ()
        for key, place in places:
            record = journal.put(place)[1] if journal and place[1] else {}
            if key in record.get(SEEN[1], ()):
                return record
        for key in named:
            found = self.get("keys", key)
            if found is not None and moment(found.get("at")) >= since:
                return found
        return None

    @staticmethod
    def read(table: Table, picked: Picked) -> Iterator[Record]:
        """The records that `select` found, in its order."""
        journal, places = picked
        line = None
        for offset, size, nth in places if journal else ():
            assert journal is not None  # noqa: S101 - for the type checker: without one there are no places
            if line is None or line.spot[0] != offset:
                line = journal.line((offset, size))
            found, record = line.puts[nth]
            if found != table:
                raise LookupError(f"at byte {offset} is a record of {found}, not of {table}")
            yield record

    @staticmethod
    def ids(picked: Picked) -> Iterator[str]:
        """The ids of the records that `select` found, in its order: quicker than `read`."""
        journal, places = picked
        for offset, size, nth in places if journal else ():
            assert journal is not None  # noqa: S101 - as above
            yield journal.line((offset, size), orjson.loads).puts[nth][1]["id"]
