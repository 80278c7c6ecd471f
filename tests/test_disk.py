"""A hostile disk under the whole program: full, failing at one write after another, damaged at start."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator

import pytest

from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.store import Put
from bot.store.embedded.store import TinyStore
from tests.acceptance.test_main_path import NO, YES, ask, exported
from tests.model import holds
from tests.model.world import KEYS, Sent, World

STRIDE = 9
"""Writes between two that fail: every transaction of a short story has one that does."""
ROUNDS = 40
"""Stories that are told; one has fewer writes than `ROUNDS * STRIDE`."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    try:
        yield await found.open()
    finally:
        await found.close()


async def test_13_48_a_full_disk_is_503_and_nothing_of_it_stays(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    while not all(d["card"]["ts"] for d in await exported(stage, "drafts")):
        pass  # each look is a process of its own, and time enough
    assert stage.bot is not None
    hard = resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, (5000, hard))  # for each file: the log is longer already

    written = await stage.jira.comment("ECD-1", "ben", "Still there?", retries=1)
    [refused] = written.deliveries
    assert (refused.status, refused.attempts) == (503, 2)
    assert "Retry-After" in refused.headers
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.whispered(DANA, "could not be recorded")
    assert not stage.jira.posted()
    assert len(await exported(stage, "drafts")) == 1

    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, (hard, hard))
    stage.claude.script({**YES, "response_text": "Still here."})
    again = await stage.jira.deliver(refused.payload, identifier=refused.identifier)
    assert again.status == 202
    newer = await stage.slack.card("ECD-1", shows="Still here.", button="Approve")
    await stage.slack.click(DANA, newer, "Approve")
    await stage.slack.changes(newer, "Posted")
    assert len(stage.jira.posted()) == 1
    assert (await stage.run("audit", "verify"))[0] == 0


@pytest.mark.long
@pytest.mark.parametrize("fault", ["ENOSPC", "EIO"])
@pytest.mark.timeout(240)
async def test_48_failing_at_the_nth_write_of_a_story(world: World, fault: str) -> None:
    """For every N: the old state is intact, what was refused is taken when it comes again, and the story ends well."""
    number = 0
    for number in range(1, ROUNDS):
        first = 1 + (number - 1) * STRIDE
        assert await world.reins.disk(f"{fault} {first} {first + 1}")
        sent = await world.comment(number % len(KEYS), 0)
        name = KEYS[number % len(KEYS)]
        assert await world.until(lambda sent=sent: drafted(world, sent), 20.0), world.books["webhook_events"]
        card = await world.stage.slack.card(name, button="Skip")
        for _ in range(5):  # a person who is told that it could not be recorded presses again
            if "Skip" in card.buttons:
                await world.press(DANA, card.snapshot(), "Skip")
            if await world.until(lambda card=card: "Skip" not in card.buttons, 1.0):
                break
        assert await world.until(lambda: not holds.unsettled(world), 20.0), holds.unsettled(world)
        holds.always(world)
        if world.reins.writes < first:
            break  # the story is shorter than that
    assert 5 < number < ROUNDS - 1
    await holds.quiet(world)
    assert world.crashes == 0
    assert await world.stage.stop_bot() == 0
    holds.whole(world)


def drafted(world: World, sent: Sent) -> bool:
    """Whether what was sent (again, if it was refused) has its draft."""
    event = world.books["webhook_events"].get(sent.event_id)
    return event is not None and event["state"] == "done"


@pytest.mark.parametrize("damage", ["cut", "empty", "overwritten", "missing"])
async def test_47_a_damaged_database_at_start(stage: Stage, damage: str) -> None:
    await stage.start_bot()
    stage.claude.script(NO)
    await ask(stage, text="Thanks.")
    while not await exported(stage, "agent_cycles"):
        pass
    await stage.stop_bot()
    database = stage.data / "pm_agent.db"
    content = database.read_bytes()
    if damage == "cut":
        database.write_bytes(content[:-20])
    elif damage == "empty":
        database.write_bytes(b"")
    elif damage == "overwritten":
        database.write_bytes(b"\0" * 4096 + content[4096:])
    else:
        database.rename(stage.data / "pm_agent.db-wal")
    before = {path.name: path.read_bytes() for path in stage.data.glob("pm_agent.db*")}
    with pytest.raises(BotFailed, match=r"(?s)ended with 2.*pm_agent\.db.*restore"):
        await stage.start_bot()
    assert {path.name: path.read_bytes() for path in stage.data.glob("pm_agent.db*")} == before


async def test_47_damage_that_is_found_while_it_runs_is_503(stage: Stage) -> None:
    """What is wrong in the middle is found by the check after an unclean end; nothing is accepted from then on."""
    store = TinyStore.open(stage.data)
    await store.commit(*(Put("webhook_events", {"id": f"e{n}", "text": "x" * 2000}) for n in range(200)))
    await store.close()
    database = stage.data / "pm_agent.db"
    content = bytearray(database.read_bytes())
    middle = content.index(b'"id":"e100"') // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    database.write_bytes(content)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE about SET value = 'no' WHERE name = 'ended'")
    connection.close()
    try:
        await stage.start_bot()
    except BotFailed as failed:  # the check was quicker than the rest of the start
        if "ended with 2" in str(failed) and "restore" in str(failed):
            return
        raise
    for _ in range(100):
        written = await stage.jira.comment("ECD-1", "ben", "Is it done?", retries=0)
        [delivery] = written.deliveries
        if delivery.status == 503:
            break
        await asyncio.sleep(0.1)
    assert delivery.status == 503
    assert "restore" in stage.log
    code, out = await stage.run("check")
    assert code == 1, out
