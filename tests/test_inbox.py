"""`bot.store.inbox`: commits of many tasks and threads, written in their order by one thread."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.store import Audit, Conflict, Expect, Put, StoreUnavailable
from bot.store.audit import verify
from bot.store.journal import NAME
from bot.store.tiny import TinyStore
from tests.sidecar_harness import NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TinyStore]:
    opened = TinyStore.open(tmp_path)
    yield opened
    opened.close_now()


def record(number: int) -> Put:
    return Put("state", {"id": str(number), "at": NOW.isoformat()})


async def test_commits_of_one_turn_are_one_group(tmp_path: Path, store: TinyStore) -> None:
    await asyncio.gather(*(store.commit(record(number)) for number in range(20)))
    await store.close()
    lines = [json.loads(line) for line in (tmp_path / NAME).read_bytes().splitlines()]
    assert len({line["g"] for line in lines if "g" in line}) == 1


@pytest.mark.parametrize("many", [1, 20])
async def test_what_was_asked_before_the_end_is_written(tmp_path: Path, store: TinyStore, many: int) -> None:
    asked = [asyncio.ensure_future(store.commit(record(number))) for number in range(many)]
    await asyncio.sleep(0)
    store.engine.close()
    assert await asyncio.gather(*asked) == [None] * many
    with pytest.raises(StoreUnavailable):
        await store.commit(record(many))
    await store.close()
    again = TinyStore.open(tmp_path)
    assert len(await again.find("state")) == many
    await again.close()


def written(folder: Path) -> list[str]:
    """The ids of the state records in the journal, in order."""
    lines = [json.loads(line) for line in (folder / NAME).read_bytes().splitlines()]
    return [put[1]["id"] for line in lines for put in line.get("put", ())]


async def test_commits_keep_their_order_whoever_writes_them(tmp_path: Path, store: TinyStore) -> None:
    running = [asyncio.ensure_future(store.commit(record(number))) for number in range(100)]
    for number in range(100, 300):
        running.append(asyncio.ensure_future(store.commit(record(number))))
        if number % 20 == 0:
            await asyncio.sleep(0)
        if number % 50 == 0:  # the writer's thread decides for a while
            await asyncio.to_thread(store.commit_now, Put("keys", {"id": f"k{number}", "at": NOW.isoformat()}))
    await asyncio.gather(*running)
    await store.close()
    assert [name for name in written(tmp_path) if name.isdigit()] == [str(number) for number in range(300)]


async def test_threads_and_the_loop_see_each_others_commits(store: TinyStore) -> None:
    """A counter that everybody raises by one, on condition that nobody else has: in the end nothing was lost."""
    await store.commit(Put("state", {"id": "n", "at": NOW.isoformat(), "value": 0}))

    def raised(value: int) -> tuple[Put, Expect]:
        put = Put("state", {"id": "n", "at": NOW.isoformat(), "value": value + 1})
        return put, Expect("state", "n", {"value": value})

    async def on_the_loop() -> None:
        for _ in range(20):
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
        for _ in range(20):
            done = False
            while not done:
                value = (store.engine.get("state", "n") or {})["value"]
                put, expect = raised(value)
                try:
                    store.commit_now(put, expect=[expect], audit=[Audit("system", "raised")])
                    done = True
                except Conflict:
                    pass

    await asyncio.gather(*(on_the_loop() for _ in range(10)), *(asyncio.to_thread(in_a_thread) for _ in range(3)))
    assert (await store.get("state", "n") or {})["value"] == 260
    assert verify(store.records("audit")).records == 260


@pytest.mark.parametrize("many", [1, 20])
async def test_a_flood_that_does_not_fit_is_refused_whole_and_the_next_one_is_stored(
    store: TinyStore, many: int
) -> None:
    await store.commit(record(0), audit=[Audit("system", "first")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (store.engine.journal.end + 10, before[1]))
    try:
        asked = [store.commit(record(number), audit=[Audit("system", "lost")]) for number in range(1, many + 1)]
        found = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {type(error) for error in found} == {StoreUnavailable}
    assert len(await store.find("state")) == 1
    await asyncio.gather(*(store.commit(record(n), audit=[Audit("system", "again")]) for n in range(1, many + 1)))
    assert len(await store.find("state")) == many + 1
    assert verify(store.records("audit")).records == many + 1


async def test_a_refused_commit_leaves_nothing_for_the_garbage_collector(store: TinyStore) -> None:
    await store.commit(record(1))
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            with pytest.raises(Conflict):
                await store.commit(record(1), expect=[Expect("state", "1")])
        assert gc.collect() < 50
    finally:
        gc.enable()
