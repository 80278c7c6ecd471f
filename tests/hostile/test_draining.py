"""SIGTERM whatever is under way (fault 38): intake says 503, work is finished or parked, exit 0 within 20 s.

That it is in time is seen by `Stage.stop_bot` and `ended`, which wait 25 s: a machine may be slow, a stop may not hang.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from datetime import UTC, datetime

import aiohttp
import pytest

from bot.demo.slack.people import DANA, SAM
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import ask, exported
from tests.hostile.proxy import Wire
from tests.hostile.support import answer, cards, clean, question, request, until
from tests.stores import both

POST = "/issue/ECD-[0-9]+/comment$"


async def stopping(stage: Stage) -> None:
    """The signal is sent, and the program says that it stops."""
    assert stage.bot
    said = stage.log.count('"stopping"')
    stage.bot.send_signal(signal.SIGTERM)
    await until(lambda: stage.log.count('"stopping"') > said)


@both
async def test_38_deliveries_while_it_stops_are_refused_and_come_again(stage: Stage, wire: Wire) -> None:
    await stage.start_bot()
    wire.claude.never_answer("POST", "/v1/messages")
    assert (await stage.jira.deliver(question(stage, "ECD-1"))).status == 202
    await until(lambda: wire.claude.seen("POST", "/v1/messages"))
    late, half = question(stage, "ECD-2"), question(stage, "ECD-3")
    begun = await asyncio.open_connection("127.0.0.1", stage.bot_port)
    begun[1].write(request(stage, half, 0.5))
    stuck = await asyncio.open_connection("127.0.0.1", stage.bot_port)
    stuck[1].write(b"POST /webhooks/jira HT")
    idle = await asyncio.open_connection("127.0.0.1", stage.bot_port)
    kept = await asyncio.open_connection("127.0.0.1", stage.bot_port)
    for _ in range(3):  # by then it has read what was sent before
        kept[1].write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await answer(kept[0]))[0] == 200

    await stopping(stage)
    again = await stage.jira.deliver(late, retries=0)
    assert again.status == 503
    kept[1].write(request(stage, late))
    status, headers = await answer(kept[0])
    assert (status, headers["connection"]) == (503, "close")
    assert int(headers["retry-after"]) > 0
    assert await kept[0].read() == b"", "the connection is closed after its answer"
    async with aiohttp.ClientSession() as session:
        for path, due in (("/health", 200), ("/ready", 503)):
            async with session.get(f"{stage.bot_url}{path}") as found:
                assert (found.status, found.headers["connection"]) == (due, "close"), path
    begun[1].write(request(stage, half)[len(request(stage, half, 0.5)) :])
    assert (await answer(begun[0]))[0] == 202, "it was begun before the signal, and is on stable storage"

    assert stage.bot
    stage.bot.send_signal(signal.SIGTERM)  # somebody is in a hurry
    assert (await answer(stuck[0]))[0] == 503
    assert await stage.ended() == 0
    for _, writer in (kept, begun, stuck, idle):
        writer.close()
    clean(stage.log)

    await stage.start_bot()
    again = await stage.jira.deliver(late)
    assert again.status in (202, 200)  # 200: at its start it has asked Jira what it missed, before this came
    for key in ("ECD-1", "ECD-2", "ECD-3"):
        await stage.slack.card(key, button="Approve")
    assert len(await stage.slack.cards()) == 3


async def test_38_a_stop_is_over_in_20_seconds_whatever_hangs(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.delay = 60
    await ask(stage)
    await stage.claude.until(lambda: stage.claude.requests)
    stage.jira.fail("GET ", *(Fault("hang", seconds=60) for _ in range(40)))
    await stage.slack.command(DANA, text="draft ECD-1")
    await stage.slack.command(SAM, text="health")
    _, slow = await asyncio.open_connection("127.0.0.1", stage.bot_port)
    slow.write(b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    started = time.monotonic()
    assert await stage.stop_bot() == 0
    assert time.monotonic() - started < 20
    slow.close()


@pytest.mark.usefixtures("reins")  # in everybody's time there is `test_38_a_stop_is_over_in_20_seconds_whatever_hangs`
async def test_38_everything_hangs_at_once(stage: Stage, wire: Wire) -> None:
    """Claude asked, a comment on its way to Jira, one done whose answer drips, one being deleted, Slack silent."""
    await stage.start_bot()
    hung, dripped, undone = await cards(stage, "ECD-1", "ECD-2", "ECD-3")
    await stage.slack.click(DANA, undone, "Approve")
    await stage.slack.changes(undone, "Posted")
    wire.jira.never_answer("POST", "ECD-1/comment$")
    wire.jira.drip("POST", "ECD-2/comment$")
    wire.jira.swallow("DELETE", "ECD-3/comment", hang=True)
    wire.claude.swallow("POST", "/v1/messages", hang=True)
    for card, button in ((hung, "Approve"), (dripped, "Approve"), (undone, "Undo")):
        await stage.slack.click(DANA, card, button)
    await stage.jira.deliver(question(stage, "ECD-4"))
    await until(lambda: wire.jira.seen("DELETE", "") and len(wire.jira.seen("POST", POST)) == 3)
    await until(lambda: "swallow_and_hang" in {c.fate for c in wire.claude.calls})
    wire.slack.never_answer("POST", "/api/", times=100)
    await stage.slack.command(SAM, text="health")
    await stopping(stage)
    assert await stage.ended() == 0
    clean(stage.log)

    wire.slack.mend()
    await stage.start_bot()
    await stage.slack.changes(dripped, "Posted", seconds=20)
    await stage.slack.changes(undone, "Undone", seconds=20)
    await stage.slack.card("ECD-1", button="Post again", seconds=20)
    await stage.slack.card("ECD-4", button="Approve")
    assert [len(stage.jira.posted(f"ECD-{n}")) for n in (1, 2, 3)] == [0, 1, 0]
    assert len(wire.jira.seen("POST", POST)) == 3
    assert len(await stage.slack.cards()) == 4
    assert (await stage.run("audit", "verify"))[0] == 0


@both
@pytest.mark.parametrize("place", ["auth.test", "apps.connections.open"])
async def test_38_a_stop_during_the_start(stage: Stage, wire: Wire, place: str) -> None:
    wire.slack.never_answer("*", place, times=50)
    starting = asyncio.create_task(stage.start_bot())
    await until(lambda: wire.slack.seen("*", place))
    assert await stage.stop_bot(signal.SIGINT) == 0
    await asyncio.gather(starting, return_exceptions=True)
    assert "slack.unreachable" not in stage.log, "it does not wait until Slack's time is over"
    clean(stage.log)


async def test_38_a_standup_on_its_way_is_posted_once(stage: Stage, wire: Wire) -> None:
    """By the clock and by a person at once; Slack takes both, and its answers do not come."""
    due = f"{datetime.now(UTC):%H:%M} daily"
    wire.slack.swallow("POST", "chat.postMessage", times=2, hang=True)
    await stage.start_bot(PMAGENT_STANDUP_AT=due)
    await until(lambda: wire.slack.seen("POST", "chat.postMessage"))
    await stage.slack.command(DANA, text="standup share")
    assert await stage.stop_bot() == 0
    clean(stage.log)
    before = len(stage.slack.messages())
    await stage.start_bot(PMAGENT_STANDUP_AT=due)
    await until(lambda: "standup.posted" in stage.log)
    assert [r["action"] for r in await exported(stage, "audit")].count("standup.posted") == 1
    assert len(stage.slack.messages()) == before


@both
async def test_38_a_click_over_http_counts_to_the_end(stage: Stage, wire: Wire) -> None:
    """Slack does not bring a click again, so it is served while deliveries are refused; the next start acts on it."""
    door = {"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": stage.slack.signing_secret}
    await stage.start_bot(**door)
    stage.slack.http_target = f"{stage.bot_url}/webhooks/slack"
    [card] = await cards(stage, "ECD-1")
    wire.claude.never_answer("POST", "/v1/messages")
    late = question(stage, "ECD-2")
    assert (await stage.jira.deliver(late)).status == 202
    await until(lambda: wire.claude.seen("POST", "/v1/messages")[2:])
    await stopping(stage)
    assert (await stage.jira.deliver(late, retries=0)).status == 503
    ack = await stage.slack.click(DANA, card, "Approve")
    assert ack.acked, ack.error
    assert stage.bot
    stage.bot.send_signal(signal.SIGTERM)  # somebody is in a hurry
    assert await stage.ended() == 0
    clean(stage.log)
    assert not stage.jira.posted("ECD-1")
    await stage.start_bot(**door)
    await stage.slack.changes(card, "Posted", seconds=20)
    assert len(stage.jira.posted("ECD-1")) == 1


@both
async def test_38_nobody_waits_for_a_socket_that_is_silent(stage: Stage, wire: Wire) -> None:
    await stage.start_bot()
    wire.slack.silence()
    assert await stage.stop_bot() == 0
    lines = [json.loads(line) for line in stage.log.splitlines() if line.startswith("{")]
    at = {line["event"]: datetime.fromisoformat(line["timestamp"]) for line in lines}
    assert (at["stopped"] - at["stopping"]).total_seconds() < 9, "aiohttp alone waits 10 s for a close frame"
    clean(stage.log)


@both
async def test_38_a_thread_that_hangs_does_not_keep_the_process(stage: Stage) -> None:
    """As one does that asks for a name while the name server is silent: nobody can end it, and nobody waits for it."""
    stage.program = "tests.hostile.stuck"
    await stage.start_bot()
    assert (await stage.jira.deliver(question(stage, "ECD-1"))).status == 202
    assert await stage.stop_bot() == 0
    clean(stage.log)
