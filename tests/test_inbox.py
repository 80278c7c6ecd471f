"""`bot.store.inbox`: what is asked in one turn of the event loop goes to the writer together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bot.store import Put, StoreUnavailable
from bot.store.journal import NAME
from bot.store.tiny import TinyStore
from tests.sidecar_harness import NOW


def record(number: int) -> Put:
    return Put("state", {"id": str(number), "at": NOW.isoformat()})


async def test_commits_of_one_turn_are_one_group(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    await asyncio.gather(*(store.commit(record(number)) for number in range(20)))
    await store.close()
    lines = [json.loads(line) for line in (tmp_path / NAME).read_bytes().splitlines()]
    assert len({line["g"] for line in lines if "g" in line}) == 1


async def test_what_was_asked_before_the_end_is_written_or_refused(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    asked = store.engine.submit_async([record(1)], (), ())
    store.engine.close()
    with pytest.raises(StoreUnavailable):
        await asked
    with pytest.raises(StoreUnavailable):
        await store.commit(record(2))
    await store.close()
    again = TinyStore.open(tmp_path)
    assert await again.find("state") == []
    await again.close()
