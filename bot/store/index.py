"""Where each record is, and what it is found by: arrays over the rows of a table, never a document, never an id's text.

A row is a record's number in the order of first insertion, which is what `find` promises. Where a field is indexed
(`INDEXED`), it is kept in a column: `Hashes` for values of which there are many, `Codes` for those of which there are
few, a dict for the lists of a small table. About 70 bytes a record in all.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from bot.store import TABLES, Table
from bot.store.columns import Codes, Hashes, Lists, is_plain
from bot.store.entries import NEVER, SEEN, SHAPES, Entry, moment
from bot.store.journal import Line, Place, Spot
from bot.store.seen import Seen

__all__ = ["SEEN", "Index", "Places", "TableIndex", "moment"]

_BLOCK = 1024  # rows that share their latest time, so that `since` skips what is old
_RARE = 512  # with so few rows of one state, looking at those is quicker than following an issue's chain


class Places:
    """Where some records are, in order: each line's offset and length, and which of its puts. Length 0: there is none.

    Three arrays: a tuple for each of a million records would take 150 MB.
    """

    __slots__ = ("_nths", "_offsets", "_sizes")

    def __init__(self, offsets: Sequence[int], sizes: Sequence[int], nths: Sequence[int]) -> None:
        self._offsets = offsets
        self._sizes = sizes
        self._nths = nths

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[Place]:
        return (place for place in zip(self._offsets, self._sizes, self._nths, strict=True) if place[1])


class TableIndex:
    """One table. Not safe for threads: the writer changes it, and whoever looks something up takes the engine's lock.

    New records are collected (`insert`) and come into the columns together (`settle`), before anything is looked up.
    """

    def __init__(self, table: Table) -> None:
        self.shape = SHAPES[table]
        self.alive = 0
        self.seen = Seen()
        self._offsets = array("Q")
        self._sizes = array("I")
        self._nths = array("I")
        self._ats = array("d")
        self._latest = array("d")
        self._ids = Hashes()
        self._new: list[tuple[Entry, Spot, int]] = []
        self.row_of = self._ids.first
        """The row of a record by the hash of its id, or -1. Where it must be certain, `rows_of` and the record."""
        self.hashed = {name: Hashes() for name in self.shape.hashed}
        self.coded = {name: Codes() for name in self.shape.coded}
        self.lists = {name: Lists() for name in self.shape.lists}
        self._hash_columns = tuple(self.hashed.values())
        # Nobody looks for audit records by their ids but who archives them, and that one prepares it (`relieve`).
        self._often = self._hash_columns if table == "audit" else (self._ids, *self._hash_columns)
        self._code_columns = tuple(self.coded.values())
        self._list_columns = tuple(self.lists.values())

    def arrays(self) -> tuple[array[int], array[int], array[int], array[float], array[int]]:
        """Offsets, sizes, nths, times and id hashes, by row: for loading, which fills them by hand; then `link`."""
        return self._offsets, self._sizes, self._nths, self._ats, self._ids.hashes

    def link(self) -> None:
        """Build what is derived from the arrays."""
        self.seen.loaded()
        for column in (self._ids, *self._hash_columns):
            column.link()
        for codes in self._code_columns:
            codes.link()
        self._latest = array("d", [max(self._ats[at : at + _BLOCK]) for at in range(0, len(self._ats), _BLOCK)])
        self.alive = sum(1 for size in self._sizes if size)

    def rows_of(self, record_id: int) -> list[int]:
        """The rows that may be of a record with this hash: one but for a chance of 1 in 10^13."""
        return list(self._ids.rows(record_id))

    def spot(self, record_id: str) -> Place | None:
        """Where a record is, by the hash of its id; None when there is none."""
        row = self.row_of(hash(record_id) or 1)
        return None if row < 0 else self.place_of(row)

    def place_of(self, row: int) -> Place:
        return self._offsets[row], self._sizes[row], self._nths[row]

    def at_of(self, row: int) -> float:
        return self._ats[row]

    def last(self) -> Place | None:
        """Where the record is that was inserted last."""
        for row in range(len(self._sizes) - 1, -1, -1):
            if self._sizes[row]:
                return self.place_of(row)
        return None

    def insert(self, entry: Entry, spot: Spot, nth: int) -> int:
        """A new record; its row. `settle` must follow."""
        self._new.append((entry, spot, nth))
        return len(self._sizes) + len(self._new) - 1

    def settle(self) -> None:
        """Take in what was inserted: one column after another, which costs a third of one record after another."""
        if not self._new:
            return
        entries, spots, nths = zip(*self._new, strict=True)
        self._new = []
        offsets, sizes = zip(*spots, strict=True)
        ats, ids, hashed, coded, lists, seen = zip(*entries, strict=True)
        start = len(self._sizes)
        self._offsets.extend(offsets)
        self._sizes.extend(sizes)
        self._nths.extend(nths)
        self._ats.extend(ats)
        self._note_latest(start)
        self._ids.extend(ids)
        for column, hashes in zip(self._hash_columns, zip(*hashed, strict=True), strict=True):
            column.extend(hashes)
        for codes, values in zip(self._code_columns, zip(*coded, strict=True), strict=True):
            codes.extend(values)
        for members, every in zip(self._list_columns, zip(*lists, strict=True), strict=True):
            for row, texts in enumerate(every, start):
                members.put(row, texts)
        if self.shape.seen:
            for row, (keys, at) in enumerate(zip(seen, ats, strict=True), start):
                if keys:
                    self.seen.add(keys, at, row)
        self.alive += len(sizes)
        for column in self._often:
            column.relieve()

    def relieve(self) -> bool:
        """Make ready a part of what is new for look-ups by id; False when they need not wait any more."""
        return self._ids.relieve()

    def _note_latest(self, start: int) -> None:
        """Keep each block's latest time, with the rows from `start` on."""
        end = len(self._ats)
        while start < end:
            block = start // _BLOCK
            stop = min(end, (block + 1) * _BLOCK)
            latest = max(self._ats[start:stop])
            if block == len(self._latest):
                self._latest.append(latest)
            elif latest > self._latest[block]:
                self._latest[block] = latest
            start = stop

    def update(self, row: int, entry: Entry, spot: Spot, nth: int) -> None:
        """A record of this row is elsewhere now, and may have other values."""
        self.settle()
        self._offsets[row], self._sizes[row], self._nths[row] = spot[0], spot[1], nth
        at, _, hashed, coded, lists, seen = entry
        if self._ats[row] != at:
            self._ats[row] = at
            block = row // _BLOCK
            self._latest[block] = max(self._latest[block], at)
        for column, value in zip(self._hash_columns, hashed, strict=True):
            if value is None:
                column.odd.add(row)
            elif column.odd:
                column.odd.discard(row)
            if column.hashes[row] != (value or 0):
                column.put(row, value or 0)
        for codes, value in zip(self._code_columns, coded, strict=True):
            code = codes.of(value)
            if codes.codes[row] != code:
                codes.put(row, code)
        for members, texts in zip(self._list_columns, lists, strict=True):
            members.put(row, texts)
        if seen:
            self.seen.add(seen, at, row, new=False)

    def remove(self, row: int) -> None:
        """Forget a record. Its row stays empty."""
        self.settle()
        self._sizes[row] = 0
        self._ats[row] = NEVER
        self._ids.clear(row)
        for column in self._hash_columns:
            column.clear(row)
        for codes in self._code_columns:
            codes.put(row, 0)
        for members in self._list_columns:
            members.put(row, ())
        self.alive -= 1

    # Looking up

    def pick(
        self,
        equals: Mapping[str, Any],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Places:
        """Where the records are that may match, in order of first insertion; the caller checks them.

        `since`, `until`: only records whose `at` is not earlier, not later.
        `limit` is kept only where the index alone decides: the caller may get more.
        """
        rows, exact = self._rows(equals, newest_first=newest_first)
        rows = self._between(rows, since, until)
        if isinstance(rows, range) and limit is None:
            step = -1 if newest_first else 1
            return Places(self._offsets[::step], self._sizes[::step], self._nths[::step])
        sizes = self._sizes
        found = array("I", islice((row for row in rows if sizes[row]), limit if exact else None))
        return Places(
            array("Q", [self._offsets[row] for row in found]),
            array("I", [sizes[row] for row in found]),
            array("I", [self._nths[row] for row in found]),
        )

    def count(self, equals: Mapping[str, Any], *, since: datetime | None = None) -> int | None:
        """How many records match; None where the index alone cannot tell."""
        if not equals and since is None:
            return self.alive
        rows, exact = self._rows(equals)
        if not exact:
            return None
        return sum(1 for row in self._between(rows, since, None) if self._sizes[row])

    def _rows(self, equals: Mapping[str, Any], *, newest_first: bool = False) -> tuple[Iterable[int], bool]:
        """Rows that may match, and whether they are known to. A range: all."""
        hashed: list[tuple[Hashes, int]] = []
        coded: list[tuple[Codes, int]] = []
        listed: list[set[int]] = []
        exact = True
        for name, value in equals.items():
            if not is_plain(value):
                exact = False
            elif name in self.hashed and not self.hashed[name].odd:
                hashed.append((self.hashed[name], Hashes.of(value)))
            elif name in self.coded and not self.coded[name].has_odd:
                coded.append((self.coded[name], self.coded[name].asked(value)))
            elif name in self.lists and isinstance(value, str):
                listed.append(self.lists[name].rows.get(value, set()))
            else:
                exact = False
        rows: Iterable[int]
        rarest = min((codes.counts[code], n) for n, (codes, code) in enumerate(coded)) if coded else None
        if listed:
            rows = sorted(set.intersection(*listed), reverse=newest_first)
        elif hashed and (rarest is None or rarest[0] > _RARE):
            column, wanted = hashed.pop(0)
            rows = column.rows(wanted)
            if not newest_first:
                rows = reversed(list(rows))
        elif rarest is not None:
            codes, code = coded.pop(rarest[1])
            rows = codes.rows(code, newest_first=newest_first)
        else:
            every = range(len(self._sizes))
            return every[::-1] if newest_first else every, exact
        for column, wanted in hashed:
            rows = _where(column.hashes, wanted, rows)
        for codes, code in coded:
            rows = _where(codes.codes, code, rows)
        return rows, exact

    def _between(self, rows: Iterable[int], since: datetime | None, until: datetime | None) -> Iterable[int]:
        ats = self._ats
        if since is not None:
            floor = moment(since.isoformat())
            rows = (
                row for row in (self._recent(rows, floor) if isinstance(rows, range) else rows) if ats[row] >= floor
            )
        if until is not None:
            ceiling = moment(until.isoformat())
            rows = (row for row in rows if ats[row] <= ceiling)
        return rows

    def _recent(self, rows: range, floor: float) -> Iterator[int]:
        """All rows but those of blocks that are older as a whole."""
        blocks = range(len(self._latest))
        for block in blocks if rows.step > 0 else reversed(blocks):
            if self._latest[block] >= floor:
                yield from range(block * _BLOCK, min((block + 1) * _BLOCK, len(self._ats)))[:: rows.step]


def _where(values: Sequence[int], wanted: int, rows: Iterable[int]) -> Iterator[int]:
    return (row for row in rows if values[row] == wanted)


class Index:
    """All tables. `puts` counts what the journal holds, so that `len(self)` against it tells how much of it is dead."""

    def __init__(self) -> None:
        self.tables: dict[str, TableIndex] = {table: TableIndex(table) for table in TABLES}
        self.puts = 0

    def __len__(self) -> int:
        return sum(table.alive for table in self.tables.values())

    def load(self, line: Line) -> None:
        """Take in one line of the journal."""
        spot = line.spot
        for nth, (name, record) in enumerate(line.puts):
            table = self.tables.get(name)
            if table is not None:
                entry = table.shape.entry(record)
                row = table.row_of(hash(record["id"]) or 1)
                if row < 0:
                    table.insert(entry, spot, nth)
                    table.settle()
                else:
                    table.update(row, entry, spot, nth)
        for name, record_id in line.deletes:
            if name in self.tables:
                row = self.tables[name].row_of(hash(record_id) or 1)
                if row >= 0:
                    self.tables[name].remove(row)
        self.puts += len(line.puts) + len(line.deletes)

    def settle(self) -> None:
        """See `TableIndex.settle`."""
        for table in self.tables.values():
            table.settle()
