"""A commit on its way to the journal: checked and turned into JSON by its caller, written by the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bot.store import TABLES, Condition, Delete, Put, Table
from bot.store.encoding import to_json
from bot.store.index import Keys, keys_of, moment, seen_keys
from bot.store.journal import body
from bot.store.sealing import Sealable

Place = tuple[Table, str]


class Ready(NamedTuple):
    """A record ready to be written: its JSON, its `at`, what it is found by, and what `Unseen` finds it by (`seen`).

    `text` None: it is deleted.
    """

    text: bytes | None
    at: float
    keys: Keys
    seen: tuple[str, ...] = ()


@dataclass
class Commit:
    """One caller's commit on its way through the writer. `answer`: the caller's future, of `loop` or of a thread.

    `archive`: the record of the archive that it lists, if it moves records to one.
    """

    changes: dict[Place, Ready]
    expect: Sequence[Condition]
    audit: Sequence[Sealable]
    answer: Future[None] | asyncio.Future[None]
    loop: asyncio.AbstractEventLoop | None = None
    written: dict[Place, Ready] = field(default_factory=dict)
    archive: Mapping[str, Any] | None = None


@dataclass
class Task:
    """Something else for the writer to do between two groups, with nothing else going on."""

    run: Callable[[], Any]
    future: Future[Any]


def ready(changes: Sequence[Put | Delete]) -> dict[Place, Ready]:
    """What a commit writes, by place: the last change of a record wins. Raises ValueError, TypeError."""
    found: dict[Place, Ready] = {}
    for change in changes:
        if change.table not in TABLES:
            raise ValueError(f"there is no table {change.table}")
        if change.table == "audit":
            raise ValueError("the audit trail only grows, through commit(audit=…)")
        if isinstance(change, Delete):
            found[change.table, change.id] = Ready(None, 0.0, ())
            continue
        record_id = change.record.get("id")
        if not isinstance(record_id, str) or not record_id:
            raise ValueError(f"a record of {change.table} has no id")
        found[change.table, record_id] = made_ready(change.table, change.record)
    return found


def made_ready(table: Table, record: Mapping[str, Any]) -> Ready:
    """One record, made ready."""
    return Ready(to_json(record), moment(record.get("at")), keys_of(table, record), seen_keys(table, record))


def answer(group: Sequence[Commit], errors: Mapping[int, BaseException]) -> None:
    """Tell every caller of a group how it went. An event loop is woken once for all that wait in it."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], BaseException | None]]] = {}
    for position, commit in enumerate(group):
        error = errors.get(position)
        if isinstance(commit.answer, asyncio.Future):
            assert commit.loop is not None  # noqa: S101 - for the type checker: `submit_async` gives both
            loops.setdefault(commit.loop, []).append((commit.answer, error))
        else:
            _settle([(commit.answer, error)])
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


def body_of(written: Mapping[Place, Ready]) -> bytes:
    """The journal line's middle for what a commit writes."""
    puts = [(table, change.text) for (table, _), change in written.items() if change.text is not None]
    return body(puts, [place for place, change in written.items() if change.text is None])
