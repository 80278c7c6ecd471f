"""A table's records from the archives and the journal, oldest first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bot.store import Record, Table
from bot.store.archive.format import opened, read
from bot.store.index import moment

if TYPE_CHECKING:
    from bot.store.archive.listing import Listed


def records(
    folder: Path, archives: tuple[Listed, ...], table: Table, live: Iterator[Record], since: datetime | None = None
) -> Iterator[Record]:
    """The records of all places, by their `at`; records of one place stay in their order.

    Archives whose newest record of the table is older than `since` are not opened. Raises `ArchiveMissing` before the
    first record, `ArchiveDamaged` where the bad one is met.
    """
    floor = moment(since.isoformat()) if since else float("-inf")
    wanted = [one for one in archives if one.records.get(table) and moment(one.newest.get(table)) >= floor]
    files = [opened(one.path(folder)) for one in wanted]
    places = [_of(folder, one, file, table, floor) for one, file in zip(wanted, files, strict=True)]
    if table == "audit":
        return chain(*places, live)
    return heapq.merge(*places, live, key=lambda record: moment(record.get("at")))


def _of(folder: Path, one: Listed, file: IO[bytes], table: Table, floor: float) -> Iterator[Record]:
    for name, record in read(one.path(folder), file):
        if name == table and (floor == float("-inf") or moment(record.get("at")) >= floor):
            yield record
