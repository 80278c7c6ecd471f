"""Which commits are written together: those of one turn of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.store import Job, Put, StoreUnavailable
from bot.store.embedded.store import TinyStore

COMMITS = 20


async def _commit(store: TinyStore, number: int) -> None:
    time.sleep(0.002)  # noqa: ASYNC251 - what the loop is busy with before each of them
    await store.commit(Put("keys", {"id": f"k{number}"}), jobs=[Job("note", str(number))])


async def test_a_burst_is_written_and_synced_once(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    transactions: list[int] = []

    def told(jobs: Sequence[object]) -> None:
        transactions.append(len(jobs))

    store.on_jobs(told)
    try:
        await asyncio.gather(*(_commit(store, number) for number in range(COMMITS)))
    finally:
        await store.close()
    assert transactions == [COMMITS]


async def test_a_commit_that_closing_overtakes_is_written(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    under_way = asyncio.create_task(_commit(store, 1))
    await asyncio.sleep(0)  # it waits for the end of this turn
    store.close_now()
    await under_way
    with pytest.raises(StoreUnavailable, match="closed"):
        await _commit(store, 2)
    store = TinyStore.open(tmp_path)
    try:
        assert [record["id"] for record in await store.find("keys", limit=9)] == ["k1"]
    finally:
        store.close_now()
