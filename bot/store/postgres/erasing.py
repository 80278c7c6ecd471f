"""`erase ACCOUNT` on PostgreSQL, also while bots run: one transaction, with nobody else writing, then a cleaning.

`bot.store.erasure.erase` says what changes. PostgreSQL keeps the old versions of rows in its files until they are
vacuumed, so the changed tables are written anew afterwards, with their indexes and the planner's samples of them. That
waits for whoever could still see the old versions. What is beyond our reach, the command names: PostgreSQL's write-
ahead log until it is overwritten, its archive, replicas and backups.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC

import psycopg

from bot.clock import SystemClock
from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import TABLES, Record, Table
from bot.store.erasure.erase import Erased, planned
from bot.store.postgres.address import DatabaseAddress
from bot.store.postgres.connecting import connect
from bot.store.postgres.locks import EVERYTHING
from bot.store.postgres.snapshot import snapshot
from bot.store.postgres.transactions import Transaction

LOCK_TIMEOUT = 30.0
"""Seconds that others are waited for, each time they hold it up."""
_UNHURRIED = f"""
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET transaction_timeout = 0;
SET lock_timeout = '{LOCK_TIMEOUT:.0f}s'
""".encode()
_OLD_SNAPSHOTS = b"""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) >= age(%s::text::xid)
"""
"""Sessions that may still see what was there before a transaction."""
_STILL_READ = (
    "The records were erased, but somebody has been reading the data all the time (an export, a backup), so their old "
    "versions are still in the files of the database. Run this again when that has ended."
)


def erase_now(
    address: DatabaseAddress, account: str, also: Sequence[str] = (), *, timeout: float = LOCK_TIMEOUT
) -> Erased | None:
    """Erase this person; None where there are no data. Blocks. Raises `UserError`.

    `timeout`: seconds that readers are waited for, each time they hold it up.
    """
    with address.in_words():
        done = asyncio.run(_erased(address, account, also))
        if done is None:
            return None
        erased, transaction = done
        failpoint("erase.before_vacuum")
        # Also where nothing was found: the one before may have been cut short here.
        _clean(address, transaction, timeout)
        failpoint("erase.after_vacuum")
        return erased


async def _erased(address: DatabaseAddress, account: str, also: Sequence[str]) -> tuple[Erased, str] | None:
    """What was erased, and the id of a transaction that came after it."""
    connection = await connect(address.url, "pm-agent erase")
    try:
        await connection.execute(_UNHURRIED)
        # A lock of the session's, for as long as the records are looked at and then written.
        await connection.execute("SELECT pg_advisory_lock(%s)", [EVERYTHING])
        now = SystemClock().now()
        with snapshot(address) as before:
            if not before.there:
                return None

            def read(table: Table) -> Iterable[Record]:
                return before.find(table) if table != "jobs" else ()  # these hold ids, and soon come to their end

            commit, erased = await asyncio.to_thread(planned, account, also, read, now)
        if erased.records:
            writing = Transaction(connection, now, UTC, None)
            try:
                await writing.run([commit], set())
            except (psycopg.OperationalError, OSError):
                if not writing.committing:
                    raise
                raise UserError(
                    "The connection was lost, so it is not known whether the records were erased. Run this again: "
                    "erasing is safe to repeat."
                ) from None
        row = await (await connection.execute("SELECT pg_current_xact_id()::xid::text")).fetchone()
        return erased, str(row[0]) if row else "0"
    finally:
        await connection.close()


def _clean(address: DatabaseAddress, transaction: str, timeout: float) -> None:
    """Write the tables anew, without the versions of rows that were replaced before this transaction."""
    with closing(address.connect("erase")) as connection:
        end = time.monotonic() + timeout
        while (row := connection.execute(_OLD_SNAPSHOTS, [transaction]).fetchone()) and row[0]:
            if time.monotonic() > end:
                raise UserError(_STILL_READ)
            time.sleep(0.1)
        connection.execute(f"SET lock_timeout = '{timeout * 1000:.0f}ms'".encode())
        for table in TABLES:
            if table != "jobs":
                try:
                    connection.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())
                except psycopg.errors.LockNotAvailable:
                    raise UserError(_STILL_READ) from None
