"""The backends that the contract is held against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.store import Store
from bot.store.embedded.store import TinyStore
from bot.store.postgres.store import PostgresStore
from tests.postgres import store_database
from tests.store.support import Clock

Opening = Callable[[], Awaitable[Store]]
"""Opens the store of this test: the first time a new one, later the same again, after `close`."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["tinydb", "postgres"])
async def opening(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Opening]:
    """One backend after another."""
    opened: list[Store] = []
    url = await store_database() if request.param == "postgres" else ""

    async def open_store() -> Store:
        store: Store = (
            await PostgresStore.open(url, clock=clock) if url else TinyStore.open(tmp_path / "data", clock=clock)
        )
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        await store.close()


@pytest.fixture
async def store(opening: Opening) -> Store:
    return await opening()
