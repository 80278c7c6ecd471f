"""A commit on its way to the journal: checked and turned into JSON by its caller, written by the writer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.store import TABLES, Condition, Delete, Put, Record, Table
from bot.store.encoding import to_json
from bot.store.entries import SHAPES, Entry
from bot.store.reading import Reading
from bot.store.sealing import Sealable

Changed = tuple[Table, str]
"""A record that a commit writes: its table and id."""


Ready = tuple[bytes, Entry] | tuple[None, None]
"""A record ready to be written: its JSON and what the index takes of it. Both None: it is deleted."""
DELETED: Ready = (None, None)


@dataclass(slots=True)
class Commit:
    """One caller's commit on its way through the writer. `answer`: the caller's future, of `loop` or of a thread.

    `archive`: the record of the archive that it lists, if it moves records to one.
    """

    changes: dict[Changed, Ready]
    expect: Sequence[Condition]
    audit: Sequence[Sealable]
    answer: Future[None] | asyncio.Future[None]
    loop: asyncio.AbstractEventLoop | None = None
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
        if change.table not in TABLES:
            raise ValueError(f"there is no table {change.table}")
        if change.table == "audit":
            raise ValueError("the audit trail only grows, through commit(audit=…)")
        if isinstance(change, Delete):
            found[change.table, change.id] = DELETED
            continue
        record_id = change.record.get("id")
        if not isinstance(record_id, str) or not record_id:
            raise ValueError(f"a record of {change.table} has no id")
        found[change.table, record_id] = to_json(change.record), SHAPES[change.table].entry(change.record)
    return found


def answer(group: Sequence[Commit], errors: Mapping[int, BaseException]) -> None:
    """Tell every caller of a group how it went. An event loop is woken once for all that wait in it."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Future[None] | asyncio.Future[None], BaseException | None]]] = {}
    for position, commit in enumerate(group):
        told = commit.answer, errors.get(position)
        if commit.loop is None:
            _settle([told])
        elif commit.loop in loops:
            loops[commit.loop].append(told)
        else:
            loops[commit.loop] = [told]
    for loop, answers in loops.items():
        with suppress(RuntimeError):  # the loop was closed, and its callers with it
            loop.call_soon_threadsafe(_settle, answers)


def _settle(answers: Sequence[tuple[Future[None] | asyncio.Future[None], BaseException | None]]) -> None:
    for future, error in answers:
        if future.done():
            continue  # the caller was cancelled
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


class Group:
    """Commits that are written and synced together: what those before mean for those after, and what is written.

    `bodies`: the lines' middles. `written`: the commits that they are. `rows`: where those records are in the index
    now, -1 for new ones. Audit records are not among them: they are always new, and nobody expects one.
    """

    def __init__(self, reading: Reading) -> None:
        self.bodies: list[bytes] = []
        self.written: list[Commit] = []
        self.rows: dict[Changed, int] = {}
        self._reading = reading
        self._pending: dict[Changed, Ready] = {}
        self._holders: dict[str, list[tuple[bytes, Entry]]] = {}

    def record(self, table: Table, record_id: str) -> Record | None:
        """The record as it will be after the commits so far."""
        place = (table, record_id)
        if place in self._pending:
            text = self._pending[place][0]
            return None if text is None else json.loads(text)
        self.rows[place], found = self._reading.row_and_record(table, record_id)
        return found

    def holder(self, keys: Sequence[str], since: float) -> Record | None:
        """The first record that holds one of these keys, of what is durable and of the commits so far."""
        found = self._reading.holder(keys, since)
        if found is not None:
            return found
        if self._holders.keys().isdisjoint(keys):
            return None
        for key in keys:
            for text, entry in self._holders.get(key, ()):
                at, *_ = entry
                if at >= since:
                    pending: Record = json.loads(text)
                    return pending
        return None

    def take(self, commit: Commit, audit: Sequence[bytes]) -> None:
        """Write this, too, with these audit records (JSON)."""
        puts: list[bytes] = []
        gone: list[Changed] = []
        for place, change in commit.changes.items():
            if place not in self.rows:
                row = self._reading.row_of(*place)
                # Whoever archives has just read the records that leave, thousands of them.
                certain = row < 0 or commit.archive is not None
                self.rows[place] = row if certain else self._reading.row_and_record(*place)[0]
            self._pending[place] = change
            text, entry = change
            if text is None or entry is None:
                gone.append(place)
                continue
            puts.append(b'["%s",%s]' % (place[0].encode(), text))
            _, _, _, _, _, keys = entry
            for key in keys:
                if key in self._holders:
                    self._holders[key].append((text, entry))
                else:
                    self._holders[key] = [(text, entry)]
        puts += [b'["audit",%s]' % text for text in audit]
        if puts or gone:
            self.bodies.append(b'"put":[%s]' % b",".join(puts) + (b',"del":' + to_json(gone) if gone else b""))
            self.written.append(commit)
