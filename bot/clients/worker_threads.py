"""Blocking calls beside the event loop: daemon threads, each with a client of its own, under an absolute deadline.

Why not an executor: requests' timeout counts per read, so a server that drips a byte a second outlives it; and an
executor's threads are joined at exit, so one hanging call would keep the process from ending. Here a call that is
over its deadline is left behind: its sockets are shut down, so that its thread ends; or it ends with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bot.clients import sockets

C = TypeVar("C")
T = TypeVar("T")

MOST_THREADS = 12
"""Calls at the same time for one service; more wait for a free thread (within their deadline)."""
MOST_LEFT_BEHIND = 48
"""Hanging calls that are left behind before new ones are refused: memory stays bounded whatever the other side does."""


class OutOfTime(Exception):
    """The deadline passed. `started`: the call was running, so what it was to do may have been done."""

    def __init__(self, started: bool) -> None:
        super().__init__("out of time" if started else "out of time before it began")
        self.started = started


@dataclass(eq=False)
class _Job(Generic[C]):
    """One call. `started`, `done` and `left_behind` are guarded by the pool's lock."""

    call: Callable[[C, float], Any]
    ends: float
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    started: bool = False
    done: bool = False
    left_behind: bool = False
    thread: int = 0


class Threads(Generic[C]):
    """A pool of daemon threads. `make` builds a client (on its thread), `unmake` closes it."""

    def __init__(self, name: str, make: Callable[[], C], unmake: Callable[[C], None]) -> None:
        self._name = name
        self._make = make
        self._unmake = unmake
        self._lock = threading.Condition()
        self._waiting: deque[_Job[C]] = deque()
        self._idle = 0
        self._alive = 0
        self._left_behind = 0
        self._closed = False

    async def run(self, call: Callable[[C, float], T], seconds: float) -> T:
        """`call(client, seconds left)` on a thread; its result, or its exception.

        Raises `OutOfTime` at the latest after `seconds`, from the moment of asking.
        """
        loop = asyncio.get_running_loop()
        job: _Job[C] = _Job(call, time.monotonic() + seconds, loop, loop.create_future())
        with self._lock:
            if self._closed or self._left_behind >= MOST_LEFT_BEHIND:
                raise OutOfTime(started=False)
            self._waiting.append(job)
            if self._idle < len(self._waiting) and self._alive < MOST_THREADS:
                self._alive += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
            else:
                self._lock.notify()
        try:
            # Not asyncio.timeout: an answer that arrives in the same turn of the loop as the timeout must count.
            await asyncio.wait({job.answer}, timeout=seconds)
        finally:
            late = not job.answer.done()
            begun = self._let_go(job) if late else True
            job.answer.cancel()  # no-op when it is there; else whatever comes later is nobody's
        if late:
            raise OutOfTime(started=begun)
        result: T = job.answer.result()
        return result

    async def close(self, seconds: float = 2.0) -> None:
        """Let idle threads end and close their clients; calls still running are left behind after `seconds`."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        end = time.monotonic() + seconds
        while self._alive and time.monotonic() < end:  # noqa: ASYNC110 - threads end on their own, there is no event for it
            await asyncio.sleep(0.01)

    def _let_go(self, job: _Job[C]) -> bool:
        """Nobody waits for this job any more. True when it was already begun."""
        with self._lock:
            if not job.started:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(job)
                return False
            if not job.done and not job.left_behind:
                job.left_behind = True
                self._left_behind += 1
                self._alive -= 1
                sockets.end(job.thread)  # under the lock: the thread cannot end, and its number cannot be another's
            return True

    def _next(self) -> _Job[C] | None:
        with self._lock:
            self._idle += 1
            while not self._waiting and not self._closed:
                self._lock.wait()
            self._idle -= 1
            if not self._waiting:
                return None
            job = self._waiting.popleft()
            job.started, job.thread = True, threading.get_ident()
            return job

    def _work(self) -> None:
        client: C | None = None
        job: _Job[C] | None = None
        try:
            while job := self._next():
                result: Any = None
                failure: Exception | None = None
                try:
                    if client is None:
                        client = self._make()
                    result = job.call(client, max(job.ends - time.monotonic(), 0.001))
                except Exception as error:
                    failure = error
                with self._lock:
                    job.done = True
                _answer(job, result, failure)
                if job.left_behind:
                    return
        finally:
            if client is not None:
                with contextlib.suppress(Exception):
                    self._unmake(client)
            with self._lock:
                sockets.forget(threading.get_ident())
                if job is not None and job.left_behind:
                    self._left_behind -= 1
                else:
                    self._alive -= 1


def _answer(job: _Job[Any], result: Any, failure: Exception | None) -> None:
    def on_loop() -> None:
        if job.answer.done():
            return
        if failure is None:
            job.answer.set_result(result)
        else:
            job.answer.set_exception(failure)

    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        job.loop.call_soon_threadsafe(on_loop)
