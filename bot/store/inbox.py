"""The callers' side of the store: what is asked of the writer, made ready and queued, and how the answer comes back."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from bot.store import Audit, Condition, Delete, Expect, Put, StoreUnavailable, Told
from bot.store.commits import Commit, Task, ready, settle, tell
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
                loop.call_soon(self._hand_over)
            self._turn.append(commit)

    def _hand_over(self) -> None:
        turn, self._turn = self._turn, []
        try:
            self._enqueue(turn)
        except StoreUnavailable as error:
            tell([(commit.told, error) for commit in turn])

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
