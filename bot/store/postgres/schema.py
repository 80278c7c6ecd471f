"""The tables in the database: made at the first start, upgraded by the migrations files in `migrations`.

Whichever process comes first does it, in one transaction; others wait for that, and find it done. The job queue's own
tables are made in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from zlib import crc32

import psycopg

from bot.errors import UserError
from bot.store.postgres import queue_schema
from bot.store.postgres.connecting import OLDEST, Connection
from bot.store.postgres.locks import MIGRATION

_SLOW = b"""
SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL transaction_timeout = 0
"""
_NOTE = b"INSERT INTO about VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_KEPT = b"DELETE FROM commits WHERE at < now() - interval '30 days'"
"""Processes that are long gone have left their last one."""


def migrations() -> Iterator[tuple[int, bytes]]:
    """The numbered files, in order: number and SQL."""
    folder = files("bot.store.postgres") / "migrations"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            yield int(file.name.partition("_")[0]), file.read_bytes()


async def migrate(connection: Connection) -> None:
    """Bring the database to this version's schema. Raises `UserError` where that is not possible, `psycopg.Error`."""
    if connection.info.server_version < OLDEST * 10_000:
        raise UserError(f"PostgreSQL {OLDEST} or later is needed; this is {connection.info.server_version // 10_000}.")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UserError(f"The database holds texts as {encoding}; create one with ENCODING 'UTF8'.")
    steps = [*migrations()]
    try:
        async with connection.transaction():
            await connection.execute(_SLOW)
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION])
            found = await version(connection)
            if found > steps[-1][0]:
                raise UserError(
                    f"The database has schema {found}, and this version of PM Agent knows schema {steps[-1][0]}: "
                    "update PM Agent."
                )
            for number, text in steps:
                if number > found:
                    await connection.execute(text)
                    await connection.execute(_NOTE, ["schema", str(number)])
            # Its statements lock the table of jobs: no process that only starts shall hold up those that work.
            queue = f"{queue_schema.migrations()[-1]} {crc32(queue_schema.OURS.encode())}"
            if await noted(connection, "queue") != queue:
                await queue_schema.install(connection)
                await connection.execute(_NOTE, ["queue", queue])
            await connection.execute(_KEPT)
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(
            f"The user of PMAGENT_DATABASE_URL may not make tables in the database ({error.diag.message_primary}): "
            "make it the owner of the database."
        ) from error
    except psycopg.errors.DuplicateTable as error:
        raise UserError(
            f"The database holds tables of another program ({error.diag.message_primary}): give PM Agent its own."
        ) from error


async def version(connection: Connection) -> int:
    """The schema's number; 0: there is none of our tables."""
    row = await (await connection.execute("SELECT to_regclass('about') IS NOT NULL")).fetchone()
    if row is None or not row[0]:
        return 0
    return int(await noted(connection, "schema") or 0)


async def noted(connection: Connection, name: str) -> str:
    """What is noted about the database under this name; empty for nothing."""
    row = await (await connection.execute("SELECT value FROM about WHERE name = %s", [name])).fetchone()
    return str(row[0]) if row else ""
