"""Two real processes on one PostgreSQL: rows 58 to 60 from the outside, with SIGSTOP and a server that goes away."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psycopg
import pytest

from bot.demo.hooks import signature
from bot.demo.process import Bot, BotFailed
from bot.demo.slack.people import DANA, SAM
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests import postgres, warm
from tests.acceptance.test_main_path import YES, exported
from tests.hostile.support import question, ready, until, until_so
from tests.model import holds
from tests.model.world import POST, READ, World


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage with two processes."""
    async with Stage(folder=tmp_path, starter=warm.start) as stage:
        stage.env["PMAGENT_DATABASE_URL"] = await postgres.store_database()
        await stage.start_bot()
        await stage.start_other()
        yield stage


def both_of(stage: Stage) -> tuple[Bot, Bot]:
    assert stage.bot is not None
    return stage.bot, stage.others[0]


async def deliver(stage: Stage, bot: Bot, payload: dict[str, object]) -> tuple[int, dict[str, str]]:
    """Send a webhook to this process."""
    body = json.dumps(payload).encode()
    headers = {"Content-Type": "application/json", "X-Hub-Signature": signature(stage.jira.secret, body)}
    url = f"{bot.url}/webhooks/jira"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_58_one_delivery_to_both_is_one_event_with_one_card(pair: Stage) -> None:
    pair.claude.script(YES)
    payload = question(pair, "ECD-1")
    answers = await asyncio.gather(*(deliver(pair, bot, payload) for bot in both_of(pair) for _ in range(5)))
    assert sorted(status for status, _ in answers) == [200] * 9 + [202]
    assert len({told["event_id"] for _, told in answers}) == 1
    await pair.slack.card("ECD-1", button="Approve")
    assert len(await exported(pair, "webhook_events")) == 1
    assert len(pair.slack.drafts()) == 1
    assert not pair.data.exists()  # PMAGENT_DATA_DIR holds nothing


async def test_58_one_card_clicked_by_two_people_at_once_over_both_sockets(pair: Stage) -> None:
    assert len(pair.slack.connections.sockets) >= 2
    for number in range(1, 6):  # Slack picks the socket
        pair.claude.script(YES)
        await deliver(pair, both_of(pair)[number % 2], question(pair, key := f"ECD-{number}"))
        card = await pair.slack.card(key, button="Approve")
        acks = await asyncio.gather(
            *(
                pair.slack.click(who, card, button)
                for who, button in ((DANA, "Approve"), (SAM, "Skip"), (SAM, "Approve"))
            )
        )
        assert all(ack.acked for ack in acks)
        await until(lambda k=key: not {"Approve", "Skip"} & {b for m in pair.slack.drafts(k) for b in m.buttons})
    await until_so(lambda: _settled(pair), 20)
    decided = [draft["decided"] for draft in await exported(pair, "drafts")]
    assert [len([d for d in decisions if d["action"] in ("approve", "skip")]) for decisions in decided] == [1] * 5  # type: ignore[attr-defined]
    posted = sum(draft["state"] == "posted" for draft in await exported(pair, "drafts"))
    assert len(pair.jira.posted()) == posted


async def _settled(stage: Stage) -> bool:
    return all(draft["state"] in ("posted", "skipped") for draft in await exported(stage, "drafts"))


async def test_58_one_standup_at_its_time(pair: Stage) -> None:
    at = datetime.now(UTC) - timedelta(minutes=1)
    codes = [await bot.stop() for bot in both_of(pair)]
    assert codes == [0, 0]
    pair.others.clear()
    pair.jira.issue("ECD-1", assignee="ana", reporter="ben")
    due = {"PMAGENT_STANDUP_AT": f"{at:%H:%M} daily"}
    await asyncio.gather(pair.start_bot(**due), pair.start_other(**due), pair.start_other(**due))
    standups = lambda: [m for m in pair.slack.messages() if m.text.startswith("Standup")]  # noqa: E731
    await pair.slack.until(standups, 20, "for the standup")
    await asyncio.sleep(3)
    assert len(standups()) == 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World(url=await postgres.store_database())
    try:
        yield await found.open()
    finally:
        await found.close()


@pytest.mark.long
@pytest.mark.parametrize(
    "moment", ["on the way to Jira", pytest.param("before the intent", marks=pytest.mark.soak)]
)  # each waits for half a minute, until it is taken for dead
async def test_59_a_process_that_hangs_with_an_approved_reply_comes_back_and_posts_nothing(
    world: World, moment: str
) -> None:
    """It is stopped for longer than its lease; another one takes over meanwhile."""
    await world.comment(0, 0)
    card = await world.stage.slack.card("ECD-1", button="Approve")
    goes_on = asyncio.Event()
    fault = Fault("hang", seconds=300.0, over=goes_on) if moment == "before the intent" else Fault("answer", 429)
    fault.headers = {"Retry-After": "3"}  # so the second time it is about to post again
    world.stage.jira.fail(READ if moment == "before the intent" else POST, fault)
    await world.press(DANA, card.snapshot(), "Approve")
    await until(lambda: fault.met, 20)
    hanging = world.stage.bot
    assert hanging is not None
    hanging.send_signal(signal.SIGSTOP)
    try:
        world.processes = 2
        await world.up()
        world.reins.shift(120.0)  # for both: when it comes back, its clock tells it too
        goes_on.set()
        world.stage.jira.mend()
        settled = lambda: _states(world) & {"posted", "unknown"}  # noqa: E731
        assert await world.until(settled, 90), f"{_states(world)}\n{world.stage.log[-4000:]}"
    finally:
        hanging.send_signal(signal.SIGCONT)
    await asyncio.sleep(3)
    await holds.quiet(world)
    assert len(world.wires.posts) == (1 if "posted" in _states(world) else 0)
    assert len(world.stage.jira.posted()) == len(world.wires.posts)


def _states(world: World) -> set[str]:
    return {draft["state"] for draft in world.books["drafts"].values()}


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[tuple[Stage, postgres.PostgresServer]]:
    """A stage, and a server that only its program uses."""
    server = postgres.private_server()
    try:
        async with Stage(folder=tmp_path, starter=warm.start) as stage:
            stage.env["PMAGENT_DATABASE_URL"] = await postgres.store_database(server.get_uri())
            yield stage, server
    finally:
        server.cleanup()


async def test_60_postgresql_goes_away_and_comes_back(own_server: tuple[Stage, postgres.PostgresServer]) -> None:
    stage, server = own_server
    await stage.start_bot()
    bot = stage.bot
    assert bot is not None
    stage.claude.script(YES, YES)
    await deliver(stage, bot, question(stage, "ECD-1"))
    card = await stage.slack.card("ECD-1", button="Approve")
    await asyncio.to_thread(postgres.stop, server)
    try:
        later = question(stage, "ECD-2")
        async with aiohttp.ClientSession() as session:
            body = json.dumps(later).encode()
            headers = {"Content-Type": "application/json", "X-Hub-Signature": signature(stage.jira.secret, body)}
            async with session.post(f"{bot.url}/webhooks/jira", data=body, headers=headers) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
            async with session.get(f"{bot.url}/health") as alive:
                assert alive.status == 200
        assert "store" in await ready(stage)
        ack = await stage.slack.click(DANA, card, "Approve")
        assert ack.acked
        await stage.slack.until(lambda: stage.slack.private, 20, "for a word about the click")
        assert "try again" in stage.slack.private[-1].text.casefold()
        assert not stage.jira.posted()
    finally:
        await asyncio.to_thread(server.ensure_postgres_running)
    await until_so(lambda: _is_ready(stage), 30)
    assert (await deliver(stage, bot, later))[0] == 202  # Jira brings it again
    await stage.slack.card("ECD-2", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await until(lambda: len(stage.jira.posted()) == 1)
    assert (await stage.run("audit", "verify"))[0] == 0


async def _is_ready(stage: Stage) -> bool:
    return not await ready(stage)


async def test_60_a_stop_is_over_in_20_seconds_while_postgresql_is_away(
    own_server: tuple[Stage, postgres.PostgresServer],
) -> None:
    stage, server = own_server
    await stage.start_bot()
    await asyncio.to_thread(postgres.stop, server)
    assert await stage.stop_bot(seconds=20.0) == 0


async def test_60_a_start_without_postgresql_says_what_is_wrong(
    own_server: tuple[Stage, postgres.PostgresServer],
) -> None:
    stage, server = own_server
    await asyncio.to_thread(postgres.stop, server)
    with pytest.raises(BotFailed, match="PMAGENT_DATABASE_URL"):
        await stage.start_bot()


async def test_the_first_process_after_all_were_gone_asks_at_once_for_what_was_missed(pair: Stage) -> None:
    """It waits for no turn: nobody has asked meanwhile."""
    pair.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await until_so(lambda: _has_asked(pair), 20)
    for bot in both_of(pair):
        assert await bot.stop() == 0
    pair.others.clear()
    pair.claude.script(YES)
    pair.jira.write("ECD-1", "ben", "Is anybody looking at this?")  # and no webhook tells of it
    await pair.start_bot()
    await pair.slack.card("ECD-1", button="Approve")


async def _has_asked(stage: Stage) -> bool:
    with psycopg.connect(stage.env["PMAGENT_DATABASE_URL"]) as connection:
        asked = "SELECT count(*) FROM state WHERE id = 'turn:reconcile' AND doc ->> 'began' IS NOT NULL"
        return connection.execute(asked).fetchone() == (1,)
