"""A hostile disk under the whole program: full, failing at every write, damaged at start, its unsynced part gone."""

from __future__ import annotations

import asyncio
import random
import resource
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo.slack_people import DANA
from bot.demo.stage import BotFailed, Stage
from bot.store.audit import verify
from bot.store.tiny import TinyStore
from tests.acceptance.test_main_path import NO, YES, ask, exported
from tests.model import holds
from tests.model.world import KEYS, Sent, World

ROUNDS = 40
"""Writes of a short story are fewer."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    found.books.only_grows = False
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
    journal = stage.data / "journal.jsonl"
    before = journal.read_bytes()
    assert stage.bot is not None
    hard = resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, (len(before) + 50, hard))

    written = await stage.jira.comment("ECD-1", "ben", "Still there?", retries=1)
    [refused] = written.deliveries
    assert (refused.status, refused.attempts) == (503, 2)
    assert "Retry-After" in refused.headers
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.whispered(DANA, "could not be recorded")
    assert not stage.jira.posted()
    assert journal.read_bytes() == before
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


@pytest.mark.parametrize("fault", ["pwrite ENOSPC", "fdatasync EIO"])
@pytest.mark.timeout(240)
async def test_48_failing_at_the_nth_write_of_a_story(world: World, fault: str) -> None:
    """For every N: the old state is intact, what was refused is taken when it comes again, and the story ends well."""
    number = 0
    for number in range(1, ROUNDS):
        writes = len(world.books.path.read_bytes().splitlines())
        assert await world.reins.disk(f"{fault} {number} {number + 1}")
        sent = await world.comment(number, 0)
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
        if len(world.books.path.read_bytes().splitlines()) - writes < number:
            break  # the story is shorter than that: every write has failed once
    assert 5 < number < ROUNDS - 1
    await holds.quiet(world)
    assert world.crashes == 0
    assert await world.stage.stop_bot() == 0
    holds.whole(world.stage.data)
    assert not list(world.stage.data.glob("torn-*"))


def drafted(world: World, sent: Sent) -> bool:
    """Whether what was sent (again, if it was refused) has its draft."""
    event = world.books["webhook_events"].get(sent.event_id)
    return event is not None and event["state"] == "done"


async def test_49_unsynced_writes_are_dropped_and_nothing_acknowledged_is_lost(world: World, tmp_path: Path) -> None:
    """At each acknowledgement: what was synced by then is cut out, and opened as after a power cut."""
    acknowledged: list[tuple[int, str]] = []

    async def one(number: int) -> None:
        sent = await world.comment(number, 3)
        acknowledged.append((world.reins.synced, sent.event_id))

    for _ in range(6):
        await asyncio.gather(*(one(n) for n in range(8)))
    await world.kill(1, 0)
    content = world.books.path.read_bytes()
    chance = random.Random(49)  # noqa: S311 - where to tear, no secret
    cuts = sorted({synced for synced, _ in acknowledged})
    assert len(cuts) >= 6
    for place, cut in enumerate(cuts):
        after = bytearray(content[cut : cut + 4000])
        for _ in range(chance.randrange(3)):  # of what was not synced any part may be there, and any part not
            start = chance.randrange(max(1, len(after)))
            after[start : start + chance.randrange(1, 900)] = bytes(chance.randrange(900))
        folder = tmp_path / str(place)
        folder.mkdir()
        # A later group is acknowledged only after its own sync: none of it can be there.
        group = content[cut:].split(b"\n", 1)[0][:40]
        torn = b"" if not group else bytes(after[: chance.randrange(len(after) or 1)])
        last_group = _one_group(torn)
        (folder / "journal.jsonl").write_bytes(content[:cut] + last_group)
        store = TinyStore.open(folder)
        try:
            known = {record["id"] for record in store.records("webhook_events")}
            assert verify(store.records("audit")).broken_at is None
        finally:
            store.close_now()
        lost = [event_id for synced, event_id in acknowledged if synced <= cut and event_id not in known]
        assert not lost, f"acknowledged at {cut} bytes and lost: {lost}"


def _one_group(torn: bytes) -> bytes:
    """Of what stands after the last sync, the lines of its first group: only one group is ever unsynced."""
    lines = torn.split(b"\n")
    first = lines[0].partition(b'"g":')[2].partition(b",")[0]
    kept = [line for line in lines if line.partition(b'"g":')[2].partition(b",")[0] == first]
    return b"\n".join(kept)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
async def test_47_a_damaged_journal_at_start(stage: Stage, damage: str) -> None:
    await stage.start_bot()
    stage.claude.script(NO)
    await ask(stage, text="Thanks.")
    while not await exported(stage, "agent_cycles"):
        pass
    await stage.stop_bot(signal.SIGKILL)
    journal = stage.data / "journal.jsonl"
    content = journal.read_bytes()
    shutil.copy(journal, stage.folder / "whole.jsonl")
    if damage == "cut":
        journal.write_bytes(content[:-20])
        await stage.start_bot()
        assert [e["kind"] for e in await exported(stage, "webhook_events")] == ["issue_commented"]
        [torn] = stage.data.glob("torn-*.jsonl")
        assert content.endswith(torn.read_bytes() + content[-20:])
        assert torn.name in stage.log
        return
    if damage == "empty":
        journal.write_bytes(b"")
    else:
        middle = content.index(b"\n", len(content) // 3) - 60
        journal.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    bad = journal.read_bytes()
    with pytest.raises(BotFailed, match=r"(?s)ended with 2.*journal\.jsonl.*restore"):
        await stage.start_bot()
    assert journal.read_bytes() == bad
