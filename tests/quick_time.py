"""An event loop on which time passes faster, for tests that have the program's parts in their own process.

Pauses between two tries, leases and paces are as long as ever to the program; whoever waits for them waits a fifth of
it. `tests.model.program` does the same for the program as a process. Sockets and threads wait in real time: what must
not come through one of them in half a second is waited for `0.5 * SPEED`.

A test module asks for it by a fixture of its own: `anyio_backend = quick_time.backend`.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any

import pytest

from tests.model.reins import SPEED


class QuickSelector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # chosen by the platform
    """Waits as long as the loop's time says, in real time."""

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout / SPEED if timeout and timeout > 0 else timeout)


class QuickLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with another clock."""

    def __init__(self) -> None:
        super().__init__(QuickSelector())

    def time(self) -> float:
        return time.monotonic() * SPEED


@pytest.fixture
def backend() -> tuple[str, dict[str, Any]]:
    """In place of `anyio_backend`."""
    return "asyncio", {"loop_factory": QuickLoop}
