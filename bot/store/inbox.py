"""The callers' side of the store: what is asked of the writer's thread, made ready and queued."""

from __future__ import annotations

import json
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from bot.store import Audit, Condition, Delete, Expect, Put, StoreUnavailable
from bot.store.audit import check
from bot.store.commits import Commit, Task, ready
from bot.store.encoding import to_json


class Inbox(ABC):
    """A queue of commits and tasks for one writer. Every public method may be called from any thread.

    What the writer does with them, `Engine` says.
    """

    def __init__(self, *, read_only: bool) -> None:
        self.read_only = read_only
        self._queue: queue.SimpleQueue[Commit | Task | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._writer = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)

    @property
    def closed(self) -> bool:
        return self._closed

    @abstractmethod
    def _write_forever(self) -> None:
        """The writer's thread."""

    def submit(
        self, changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit]
    ) -> Future[None]:
        """Queue a commit. Its future has the end: nothing, `Conflict` or `StoreUnavailable`.

        Raises `StoreUnavailable` when closed, ValueError or TypeError for what is no record.
        """
        for entry in audit:
            check(entry)
        wanted = [
            Expect(e.table, e.id, json.loads(to_json(dict(e.fields)))) if isinstance(e, Expect) and e.fields else e
            for e in expect
        ]
        commit = Commit(ready(changes), wanted, audit)
        commit.done.set_running_or_notify_cancel()  # whoever stops waiting for it does not take it back
        self._enqueue(commit)
        return commit.done

    def commit(self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()) -> None:
        """The same, waiting for the end: for commands and TinyDB's own write methods. Raises what it ends in."""
        self.submit(changes, expect, audit).result()

    def run(self, task: Callable[[], Any]) -> Any:
        """Run `task` on the writer's thread, between two groups, and give back what it returns."""
        future: Future[Any] = Future()
        self._enqueue(Task(task, future))
        return future.result()

    def _enqueue(self, item: Commit | Task) -> None:
        if self.read_only:
            raise StoreUnavailable("the store was opened for reading only")
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
