"""What the tests of the store share: a clock that is put, and a store that is used without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.store import Audit, Condition, Delete, Put, Record, Store, Table
from bot.store.embedded.store import opened

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def commit(store: Store, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()) -> None:
    """A commit from outside of any event loop."""
    asyncio.run(store.commit(*changes, expect=expect, audit=audit))


def records(folder: Path, table: Table, **equals: Any) -> list[Record]:
    """What stands in a table now, read as another process does."""
    return list(_read(folder, table, equals))


def _read(folder: Path, table: Table, equals: dict[str, Any]) -> Iterator[Record]:
    db = opened(folder)
    try:
        yield from [r for r in db.of(table).find() if all(r.get(name) == value for name, value in equals.items())]
    finally:
        db.close()
