"""The program is killed with −9 at every failpoint and started again: one comment, one card, one story, a whole trail.

The names come from the source, so a new failpoint without a story here (or in a test of its own, by its name) fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import exported
from tests.model import holds
from tests.model.machine import failpoints
from tests.model.world import COMMANDS, POST, World
from tests.postgres import store_database

KEY, DESK = 0, 4
"""Places in `KEYS`: ECD-1 and SUP-1."""
Story = Callable[[World], Awaitable[asyncio.Task[tuple[int, str]] | None]]
"""What it returns: a command that still waits for the program."""
DAY = 86_400.0
LEASES = 310.0
"""Seconds after which no lease of a dead process is left."""


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    found = World(url=await store_database() if getattr(request, "param", "tinydb") == "postgres" else "")
    try:
        yield await found.open()
    finally:
        await found.close()


# Stories: each comes to its failpoint, and dies there


async def approved(world: World, key: int = KEY) -> None:
    """A question, its card, Approve; or as far as it comes."""
    await world.comment(key, 0)
    cards = world.stage.slack.drafts
    with contextlib.suppress(AssertionError):
        await world.stage.slack.until(lambda: not world.alive or any("Approve" in c.buttons for c in cards()), 30.0)
    if world.alive:
        assert cards(), f"no card came, and the program lives:\n{world.stage.log[-3000:]}"
        await world.press(DANA, cards()[-1].snapshot(), "Approve")


async def undone(world: World) -> None:
    """A posted reply, and Undo."""
    card = await world.stage.slack.card("ECD-1", button="Undo")
    await world.press(DANA, card.snapshot(), "Undo")


async def lost(world: World) -> None:
    """Jira does it and its answer gets lost."""
    world.stage.jira.fail(POST, Fault("swallow"))
    await approved(world)


async def public(world: World) -> None:
    """An internal reply comes out public."""
    world.stage.jira.ignores_internal = True
    await approved(world, DESK)


async def silent(world: World) -> None:
    await world.comment(KEY, 3)


async def refused(world: World) -> None:
    """Claude refuses, twice; the channel is told."""
    await world.comment(KEY, 4)


async def retried(world: World) -> None:
    message = next(m for m in world.stage.slack.messages() if "Retry" in m.buttons)
    await world.press(DANA, message.snapshot(), "Retry")


async def switched(world: World) -> None:
    await world.command(0, COMMANDS.index("mode simulation"))


async def expired(world: World) -> None:
    """Nobody decides for eight days; the sweep comes once a minute."""
    world.reins.shift(8 * DAY)
    [card] = world.stage.slack.drafts()
    await world.press(DANA, card.snapshot(), "Skip")


async def asked(world: World) -> None:
    await world.comment(KEY, 0)


async def standup(world: World) -> None:
    """The hour of the standup comes."""
    world.reins.shift((_standup_at(world) - world.reins.now()).total_seconds() + 30.0)
    await world.until_dead(40.0)


async def erased(world: World) -> asyncio.Task[tuple[int, str]]:
    """Somebody's data is erased while the program runs: the database is written anew. The command waits for its end."""
    ana = world.stage.jira.account("ana").account_id
    command = asyncio.create_task(world.stage.run("erase", ana))
    await world.until_dead(20.0)
    return command


async def posted(world: World) -> None:
    await approved(world)
    await reached(world, "posted")


async def waiting(world: World) -> None:
    await asked(world)
    await world.stage.slack.card("ECD-1", button="Approve")


async def told(world: World) -> None:
    """An event that failed, and its message in the channel."""
    await refused(world)
    assert await world.until(lambda: world.books["messages"], 20.0)


async def nothing(_: World) -> None:
    return


STORIES: dict[str, tuple[Story, Story, str]] = {
    "answer.after_draft": (nothing, approved, "posted"),
    "answer.after_failure": (nothing, refused, ""),
    "answer.after_silence": (nothing, silent, ""),
    "answer.before_draft": (nothing, approved, "posted"),
    "card.after_post": (nothing, approved, "posted"),
    "card.after_update": (nothing, approved, "posted"),
    "card.before_post": (nothing, approved, "posted"),
    "card.before_update": (nothing, approved, "posted"),
    "claude.after_call": (nothing, approved, "posted"),
    "claude.before_call": (nothing, approved, "posted"),
    "decide.stored": (nothing, approved, "posted"),
    "erase.after_vacuum": (posted, erased, "posted"),
    "erase.before_vacuum": (posted, erased, "posted"),
    "erase.stored": (posted, erased, "posted"),
    "expire.stored": (waiting, expired, "expired"),
    "intake.stored": (nothing, approved, "posted"),
    "message.after_post": (waiting, switched, "waiting"),
    "message.after_update": (told, retried, ""),
    "message.before_post": (waiting, switched, "waiting"),
    "message.before_update": (told, retried, ""),
    "mode.stored": (waiting, switched, "waiting"),
    "redraw.stored": (waiting, switched, "waiting"),
    "publish.after_intent": (nothing, approved, "posted"),
    "publish.after_post": (nothing, approved, "posted"),
    "publish.after_record": (nothing, approved, "posted"),
    "publish.after_delete": (nothing, public, "unknown"),  # deleted already, so it is not found: a person decides
    "publish.answer_lost": (nothing, lost, "posted"),
    "publish.before_intent": (nothing, approved, "posted"),
    "publish.before_delete": (nothing, public, "failed"),
    "queue.after_removal": (nothing, approved, "posted"),
    "queue.before_removal": (nothing, approved, "posted"),
    "retry.stored": (told, retried, ""),
    "standup.after_post": (nothing, standup, ""),
    "standup.before_post": (nothing, standup, ""),
    "store.after_commit": (nothing, approved, "posted"),
    "store.before_commit": (nothing, approved, "posted"),
    "store.before_write": (nothing, approved, "posted"),
    "undo.after_delete": (posted, undone, "undone"),
    "undo.before_delete": (posted, undone, "undone"),
}
"""Failpoint → what happens before it is set, the story that comes to it, and the state in which its draft must end."""


def test_every_failpoint_has_its_story() -> None:
    told = "\n".join(p.read_text("utf-8") for p in Path(__file__).parent.rglob("test_*.py") if p != Path(__file__))

    def visited_elsewhere(name: str) -> bool:
        area, place = name.split(".")
        return name in told or (f"{area}.{{" in told and f'"{place}"' in told)

    told += " ".join([*RESTORING, "backup.before_link"])  # below
    homeless = [name for name in failpoints() if name not in STORIES and not visited_elsewhere(name)]
    assert not homeless, f"no test comes to {homeless}: give each a line in STORIES"
    assert not STORIES.keys() - set(failpoints()), "stories of failpoints that are gone"


WHERE_STORES_DIFFER = (
    "answer.after_draft", "card.after_post", "intake.stored", "message.after_post", "publish.after_intent",
    "publish.after_post", "queue.after_removal", "queue.before_removal", "standup.after_post", "store.after_commit",
    "store.before_commit", "store.before_write", "undo.after_delete",
)  # fmt: skip
"""Failpoints at which leases, jobs or transactions are left behind; `pytest -m soak` visits the others there too."""


@pytest.mark.parametrize(
    ("world", "name"),
    [
        *(("tinydb", name) for name in sorted(STORIES)),
        *(
            pytest.param("postgres", name, marks=[] if name in WHERE_STORES_DIFFER else pytest.mark.soak)
            for name in sorted(STORIES)
            if "erase" not in name
        ),
    ],
    indirect=["world"],
)  # on PostgreSQL the command erases: `tests/store/test_database_data.py`
async def test_killed_here_and_started_again(world: World, name: str) -> None:
    await play(world, name)


@pytest.mark.parametrize(
    ("name", "days"),
    [("card.after_post", 1), ("message.after_post", 1), ("publish.after_post", 1), ("publish.after_post", -1)],
)
async def test_51_the_clock_is_a_day_off_when_it_dies(world: World, name: str, days: int) -> None:
    """What was sent is looked for by Jira's and Slack's times, whatever our clock said when it was sent."""
    world.reins.shift(days * DAY)
    await play(world, name)


@pytest.mark.parametrize("name", ["card.after_post", "publish.after_post"])
async def test_51_the_clock_is_put_right_while_it_is_dead(world: World, name: str) -> None:
    world.reins.shift(DAY)
    before, story, state = STORIES[name]
    await before(world)
    await settle(world)
    await world.reins.arm(name)
    await story(world)
    await world.until_dead(30.0)
    world.reins.shift(0.0)
    await check(world, state)


RESTORING = {
    "restore.filling": "old",
    "restore.before_replace": "refused",
    "restore.without_log": "refused",
    "restore.after_replace": "new",
}
"""Failpoint → what the folder holds after a kill there: the old data, the restored ones, or what nothing opens."""


@pytest.mark.parametrize("name", RESTORING)
async def test_a_restore_that_is_killed_leaves_a_whole_store_or_is_done_again(world: World, name: str) -> None:
    stage = world.stage
    code, out = await stage.run("backup", str(stage.folder / "old") + "/")
    assert code == 0, out
    await silent(world)
    assert await world.until(lambda: world.books["agent_cycles"], 20.0)
    await stage.stop_bot(signal.SIGKILL)  # with a write-ahead log beside the database
    now = await stage.run("audit", "verify")
    assert (await stage.run("restore", out.splitlines()[-1], "--force", PMAGENT_FAILPOINT=name))[0] == -signal.SIGKILL
    if RESTORING[name] == "refused":
        for command in (("audit", "verify"), ("stats",), ("backup", str(stage.folder / "copy"))):
            code, told = await stage.run(*command)
            assert code == 1
            assert "a restore, which was cut short" in told
        with pytest.raises(BotFailed, match="a restore, which was cut short"):
            await stage.start_bot()
    else:
        assert (await stage.run("audit", "verify") == now) == (RESTORING[name] == "old")
    code, told = await stage.run("restore", out.splitlines()[-1], "--force")
    assert code == 0, told
    assert (await stage.run("audit", "verify"))[0] == 0
    assert await exported(stage, "agent_cycles") == []
    await stage.start_bot()
    assert sorted(p.name for p in stage.data.glob("pm_agent.db*")) == [
        "pm_agent.db",
        "pm_agent.db-shm",
        "pm_agent.db-wal",
    ]


async def test_a_backup_that_is_killed_leaves_no_file_that_looks_like_one(world: World) -> None:
    stage = world.stage
    target = stage.folder / "copy.tar.gz"
    assert (await stage.run("backup", str(target), PMAGENT_FAILPOINT="backup.before_link"))[0] == -signal.SIGKILL
    assert not target.exists()
    assert (await stage.run("backup", str(target)))[0] == 0
    assert target.exists()


async def play(world: World, name: str) -> None:
    """The story of this failpoint, up to its good end."""
    before, story, state = STORIES[name]
    if story is standup:
        await world.stage.stop_bot()
        world.stage.env["PMAGENT_STANDUP_AT"] = f"{_standup_at(world):%H:%M} daily"
        await world.up()
    await before(world)
    await settle(world)
    assert await world.reins.arm(name)
    waiting = await story(world)
    await world.until_dead(30.0)
    assert world.alive is False, f"{name} was not reached"

    def standups() -> list[str]:
        return [m.text for m in world.stage.slack.messages(world.stage.slack.approvals_channel) if "tandup" in m.text]

    await check(world, state, waiting, arrived=standups if story is standup else lambda: True)
    if story is standup:
        assert len(standups()) == 1, standups()


async def check(
    world: World,
    state: str,
    waiting: asyncio.Task[tuple[int, str]] | None = None,
    arrived: Callable[[], object] = lambda: True,
) -> None:
    """Started again, with a person who does what is left to do: the end, and what it left behind.

    `waiting`: a command that asked the program for something before it died; it is done now. `arrived`: what the
    program has to do by itself, beside its drafts.
    """
    if world.url:  # others may be at work there, so that what it held is taken over when its leases have ended
        world.reins.shift(world.reins.ahead + LEASES)
    await settle(world)
    assert await world.until(arrived, 60.0)
    assert world.crashes == 1
    if waiting is not None:
        code, out = await waiting
        assert code == 0, out
    offered = {"posted": ("Approve", "Post again"), "undone": ("Undo",)}.get(state, ())
    for _ in range(3):
        for card in world.stage.slack.drafts():
            button = next((b for b in offered if b in card.buttons), "")
            if button:
                before = _decided(world)
                await world.press(DANA, card.snapshot(), button)
                await world.until(lambda had=before: _decided(world) != had, 5.0)
        await settle(world)
    await holds.quiet(world)
    states = [d["state"] for d in world.books["drafts"].values()]
    assert states == ([state] if state else []), states
    assert len(world.stage.jira.posted()) == (state == "posted")
    assert len(world.wires.posts) == (state in ("posted", "undone", "failed", "unknown"))
    assert await world.stage.stop_bot() == 0
    holds.whole(world)


def _decided(world: World) -> object:
    return next(iter(world.books["drafts"].values()))["decided"]


async def reached(world: World, state: str) -> None:
    """Wait until the one draft is in this state."""
    found = await world.until(lambda: [d["state"] for d in world.books["drafts"].values()] == [state], 60.0)
    assert found, world.books["drafts"]


async def settle(world: World) -> None:
    assert await world.until(lambda: not holds.unsettled(world), 90.0), holds.unsettled(world)


def _standup_at(world: World) -> datetime:
    """The next full hour but one, by the machine's clock: nothing is due before the story begins."""
    now = datetime.now().astimezone(world.reins.now().tzinfo)
    return (now + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
