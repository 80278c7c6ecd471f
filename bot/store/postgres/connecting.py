"""Connections to PostgreSQL: none waits longer than a few seconds for an answer, and what goes wrong is told in words.

Nothing of the address is repeated but what PostgreSQL itself names (host, user, database): the password stays unsaid.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from bot.errors import UserError

Connection = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]

OLDEST = 17
"""The oldest version of PostgreSQL that is taken: the first one with a `transaction_timeout`."""
STATEMENT = 6.0
"""Seconds that a statement may take, waiting for others' locks included."""
READ_TIMEOUT = 30.0
"""Seconds that a read may take, whatever it reads: it holds up no writer."""
IDLE = 4.0
"""Seconds that a process may leave a transaction open without a word: then it hangs, and others wait for its locks."""
TRANSACTION = 8.0
"""Seconds that a transaction may take. `IDLE` does not end one that hangs between statements that it sends in a row."""
READERS = 6
"""Connections that read, at most, of one process."""
POOL_WAIT = 3.0
"""Seconds that a reader waits for one of them."""

_NETWORK: dict[str, Any] = {
    "connect_timeout": 3, "keepalives": 1, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 8000, "client_encoding": "UTF8",
}  # fmt: skip
_SETTINGS = f"""
SELECT set_config('statement_timeout', '{STATEMENT:.0f}s', false),
       set_config('idle_in_transaction_session_timeout', '{IDLE:.0f}s', false),
       set_config('transaction_timeout', '{TRANSACTION:.0f}s', false),
       set_config('idle_session_timeout', '0', false),
       set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), false)
""".encode()
"""A database that is set to answer before the data are on its disk waits for that here. None is ended for being idle:
it may hold its bot's place (`presence`)."""


async def connect(url: str, name: str) -> Connection:
    """A connection in autocommit. Raises `UserError` for an address that cannot be read, `psycopg.Error`."""
    try:
        connection = await AsyncConnection.connect(url, autocommit=True, application_name=name, **_NETWORK)
    except psycopg.ProgrammingError:  # it would repeat a part of the address
        raise UserError("PMAGENT_DATABASE_URL is not an address that PostgreSQL's library can read.") from None
    try:
        await _configure(connection)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _configure(connection: Connection) -> None:
    await connection.execute(_SETTINGS)


async def _configure_reader(connection: Connection) -> None:
    await _configure(connection)
    await connection.execute(f"SET statement_timeout = '{READ_TIMEOUT:.0f}s'; SET transaction_timeout = 0".encode())


def make_pool(url: str, name: str) -> Pool:
    """The connections that read; not open yet.

    One that cannot be made is given up soon, so that the next reader tries anew instead of waiting for a long pause.
    The pool would log each try; readers are told, and log what it means for them.
    """
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    return AsyncConnectionPool(
        url, min_size=1, max_size=READERS, timeout=POOL_WAIT, reconnect_timeout=1.0, open=False,
        configure=_configure_reader,
        kwargs={"autocommit": True, "application_name": name, **_NETWORK}, name=name,
    )  # fmt: skip


def in_words(error: BaseException) -> str:
    """What PostgreSQL said, in one line."""
    said = " ".join(str(error).split())
    return said or type(error).__name__
