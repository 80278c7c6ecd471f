"""What `find` and `count` ask, as SQL. JSONB compares as Python does: only lists and objects are compared here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bot.store import TABLES, Record, Table
from bot.store.postgres.encoding import scalar
from bot.store.schema import LISTS


@dataclass
class Query:
    """The condition of a query with its values, and the fields that PostgreSQL is not asked about (`rest`)."""

    terms: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=dict)
    by: str = ""

    @classmethod
    def of(
        cls,
        table: Table,
        equals: Mapping[str, Any],
        since: datetime | None = None,
        until: datetime | None = None,
        by: str = "",
    ) -> Query:
        """The records of a table whose fields have these values. Raises ValueError for no table, or no field."""
        if table not in TABLES:
            raise ValueError(f"no table {table}")
        for name in (*equals, by or "at"):
            if not name.isidentifier():
                raise ValueError(f"no field {name}")
        time = _time(by or "at")
        found = cls(by=by)
        for name, value in equals.items():
            found._equal(table, name, value)
        for sign, at in ((">=", since), ("<", until)):
            if at is not None:  # without the zone, so that it sorts before every spelling of the same time
                found.add(f"{time} {sign} %s", at.astimezone(UTC).replace(tzinfo=None).isoformat())
        return found

    def add(self, term: str, value: Any) -> None:
        self.terms.append(term)
        self.values.append(value)

    def _equal(self, table: Table, name: str, value: Any) -> None:
        value = scalar(value)
        column = f"doc::jsonb -> '{name}'"
        if LISTS.get(table) == name:
            self.add(f"{column} @> %s::jsonb", json.dumps([value]))
        elif isinstance(value, (bool, int, float)) and value in (0, 1):  # as in Python, True is 1
            self.add(f"{column} = ANY(%s::text[]::jsonb[])", [json.dumps(bool(value)), json.dumps(int(value))])
        elif value is None or isinstance(value, (str, int, float)):
            self.add(f"{column} = %s::jsonb", json.dumps(value))
        else:
            self.rest[name] = value

    def sql(self, what: str, table: Table, *, newest_first: bool = False, limit: int | None = None) -> bytes:
        """The statement that selects this, in order of arrival where records are asked for."""
        where = f" WHERE {' AND '.join(self.terms)}" if self.terms else ""
        way = " DESC" if newest_first else ""
        order = f" ORDER BY {_time(self.by) + way + ', ' if self.by else ''}seq{way}" if what != "count(*)" else ""
        most = f" LIMIT {int(limit)}" if limit is not None and not self.rest else ""
        return f"SELECT {what} FROM {table}{where}{order}{most}".encode()  # noqa: S608 - names of our own

    def matches(self, record: Record) -> bool:
        """Whether a record that PostgreSQL found has the rest too."""
        return all(record.get(name) == value for name, value in self.rest.items())


def _time(name: str) -> str:
    """A field with a time, as the indexes have it."""
    return f"(doc ->> '{name}') COLLATE \"C\""
