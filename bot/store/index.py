"""Where each record is: positions in the journal and the few fields that are looked up, never the documents.

Per record: its id, a place in four arrays, and one entry per indexed field that has a value. The order of the arrays
is the order of first insertion, which is what `find` promises.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bot.store import INDEXED, REMEMBERED, TABLES, Table
from bot.store.journal import Line, Spot

Keys = tuple[tuple[str, Any], ...]
"""The indexed (field, value) pairs of one record; a list has one pair per member."""


def keys_of(table: Table, record: Mapping[str, Any]) -> Keys:
    """What `record` is found by. None is not indexed: nobody looks for it, and most audit records have one."""
    found: list[tuple[str, Any]] = []
    for name in INDEXED[table]:
        if (table, name) == SEEN:
            continue
        value = record.get(name)
        if isinstance(value, list | tuple):
            found += [(name, member) for member in dict.fromkeys(value) if isinstance(member, str)]
        elif isinstance(value, str | int | float):
            found.append((name, value))
    return tuple(found)


def seen_keys(table: Table | str, record: Mapping[str, Any]) -> tuple[str, ...]:
    """What `Unseen` finds the record by."""
    found = record.get(SEEN[1]) if table == SEEN[0] else None
    return tuple(key for key in found if isinstance(key, str)) if isinstance(found, list | tuple) else ()


def moment(text: object) -> float:
    """Seconds since 1970 of an ISO-8601 text (UTC where it does not say); minus infinity for anything else."""
    if isinstance(text, str):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return float("-inf")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return float("-inf")


_DAY = 86400.0
SEEN: tuple[Table, str] = ("webhook_events", "keys")
"""The field that `Unseen` looks up."""


class Seen:
    """Who holds a key, for as long as it is remembered: rows by the key's hash, in one dict for each day.

    The time is that of the newest record, not a clock's: what is three days older than it is dropped, a day at a time.
    """

    def __init__(self) -> None:
        self._days: dict[int, dict[int, tuple[int, ...]]] = {}
        self._oldest = 0

    def add(self, keys: Iterable[str], at: float, row: int) -> None:
        """Remember that the record in this row holds these keys."""
        if at == float("-inf"):
            return
        number = int(at // _DAY)
        if number < self._oldest:
            return
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = {}
            self._oldest = int((max(self._days) * _DAY - REMEMBERED.total_seconds()) // _DAY)
            for old in [old for old in self._days if old < self._oldest]:
                del self._days[old]
        for key in keys:
            rows = day.get(hash(key), ())
            if row not in rows:
                day[hash(key)] = (*rows, row)

    def __len__(self) -> int:
        return sum(len(day) for day in self._days.values())

    def rows(self, key: str) -> list[int]:
        """Rows of the records that may hold the key, in order of first insertion."""
        found: list[int] = []
        for day in self._days.values():
            found += day.get(hash(key), ())
        return sorted(found)


class TableIndex:
    """One table. While `loading`, the field index is left until `finish`: then every record has its last values."""

    def __init__(self, fields: Iterable[str]) -> None:
        self.rows: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._offsets = array("Q")
        self._sizes = array("I")
        self._ats = array("d")
        self._by: dict[str, dict[Any, list[int]]] = {name: {} for name in fields}
        self.seen = Seen()
        self._loading: dict[str, Keys] | None = {}

    def place(self, record_id: str, at: float, keys: Keys, spot: Spot, old: Keys = ()) -> None:
        """Insert or move a record. `old`: the keys it had (needed only after `finish`)."""
        row = self.rows.get(record_id)
        if row is None:
            row = self.rows[record_id] = len(self._ids)
            self._ids.append(record_id)
            self._offsets.append(spot[0])
            self._sizes.append(spot[1])
            self._ats.append(at)
        else:
            self._offsets[row], self._sizes[row], self._ats[row] = spot[0], spot[1], at
        if self._loading is not None:
            if keys:
                self._loading[record_id] = keys
            else:
                self._loading.pop(record_id, None)
        elif keys != old:
            self._unlist(row, old)
            for name, value in keys:
                self._by[name].setdefault(value, []).append(row)

    def remove(self, record_id: str, old: Keys = ()) -> None:
        """Forget a record; absent is fine."""
        row = self.rows.pop(record_id, None)
        if row is None:
            return
        self._ids[row] = None
        if self._loading is not None:
            self._loading.pop(record_id, None)
        else:
            self._unlist(row, old)

    def _unlist(self, row: int, keys: Keys) -> None:
        for name, value in keys:
            rows = self._by[name][value]
            rows.remove(row)
            if not rows:
                del self._by[name][value]

    def finish(self) -> None:
        """Build the field index; from here on `place` and `remove` keep it."""
        loading, self._loading = self._loading, None
        for record_id, keys in (loading or {}).items():
            for name, value in keys:
                self._by[name].setdefault(value, []).append(self.rows[record_id])

    def see(self, record_id: str, at: float, keys: Iterable[str]) -> None:
        """Remember the keys of a record that was placed."""
        self.seen.add(keys, at, self.rows[record_id])

    def holders(self, key: str) -> list[tuple[str, Spot]]:
        """Ids and places of the records that may hold a key, in order of first insertion; the caller checks them."""
        return [
            (record_id, (self._offsets[row], self._sizes[row]))
            for row in self.seen.rows(key)
            if (record_id := self._ids[row]) is not None
        ]

    def spot(self, record_id: str) -> Spot | None:
        row = self.rows.get(record_id)
        return None if row is None else (self._offsets[row], self._sizes[row])

    def pick(
        self,
        equals: Mapping[str, Any],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[tuple[str, Spot]]:
        """Ids and places of the records that may match, in order of first insertion; the caller checks them.

        `since`, `until`: only records whose `at` is not earlier, not later.

        `limit` is kept only where the index decides alone: the caller may get more.
        """
        listed: list[list[int]] = [
            self._by[name].get(value, []) for name, value in equals.items() if name in self._by and value is not None
        ]
        rows: Sequence[int] = range(len(self._ids))
        if listed:
            shortest = min(listed, key=len)
            rows = sorted(shortest)
        if newest_first:
            rows = rows[::-1]
        floor = moment(since.isoformat()) if since else float("-inf")
        ceiling = moment(until.isoformat()) if until else float("inf")
        found = (
            (record_id, (self._offsets[row], self._sizes[row]))
            for row in rows
            if (record_id := self._ids[row]) is not None and floor <= self._ats[row] <= ceiling
        )
        decided = len(listed) == len(equals) <= 1
        return list(islice(found, limit if decided else None))


class Index:
    """All tables. `puts` counts what the journal holds, so that `len(self)` against it tells how much of it is dead."""

    def __init__(self) -> None:
        self.tables: dict[str, TableIndex] = {
            table: TableIndex(name for name in INDEXED[table] if (table, name) != SEEN) for table in TABLES
        }
        self.puts = 0

    def __len__(self) -> int:
        return sum(len(table.rows) for table in self.tables.values())

    def load(self, line: Line) -> None:
        """Take in one line of the journal, while loading."""
        for name, record in line.puts:
            table = self.tables.get(name)
            if table is not None:
                keys = keys_of(name, record)  # type: ignore[arg-type]  # a name of `tables` is a Table
                at = moment(record.get("at"))
                table.place(record["id"], at, keys, line.spot)
                table.see(record["id"], at, seen_keys(name, record))
        for name, record_id in line.deletes:
            if name in self.tables:
                self.tables[name].remove(record_id)
        self.puts += len(line.puts) + len(line.deletes)

    def finish(self) -> None:
        for table in self.tables.values():
            table.finish()
