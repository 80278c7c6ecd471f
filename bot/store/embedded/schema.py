"""The SQLite tables and indexes of the database, and the SQL that makes them.

One SQL table stands for each TinyDB table. `seq` is the order of arrival and is kept when a record is replaced, `id` is
the record's own id, and `doc` is the record as JSON, readable with the `sqlite3` command.
"""

from __future__ import annotations

from bot.store import TABLES, Table
from bot.store.schema import INDEXES, LISTS

NAME = "pm_agent.db"
APPLICATION_ID = 0x504D4147
"""`PMAG`, in the file's header: whose file it is."""
VERSION = 2
"""The schema's version, in the file's header (`user_version`)."""
SINCE: dict[int, tuple[Table, ...]] = {2: ("corrections",)}
"""The tables that came with each later version."""


def field(name: str) -> str:
    """The SQL expression for a record's field, written as the indexes have it."""
    return f"json_extract(doc,'$.{name}')"


def _table(table: Table) -> list[str]:
    made = [f"CREATE TABLE {table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, doc TEXT NOT NULL)"]
    for fields in INDEXES[table]:
        columns = ", ".join(map(field, fields))
        made.append(
            f"CREATE INDEX {table}_{'_'.join(fields)} ON {table}({columns}) WHERE {field(fields[0])} IS NOT NULL"
        )
    return made + (_members(table, LISTS[table]) if table in LISTS else [])


def _members(table: Table, name: str) -> list[str]:
    """A table of (member, seq) for a field that holds a list, kept by triggers."""
    members = f"{table}_{name}"
    forget = f"DELETE FROM {members} WHERE seq = OLD.seq;"  # noqa: S608 - names of our own
    note = f"INSERT INTO {members} SELECT DISTINCT value, NEW.seq FROM json_each(NEW.doc, '$.{name}');"  # noqa: S608 - as above
    return [
        f"CREATE TABLE {members} (member TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (member, seq)) WITHOUT ROWID",
        f"CREATE INDEX {members}_seq ON {members}(seq)",
        f"CREATE TRIGGER {members}_insert AFTER INSERT ON {table} BEGIN {note} END",
        f"CREATE TRIGGER {members}_update AFTER UPDATE OF doc ON {table} BEGIN {forget} {note} END",
        f"CREATE TRIGGER {members}_delete AFTER DELETE ON {table} BEGIN {forget} END",
    ]


def upgrade(found: int) -> list[str]:
    """The SQL that brings a database of an earlier version to this one."""
    new = [table for version in range(found + 1, VERSION + 1) for table in SINCE[version]]
    return [*(statement for table in new for statement in _table(table)), f"PRAGMA user_version = {VERSION}"]


def missing(found: int) -> list[str]:
    """The SQL that lets a reader of an earlier version's database see empty tables where it has none."""
    new = [table for version in range(found + 1, VERSION + 1) for table in SINCE[version]]
    return [_table(table)[0].replace("CREATE TABLE", "CREATE TEMP TABLE", 1) for table in new]


def statements() -> list[str]:
    """The SQL that makes an empty database. `about` holds what the store notes about its own file."""
    about = "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
    return [
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {VERSION}",
        about,
        *(statement for table in TABLES for statement in _table(table)),
    ]
