"""`bot.store.inbox`: what is asked in one turn of the event loop goes to the writer together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bot.store import Audit, Conflict, Expect, Put, StoreUnavailable
from bot.store.audit import verify
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
    asked = asyncio.ensure_future(store.commit(record(1)))
    await asyncio.sleep(0)
    store.engine.close()
    with pytest.raises(StoreUnavailable):
        await asked
    with pytest.raises(StoreUnavailable):
        await store.commit(record(2))
    await store.close()
    again = TinyStore.open(tmp_path)
    assert await again.find("state") == []
    await again.close()


def written(folder: Path) -> list[str]:
    """The ids of the state records in the journal, in order."""
    lines = [json.loads(line) for line in (folder / NAME).read_bytes().splitlines()]
    return [put[1]["id"] for line in lines for put in line.get("put", ())]


async def test_commits_keep_their_order_whoever_writes_them(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    running = [asyncio.ensure_future(store.commit(record(number))) for number in range(100)]
    for number in range(100, 300):
        running.append(asyncio.ensure_future(store.commit(record(number))))
        if number % 7 == 0:
            await asyncio.sleep(0)
        if number % 50 == 0:  # the writer's thread decides for a while
            await asyncio.to_thread(store.commit_now, Put("keys", {"id": f"k{number}", "at": NOW.isoformat()}))
    await asyncio.gather(*running)
    await store.close()
    assert [name for name in written(tmp_path) if name.isdigit()] == [str(number) for number in range(300)]


async def test_threads_and_the_loop_see_each_others_commits(tmp_path: Path) -> None:
    """A counter that everybody raises by one, on condition that nobody else has: in the end nothing was lost."""
    store = TinyStore.open(tmp_path)
    await store.commit(Put("state", {"id": "n", "at": NOW.isoformat(), "value": 0}))

    def raised(value: int) -> tuple[Put, Expect]:
        put = Put("state", {"id": "n", "at": NOW.isoformat(), "value": value + 1})
        return put, Expect("state", "n", {"value": value})

    async def on_the_loop() -> None:
        for _ in range(40):
            done = False
            while not done:
                value = (await store.get("state", "n") or {})["value"]
                put, expect = raised(value)
                try:
                    await store.commit(put, expect=[expect], audit=[Audit("system", "raised")])
                    done = True
                except Conflict:
                    pass

    def in_a_thread() -> None:
        for _ in range(40):
            done = False
            while not done:
                value = (store.engine.get("state", "n") or {})["value"]
                put, expect = raised(value)
                try:
                    store.commit_now(put, expect=[expect], audit=[Audit("system", "raised")])
                    done = True
                except Conflict:
                    pass

    await asyncio.gather(*(on_the_loop() for _ in range(3)), *(asyncio.to_thread(in_a_thread) for _ in range(3)))
    assert (await store.get("state", "n") or {})["value"] == 240
    assert verify(store.records("audit")).records == 240
    await store.close()
