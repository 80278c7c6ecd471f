"""Opening the database file: settings of a connection, the file's header, a clean close, and damage.

A new file is made beside and appears whole, so an empty or foreign file under our name is always a fault. It is refused
in words and left as it is.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import suppress
from pathlib import Path

from bot.store.data import DamagedData
from bot.store.embedded.schema import APPLICATION_ID, VERSION, missing, statements, upgrade

BUSY_MS = 10_000
"""How long a connection waits for another one's lock."""
STATEMENTS = 128
"""Prepared statements that a connection keeps."""
WAL_KEPT = 64 * 1024 * 1024
"""Bytes of the write-ahead log that stay on disk after a checkpoint."""
RESTORING = ".restoring"
"""Added to the name of the database that a restore is filling."""
RESTORED_SUFFIX = ".restored"
"""Added to the name of the database that a restore has made and is about to put in its place."""
_HEADER = 100
_MAGIC = b"SQLite format 3\0"
_BEYOND_REPAIR = ("malformed", "not a database", "disk image")


class Damaged(DamagedData):
    """The database file is not what this program wrote. The message says what is wrong and how to mend it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} {what}. It was left as it is. To go on, restore a backup: python -m bot restore FILE --force "
            "(or set PMAGENT_DATA_DIR to another folder)."
        )


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file itself is wrong, not the disk or a lock."""
    return any(words in str(error) for words in _BEYOND_REPAIR)


def create(path: Path) -> None:
    """Make an empty database at `path`; it appears whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    for left in path.parent.glob(f"{new.name}*"):
        left.unlink()
    new.touch(mode=0o600)
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN")
        for statement in statements():
            connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        connection.close()
    new.replace(path)


def writer(path: Path) -> sqlite3.Connection:
    """A connection that may write. Raises `Damaged`, `sqlite3.Error`, `OSError`."""
    check_header(path)
    connection = _connected(path, "rw")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
        # 2 MiB of pages, as SQLite has it where nobody built it otherwise. Twice as much made deliveries no cheaper.
        connection.execute("PRAGMA cache_size = -2048")
        # The log of a process that was killed is taken in before the file's size is looked at. A disk that is full
        # lets nothing be taken in: the program starts all the same, and its first write says so.
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            check_size(path)
        if (found := _version(connection)) < VERSION:
            connection.execute("BEGIN IMMEDIATE")
            for statement in upgrade(found):
                connection.execute(statement)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        connection.close()
        raise Damaged(path, f"is damaged ({error})") if is_damage(error) else error from error
    except BaseException:
        connection.close()
        raise
    return connection


def reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads what is committed, beside the process that writes. Raises as `writer`."""
    check_header(path)
    connection = _connected(path, "ro")
    for statement in missing(_version(connection)):
        connection.execute(statement)
    return connection


def empty() -> sqlite3.Connection:
    """A connection to nothing, for a data folder that has no database yet."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for statement in statements():
        connection.execute(statement)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False,
        cached_statements=STATEMENTS, timeout=BUSY_MS / 1000,
    )  # fmt: skip
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise Damaged(path, f"is damaged ({error})") if is_damage(error) else error from error
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def exists(path: Path) -> bool:
    """Whether there is a database. Raises `Damaged` where only its write-ahead log is left.

    It also does while a restore is putting another one in its place (`loading`), or was cut short in that.
    """
    if path.with_name(f"{path.name}{RESTORED_SUFFIX}").exists():
        raise Damaged(path, "was being replaced by a restore, which was cut short")
    if path.exists():
        return True
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        raise Damaged(path, f"is missing, and {log.name} beside it holds data that belongs to it")
    return False


def check_header(path: Path) -> None:
    """Raises `Damaged` when the file is empty, no database, another program's, or of a later version."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    if not head:
        raise Damaged(path, "is empty: what was in it is lost")
    if len(head) < _HEADER or not head.startswith(_MAGIC):
        raise Damaged(path, "is damaged: it does not begin as a database does")
    version, _, application = struct.unpack(">I4sI", head[60:72])
    if application != APPLICATION_ID:
        raise Damaged(path, "is a database of another program")
    if not 1 <= version <= VERSION:
        raise Damaged(path, f"has schema {version}, and this version of PM Agent knows schema {VERSION}")


def check_size(path: Path) -> None:
    """Raises `Damaged` when the file is shorter than its header says. The write-ahead log must be empty."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
    page, pages = struct.unpack(">H", head[16:18])[0], struct.unpack(">I", head[28:32])[0]
    wanted, found = (65536 if page == 1 else page) * pages, path.stat().st_size
    if found < wanted:
        raise Damaged(path, f"is cut off: {found:,} of {wanted:,} bytes are there")


def quick_check(connection: sqlite3.Connection, path: Path) -> str:
    """What SQLite finds wrong with the file's structure, as a sentence; empty when it is whole."""
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if not is_damage(error):
            return ""  # it could not be looked at now: busy, interrupted, an I/O error
        found = str(error)
    return "" if found == "ok" else str(Damaged(path, f"is damaged ({found})"))


def noted(connection: sqlite3.Connection, name: str) -> str:
    """What the store noted about its file under this name; empty for nothing."""
    row = connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return str(row[0]) if row else ""


def note(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))
