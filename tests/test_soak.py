"""Long runs with random kills: `pytest -m soak tests/test_soak.py` (the model's long run is in `test_model`, twenty
restarts in a minute in `tests/hostile/test_time`).

Each prints one paragraph with what it did. `SOAK_SEED` chooses the moments, `SOAK_KILLS` how many there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bot.demo.slack.people import DANA
from tests.model import holds
from tests.model.world import World
from tests.postgres import PostgresServer, private_server, stop, store_database

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0)]
SEED, KILLS = int(os.environ.get("SOAK_SEED", "37")), int(os.environ.get("SOAK_KILLS", "200"))
SENDERS = 6
KEYS = tuple(f"ECD-{number}" for number in range(1, 61))
APPROVE = ("Approve", "Post anyway", "Post again")
PACE = 0.06
"""Seconds between two deliveries of one sender: about 100 a second of all, or what the machine bears."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World(KEYS)
    try:
        yield await found.open(budget=1000.0)
    finally:
        await found.close()


async def test_37_two_hundred_kills_under_load(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    await killed(world, capsys)


async def test_37_two_hundred_kills_of_three_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """One at a time and all at once, and PostgreSQL itself now and then."""
    server = private_server()
    world = World(KEYS, url=await store_database(server.get_uri()), processes=3)
    try:
        await world.open(budget=1000.0)
        await killed(world, capsys, server)
    finally:
        await world.close()
        server.cleanup()


async def killed(world: World, capsys: pytest.CaptureFixture[str], server: PostgresServer | None = None) -> None:
    """`KILLS` times; then everything settles."""
    chance = random.Random(SEED)  # noqa: S311 - moments to kill at, no secret
    begun = time.monotonic()
    for number in range(KILLS):
        await world.up()
        load = [asyncio.create_task(sender(world, random.Random(chance.random()))) for _ in range(SENDERS)]  # noqa: S311
        load.append(asyncio.create_task(approver(world, random.Random(chance.random()))))  # noqa: S311
        await asyncio.sleep(chance.uniform(0.05, 1.0) if number % 2 else chance.uniform(1.0, 3.5))
        if server is not None and number % 20 == 19:
            await asyncio.to_thread(stop, server)
            await asyncio.sleep(chance.uniform(0.0, 2.0))
            await asyncio.to_thread(server.ensure_postgres_running)
        await world.kill(4 * chance.randrange(3) + 1, chance.randrange(4), all_at_once=chance.random() < 0.25)
        world.pausing = True
        await asyncio.gather(*load)
        world.pausing = False
        holds.always(world)
        if number % 50 == 49:
            world.say(f"{number + 1} kills")
    await holds.quiet(world, strict=True, seconds=900.0)
    await world.stop()
    holds.whole(world)
    holds.no_secrets(world)
    told(
        capsys,
        f"{world.crashes} kills in {time.monotonic() - begun:.0f} s (seed {SEED}): {len(world.sent)} deliveries "
        f"answered, {len(world.events)} accepted, {world.repeated} sent again without an answer, none lost",
        world,
    )


async def sender(world: World, chance: random.Random) -> None:
    """Deliveries, one after another, until the program is gone: mostly context, some comments, some again."""
    deeds = Counter({world.change: 70, world.comment: 12, world.thank: 8, world.again_now: 10})
    while world.alive and not world.pausing:
        [deed] = chance.choices(list(deeds), weights=list(deeds.values()))
        await deed(chance.randrange(60), chance.randrange(60))
        await asyncio.sleep(PACE)


async def approver(world: World, chance: random.Random) -> None:
    """Somebody who approves what waits, again and again, and now and then presses something else."""
    while world.alive and not world.pausing:
        await asyncio.sleep(chance.uniform(0.01, 0.05))
        offers = [(c, b) for c in world.stage.slack.drafts() for b in APPROVE if b in c.buttons]
        if offers and chance.random() < 0.8:
            card, button = chance.choice(offers)
            await world.press(DANA, card.snapshot(), button)
        else:
            await world.click(0, chance.randrange(5), 1)


def told(capsys: pytest.CaptureFixture[str], first: str, world: World) -> None:
    """The result, in one paragraph that can be quoted."""
    states = Counter(d["state"] for d in world.books["drafts"].values())
    ends = Counter(c["outcome"] for c in world.books["agent_cycles"].values())
    with capsys.disabled():
        print(  # noqa: T201 - the result of a long run
            f"\n{first}; {len(world.books['webhook_events'])} events in the store, cycles {dict(ends)}, "
            f"drafts {dict(states)}, {len(world.wires.posts)} comments posted, none twice; "
            f"{len(world.books.trail)} audit records verified; {len(world.stage.slack.messages())} Slack messages.",
            flush=True,
        )
