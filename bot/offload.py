"""Long computations beside the event loop: pure functions on one thread of their own.

The loop has to answer a click in the meantime. A thread does not make them shorter (Python carries out one at a time),
but the loop gets its turn every few milliseconds, however long one takes. It is one thread, so that many of them wait
for each other, and the loop never for more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """A way of carrying out a call: `offload` or `in_place`."""

    async def __call__(self, call: Callable[[], T]) -> T: ...


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "offload")


async def offload(call: Callable[[], T]) -> T:
    """What `call` returns or raises. It must be pure: it runs on another thread, and to its end."""
    return await asyncio.get_running_loop().run_in_executor(_thread(), call)


async def in_place(call: Callable[[], T]) -> T:
    """The same for a call that takes no time: no thread has to be woken for it."""
    return call()
