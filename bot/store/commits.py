"""A commit on its way to the journal: checked and turned into JSON by its caller, written by the writer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from bot.store import TABLES, Audit, Condition, Delete, Put, Record, Table, Unseen
from bot.store.encoding import to_json
from bot.store.entries import SHAPES, Entry, seconds
from bot.store.reading import Reading

Changed = tuple[Table, str]
"""A record that a commit writes: its table and id."""


Ready = tuple[bytes, Entry] | tuple[None, None]
"""A put as it stands in the journal's line, and what the index takes of its record. Both None: it is deleted."""
DELETED: Ready = (None, None)
_PUT = {table: b'["%s",%%s]' % table.encode() for table in TABLES if table != "audit"}
"""How a record is put into the journal, by table."""


@dataclass(slots=True)
class Commit:
    """One caller's commit on its way through the writer, with the future that has its end.

    `archive`: the record of the archive that it lists, if it moves records to one.
    """

    changes: dict[Changed, Ready]
    expect: Sequence[Condition]
    audit: Sequence[Audit]
    done: Future[None] = field(default_factory=Future)
    archive: Mapping[str, Any] | None = None


@dataclass
class Task:
    """Something else for the writer to do between two groups, with nothing else going on."""

    run: Callable[[], Any]
    future: Future[Any]


def ready(changes: Sequence[Put | Delete]) -> dict[Changed, Ready]:
    """What a commit writes, by place: the last change of a record wins. Raises ValueError, TypeError."""
    found: dict[Changed, Ready] = {}
    for change in changes:
        table = change.table
        if table not in _PUT:
            known = table in TABLES
            raise ValueError("the audit trail only grows, through commit(audit=…)" if known else f"no table {table}")
        if isinstance(change, Delete):
            found[table, change.id] = DELETED
            continue
        record = change.record
        record_id = record.get("id")
        if not isinstance(record_id, str) or not record_id:
            raise ValueError(f"a record of {table} has no id")
        found[table, record_id] = _PUT[table] % to_json(record), SHAPES[table].entry(record)
    return found


def answer(group: Sequence[Commit], errors: Mapping[int, Exception]) -> None:
    """Tell every caller of a group how it went."""
    for position, commit in enumerate(group):
        error = errors.get(position)
        if error is None:
            commit.done.set_result(None)
        else:
            commit.done.set_exception(error)


class Group:
    """Commits that are written and synced together: what those before mean for those after, and what is written.

    `bodies`: the lines' middles. `written`: the commits that they are. `rows`: where their records are in the index
    now, -1 for new ones. Audit records are not among them: they are always new, and nobody expects one.

    What the index says is asked for all of them at once: alone, each would pay as much for asking as for the answer.
    """

    def __init__(self, reading: Reading, commits: Sequence[Commit]) -> None:
        self.bodies: list[bytes] = []
        self.written: list[Commit] = []
        places = [place for commit in commits for place in commit.changes]
        keys = {key for commit in commits for asked in commit.expect if isinstance(asked, Unseen) for key in asked.keys}
        self.rows, self._held = reading.rows_and_held(places, keys)
        self._certain: set[Changed] = set()  # of the rows: by the record, not only by the hash of its id
        self._reading = reading
        self._pending: dict[Changed, Ready] = {}
        self._keys: set[str] = set()
        self._holders: list[tuple[bytes, Entry]] = []

    def record(self, table: Table, record_id: str) -> Record | None:
        """The record as it will be after the commits so far."""
        place = (table, record_id)
        if place in self._pending:
            put = self._pending[place][0]
            return None if put is None else _record(put)
        self.rows[place], found = self._reading.row_and_record(table, record_id)
        self._certain.add(place)
        return found

    def holder(self, asked: Unseen) -> Record | None:
        """The first record that holds one of its keys, of what is durable and of the commits so far."""
        keys = asked.keys
        if self._held and not self._held.isdisjoint(keys):
            found = self._reading.holder(keys, seconds(asked.since))
            if found is not None:
                return found
        if not self._keys.isdisjoint(keys):
            since = seconds(asked.since)
            for put, (at, _, _, _, _, held) in self._holders:
                if at >= since and not set(held).isdisjoint(keys):
                    return _record(put)
        return None

    def take(self, commit: Commit, audit: Sequence[bytes]) -> None:
        """Write this, too, with these puts into the audit trail."""
        puts: list[bytes] = []
        gone: list[Changed] = []
        for place, change in commit.changes.items():
            # Whoever archives has just read the records that leave, thousands of them.
            if self.rows[place] >= 0 and place not in self._certain and commit.archive is None:
                self.record(*place)
            self._pending[place] = change
            put, entry = change
            if put is None or entry is None:
                gone.append(place)
                continue
            puts.append(put)
            if keys := entry[5]:
                self._keys.update(keys)
                self._holders.append((put, entry))
        puts += audit
        if puts or gone:
            self.bodies.append(b'"put":[%s]' % b",".join(puts) + (b',"del":' + to_json(gone) if gone else b""))
            self.written.append(commit)


def _record(put: bytes) -> Record:
    record: Record = json.loads(put)[1]
    return record
