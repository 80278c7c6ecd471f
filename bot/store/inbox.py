"""The callers' side of the store: what is asked of the writer, made ready and queued, and how the answer comes back.

One at a time decides what is written: whoever has the pen. For callers in threads, and for everything but commits, that
is the writer's thread. A group of an event loop's commits is decided by the loop itself while nothing else waits: then
the thread only writes and syncs, holding no interpreter that the loop is waiting for, and the loop shows and answers
what it decided. Two threads of Python that take turns in the middle of each group cost a fifth of all deliveries.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from bot.store import Audit, Condition, Delete, Expect, Put, StoreUnavailable
from bot.store.commits import Commit, Decided, Task, ready
from bot.store.encoding import to_json
from bot.store.sealing import Sealable

TOGETHER = 16
"""Commits for which a group no longer waits while more come in."""
MOST = 64
"""Commits that an event loop decides at a time, at most."""
_LOOK_AGAIN = 0.2  # seconds between two looks whether an event loop that owes an end is gone


class Lent:
    """A group that an event loop decided, on its way to the disk and back. `synced`: it came as far as it will."""

    def __init__(self, decided: Decided, loop: asyncio.AbstractEventLoop) -> None:
        self.decided = decided
        self.loop = loop
        self.synced = threading.Event()
        self.taken = False


Item = Commit | list[Commit] | Task | Lent | None


class Inbox:
    """A queue of commits and tasks for one writer. Every method may be called from any thread."""

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._home: asyncio.AbstractEventLoop | None = None
        self._turn: list[Commit] = []  # of the home loop, like all that `_hand_over` does
        self._lent: Lent | None = None
        self._has_pen = True  # the writer's thread; all below under the gate
        self._later: list[Item] = []  # what came while it had not
        self._waiting = 0  # what is in the queue, or was taken from it and is not done
        self._gate = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)

    @property
    def closed(self) -> bool:
        return self._closed

    def _write_forever(self) -> None:
        raise NotImplementedError

    def _decide(self, commits: list[Commit]) -> Decided:
        raise NotImplementedError

    def _end(self, decided: Decided, here: asyncio.AbstractEventLoop | None) -> None:
        raise NotImplementedError

    def submit(
        self,
        changes: Sequence[Put | Delete],
        expect: Sequence[Condition],
        audit: Sequence[Audit],
        answer: Future[None] | asyncio.Future[None],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Queue a commit. Raises `StoreUnavailable` when closed, ValueError or TypeError for what is no record."""
        self._enqueue(self._made(changes, expect, audit, answer, loop))

    @staticmethod
    def _made(
        changes: Sequence[Put | Delete],
        expect: Sequence[Condition],
        audit: Sequence[Audit],
        answer: Future[None] | asyncio.Future[None],
        loop: asyncio.AbstractEventLoop | None,
    ) -> Commit:
        wanted = [
            Expect(e.table, e.id, json.loads(to_json(dict(e.fields)))) if isinstance(e, Expect) and e.fields else e
            for e in expect
        ]
        return Commit(ready(changes), wanted, [*map(Sealable, audit)], answer, loop)

    def commit(self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()) -> None:
        """The same, waiting for the answer: for commands and TinyDB's own write methods."""
        future: Future[None] = Future()
        self._end_own()
        self.submit(changes, expect, audit, future)
        future.result()

    def submit_async(
        self, changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit]
    ) -> asyncio.Future[None]:
        """The same, for the event loop that runs."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        commit = self._made(changes, expect, audit, future, loop)
        self._refuse_if_closed()
        # What is asked in one turn of the loop goes to the writer together: waking it for each commit alone costs more
        # than the commit, and makes groups of one.
        if self._home is not loop and not self._is_home(loop):
            self._enqueue(commit)
        else:
            if not self._turn:
                loop.call_soon(self._hand_over, loop, 1)
            self._turn.append(commit)
        return future

    def _is_home(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether this is the loop that decides: the first one that asked, as long as it lives."""
        with self._gate:
            if self._home is None or self._home.is_closed():
                self._home, self._turn = loop, []
            return self._home is loop

    def _hand_over(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """The turn's commits are written next. `before`: how many they were when the loop turned last."""
        turn = self._turn
        if self._lent is not None or not turn:
            return  # the end of what is being written goes on with the turn
        if before < len(turn) < TOGETHER:  # more came in this turn of the loop, so the next one may bring more
            loop.call_soon(self._hand_over, loop, len(turn))
            return
        self._turn = []
        try:
            if self._take_pen():
                self._turn = turn[MOST:]
                self._lent = Lent(self._decide(turn[:MOST]), loop)
                self._queue.put(self._lent)
            else:
                self._enqueue(turn)
        except StoreUnavailable as error:
            for commit in turn:
                if not commit.answer.done():
                    commit.answer.set_exception(error)

    def _take_pen(self) -> bool:
        """Whether nobody else writes or waits to. Raises `StoreUnavailable` when closed."""
        with self._gate:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._waiting:
                return False
            self._has_pen, self._waiting = False, 1
            return True

    def _give_back(self, lent: Lent, here: asyncio.AbstractEventLoop | None) -> None:
        """Show and answer what came back from the disk, once: on its loop (`here`), or instead of it."""
        with self._gate:
            if lent.taken:
                return
            lent.taken = True
        self._end(lent.decided, here)
        self._lent = None
        with self._gate:
            self._has_pen = True
            self._waiting -= 1
            for item in self._later:
                self._queue.put(item)
            self._later.clear()
        if here is not None:
            self._hand_over(here, 0)
        elif (home := self._home) is not None:
            with suppress(RuntimeError):  # it is closed, and nobody waits for its turn
                home.call_soon_threadsafe(self._hand_over, home, 0)

    def _next(self, lent: Lent | None) -> Item:
        """On the writer's thread: what is to be done. `lent`: what was synced last; its loop may be gone before it has
        shown it, and then the thread does."""
        while lent is not None and not lent.taken:
            try:
                return self._queue.get(timeout=_LOOK_AGAIN)
            except queue.Empty:
                if not lent.loop.is_running():
                    self._give_back(lent, None)
        return self._queue.get()

    def _end_own(self) -> None:
        """Whoever is about to wait for the writer's thread on an event loop ends first what this very loop owes."""
        lent = self._lent
        if lent is not None and asyncio._get_running_loop() is lent.loop:
            lent.synced.wait()
            self._give_back(lent, None)

    def _done(self, items: int) -> None:
        with self._gate:
            self._waiting -= items

    def run(self, task: Callable[[], Any]) -> Any:
        """Run `task` on the writer's thread, between two groups, and give back what it returns."""
        future: Future[Any] = Future()
        self._end_own()
        self._enqueue(Task(task, future))
        return future.result()

    def _refuse_if_closed(self) -> None:
        if self.read_only:
            raise StoreUnavailable("the store was opened for reading only")
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _enqueue(self, item: Commit | list[Commit] | Task) -> None:
        self._refuse_if_closed()
        with self._gate:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._waiting += 1
            self._put(item)

    def _put(self, item: Item) -> None:
        if self._has_pen:
            self._queue.put(item)
        else:
            self._later.append(item)

    def close(self) -> None:
        """Write what is queued, then stop. Any number of times."""
        self._end_own()
        with self._gate:
            if not self._closed and not self.read_only:
                self._put(None)
            self._closed = True
        if self._writer.is_alive():
            self._writer.join()
