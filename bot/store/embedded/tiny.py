"""TinyDB on SQLite, through its two extension points: a `Storage` and a `table_class`.

    from bot.store.embedded.tiny import Database
    db = Database("data/pm_agent.db")
    db.table("drafts").search(where("state") == "waiting")

TinyDB's own storage rewrites its file at each insert and has no transactions. Here a document is a row, equalities on
indexed fields, time ranges, order and limit are answered by SQLite, and TinyDB answers whatever else a query asks.
Opened by path, a database only reads, and may be read while the program runs.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from tinydb import TinyDB
from tinydb.queries import QueryLike
from tinydb.storages import Storage
from tinydb.table import Document
from tinydb.table import Table as TinyTable

from bot.store import TABLES, Table
from bot.store.embedded.mapping import Changes, View, document
from bot.store.embedded.queries import moment, translate
from bot.store.embedded.schema import field
from bot.store.embedded.sqlite import reader
from bot.store.encoding import Row

BATCH_SIZE = 64
"""Rows that one statement writes at most."""


class SqliteStorage(Storage):
    """The storage that TinyDB holds: an SQLite connection. There is no writing of everything at once."""

    def __init__(self, source: sqlite3.Connection | Path | str) -> None:
        self.connection = source if isinstance(source, sqlite3.Connection) else reader(Path(source))

    def read(self) -> dict[str, dict[str, Any]]:
        views = {name: View(self.connection, name) for name in TABLES}
        return cast(dict[str, dict[str, Any]], {name: view for name, view in views.items() if len(view)})

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        raise NotImplementedError("tables are never dropped or replaced as a whole; change records through a table")

    def close(self) -> None:
        self.connection.close()


class SqliteTable(TinyTable):
    """A TinyDB table whose document ids are the records' own ids (texts)."""

    document_id_class = str  # type: ignore[assignment]  # TinyDB's documented hook; annotated as `int` there

    def __init__(self, storage: SqliteStorage, name: str, **options: Any) -> None:
        if name not in TABLES:
            raise ValueError(f"there is no table {name}; there are {', '.join(TABLES)}")
        self._connection = storage.connection
        self._sql_name: Table = name
        super().__init__(storage, name, **options)

    # Reading

    def get(  # type: ignore[override]  # our document ids are texts
        self, cond: QueryLike | None = None, doc_id: str | None = None, doc_ids: Iterable[str] | None = None
    ) -> Document | list[Document] | None:
        """As TinyDB's: by id, by several ids, or the first document that a query finds."""
        if doc_id is not None:
            return View(self._connection, self._sql_name).get(doc_id)
        if doc_ids is not None:
            return self.by_ids(list(doc_ids))
        if cond is not None:
            return next(self.find(cond, limit=1), None)
        raise RuntimeError("You have to pass either cond or doc_id or doc_ids")

    def by_ids(self, ids: Sequence[str]) -> list[Document]:
        return self._of_any("id", ids)

    def of_any(self, name: str, values: Sequence[str]) -> list[Document]:
        """The documents whose field has one of these values."""
        return self._of_any(field(name), values)

    def _of_any(self, column: str, values: Sequence[str]) -> list[Document]:
        found: list[Document] = []
        for part in _parts(values, BATCH_SIZE * 4):
            sql = f"SELECT id, doc FROM {self._sql_name} WHERE {column} IN ({_marks(len(part))})"  # noqa: S608 - names of our own
            found += [document(*row) for row in self._connection.execute(sql, part)]
        return found

    def places(self, ids: Sequence[str]) -> dict[str, int]:
        """The `seq` of each of these documents that is there."""
        found: dict[str, int] = {}
        for part in _parts(ids, BATCH_SIZE * 4):
            sql = f"SELECT id, seq FROM {self._sql_name} WHERE id IN ({_marks(len(part))})"  # noqa: S608 - a name of our own
            found.update(self._connection.execute(sql, part).fetchall())
        return found

    def search(self, cond: QueryLike) -> list[Document]:
        return list(self.find(cond))

    def count(self, cond: QueryLike | None, *, since: datetime | None = None) -> int:
        """How many documents a query finds, of those whose `at` is not earlier than `since`."""
        asked = translate(self._sql_name, cond)
        if not asked.whole:
            return sum(1 for _ in self.find(cond, since=since))
        if since is not None:
            asked.add(f"{field('at')} >= ?", moment(since))
        sql = f"SELECT count(*) FROM {self._sql_name}{asked.sql()}"  # noqa: S608 - names of our own
        return int(self._connection.execute(sql, asked.values).fetchone()[0])

    def find(
        self,
        cond: QueryLike | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        by: str = "",
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[Document]:
        """The documents that a query finds, in order of arrival, one after another as they are read.

        `since` and `until` bound their `at`: not earlier than the one, earlier than the other. `by`: another field with
        a time, for this and for the order.
        """
        asked = translate(self._sql_name, cond)
        for sign, at in ((">=", since), ("<", until)):
            if at is not None:
                asked.add(f"{field(by or 'at')} {sign} ?", moment(at))
        way = " DESC" if newest_first else ""
        order = f" ORDER BY {field(by) + way + ', ' if by else ''}seq{way}"
        if limit is not None and asked.whole:
            order += f" LIMIT {int(limit)}"
        sql = f"SELECT id, doc FROM {self._sql_name}{asked.sql()}{order}"  # noqa: S608 - names of our own
        return islice(self._matching(sql, asked.values, None if asked.whole else cond), limit)

    def _matching(self, sql: str, values: list[Any], rest: QueryLike | None) -> Iterator[Document]:
        with closing(self._connection.execute(sql, values)) as rows:
            for row in rows:
                found = document(*row)
                if rest is None or rest(found):
                    yield found

    def rows(self) -> Iterator[tuple[int, str]]:
        """Every document as it is stored, in order of arrival: its `seq` and its JSON."""
        with closing(self._connection.execute(f"SELECT seq, doc FROM {self._sql_name} ORDER BY seq")) as rows:  # noqa: S608 - a name of our own
            yield from rows

    def salvaged(self) -> Iterator[Document | str]:
        """All that can still be read of a damaged file, in order of arrival; what cannot, as a sentence."""
        try:
            with closing(self._connection.execute(f"SELECT seq, id, doc FROM {self._sql_name} ORDER BY seq")) as rows:  # noqa: S608 - a name of our own
                for seq, record_id, doc in rows:
                    try:
                        yield document(record_id, doc)
                    except (ValueError, TypeError):
                        yield f"row {seq} of {self._sql_name} is no JSON"
        except sqlite3.Error as error:
            yield f"the file cannot be read further: {error}"

    def _read_table(self) -> dict[str, Mapping[str, Any]]:
        return cast(dict[str, Mapping[str, Any]], View(self._connection, self._sql_name))

    # Writing

    def insert(self, document: Mapping[str, Any]) -> int:
        """As TinyDB's; a document's own `id` is its document id. Raises ValueError when that is taken."""
        return super().insert(_with_id(document))

    def insert_multiple(self, documents: Iterable[Mapping[str, Any]]) -> list[int]:
        return super().insert_multiple(_with_id(document) for document in documents)

    def truncate(self) -> None:
        self._only_grows()
        with transaction(self._connection):
            self._connection.execute(f"DELETE FROM {self._sql_name}")  # noqa: S608 - a name of our own

    def put(self, rows: Sequence[Row]) -> None:
        """Store whole documents, given as JSON, in place of those that have their ids."""
        for part in _parts(rows, BATCH_SIZE):
            marks = ",".join(["(?,?,?)"] * len(part))
            sql = f"INSERT INTO {self._sql_name}(seq,id,doc) VALUES {marks} ON CONFLICT(id) DO UPDATE SET doc=excluded.doc"  # noqa: S608, E501 - a name of our own
            self._connection.execute(sql, [value for row in part for value in row])

    def delete(self, ids: Sequence[str]) -> None:
        """Remove the documents that have these ids; absent is fine."""
        for part in _parts(ids, BATCH_SIZE * 4):
            self._connection.execute(f"DELETE FROM {self._sql_name} WHERE id IN ({_marks(len(part))})", part)  # noqa: S608 - as above

    def _get_next_id(self) -> str:
        return secrets.token_hex(10)

    def _update_table(self, updater: Callable[[dict[int, Mapping[str, Any]]], None]) -> None:
        self._only_grows()
        with transaction(self._connection):
            changes = Changes(View(self._connection, self._sql_name))
            updater(cast(dict[int, Mapping[str, Any]], changes))
            rows, gone = changes.changed()
            self.put(rows)
            self.delete(gone)

    def _only_grows(self) -> None:
        if self._sql_name == "audit":
            raise ValueError("the audit trail only grows, through Store.commit(audit=…)")


class Database(TinyDB):
    """`TinyDB` with our tables, over the file at a path (read only) or a connection."""

    table_class = SqliteTable  # type: ignore[assignment]  # TinyDB's documented hook, annotated by its own default
    default_storage_class = SqliteStorage  # type: ignore[assignment]  # as above
    default_table_name = "webhook_events"

    @property
    def connection(self) -> sqlite3.Connection:
        return cast(SqliteStorage, self.storage).connection

    def of(self, name: Table) -> SqliteTable:
        """`table`, by its type here."""
        return cast(SqliteTable, self.table(name))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside becomes durable together, or none of it. Inside another one, it is part of that."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _with_id(document: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(document, Mapping) and not isinstance(document, Document) and isinstance(document.get("id"), str):
        return Document(document, document["id"])
    return document


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _marks(count: int) -> str:
    return ",".join("?" * count)
