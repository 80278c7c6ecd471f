"""The callers' side of the store: what is asked of the writer, made ready and queued, and how the answer comes back."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from bot.store import Audit, Condition, Delete, Expect, Put, StoreUnavailable
from bot.store.commits import Commit, Task, ready
from bot.store.encoding import to_json
from bot.store.sealing import Sealable


class Inbox:
    """A queue of commits and tasks for one writer. Every method may be called from any thread."""

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self._queue: queue.SimpleQueue[Commit | list[Commit] | Task | None] = queue.SimpleQueue()
        self._turn: list[Commit] = []
        self._gate = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)

    @property
    def closed(self) -> bool:
        return self._closed

    def _write_forever(self) -> None:
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
        if self._turn and self._turn[0].loop is not loop:
            self._enqueue(commit)
        else:
            if not self._turn:
                loop.call_soon(self._hand_over)
            self._turn.append(commit)
        return future

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        try:
            self._enqueue(turn)
        except StoreUnavailable as error:
            for commit in turn:
                if not commit.answer.done():
                    commit.answer.set_exception(error)

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
            self._queue.put(item)

    def close(self) -> None:
        """Write what is queued, then stop. Any number of times."""
        with self._gate:
            if not self._closed and not self.read_only:
                self._queue.put(None)
            self._closed = True
        if self._writer.is_alive():
            self._writer.join()
