"""What a look at the database tells before anything is read of it: may this program use it, and who does."""

from __future__ import annotations

from contextlib import closing
from typing import Any, NamedTuple

import psycopg

from bot.store import TABLES
from bot.store.postgres.address import DatabaseAddress
from bot.store.postgres.presence import PRESENT
from bot.store.postgres.queue_schema import migrations as queue_migrations
from bot.store.postgres.schema import migrations

_SERVER = b"""
SELECT current_setting('server_version'), current_setting('server_encoding'),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on',
       current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
       has_schema_privilege(current_schema(), 'CREATE'),
       to_regclass('about') IS NOT NULL
"""
_RIGHTS = """
SELECT string_agg(name, ', ') FROM unnest(%s::text[]) AS name
WHERE to_regclass(name) IS NOT NULL AND NOT (
    has_table_privilege(name, 'SELECT') AND has_table_privilege(name, 'INSERT')
    AND has_table_privilege(name, 'UPDATE') AND has_table_privilege(name, 'DELETE')
)
"""
_QUEUE = b"SELECT obj_description(to_regclass('procrastinate_jobs')::oid, 'pg_class')"
_OURS = (*(table for table in TABLES if table != "jobs"), "head", "about", "commits", "procrastinate_jobs")


class DatabaseCondition(NamedTuple):
    """See the module's docstring.

    `number`: the server's version as PostgreSQL counts (180004). `read_only`: a replica, or set so. `safe`: what is
    committed outlives a power cut. `may_create`: tables can be made. `schema`: 0 without any; `queue`: the job queue's.
    `forbidden`: our tables that this user may not write.
    """

    number: int
    version: str
    encoding: str
    read_only: bool
    safe: bool
    may_create: bool
    schema: int
    known_schema: int
    queue: str
    known_queue: str
    forbidden: str
    bots: int


def condition(address: DatabaseAddress) -> DatabaseCondition:
    """Raises `UserError`."""
    with address.in_words(), closing(address.connect("check")) as connection:
        connection.execute("SET statement_timeout = '10s'")
        version, encoding, read_only, safe, may_create, there = _row(connection, _SERVER)
        schema, queue, forbidden = 0, "", ""
        if there:
            forbidden = _row(connection, _RIGHTS.encode(), [list(_OURS)])[0] or ""
            queue = _row(connection, _QUEUE)[0] or ""
            if "about" not in forbidden.split(", "):
                schema = int(_row(connection, b"SELECT max(value) FROM about WHERE name = 'schema'")[0] or 0)
        bots = len(connection.execute(PRESENT).fetchall())
        known, known_queue = max(number for number, _ in migrations()), queue_migrations()[-1]
        number = connection.info.server_version
        return DatabaseCondition(
            number, version, encoding, read_only, safe, may_create, schema, known, queue, known_queue, forbidden, bots
        )  # fmt: skip


def _row(connection: psycopg.Connection, sql: bytes, values: list[Any] | None = None) -> tuple[Any, ...]:
    row = connection.execute(sql, values).fetchone()
    return row or (None,) * 6
