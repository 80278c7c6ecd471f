"""What waits, in which order, and how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.queue.keyed import Entry, Hold, KeyedQueue


@dataclass
class Work:
    """Attempts that end when the test says so. `outcomes`: by id, what each attempt gives; then None."""

    outcomes: dict[str, list[float | Hold | None]] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, entry: Entry) -> float | Hold | None:
        self.tried.append(entry.key)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.gate.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        return self.outcomes[entry.key].pop(0) if self.outcomes.get(entry.key) else None


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - a queue tells nobody when it is idle
            await asyncio.sleep(0.001)


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_ten_thousand_wait_as_ids_and_few_are_tasks() -> None:
    work = Work()
    queue = KeyedQueue("x", 8, work)
    before = len(asyncio.all_tasks())
    for number in range(10_000):
        queue.add(str(number))
    await some_turns()
    assert len(asyncio.all_tasks()) - before == 8
    assert (queue.running, queue.waiting) == (8, 9_992)
    work.gate.set()
    await until(lambda: queue.idle)
    assert work.most == 8
    assert sorted(map(int, work.tried)) == list(range(10_000))


async def test_a_lock_is_tried_in_order_one_at_a_time() -> None:
    work = Work()
    queue = KeyedQueue("x", 8, work)
    for number in range(5):
        queue.add(f"a{number}", lock="a")
    await some_turns()
    assert work.tried == ["a0"]
    work.gate.set()
    await until(lambda: queue.idle)
    assert work.tried == ["a0", "a1", "a2", "a3", "a4"]
    assert work.most == 1


async def test_a_flood_of_one_lock_holds_up_nobody_else() -> None:
    work = Work()
    queue = KeyedQueue("x", 2, work)
    for number in range(1000):
        queue.add(f"flood{number}", lock="flood")
    for other in ("b", "c", "d"):
        queue.add(other, lock=other)
    work.gate.set()
    await until(lambda: queue.idle)
    assert max(work.tried.index(other) for other in "bcd") <= 5
    assert len(work.tried) == 1003


async def test_what_is_added_while_it_runs_is_tried_once_more() -> None:
    work = Work()
    queue = KeyedQueue("x", 1, work)
    queue.add("a")
    await some_turns()
    for _ in range(3):
        queue.add("a")
    work.gate.set()
    await until(lambda: queue.idle)
    assert work.tried == ["a", "a"]


async def test_what_has_a_time_comes_then_or_when_it_is_added() -> None:
    work = Work(outcomes={"soon": [0.01], "late": [3600.0]})
    work.gate.set()
    queue = KeyedQueue("x", 2, work)
    queue.add("soon")
    queue.add("late")
    await until(lambda: work.tried.count("soon") == 2)
    assert work.tried.count("late") == 1
    queue.add("late", after=7200.0)  # the earlier time counts, and it stands here once
    queue.add("late")
    await until(lambda: queue.idle)
    assert work.tried.count("late") == 2


async def test_a_hold_rests_the_queue_and_one_finds_out_for_all() -> None:
    work = Work(outcomes={"a1": [Hold(3600.0, "paused"), Hold(3600.0, "paused")]})
    work.gate.set()
    queue = KeyedQueue("x", 1, work)
    for key in ("a1", "a2", "b1"):
        queue.add(key, lock=key[0])
    await until(lambda: queue.hold_reason)
    assert (queue.hold_reason, work.tried, queue.waiting) == ("paused", ["a1"], 3)
    queue.add("c1")
    await some_turns()
    queue.lift()
    await until(lambda: queue.hold_reason)
    assert work.tried == ["a1", "a1"]  # it stayed the first
    queue.lift()
    await until(lambda: queue.idle)
    assert work.tried == ["a1", "a1", "a1", "b1", "c1", "a2"]


async def test_after_a_hold_only_one_is_tried_until_it_got_through() -> None:
    work = Work()
    queue = KeyedQueue("x", 8, work)
    queue.hold(Hold(3600.0, "down"))
    for number in range(20):
        queue.add(str(number))
    await some_turns()
    assert not work.tried
    queue.lift()
    await some_turns()
    assert work.tried == ["0"]
    work.gate.set()
    await until(lambda: queue.idle)
    assert work.most == 8


async def test_a_hold_ends_by_itself() -> None:
    work = Work(outcomes={"a": [Hold(0.01, "down")]})
    work.gate.set()
    queue = KeyedQueue("x", 1, work)
    queue.add("a")
    await until(lambda: queue.idle)
    assert work.tried == ["a", "a"]


async def test_a_stopped_queue_starts_nothing_and_names_what_runs() -> None:
    work = Work(outcomes={"a": [0.0]})
    queue = KeyedQueue("x", 1, work)
    queue.add("a")
    queue.add("b")
    queue.add("c", after=0.001)
    await some_turns()
    running = queue.stop()
    assert len(running) == 1
    queue.add("d")
    work.gate.set()
    await asyncio.wait(running)
    await asyncio.sleep(0.01)
    assert work.tried == ["a"]
