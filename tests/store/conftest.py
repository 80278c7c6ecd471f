"""The backends that the contract is held against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.store import Store
from bot.store.embedded.store import TinyStore
from tests.store.support import Clock

Opening = Callable[[], Awaitable[Store]]
"""Opens the store of this test: the first time a new one, later the same again, after `close`."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["tinydb"])
async def opening(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Opening]:
    """One backend after another."""
    opened: list[Store] = []

    async def tinydb() -> Store:
        opened.append(TinyStore.open(tmp_path / "data", clock=clock))
        return opened[-1]

    yield {"tinydb": tinydb}[request.param]
    for store in opened:
        await store.close()


@pytest.fixture
async def store(opening: Opening) -> Store:
    return await opening()
