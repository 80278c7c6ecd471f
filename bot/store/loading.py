"""Filling the index from the journal when the store opens: the same as one record after another, in bulk.

While loading, a dict of hashes finds a record's row, and columns are plain arrays; when all is read, each column is
linked in one go. That takes a third of the time, and the dict goes again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from bot.store import Record, Table
from bot.store.entries import NEVER, SEEN, moment, texts
from bot.store.index import Index, TableIndex
from bot.store.journal import Line
from bot.store.seen import Seen

Take = Callable[[Record, int, int, int], None]
Drop = Callable[[str], None]


class Loading:
    """One index while it is loaded. `line` takes a line of the journal, `finish` gives the index back.

    `only`: the tables that are taken in, for a reader that looks at no others. `newest`: the time of a late event, in
    seconds, if one is known: keys that are forgotten by then are not noted.
    """

    def __init__(self, only: Collection[Table], newest: float = NEVER) -> None:
        self._index = Index()
        self._index.tables[SEEN[0]].seen = Seen(newest)
        self._take: dict[str, Take] = {}
        self._drop: dict[str, Drop] = {}
        for table in only:
            self._take[table], self._drop[table] = _loader(self._index.tables[table])

    def line(self, line: Line) -> None:
        """Take in one line."""
        takers = self._take
        offset, size = line.spot
        for nth, (name, record) in enumerate(line.puts):
            if name in takers:
                takers[name](record, offset, size, nth)
        for name, record_id in line.deletes:
            if name in self._drop:
                self._drop[name](record_id)
        self._index.puts += len(line.puts) + len(line.deletes)

    def finish(self) -> Index:
        """The index, whole."""
        for table in self._index.tables.values():
            table.link()
        return self._index


def _loader(table: TableIndex) -> tuple[Take, Drop]:
    """Two functions over a table's arrays: put a record, remove one. What they need is at hand: they run often."""
    rows: dict[int, int] = {}
    offsets, sizes, nths, ats, ids = table.arrays()
    hashed = [(name, column, column.hashes) for name, column in table.hashed.items()]
    coded = [(name, column, column.codes) for name, column in table.coded.items()]
    lists = list(table.lists.items())
    seen = table.shape.seen

    def take(record: Record, offset: int, size: int, nth: int) -> None:
        get = record.get
        hashed_id = hash(record["id"]) or 1
        row = rows.get(hashed_id, -1)
        at = moment(get("at"))
        new = row < 0
        if new:
            rows[hashed_id] = row = len(sizes)
            offsets.append(offset)
            sizes.append(size)
            nths.append(nth)
            ats.append(at)
            ids.append(hashed_id)
            for name, column, hashes in hashed:
                value = get(name)
                hashes.append((hash(value) or 1) if type(value) is str else column.told(row, value))
            for name, codes, numbers in coded:
                numbers.append(codes.of(get(name)))
        else:
            offsets[row], sizes[row], nths[row], ats[row] = offset, size, nth, at
            for name, column, hashes in hashed:
                hashes[row] = column.told(row, get(name))
            for name, codes, numbers in coded:
                numbers[row] = codes.of(get(name))
        for name, members in lists:
            members.put(row, texts(get(name)))
        if seen is not None:
            table.seen.add(texts(get(seen)), at, row, new=new)

    def drop(record_id: str) -> None:
        row = rows.pop(hash(record_id) or 1, -1)
        if row < 0:
            return
        sizes[row], ats[row], ids[row] = 0, NEVER, 0
        for _, column, hashes in hashed:
            hashes[row] = column.told(row, None)
        for _, _, numbers in coded:
            numbers[row] = 0
        for _, members in lists:
            members.put(row, ())

    return take, drop
