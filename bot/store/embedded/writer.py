"""The one writer: a thread that turns commits into transactions, as many of them in one as came in the meantime.

A commit is made ready by its caller (turned into JSON there, so that a record that is no JSON fails there) and queued.
The thread takes all that arrived during the last write as one group, looks up what their conditions ask about, decides
each in order, writes and syncs all of it as one SQLite transaction, and only then answers. When the write fails, the
whole group is answered `StoreUnavailable`, and nobody has seen it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from bot.clock import Clock
from bot.failpoints import failpoint
from bot.store import TABLES, Audit, Condition, Conflict, Delete, Job, Put, StoreUnavailable, Table
from bot.store.audit import check
from bot.store.batch import Batch, Changed, Position, Stored
from bot.store.embedded.sqlite import Damaged, note, noted, writer
from bot.store.embedded.tiny import Database, transaction
from bot.store.encoding import to_json

GROUP = 500
"""Commits in one transaction, at most."""
KEPT_BY_THE_STORE: frozenset[Table] = frozenset({"audit", "rollup"})
Listener = Callable[[Sequence[tuple[str, Stored | None]]], None]
"""Told of the jobs that are durable from now on, by their ids; None: it was deleted."""
log = logging.getLogger("pmagent.store")


@dataclass(slots=True)
class Commit:
    """One caller's commit. `changes`: the JSON of each record, None where it is deleted."""

    changes: Mapping[Changed, str | None]
    expect: Sequence[Condition]
    audit: Sequence[Audit]
    jobs: Sequence[Job]
    future: asyncio.Future[None]


@dataclass(slots=True)
class Task:
    """Something else to do on the writer's thread, with nothing else going on: `run` in a transaction, or `alone`."""

    run: Callable[[Batch], Any] | None = None
    alone: Callable[[sqlite3.Connection], Any] | None = None
    future: Future[Any] = field(default_factory=Future)


def prepared(
    changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit], jobs: Sequence[Job] = ()
) -> Commit:
    """A commit of the running event loop's; of several changes to one record, the last wins.

    Raises ValueError, TypeError for what is no record.
    """
    found: dict[Changed, str | None] = {}
    for change in changes:
        table = change.table
        if table not in TABLES:
            raise ValueError(f"no table {table}")
        if table in KEPT_BY_THE_STORE:
            raise ValueError(f"the store itself keeps {table}: the audit trail only grows, through commit(audit=…)")
        if isinstance(change, Delete):
            found[table, change.id] = None
            continue
        if table == "jobs":
            raise ValueError("jobs are stored through commit(jobs=…)")
        record = change.record
        record_id = record.get("id")
        if not isinstance(record_id, str) or not record_id:
            raise ValueError(f"a record of {table} has no id")
        if "arrived" in record:  # the store's own number, which is set again
            record = {name: value for name, value in record.items() if name != "arrived"}
        found[table, record_id] = to_json(record)
    for line in audit:
        check(line)
    return Commit(found, expect, audit, jobs, asyncio.get_running_loop().create_future())


class Writer:
    """See the module's docstring.

    `head`: the audit trail's, of what is durable. `clean`: the process before this one ended in order.
    """

    def __init__(self, path: Path, clock: Clock, zone: tzinfo) -> None:
        """Raises `Damaged`, `sqlite3.Error`, `OSError`."""
        self._path = path
        self.clock = clock
        self._zone = zone
        self._db: Database | None = Database(writer(path))
        self.clean = noted(self._db.connection, "ended") != "no"
        with suppress(sqlite3.OperationalError):  # a full disk: the first commit says so
            note(self._db.connection, "ended", "no")
        self._position = Position.of(self._db)
        self._queue: SimpleQueue[Commit | Task | None] = SimpleQueue()
        self._listener: tuple[asyncio.AbstractEventLoop, Listener] | None = None
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    @property
    def head(self) -> tuple[int, str]:
        position = self._position
        return position.seq, position.head

    def on_jobs(self, listener: Listener) -> None:
        """Tell `listener` of jobs, on the running event loop and before the commit's caller is answered: also where
        nobody waits for the answer any more."""
        self._listener = (asyncio.get_running_loop(), listener)

    def submit(self, work: Commit | Task) -> None:
        """Raises `StoreUnavailable` after `close`."""
        with self._closing:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._queue.put(work)

    def do(self, work: Callable[[Batch], Any]) -> Any:
        """Carry this out in a transaction of its own, between two groups; what it returns. Blocks."""
        return self._done(Task(run=work))

    def do_alone(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """As `do`, outside of any transaction."""
        return self._done(Task(alone=work))

    def _done(self, task: Task) -> Any:
        self.submit(task)
        return task.future.result()

    def close(self) -> None:
        """Write what is queued, and let go of the file."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    # On the thread

    def _work(self) -> None:
        group: list[Commit] = []
        while True:
            try:
                work = self._queue.get(block=not group)
            except Empty:
                self._commit(group)
                group = []
                continue
            if isinstance(work, Commit):
                group.append(work)
            if group and (len(group) == GROUP or not isinstance(work, Commit)):
                self._commit(group)
                group = []
            if isinstance(work, Task):
                self._carry_out(work)
            if work is None:
                break
        if self._db is not None:
            with suppress(sqlite3.Error):
                note(self._db.connection, "ended", "well")
            self._db.close()

    def _commit(self, group: list[Commit]) -> None:
        """Write a group and answer it."""
        outcomes: list[Exception | None] = [None] * len(group)

        def write(batch: Batch) -> None:
            batch.look_up(
                (asked for commit in group for asked in commit.expect),
                (job for commit in group for job in commit.jobs),
            )
            for number, commit in enumerate(group):
                try:
                    batch.require(commit.expect)
                except Conflict as conflict:
                    outcomes[number] = conflict
                    continue
                batch.change(commit.changes)
                batch.defer(commit.jobs)
                batch.record(commit.audit)

        try:
            self._write(write)
        except StoreUnavailable as error:
            outcomes = [error] * len(group)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = {}
        for commit, outcome in zip(group, outcomes, strict=True):
            loops.setdefault(commit.future.get_loop(), []).append((commit.future, outcome))
        for loop, answers in loops.items():
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(_answer, answers)

    def _carry_out(self, task: Task) -> None:
        try:
            if task.run is not None:
                task.future.set_result(self._write(task.run))
            elif task.alone is not None:
                task.future.set_result(task.alone(self._database().connection))
        except sqlite3.Error as error:
            task.future.set_exception(StoreUnavailable(str(error)))
        except BaseException as error:
            task.future.set_exception(error)

    def _write(self, work: Callable[[Batch], Any]) -> Any:
        """One transaction. Raises `StoreUnavailable`: nothing of it was written, nor seen."""
        try:
            db = self._database()
            position = copy(self._position)
            with transaction(db.connection):
                batch = Batch(db, position, self.clock.now(), self._zone)
                done = work(batch)
                failpoint("store.before_write")
                batch.write()
                failpoint("store.before_commit")
        except (sqlite3.Error, Damaged, OSError) as error:
            self._let_go()
            log.error("store: not written: %s", error)
            raise StoreUnavailable(f"the data could not be written: {error}") from error
        except Exception as error:  # a fault of ours: the thread has to go on for the others
            self._let_go()
            log.exception("store: not written")
            raise StoreUnavailable(f"the data could not be written: {type(error).__name__}") from error
        failpoint("store.after_commit")
        self._position = position
        if batch.jobs and self._listener is not None:
            loop, listener = self._listener
            with suppress(RuntimeError):  # the loop has ended: the jobs are found at the next start
                loop.call_soon_threadsafe(listener, batch.jobs)
        return done

    def _database(self) -> Database:
        if self._db is None:
            self._db = Database(writer(self._path))
            self._position = Position.of(self._db)
        return self._db

    def _let_go(self) -> None:
        """After an error the file is opened anew: whatever state the connection is in, it is not built upon."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None


def _answer(answers: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    """On the event loop: tell every caller of a group how it went."""
    for future, error in answers:
        if future.done():
            continue  # its caller was cancelled
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
