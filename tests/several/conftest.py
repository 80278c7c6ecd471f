"""The backends on which several processes are tried, and two processes on each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.demo.stage import Stage
from bot.store import Job, Store
from bot.store.embedded.store import TinyStore
from tests.several.processes import Clock, Process

Joining = Callable[[Clock], Awaitable[Store]]
"""Another process's way to the store of this test."""


@pytest.fixture(params=["tinydb"])
async def joining(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Joining]:
    """One backend after another. The embedded store is one object: its folder is one process's."""
    opened: list[Store] = []

    async def tinydb(clock: Clock) -> Store:
        if not opened:
            opened.append(TinyStore.open(tmp_path / "several", clock=clock))
        return opened[0]

    yield {"tinydb": tinydb}[request.param]
    for store in opened:
        await store.close()


@pytest.fixture
async def pair(stage: Stage, joining: Joining) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes on one store and one stage."""
    jobs: dict[str, Job] = {}
    one, two = [await Process.start(stage, await joining(clock := Clock()), clock, jobs) for _ in range(2)]
    yield one, two
    for process in (one, two):
        await process.close()
