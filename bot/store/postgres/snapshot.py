"""All data of a database as they were at one moment (`bot.store.data.Snapshot`): one transaction that reads.

Records come from cursors that stay on the server. Each table is locked against what would empty it (a restore) or write
it anew (an erasure) before the moment is fixed, as PostgreSQL's own backup does; nobody who reads or writes waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import count, islice
from typing import Any

import psycopg

from bot.errors import UserError
from bot.store import TABLES, Record, Table
from bot.store.archive.layout import StoredRecord
from bot.store.encoding import to_json
from bot.store.postgres.address import DatabaseAddress
from bot.store.postgres.encoding import read
from bot.store.postgres.queries import Query
from bot.store.postgres.schema import migrations

BATCH_SIZE = 200
"""Records that come in one answer."""
LOCK_TIMEOUT = 30
"""Seconds that a restore or an erasure is waited for."""


@contextmanager
def snapshot(address: DatabaseAddress) -> Iterator[DatabaseSnapshot]:
    """Raises `UserError`."""
    with address.in_words(), closing(address.connect("reads")) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}s'".encode())
        with connection.transaction():
            there = _version(connection, address) > 0
            yield DatabaseSnapshot(connection, there=there)


def _version(connection: psycopg.Connection, address: DatabaseAddress) -> int:
    """The schema's number, 0 without one; and its tables are ours to read until the transaction ends."""
    # Nothing is selected before the locks are there: the first thing that is fixes the moment.
    try:
        with connection.transaction():
            connection.execute(f"LOCK TABLE about, {', '.join(TABLES)} IN ACCESS SHARE MODE".encode())
    except psycopg.errors.UndefinedTable:
        row = connection.execute("SELECT to_regclass('about') IS NOT NULL").fetchone()
        if row and row[0]:
            raise UserError(
                f"The {address.shown} has the tables of an earlier version: start this version of PM Agent once."
            ) from None
        return 0
    row = connection.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
    found, known = int(row[0]) if row else 0, max(number for number, _ in migrations())
    if found > known:
        raise UserError(
            f"The {address.shown} has schema {found}, and this version of PM Agent knows schema {known}: update "
            "PM Agent."
        )
    return found


class DatabaseSnapshot:
    """See `bot.store.data.Snapshot`."""

    def __init__(self, connection: psycopg.Connection, *, there: bool) -> None:
        self.there = there
        self._connection = connection
        self._numbers = count(1)

    def get(self, table: Table, record_id: str) -> Record | None:
        return next(self.find(table, limit=1, id=record_id), None)

    def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[Record]:
        query = Query.of(table, equals, since, until)
        sql = query.sql("doc::text", table, newest_first=newest_first, limit=limit)
        found = (read(row[0]) for row in self._rows(sql, query.values))
        return islice(filter(query.matches, found), limit)

    def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        if not self.there:
            return 0
        query = Query.of(table, equals, since)
        if query.rest:
            return sum(1 for _ in self.find(table, since=since, **equals))
        row = self._connection.execute(query.sql("count(*)", table), query.values).fetchone()
        return int(row[0]) if row else 0

    def rows(self, table: Table) -> Iterator[StoredRecord]:
        sql = Query().sql("seq, doc::text", table)
        return (StoredRecord(seq, to_json(read(doc))) for seq, doc in self._rows(sql, []))

    def salvaged(self, table: Table) -> Iterator[Record | str]:
        try:
            yield from self.find(table)
        except psycopg.DatabaseError as error:
            yield f"the database cannot be read further: {' '.join(str(error).split())}"

    def _rows(self, sql: bytes, values: list[Any]) -> Iterator[Any]:
        if not self.there:
            return
        with self._connection.cursor(f"c{next(self._numbers)}") as cursor:
            cursor.itersize = BATCH_SIZE
            yield from cursor.execute(sql, values)
