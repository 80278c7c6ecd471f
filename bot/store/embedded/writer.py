"""The one writer: a thread that turns commits into transactions, as many of them in one as came in the meantime.

A commit is made ready by its caller (turned into JSON there, so that a record that is no JSON fails there) and queued,
together with all others of the same turn of the event loop: a burst is written and synced once, and the thread is woken
once for it. The thread takes all that arrived during the last write as one group, looks up what their conditions ask
about, decides each in order, writes and syncs all of it as one SQLite transaction, and only then answers. When the
write fails, the whole group is answered `StoreUnavailable`, and nobody has seen it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from bot.clock import Clock
from bot.failpoints import failpoint
from bot.store import Conflict, StoreUnavailable
from bot.store.batch import Pruning
from bot.store.commits import Commit, ReadTable
from bot.store.embedded.sqlite import Damaged, note, noted, writer
from bot.store.embedded.tiny import Database, transaction
from bot.store.embedded.transactions import JobBatch, StoredJob, carry_out, position

GROUP_SIZE = 500
"""Commits from which on a transaction takes no more in."""
Listener = Callable[[Sequence[tuple[str, StoredJob | None]]], None]
"""Told of the jobs that are durable from now on, by their ids; None: it was deleted."""
log = logging.getLogger("pmagent.store")


@dataclass(slots=True)
class PendingCommit:
    """A commit, and its caller."""

    commit: Commit
    future: asyncio.Future[None]


@dataclass(slots=True)
class Task:
    """Something else to do on the writer's thread, with nothing else going on: `run` makes a commit of what it reads,
    `alone` has the connection outside of any transaction."""

    run: Callable[[ReadTable, datetime], tuple[Commit, Any]] | None = None
    alone: Callable[[sqlite3.Connection], Any] | None = None
    future: Future[Any] = field(default_factory=Future)


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
        self._position = position(self._db)
        self._pruning = Pruning()
        self._queue: SimpleQueue[list[PendingCommit] | Task | None] = SimpleQueue()
        self._turn: list[PendingCommit] = []
        self._listener: tuple[asyncio.AbstractEventLoop, Listener] | None = None
        self._closed = False
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()

    @property
    def head(self) -> tuple[int, str]:
        return self._position[:2]

    def on_jobs(self, listener: Listener) -> None:
        """Tell `listener` of jobs, on the running event loop and before the commit's caller is answered: also where
        nobody waits for the answer any more."""
        self._listener = (asyncio.get_running_loop(), listener)

    async def commit(self, commit: Commit) -> None:
        """Write this; returns when it is durable. Raises `Conflict`, `StoreUnavailable`."""
        loop = asyncio.get_running_loop()
        waiting = PendingCommit(commit, loop.create_future())
        with self._closing:
            self._refuse_closed()
            self._turn.append(waiting)
        loop.call_soon(self._hand_over)  # when the loop has gone through what else is to be done in this turn
        await waiting.future

    def _hand_over(self) -> None:
        """Queue what was committed in this turn of the event loop: the first one's call does it for all."""
        with self._closing:
            self._queue_turn()

    def _queue_turn(self) -> None:
        if self._turn:
            self._queue.put(self._turn)
            self._turn = []

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def do(self, work: Callable[[ReadTable, datetime], tuple[Commit, Any]]) -> Any:
        """Write the commit that this makes of what it reads, between two groups; the other thing it returns. Blocks."""
        return self._done(Task(run=work))

    def do_alone(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """As `do`, outside of any transaction."""
        return self._done(Task(alone=work))

    def _done(self, task: Task) -> Any:
        with self._closing:
            self._refuse_closed()
            self._queue.put(task)
        return task.future.result()

    def close(self) -> None:
        """Write what is queued, and let go of the file."""
        with self._closing:
            if not self._closed:
                self._closed = True
                self._queue_turn()
                self._queue.put(None)
        self._thread.join()

    # On the thread

    def _work(self) -> None:
        group: list[PendingCommit] = []
        while True:
            try:
                work = self._queue.get(block=not group)
            except Empty:
                self._commit(group)
                group = []
                continue
            if isinstance(work, list):
                group += work
            if group and (len(group) >= GROUP_SIZE or not isinstance(work, list)):
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

    def _commit(self, group: list[PendingCommit]) -> None:
        """Write a group and answer it."""
        commits = [waiting.commit for waiting in group]
        outcomes: Sequence[Exception | None]
        try:
            _, outcomes = self._write(lambda read, now: (commits, None))
        except StoreUnavailable as error:
            outcomes = [error] * len(group)
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = {}
        for waiting, outcome in zip(group, outcomes, strict=True):
            loops.setdefault(waiting.future.get_loop(), []).append((waiting.future, outcome))
        for loop, answers in loops.items():
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(_answer, answers)

    def _carry_out(self, task: Task) -> None:
        try:
            if (run := task.run) is not None:

                def made(read: ReadTable, now: datetime) -> tuple[list[Commit], Any]:
                    commit, done = run(read, now)
                    return [commit], done

                task.future.set_result(self._write(made)[0])
            elif task.alone is not None:
                task.future.set_result(task.alone(self._database().connection))
        except sqlite3.Error as error:
            task.future.set_exception(StoreUnavailable(str(error)))
        except BaseException as error:
            task.future.set_exception(error)

    def _write(
        self, work: Callable[[ReadTable, datetime], tuple[list[Commit], Any]]
    ) -> tuple[Any, Sequence[Conflict | None]]:
        """One transaction: what `work` tells besides its commits, and how each of these went.

        Raises `StoreUnavailable`: nothing of it was written, nor seen.
        """
        try:
            db = self._database()
            batch = JobBatch(self.clock.now(), self._zone)
            with transaction(db.connection):
                commits, done = work(lambda table: db.of(table).find(), batch.now)
                outcomes, reached = carry_out(db, batch, commits, self._position, self._pruning)
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
        self._position = reached
        if batch.told and self._listener is not None:
            loop, listener = self._listener
            with suppress(RuntimeError):  # the loop has ended: the jobs are found at the next start
                loop.call_soon_threadsafe(listener, batch.told)
        return done, outcomes

    def _database(self) -> Database:
        if self._db is None:
            self._db = Database(writer(self._path))
            self._position = position(self._db)
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
