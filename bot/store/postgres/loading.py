"""A restore into PostgreSQL: one transaction empties the tables and fills them, so a killed one changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import TABLES, Job, Record, Table
from bot.store.encoding import Row
from bot.store.postgres.address import DatabaseAddress
from bot.store.postgres.connecting import Connection, connect
from bot.store.postgres.encoding import read, stored, text
from bot.store.postgres.jobs import defer
from bot.store.postgres.presence import enter_alone, renew
from bot.store.postgres.schema import migrate

BATCH_SIZE = 200
"""Records that come in one answer."""
LOCK_TIMEOUT = 30
"""Seconds that somebody who reads (a backup, an export) is waited for."""
_UNHURRIED = f"""
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET transaction_timeout = 0;
SET lock_timeout = '{LOCK_TIMEOUT}s'
""".encode()
_KEPT = tuple(table for table in TABLES if table != "jobs")
_EMPTY = f"""
TRUNCATE {", ".join(_KEPT)}, commits,
         procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers
""".encode()
# The queue's numbers go on: a worker that comes back from a long pause must not find others' jobs under its own.
_HEAD = b"""
UPDATE head SET
    seq = coalesce((SELECT (doc ->> 'seq')::bigint FROM audit ORDER BY audit.seq DESC LIMIT 1), 0),
    hash = coalesce((SELECT doc ->> 'hash' FROM audit ORDER BY audit.seq DESC LIMIT 1), ''),
    arrived = coalesce((SELECT max(webhook_events.seq) FROM webhook_events), 0)
"""


class _Filling:
    """See `bot.store.archive.layout.Target`."""

    def __init__(self, connection: Connection, runner: asyncio.Runner) -> None:
        self._connection = connection
        self._runner = runner

    def put(self, table: Table, rows: list[Row]) -> None:
        self._runner.run(self._put(table, rows))
        failpoint("restore.filling")

    def trail(self) -> Iterator[Record]:
        last = 0  # asked for in parts, and not by a cursor: whoever checks a chain stops at its first fault
        sql = b"SELECT seq, doc::text FROM audit WHERE seq > %s ORDER BY seq LIMIT %s"
        while rows := self._runner.run(self._rows(sql, [last, BATCH_SIZE])):
            yield from (read(doc) for _, doc in rows)
            last = rows[-1][0]

    async def _rows(self, sql: bytes, values: list[int]) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(sql, values)).fetchall()

    async def _put(self, table: Table, rows: list[Row]) -> None:
        if table == "jobs":
            await defer(self._connection, [_job(json.loads(record)) for _, _, record in rows], datetime.now(UTC))
            return
        kind = "json" if table == "audit" else "jsonb"
        sql = f"""
            INSERT INTO {table} (seq, id, doc)
            SELECT coalesce(seq, (SELECT max(seq) + 1 FROM {table}), 1), id, doc::{kind}
            FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS given (seq, id, doc)
            ON CONFLICT (id) DO UPDATE SET doc = excluded.doc
        """  # noqa: S608 - names of our own
        numbers, ids, records = zip(*rows, strict=True)
        await self._connection.execute(sql.encode(), [[*numbers], [*map(text, ids)], [*map(stored, records)]])


def _job(record: Record) -> Job:
    at = record["at"] and datetime.fromisoformat(record["at"])
    return Job(record["kind"], record["key"], record["lock"], at)


@contextmanager
def loading(address: DatabaseAddress, *, force: bool) -> Iterator[_Filling]:
    """An empty store to be filled; it replaces what is there when the block ends without an error.

    Raises `InUse` while a bot runs, `UserError` when there are data and `force` is not given, or it cannot be written.
    """
    with asyncio.Runner() as runner, address.in_words():
        connection = runner.run(_connected(address))
        try:
            runner.run(_begun(connection, address, force))
            yield _Filling(connection, runner)
            runner.run(_ended(connection))
        finally:
            runner.run(connection.close())  # what was not committed is as if it had never been


async def _connected(address: DatabaseAddress) -> Connection:
    connection = await connect(address.url, "pm-agent restore")
    try:
        await connection.execute(_UNHURRIED)
        await enter_alone(connection, address.shown)
        await migrate(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _begun(connection: Connection, address: DatabaseAddress, force: bool) -> None:
    await connection.execute("BEGIN")
    if not force:
        for table in TABLES:
            cursor = await connection.execute(f"SELECT 1 FROM {table} LIMIT 1".encode())  # noqa: S608 - a name of our own
            if await cursor.fetchone():
                raise UserError(
                    f"The {address.shown} is not empty. To replace what is in it for good, run this again with --force."
                )
    await connection.execute(_EMPTY)


async def _ended(connection: Connection) -> None:
    await connection.execute(_HEAD)
    for table in _KEPT:
        await _go_on(connection, table)
    await renew(connection)
    failpoint("restore.before_replace")
    await connection.execute("COMMIT")
    failpoint("restore.after_replace")
    await connection.execute("ANALYZE")


async def _go_on(connection: Connection, table: Table) -> None:
    """Let new records follow those that are there. A sequence is no part of a transaction: it is never set back, or a
    restore that ends here would leave the old records with numbers that are given once more."""
    if table != "webhook_events":  # those are numbered by the head
        sequence = f"{table}_seq_seq"
        last = f"greatest((SELECT max(seq) FROM {table}), (SELECT last_value FROM {sequence}))"  # noqa: S608 - as above
        await connection.execute(f"SELECT setval('{sequence}', {last})".encode())
