"""What the index takes of a record: which fields a table is looked up by, and what stands for their values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bot.store import INDEXED, TABLES, Table
from bot.store.columns import Hashes, is_plain

FEW_VALUES: frozenset[tuple[str, str]] = frozenset({
    ("webhook_events", "state"), ("webhook_events", "kind"), ("drafts", "state"), ("drafts", "open"),
    ("messages", "pending"),
})  # fmt: skip
LISTS: frozenset[tuple[str, str]] = frozenset({("development", "keys")})
SEEN: tuple[Table, str] = ("webhook_events", "keys")
"""The field that `Unseen` looks up."""

NEVER = float("-inf")


class Entry(NamedTuple):
    """What the index takes of one record: its time in seconds, and hashes and values in the order of the columns."""

    at: float
    id: int
    hashed: tuple[int | None, ...]
    coded: tuple[Any, ...]
    lists: tuple[tuple[str, ...], ...]
    seen: tuple[str, ...]


def moment(text: object) -> float:
    """Seconds since 1970 of an ISO-8601 text (UTC where it does not say); minus infinity for anything else."""
    if isinstance(text, str):
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return NEVER
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return NEVER


class Shape:
    """Which columns a table has."""

    def __init__(self, table: Table) -> None:
        names = [name for name in INDEXED[table] if (table, name) != SEEN]
        self.coded = tuple(name for name in names if (table, name) in FEW_VALUES)
        self.lists = tuple(name for name in names if (table, name) in LISTS)
        self.hashed = tuple(name for name in names if name not in self.coded and name not in self.lists)
        self.seen = SEEN[1] if table == SEEN[0] else None

    def entry(self, record: Mapping[str, Any]) -> Entry:
        """What is kept of a record with an `id`."""
        get = record.get
        return Entry(
            moment(get("at")),
            hash(record["id"]) or 1,
            tuple([_hash(get(name)) for name in self.hashed]),
            tuple([get(name) for name in self.coded]) if self.coded else (),
            tuple([texts(get(name)) for name in self.lists]) if self.lists else (),
            texts(get(self.seen)) if self.seen else (),
        )


def _hash(value: Any) -> int | None:
    """None for a value that cannot be looked up by its hash."""
    if type(value) is str:
        return hash(value) or 1
    return Hashes.of(value) if value is None or is_plain(value) else None


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list, each once; a text alone counts as a list of one."""
    if not isinstance(value, list | tuple):
        return (value,) if isinstance(value, str) else ()
    return tuple(dict.fromkeys(member for member in value if isinstance(member, str)))


SHAPES: dict[Table, Shape] = {table: Shape(table) for table in TABLES}
