"""What the index takes of a record: which fields a table is looked up by, and what stands for their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

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


Entry = tuple[float, int, Sequence[int | None], Sequence[Any], Sequence[tuple[str, ...]], tuple[str, ...]]
"""What the index takes of one record: its time in seconds, its id's hash, then hashes and values in the order of the
columns (`Shape`): `hashed`, `coded`, `lists`, `seen`. A plain tuple: a named one costs ten times as much to make."""


def moment(text: object) -> float:
    """Seconds since 1970 of an ISO-8601 text (UTC where it does not say); minus infinity for anything else."""
    if isinstance(text, str):
        try:
            return seconds(datetime.fromisoformat(text))
        except ValueError:
            return NEVER
    return NEVER


def seconds(at: datetime) -> float:
    """Seconds since 1970 of a time (UTC where it does not say)."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


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
        hashed: list[int | None] = []
        for name in self.hashed:
            value = get(name)
            hashed.append((hash(value) or 1) if type(value) is str else _hash(value))
        return (
            moment(get("at")),
            hash(record["id"]) or 1,
            hashed,
            [*map(get, self.coded)],
            [texts(get(name)) for name in self.lists] if self.lists else (),
            texts(get(self.seen)) if self.seen else (),
        )


def _hash(value: Any) -> int | None:
    """None for a value that cannot be looked up by its hash."""
    return Hashes.of(value) if value is None or is_plain(value) else None


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list, each once; a text alone counts as a list of one."""
    if type(value) is not list and not isinstance(value, tuple):
        return (value,) if isinstance(value, str) else ()
    found: dict[str, None] = {}
    for member in value:
        if isinstance(member, str):
            found[member] = None
    return tuple(found)


SHAPES: dict[Table, Shape] = {table: Shape(table) for table in TABLES}
