"""The callers' side of the store: what is asked of the writer, made ready and queued, and how the answer comes back.

The writer is a thread, so that an event loop never waits for a disk. In a flood that costs more than it saves: the two
take turns at the interpreter in the middle of each group, a third of a delivery's time, while the sync itself is short.
So a loop that has many commits at once, and a disk that was quick lately, writes them itself when nobody else does.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from bot.store import Audit, Condition, Delete, Expect, Put, StoreUnavailable, Told
from bot.store.commits import Commit, Task, answer, ready, settle
from bot.store.encoding import to_json
from bot.store.sealing import Sealable

MANY = 8
"""Commits of one turn of an event loop from which on the loop may write them itself."""
TOGETHER = 64
"""Commits for which a turn no longer waits while more come in."""
AT_MOST = 0.005
"""Seconds for which it waits for them."""


class Inbox(ABC):
    """A queue of commits and tasks for one writer. Every public method may be called from any thread.

    What the writer does with them, `Engine` says.
    """

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self._queue: queue.SimpleQueue[Commit | list[Commit] | Task | None] = queue.SimpleQueue()
        self._turn: list[Commit] = []
        self._gate = threading.Lock()
        self._waiting = 0  # in the queue, or taken from it and not yet done; under the gate
        self._pen = threading.Lock()  # of whoever decides and writes: the writer's thread, or an event loop
        self._closed = False
        self._writer = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)

    @property
    def closed(self) -> bool:
        return self._closed

    @abstractmethod
    def _write_forever(self) -> None:
        """The writer's thread."""

    @abstractmethod
    def _write(self, commits: list[Commit]) -> dict[int, Exception]:
        """Decide, write, sync and show a group, with the pen; what those end in that are not written."""

    @abstractmethod
    def _compaction_is_due(self) -> bool:
        """Whether one is worth it, and none is under way."""

    @abstractmethod
    def _is_quick(self) -> bool:
        """Whether an event loop may wait for a sync."""

    @staticmethod
    def _made(
        changes: Sequence[Put | Delete],
        expect: Sequence[Condition],
        audit: Sequence[Audit],
        told: Told,
        loop: asyncio.AbstractEventLoop | None,
    ) -> Commit:
        wanted = [
            Expect(e.table, e.id, json.loads(to_json(dict(e.fields)))) if isinstance(e, Expect) and e.fields else e
            for e in expect
        ]
        return Commit(ready(changes), wanted, [*map(Sealable, audit)], told, loop)

    def submit(
        self, changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit], told: Told
    ) -> None:
        """Queue a commit; `told` is called on the writer's thread.

        Raises `StoreUnavailable` when closed, ValueError or TypeError for what is no record.
        """
        self._enqueue(self._made(changes, expect, audit, told, None))

    def commit(self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()) -> None:
        """The same, waiting for the end: for commands and TinyDB's own write methods. Raises what it ends in."""
        done: Future[None] = Future()
        self.submit(changes, expect, audit, partial(settle, done))
        done.result()

    def commit_soon(
        self, changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit], then: Told
    ) -> None:
        """The same for the event loop that runs: there `then` is called in the end."""
        loop = asyncio.get_running_loop()
        commit = self._made(changes, expect, audit, then, loop)
        self._refuse_if_closed()
        # What is asked in one turn of the loop goes to the writer together: waking it for each commit alone costs more
        # than the commit, and makes groups of one.
        if self._turn and self._turn[0].loop is not loop:
            self._enqueue(commit)
        else:
            if not self._turn:
                loop.call_soon(self._hand_over, loop, 1, loop.time() + AT_MOST)
            self._turn.append(commit)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, before: int, until: float) -> None:
        """The turn's commits are written. `before`: how many they were when this was asked for.

        `until`: the loop's time from which on they wait no more.
        """
        turn = self._turn
        # If more came in this turn of the loop, the next one may bring more.
        if before < len(turn) < TOGETHER and loop.time() < until:
            loop.call_soon(self._hand_over, loop, len(turn), until)
            return
        self._turn = []
        try:
            if len(turn) < MANY or not self._may_write():
                self._enqueue(turn)
                return
        except StoreUnavailable as error:
            answer(turn, dict.fromkeys(range(len(turn)), error))
            return
        try:
            errors = self._write(turn)
        finally:
            self._pen.release()
        answer(turn, errors, loop)
        if self._compaction_is_due():
            with suppress(StoreUnavailable):
                self._enqueue([])  # a compaction is begun by the thread

    def _may_write(self) -> bool:
        """Take the pen on an event loop, if a write is short now and nobody is before us. Raises `StoreUnavailable`."""
        with self._gate:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            return not self._waiting and self._is_quick() and self._pen.acquire(blocking=False)

    def _done(self, items: int) -> None:
        """So many items of the queue are done."""
        with self._gate:
            self._waiting -= items

    def run(self, task: Callable[[], Any]) -> Any:
        """Run `task` on the writer's thread, between two groups, and give back what it returns."""
        future: Future[Any] = Future()
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
            self._queue.put(item)

    def close(self) -> None:
        """Write what is queued, then stop. Any number of times."""
        with self._gate:
            if not self._closed and not self.read_only:
                self._queue.put(None)
            self._closed = True
        if self._writer.is_alive():
            self._writer.join()
        with self._pen:  # a loop may be at its last group
            pass
