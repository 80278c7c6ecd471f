"""A process as procrastinate's worker: one connection by which it hears of new jobs and shows that it is alive.

Every second it notes its heartbeat, and while the connection lasts it holds an advisory lock. Whoever is silent and has
no such lock is dead: a killed process loses its connections at once. Whoever has the lock but is silent for longer
hangs, and is taken for dead as well. What a dead worker ran is given back by the others, or by its successor.

A process is slow to judge after its own connection was lost, or the server was started: then the others may be on
their way back too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager
from psycopg import AsyncConnection, Error

from bot.log import get_logger
from bot.store.postgres.jobs import CHANNEL, forget_workers

log = get_logger(__name__)

Away = (Error, ConnectorException, OSError, TimeoutError)
"""What says that PostgreSQL cannot be asked now."""
BEAT = 1.0
"""Seconds between two heartbeats."""
SILENT = 3.0
"""Seconds after which a worker without a connection is dead."""
HANGING = 30.0
"""Seconds after which a worker is dead, whatever it holds."""
LENIENT = 10.0
"""Seconds before anybody is judged, after one's own connection was lost or the server was started."""
ANSWER = 10.0
"""Seconds within which PostgreSQL answers, or this connection is given up."""
PAUSES = (0.1, 0.5, 1.0, 2.0)
"""Seconds between attempts to reach PostgreSQL; the last one again and again."""
CONNECTION: dict[str, Any] = {
    "application_name": "pm-agent queue",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Parameters of the queue's connections: a server that does not answer is noticed within seconds."""
BOUNDED = "-c transaction_timeout=10s -c idle_in_transaction_session_timeout=5s"
"""Options of them: a process that hangs in a transaction must not hold up the others for longer."""
LOCK = 0x504D41
"""The first number of our advisory locks; the second is the worker's."""

_HOLD = "SELECT pg_try_advisory_lock(%s, %s)"
_NOTE = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %s"
_DEAD = """
SELECT worker.id FROM procrastinate_workers AS worker
WHERE pg_postmaster_start_time() < now() - %(lenient)s * interval '1 second' AND (
    last_heartbeat < now() - %(hanging)s * interval '1 second'
    OR last_heartbeat < now() - %(silent)s * interval '1 second' AND NOT EXISTS (
        SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = %(lock)s AND objid = worker.id::int
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
"""


class Lifeline:
    """See the module's docstring.

    `worker`: this process's number, while it has one. `away`: why PostgreSQL cannot be asked, in words; "" when it can.
    `up`: set while it can.
    """

    def __init__(self, url: str, manager: JobManager, queues: Iterable[str], heard: Callable[[str], None]) -> None:
        """`heard`: called with the name of a queue in which something is new, and with "" when anything may be."""
        self._url = url
        self._manager = manager
        self._queues = [*queues]
        self._heard = heard
        self._lenient_until = 0.0
        self.worker: int | None = None
        self.away = "not connected yet"
        self.up = asyncio.Event()

    async def run(self) -> None:
        """Live, until this is cancelled."""
        tries = 0
        while True:
            try:
                async with await AsyncConnection.connect(
                    self._url, autocommit=True, options=BOUNDED, **CONNECTION
                ) as connection:
                    tries = 0
                    await self._live(connection)
            except Away as error:
                self.up.clear()
                if not self.away:
                    log.warning("queue.connection_lost", reason=type(error).__name__)
                self.away = f"PostgreSQL cannot be reached ({type(error).__name__})"
                self._lenient_until = asyncio.get_running_loop().time() + LENIENT
                await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1

    async def _live(self, connection: AsyncConnection[Any]) -> None:
        async with asyncio.timeout(ANSWER):
            # A heartbeat that the server forgets when it crashes does no harm.
            await connection.execute("SET synchronous_commit TO off")
            for queue in self._queues:
                await connection.execute(f'LISTEN "{CHANNEL}{queue}"'.encode())  # the names of our own kinds
        holds = False
        while True:
            async with asyncio.timeout(ANSWER):
                if self.worker is None or not (await connection.execute(_NOTE, [self.worker])).rowcount:
                    self.worker, holds = await self._manager.register_worker(), False
                if not holds:  # the server may not have noticed yet that our last connection was lost
                    found = await connection.execute(_HOLD, [LOCK, self.worker])
                    row = await found.fetchone()
                    holds = bool(row and row[0])
                if asyncio.get_running_loop().time() >= self._lenient_until:
                    await self._rescue(connection)
            if not self.up.is_set():
                if self._lenient_until:
                    log.info("queue.connected")
                self.away = ""
                self.up.set()
                self._heard("")
            async for note in connection.notifies(timeout=BEAT):
                self._heard(note.channel.removeprefix(CHANNEL))

    async def _rescue(self, connection: AsyncConnection[Any]) -> None:
        """Give back what dead workers run."""
        limits = {"hanging": HANGING, "silent": SILENT, "lenient": LENIENT, "lock": LOCK}
        dead = [row[0] for row in await (await connection.execute(_DEAD, limits)).fetchall()]
        jobs = await forget_workers(connection, dead)
        if dead or jobs:
            log.warning("queue.rescued", jobs=jobs, workers=dead)
