"""Every message once and in order, whatever the wire to Slack does (faults 27, 28 and 29)."""

from __future__ import annotations

import asyncio

import pytest

from bot.demo.slack.people import DANA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES
from tests.hostile.proxy import Wire
from tests.hostile.support import cards, clean, question, ready, until, until_so
from tests.model.reins import Reins
from tests.stores import both

POSTS = "chat.postMessage"


async def decided(stage: Stage, *found: Message) -> None:
    """Each of these cards can be decided: clicks arrive, and the message that was clicked is the one that changes."""
    for card in found:
        ack = await stage.slack.click(DANA, card, "Approve")
        assert ack.acked, ack.error
    for card in found:
        await stage.slack.changes(card, "Posted", seconds=20)


@both
async def test_27_nobody_listens_at_slack_for_a_while(stage: Stage, wire: Wire) -> None:
    await stage.start_bot()
    [first] = await cards(stage, "ECD-1")
    wire.slack.refuse()
    await until_so(lambda: ready(stage))
    assert await ready(stage) == {"slack": "not connected"}
    stage.claude.script(YES, YES)
    for key in ("ECD-2", "ECD-3"):
        assert (await stage.jira.deliver(question(stage, key))).status == 202, "intake goes on without Slack"
    await until(lambda: stage.log.count('"draft.created"') == 3)
    await asyncio.sleep(2)  # and some tries
    await wire.slack.start()
    await stage.slack.connected(20)
    made = [await stage.slack.card(key, button="Approve", seconds=20) for key in ("ECD-2", "ECD-3")]
    await until_so(lambda: _is_ready(stage))
    await decided(stage, first, *made)
    assert len(await stage.slack.cards()) == 3


async def _is_ready(stage: Stage) -> bool:
    return not await ready(stage)


@both
async def test_27_a_socket_that_says_nothing_any_more(stage: Stage, wire: Wire, reins: Reins) -> None:
    """Open, and no byte comes through, pings neither: nobody closes it, so the program has to notice. And then a hand
    that is not shaken."""
    await stage.start_bot()
    wire.slack.never_answer("GET", "/socket")
    wire.slack.silence()
    before = stage.slack.connections.opened
    [card] = await cards(stage, "ECD-1")
    await until(lambda: stage.slack.connections.opened > before, 60)
    assert [call.fate for call in wire.slack.seen("GET", "/socket")] == ["passed", "never_answer", "passed"]
    for reason in ("warning", "refresh_requested"):
        await stage.slack.disconnect(reason)
    await asyncio.sleep(0.5)
    await stage.slack.connected()
    await until_so(lambda: _is_ready(stage))
    await decided(stage, card)


@both
async def test_28_slack_asks_to_wait(stage: Stage, wire: Wire) -> None:
    """Posts, updates and modals: in their order, each once, none lost."""
    wait = Fault("answer", 429, {"Retry-After": "2"}, {"ok": False, "error": "ratelimited"})
    await stage.start_bot()
    stage.slack.fail(POSTS, wait, wait)
    keys = [f"ECD-{number}" for number in range(1, 5)]
    for drafts, key in enumerate(keys, 1):
        stage.claude.script(YES)
        await stage.jira.deliver(question(stage, key))
        await until(lambda drafts=drafts: stage.log.count('"draft.created"') == drafts)
    for key in keys:
        await stage.slack.card(key, button="Approve", seconds=20)
    found = await stage.slack.cards()
    assert [next(key for key in keys if key in card.words) for card in found] == keys, "in order"
    tries = [e.at for e in stage.slack.calls(POSTS)]
    assert len(tries) == len(keys) + 2
    assert (tries[1] - tries[0]).total_seconds() >= 2
    assert (tries[2] - tries[1]).total_seconds() >= 2

    stage.slack.fail("chat.update", wait)
    stage.slack.fail("views.open", wait)
    assert (await stage.slack.click(SAM, found[3], "Edit")).acked
    await stage.slack.whispered(SAM, "press Edit once more")
    assert (await stage.slack.click(SAM, found[3], "Edit")).acked
    await stage.slack.opened(SAM)
    assert (await stage.slack.submit(SAM, "Edited.")).acked
    await stage.slack.changes(found[3], "Edited.", seconds=20)
    await decided(stage, *found[:3])
    assert len(await stage.slack.cards()) == len(keys)
    clean(stage.log)


@both
@pytest.mark.soak  # the ordinary run has the lane alone, in `test_slack_client`
async def test_28_a_wait_too_long_to_stand_in_line(stage: Stage, wire: Wire, reins: Reins) -> None:
    """Beyond half a minute the jobs go home and come again: in their order all the same."""
    await stage.start_bot()
    stage.slack.fail(POSTS, Fault("answer", 429, {"Retry-After": "60"}, {"ok": False, "error": "ratelimited"}))
    keys = [f"ECD-{number}" for number in range(1, 5)]
    for drafts, key in enumerate(keys, 1):
        stage.claude.script(YES)
        await stage.jira.deliver(question(stage, key))
        await until(lambda drafts=drafts: stage.log.count('"draft.created"') == drafts)
    assert len(stage.slack.calls(POSTS)) == 1, "nobody asks before the time"
    for key in keys:
        await stage.slack.card(key, button="Approve", seconds=30)
    found = await stage.slack.cards()
    assert [next(key for key in keys if f"{key} " in card.words) for card in found] == keys, "in order"
    assert len(stage.slack.calls(POSTS)) == 1 + len(keys)
    clean(stage.log)


@both
async def test_29_a_post_that_was_done_and_whose_answer_is_lost(stage: Stage, wire: Wire) -> None:
    """The card is found by its metadata, though the looks for it break at first; notices likewise."""
    await stage.start_bot()
    wire.slack.swallow("POST", POSTS)
    wire.slack.reset_answer("POST", POSTS)
    wire.slack.cut_answer("POST", POSTS)
    wire.slack.reset("*", "conversations.history", times=2)
    wire.slack.cut_answer("*", "conversations.history", times=2)
    found = await cards(stage, "ECD-1", "ECD-2", "ECD-3")
    wire.slack.cut_request("POST", POSTS)  # not done: looked for in vain, then posted
    found += await cards(stage, "ECD-4")
    wire.slack.reset_answer("POST", POSTS)
    await stage.slack.command(DANA, text="mode simulation")
    await stage.slack.notice("simulation")
    for card in found:
        await stage.slack.changes(card, "Simulation", seconds=20)
    await stage.slack.command(DANA, text="mode production")
    for card in found:
        await stage.slack.changes(card, "Production", seconds=20)
    wire.slack.reset_answer("POST", "chat.update", times=2)
    await decided(stage, *found)
    assert len(await stage.slack.cards()) == 4
    assert len(stage.slack.messages()) == 4 + 2
    fates = [call.fate for call in wire.slack.seen("POST", POSTS)]
    assert sorted(set(fates)) == ["cut_answer", "cut_request", "passed", "reset_answer", "swallow"]
    clean(stage.log)
