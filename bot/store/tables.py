"""TinyDB over the journal, through its two extension points: a `Storage` and a `table_class`.

Queries are TinyDB's own (`store.db.table("drafts").search(where("state") == "waiting")`), and so are its write methods;
each of those is one durable commit of the records that it changed. TinyDB's own way, reading and writing the whole
file at each insert, is what the two methods with an underscore are overridden for: TinyDB is pinned, and
`tests/test_store.py` holds the contract that is used here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, cast

from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Document
from tinydb.table import Table as TinyTable

from bot.store import TABLES, Conflict, Delete, Expect, Put, Record, Table
from bot.store.engine import Engine


class TableView(Mapping[str, Record]):
    """One table as the mapping that TinyDB reads: documents come from the file when they are asked for, as copies."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._table = table

    def __getitem__(self, record_id: str) -> Record:
        found = self._engine.get(self._table, record_id)
        if found is None:
            raise KeyError(record_id)
        return found

    def __iter__(self) -> Iterator[str]:
        return Engine.ids(self._engine.select(self._table, {}))

    def __len__(self) -> int:
        return self._engine.size(self._table)

    def items(self) -> Any:
        """All documents of one moment, in order of first insertion."""
        return ((record["id"], record) for record in Engine.read(self._table, self._engine.select(self._table, {})))


class Changes(MutableMapping[str, Record]):
    """What TinyDB's updaters work on: a view that remembers what was touched, for `commit` to write."""

    def __init__(self, engine: Engine, table: Table) -> None:
        self._engine = engine
        self._table = table
        self._view = TableView(engine, table)
        self._before: dict[str, str | None] = {}
        self._now: dict[str, Record | None] = {}

    def __getitem__(self, record_id: str) -> Record:
        if record_id not in self._now:
            record = self._view[record_id]
            self._before[record_id] = json.dumps(record)
            self._now[record_id] = record
        found = self._now[record_id]
        if found is None:
            raise KeyError(record_id)
        return found

    def __setitem__(self, record_id: str, record: Record) -> None:
        self._remember(record_id)
        if record.setdefault("id", record_id) != record_id:
            raise ValueError(f"the record's id is {record['id']}, not {record_id}")
        self._now[record_id] = record

    def __delitem__(self, record_id: str) -> None:
        self._remember(record_id)
        if self._now.get(record_id) is None:
            raise KeyError(record_id)
        self._now[record_id] = None

    def _remember(self, record_id: str) -> None:
        if record_id not in self._now:
            found = self._engine.get(self._table, record_id)
            self._before[record_id] = None if found is None else json.dumps(found)
            self._now[record_id] = found

    def __iter__(self) -> Iterator[str]:
        for record_id in self._view:
            if record_id not in self._now or self._now[record_id] is not None:
                yield record_id
        yield from [i for i, record in self._now.items() if record is not None and self._before[i] is None]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def commit(self) -> None:
        """Write what differs, as one commit. Raises `Conflict` when somebody else has changed one of the records."""
        changes: list[Put | Delete] = []
        expect: list[Expect] = []
        for record_id, record in self._now.items():
            before = self._before[record_id]
            if (None if record is None else json.dumps(record)) == before:
                continue
            changes.append(
                Delete(self._table, record_id) if record is None else Put(self._table, {**record, "id": record_id})
            )
            expect.append(Expect(self._table, record_id, None if before is None else json.loads(before)))
        if changes:
            self._engine.commit(*changes, expect=expect)


class JournalTable(TinyTable):
    """A TinyDB table whose document ids are the records' own ids (texts)."""

    document_id_class = str  # type: ignore[assignment]  # TinyDB's documented hook; annotated as `int` there
    default_query_cache_capacity = 0  # the writer changes documents behind TinyDB's back

    def insert(self, document: Mapping[str, Any]) -> int:
        """As TinyDB's; a document's own `id` is its document id. Raises ValueError when that is taken."""
        return super().insert(_with_id(document))

    def insert_multiple(self, documents: Iterable[Mapping[str, Any]]) -> list[int]:
        return super().insert_multiple(_with_id(document) for document in documents)

    def _get_next_id(self) -> str:
        return secrets.token_hex(10)

    def _read_table(self) -> dict[str, Mapping[str, Any]]:
        return cast(dict[str, Mapping[str, Any]], _engine(self).view(self.name))

    def _update_table(self, updater: Callable[[dict[int, Mapping[str, Any]]], None]) -> None:
        for attempt in range(5):
            changes = _engine(self).changes(self.name)
            updater(cast(dict[int, Mapping[str, Any]], changes))
            try:
                changes.commit()
            except Conflict:
                if attempt == 4:
                    raise
            else:
                return


def _with_id(document: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(document, Mapping) and not isinstance(document, Document) and isinstance(document.get("id"), str):
        return Document(document, document["id"])
    return document


class JournalStorage(Storage):
    """The storage that TinyDB holds: reads give views, and there is no writing of everything at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def view(self, name: str) -> TableView:
        return TableView(self._engine, _known(name))

    def changes(self, name: str) -> Changes:
        return Changes(self._engine, _known(name))

    def read(self) -> dict[str, dict[str, Any]]:
        views = {name: self.view(name) for name in TABLES if self._engine.size(name)}
        return cast(dict[str, dict[str, Any]], views)

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        raise NotImplementedError("tables are never dropped or replaced as a whole; change records through a table")


class Database(TinyDB):
    """`TinyDB` with our tables. Its writes block: use it in commands and in tests, not in the event loop."""

    table_class = JournalTable
    default_table_name = "webhook_events"


def _engine(table: JournalTable) -> JournalStorage:
    return cast(JournalStorage, table.storage)


def _known(name: str) -> Table:
    if name not in TABLES:
        raise ValueError(f"there is no table {name}; there are {', '.join(TABLES)}")
    return name
