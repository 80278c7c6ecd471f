"""Reading many records a page at a time, each of them once, while they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from bot.store import Record, StoreReader, Table

PAGE_SIZE = 50
"""Records that are in memory together; so few are read quickly, and others have their turn in between."""


async def each(
    store: StoreReader, table: Table, *, by: str, until: datetime | None = None, page: int = PAGE_SIZE, **equals: Any
) -> AsyncIterator[Record]:
    """The records that `store.find` would give, in the order of the time `by`; one that is changed meanwhile may be
    left out."""
    since: datetime | None = None
    given: set[str] = set()
    while True:
        limit = page + len(given)
        found = await store.find(table, since=since, until=until, by=by, limit=limit, **equals)
        for record in found:
            if record["id"] not in given:
                yield record
        if len(found) < limit:
            return
        last = datetime.fromisoformat(found[-1][by])
        given = {record["id"] for record in found if datetime.fromisoformat(record[by]) == last}
        since = last
