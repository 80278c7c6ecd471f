"""A table as the mapping that TinyDB reads, and the one that its updaters change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import closing
from typing import Any

from tinydb.table import Document

from bot.store import Record, Table
from bot.store.encoding import Row, to_json


def document(record_id: str, doc: str) -> Document:
    """A row as TinyDB's document."""
    return Document(json.loads(doc), record_id)  # type: ignore[arg-type]  # our document ids are texts


class View(Mapping[str, Document]):
    """One table as the mapping that TinyDB reads: documents come from the file as they are asked for."""

    def __init__(self, connection: sqlite3.Connection, table: Table) -> None:
        self._connection = connection
        self._table = table

    def __getitem__(self, record_id: str) -> Document:
        sql = f"SELECT doc FROM {self._table} WHERE id = ?"  # noqa: S608 - a name of our own
        row = self._connection.execute(sql, (record_id,)).fetchone()
        if row is None:
            raise KeyError(record_id)
        return document(record_id, row[0])

    def __iter__(self) -> Iterator[str]:
        return iter([row[0] for row in self._connection.execute(f"SELECT id FROM {self._table} ORDER BY seq")])  # noqa: S608 - as above

    def __len__(self) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {self._table}").fetchone()[0])  # noqa: S608 - as above

    def items(self) -> Any:
        """All documents, in order of arrival."""
        with closing(self._connection.execute(f"SELECT id, doc FROM {self._table} ORDER BY seq")) as rows:  # noqa: S608 - as above
            for record_id, doc in rows:
                yield record_id, document(record_id, doc)


class Changes(MutableMapping[str, Record]):
    """What TinyDB's updaters work on: documents as they are asked for, kept until they are written back."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._before: dict[str, str] = {}
        self._now: dict[str, Record | None] = {}

    def __getitem__(self, record_id: str) -> Record:
        if record_id not in self._now:
            self._now[record_id] = self._view[record_id]
            self._before[record_id] = to_json(self._now[record_id])
        found = self._now[record_id]
        if found is None:
            raise KeyError(record_id)
        return found

    def __setitem__(self, record_id: str, record: Record) -> None:
        if record.setdefault("id", record_id) != record_id:
            raise ValueError(f"the record's id is {record['id']}, not {record_id}")
        self._now[record_id] = record

    def __delitem__(self, record_id: str) -> None:
        self[record_id]
        self._now[record_id] = None

    def __iter__(self) -> Iterator[str]:
        stored = list(self._view)
        yield from [i for i in stored if self._now.get(i, self) is not None]
        yield from [i for i, record in self._now.items() if record is not None and i not in set(stored)]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def changed(self) -> tuple[list[Row], list[str]]:
        """The documents to store, and the ids to delete."""
        texts = {i: to_json(record) for i, record in self._now.items() if record is not None}
        rows: list[Row] = [(None, i, text) for i, text in texts.items() if text != self._before.get(i)]
        return rows, [i for i, record in self._now.items() if record is None]
