"""Who is at the database: running bots hold a lock together, and a restore holds it alone.

A bot holds it on the connection that it writes with, so one that has lost that connection can write nothing, and takes
the lock again before it writes again. It then looks whether the data are still those that it knows: each restore gives
them another `generation`. The lock is an advisory one of the session's and ends with it, however that ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import uuid4

from bot.errors import UserError
from bot.store.postgres.connecting import Connection

PRESENCE = 0x504D4147_0003
PRESENT = f"""
    SELECT a.application_name, a.client_addr::text, a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = {PRESENCE} AND l.objsubid = 1
    ORDER BY a.backend_start
""".encode()  # noqa: S608 - a number of our own


class InUse(UserError):
    """Somebody is at the database who has to leave it first."""


class Replaced(UserError):
    """A restore has replaced the data that this bot works on."""


async def enter(connection: Connection) -> None:
    """Take a bot's place on a connection that it is going to write with. Raises `InUse` while a restore is at work."""
    if not await _one(connection, f"SELECT pg_try_advisory_lock_shared({PRESENCE})"):
        raise InUse("A restore is at work in the database of PMAGENT_DATABASE_URL: start when it has ended.")


async def generation(connection: Connection) -> str:
    """The data's generation; empty when they were never restored."""
    return str(await _one(connection, "SELECT max(value) FROM about WHERE name = 'generation'") or "")


def entering(connect: Callable[[], Awaitable[Connection]], known: str) -> Callable[[], Awaitable[Connection]]:
    """What makes the connections that a bot writes with, each with the bot's place taken.

    `known`: the generation that the bot knows. It raises `InUse` while a restore is at work, `Replaced` after one.
    """

    async def entered() -> Connection:
        connection = await connect()
        try:
            await enter(connection)
            if await generation(connection) != known:
                raise Replaced(
                    "A backup was restored while this bot was not connected to the database: restart the bot."
                )
        except BaseException:
            await connection.close()
            raise
        return connection

    return entered


async def others(connection: Connection) -> int:
    """How many other bots are at the data."""
    return len(await (await connection.execute(PRESENT)).fetchall())


async def enter_alone(connection: Connection, place: str) -> None:
    """Take the place of all bots, for a restore. Raises `InUse` while one runs."""
    if await _one(connection, f"SELECT pg_try_advisory_lock({PRESENCE})"):
        return
    rows = await (await connection.execute(PRESENT)).fetchall()
    who = ", ".join(f"{name or 'a session'} from {at or 'this machine'} (session {pid})" for name, at, pid in rows)
    raise InUse(
        f"The {place} is in use by {who or 'another process'}. Stop every bot first. The session of a machine that is "
        "gone is ended by: SELECT pg_terminate_backend(NUMBER)"
    )


async def renew(connection: Connection) -> None:
    """Give the data another generation, in the transaction that replaces them."""
    sql = "INSERT INTO about VALUES ('generation', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    await connection.execute(sql, [str(uuid4())])


async def _one(connection: Connection, sql: str) -> object:
    row = await (await connection.execute(sql.encode())).fetchone()
    return row[0] if row else None
