"""The store of any number of processes: `bot.store.Store` on PostgreSQL.

Commits go to the writer's task, which has a connection of its own (`writer`); reads take one of a pool. All of them see
only what is durable. A read that finds its connection lost is tried once more, after the pool has looked over the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from typing import Any, Self, TypeVar

import psycopg
from psycopg_pool import PoolTimeout

from bot.clock import Clock, SystemClock
from bot.errors import UserError
from bot.store import Audit, Condition, Delete, Job, Put, Record, StoreUnavailable, Table
from bot.store.commits import prepared
from bot.store.postgres.connecting import READ_TIMEOUT, Connection, Pool, connect, in_words, make_pool
from bot.store.postgres.encoding import read, text
from bot.store.postgres.presence import enter, entering, generation, others
from bot.store.postgres.queries import Query
from bot.store.postgres.schema import migrate
from bot.store.postgres.writer import Writer

BATCH_SIZE = 100
"""Records that are taken in before others have their turn: it bounds the memory beside the list itself, too."""
T = TypeVar("T")


class PostgresStore:
    """See `bot.store.Store`. Its methods may be called from any task of one event loop."""

    def __init__(self, pool: Pool, writer: Writer, others: int = 0) -> None:
        """`others`: how many bots were at the data when this one came."""
        self.others = others
        self._pool = pool
        self._writer = writer
        self._closed = False

    @classmethod
    async def open(
        cls, url: str, *, clock: Clock | None = None, zone: tzinfo = UTC, application_name: str = "pm-agent"
    ) -> Self:
        """Open the database at this address; in an empty one the tables are made. `zone`: whose days the figures are
        kept by. Raises `UserError` (`InUse` while a restore is at work)."""
        connecting = partial(connect, url, application_name)
        try:
            connection = await connecting()
            try:
                await enter(connection)  # first: a restore holds the tables
                await migrate(connection)
                known = await generation(connection)
                present = await others(connection)
            except BaseException:
                await connection.close()
                raise
        except (psycopg.Error, OSError) as error:
            raise UserError(f"Cannot open the database that PMAGENT_DATABASE_URL names: {in_words(error)}.") from None
        pool = make_pool(url, application_name)
        await pool.open()
        writer = Writer(entering(connecting, known), clock or SystemClock(), zone, connection)
        return cls(pool, writer, present)

    async def commit(
        self,
        *changes: Put | Delete,
        expect: Sequence[Condition] = (),
        audit: Sequence[Audit] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        await self._writer.commit(prepared(changes, expect, audit, jobs))

    async def get(self, table: Table, record_id: str) -> Record | None:
        query = Query.of(table, {})
        query.add("id = %s", text(record_id))

        async def reading(connection: Connection) -> Record | None:
            row = await (await connection.execute(query.sql("doc::text", table), query.values)).fetchone()
            return read(row[0]) if row else None

        return await self._read(reading)

    async def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        by: str = "",
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> list[Record]:
        query = Query.of(table, equals, since, until, by)
        sql = query.sql("doc::text", table, newest_first=newest_first, limit=limit)

        async def reading(connection: Connection) -> list[Record]:
            async with connection.cursor() as cursor:
                docs = cursor.stream(sql, query.values, size=BATCH_SIZE)
                found = [record async for (doc,) in docs if query.matches(record := read(doc))]
            return found[:limit]

        return await self._read(reading)

    async def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        query = Query.of(table, equals, since)
        if query.rest:
            return len(await self.find(table, since=since, **equals))

        async def reading(connection: Connection) -> int:
            row = await (await connection.execute(query.sql("count(*)", table), query.values)).fetchone()
            return int(row[0]) if row else 0

        return await self._read(reading)

    async def audit_head(self) -> tuple[int, str]:
        async def reading(connection: Connection) -> tuple[int, str]:
            row = await (await connection.execute("SELECT seq, hash FROM head")).fetchone()
            return (row[0], row[1]) if row else (0, "")

        return await self._read(reading)

    async def close(self) -> None:
        """Write what is queued, let go of the database. Any number of times."""
        if not self._closed:
            self._closed = True
            await self._writer.close()
            await self._pool.close()

    async def _read(self, reading: Callable[[Connection], Awaitable[T]]) -> T:
        """Read over a connection of the pool. Raises `StoreUnavailable`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            try:
                return await self._once(reading)
            except PoolTimeout:
                raise
            except psycopg.OperationalError as error:
                if error.sqlstate and not error.sqlstate.startswith("57P"):  # it was answered: the connection is well
                    raise
                await self._pool.check()
                return await self._once(reading)
        except (psycopg.Error, OSError) as error:
            raise StoreUnavailable(f"the data cannot be read: {in_words(error)}") from error

    async def _once(self, reading: Callable[[Connection], Awaitable[T]]) -> T:
        async with asyncio.timeout(READ_TIMEOUT), self._pool.connection() as connection:
            return await reading(connection)
