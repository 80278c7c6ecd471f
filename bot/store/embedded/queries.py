"""TinyDB queries as SQL, as far as an index answers them; TinyDB itself decides the rest.

TinyDB tells what a query asks in `_hash`: `("==", ("state",), "received")` for an equality, `("any", ("keys",), …)` for
a list that holds one of several values, `("and", frozenset(…))` for a conjunction. An underscore attribute is no
promise: TinyDB is pinned, and `tests/store/test_tiny.py` holds what is used here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from operator import and_
from typing import Any

from tinydb import where
from tinydb.queries import QueryLike

from bot.store import Table
from bot.store.embedded.schema import field
from bot.store.schema import LISTS, indexed

_DIRECT = (str, int, bool)


@dataclass
class Where:
    """The SQL conditions of a query with their values. `whole`: they say all that the query does."""

    terms: list[str]
    values: list[Any]
    whole: bool = True

    def sql(self) -> str:
        return f" WHERE {' AND '.join(self.terms)}" if self.terms else ""

    def add(self, term: str, value: Any) -> None:
        self.terms.append(term)
        self.values.append(value)


def equals(table: Table, fields: dict[str, Any]) -> QueryLike | None:
    """The TinyDB query for records whose fields have these values; None for no fields."""
    parts = [
        where(name).any([value]) if LISTS.get(table) == name else where(name) == value for name, value in fields.items()
    ]
    return reduce(and_, parts) if parts else None


def translate(table: Table, query: QueryLike | None) -> Where:
    """What SQLite can answer of a TinyDB query."""
    found = Where([], [])
    if query is None:
        return found
    for term in _terms(getattr(query, "_hash", None)):
        match term:
            case ("==", (str(name),), value) if name in indexed(table) and isinstance(value, _DIRECT):
                found.add(f"{field(name)} = ?", value)
            case ("any", (str(name),), (str(value),)) if LISTS.get(table) == name:
                found.add(f"seq IN (SELECT seq FROM {table}_{name} WHERE member = ?)", value)  # noqa: S608 - names of our own
            case _:
                found.whole = False
    return found


def _terms(hashed: Any) -> Iterator[Any]:
    match hashed:
        case ("and", frozenset() as parts):
            for part in parts:
                yield from _terms(part)
        case _:
            yield hashed


def moment(at: datetime) -> str:
    """A time as it is compared with `at`: without the zone, so that it sorts before every spelling of the same time."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()
