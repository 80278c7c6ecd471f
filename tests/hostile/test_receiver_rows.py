"""What reaches the door in the wrong order, from a machine, too slowly, or while nothing can be stored (11–16)."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from typing import Any, cast

import pytest

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.demo.wire import PATIENCE
from bot.markup import CUT, MAX_TEXT
from bot.workflow.drafting.rule_skips import DRAFTS_PER_ISSUE
from tests.acceptance.test_main_path import YES, exported
from tests.acceptance.test_receiver import send
from tests.hostile.support import answer, question, request, until, until_so
from tests.stores import both


async def ended(stage: Stage, count: int) -> list[dict[str, Any]]:
    """The cycles of this many events that have come to their end."""
    found: list[dict[str, Any]] = []

    async def look() -> bool:
        found[:] = await exported(stage, "agent_cycles")
        return len(found) >= count

    await until_so(look, 30)
    return found


async def test_11_deleted_before_created_and_gone_when_we_look(stage: Stage) -> None:
    await stage.start_bot()
    created = question(stage, "ECD-1")
    await stage.jira.remove_comment("ECD-1", stage.jira.comments("ECD-1")[0].id)
    assert (await stage.jira.deliver(created)).status == 202
    gone = question(stage, "ECD-2")
    del stage.jira.issues["ECD-2"]
    assert (await stage.jira.deliver(gone)).status == 202
    reasons = {str(c["issue"]): str(c["reason"]) for c in await ended(stage, 2)}
    assert reasons == {"ECD-1": "the comment is gone or forbidden", "ECD-2": "the issue is gone or forbidden"}
    assert stage.claude.requests == []
    assert await stage.slack.cards() == []


async def test_12_a_hundred_rounds_with_another_bot(stage: Stage) -> None:
    """It has a person's account and answers at once: a limit for each issue ends it. Apps, and we, cost nothing."""
    await stage.start_bot()
    for number in range(1, 101):
        stage.claude.script(YES)
        payload = question(stage, "ECD-1", f"Round {number}: could you say more about that?")
        assert (await stage.jira.deliver(payload)).status == 202
        if number <= DRAFTS_PER_ISSUE:
            await until(lambda n=number: stage.log.count('"draft.created"') == n)
    cycles = await ended(stage, 100)
    assert [c["outcome"] for c in cycles].count("draft") == DRAFTS_PER_ISSUE
    assert len(stage.claude.requests) == 2 * DRAFTS_PER_ISSUE
    said = {c["reason"] for c in cycles if c["outcome"] == "silence"}
    assert said <= {"too many drafts", "newer comments wait", "a newer comment has a draft"}
    assert "too many drafts" in said

    calls = len(stage.claude.requests)
    stage.jira.issue("ECD-2", status="In Progress")
    for who in ("agent", "robot"):
        await stage.jira.comment("ECD-2", who, "Is anybody there?")
    assert [c["reason"] for c in (await ended(stage, 101))[100:]] == ["written by an app"]
    assert [(e["state"], e["reason"]) for e in (await exported(stage, "webhook_events"))[100:101]] == [
        ("ignored", "our own comment")
    ]
    assert len(stage.claude.requests) == calls


async def test_13_what_cannot_be_stored_is_not_accepted(stage: Stage) -> None:
    """No room for the next write: 503 until there is, and nobody has to start the program anew."""
    await stage.start_bot()
    assert stage.bot
    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    payload = question(stage, "ECD-1")
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.bot_port)
    for _ in range(3):
        writer.write(request(stage, payload))
        status, headers = await answer(reader)
        assert status == 503
        assert int(headers["retry-after"]) > 0
    writer.close()
    assert await exported(stage, "webhook_events") == []
    resource.prlimit(stage.bot.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert (await stage.jira.deliver(payload)).status == 202
    await stage.slack.card("ECD-1", button="Approve")
    assert len(await exported(stage, "webhook_events")) == 1


async def test_16_whoever_is_no_proxy_of_ours_forwards_for_nobody(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_RATE_LIMIT="5/minute", PMAGENT_TRUSTED_PROXIES="10.0.0.1")
    statuses = []
    for number in range(8):
        forwarded = f"203.0.113.{number}"
        body = json.dumps(question(stage, f"ECD-{number + 1}")).encode()
        statuses.append(await send(stage, body, X_Forwarded_For=forwarded, Forwarded=f"for={forwarded}"))
    assert statuses == [202] * 5 + [429] * 3


@pytest.mark.soak
async def test_15_five_hundred_slow_senders(stage: Stage) -> None:
    """A byte a second, in the headers or in the body. (The ordinary run has it with shorter times: `test_limits`.)"""
    await stage.start_bot()
    whole = request(stage, question(stage, "ECD-1"))
    open_now: set[int] = set()

    over = asyncio.Event()

    async def drip(number: int) -> None:
        while not over.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.bot_port)
            writer.write(whole[: 20 if number % 2 else len(whole) // 2])
            open_now.add(number)
            gone = asyncio.create_task(reader.read())
            while not gone.done():
                await asyncio.wait({gone}, timeout=1.0)
                if not gone.done():
                    writer.write(b"x")
            open_now.discard(number)
            writer.close()

    slow = [asyncio.create_task(drip(number)) for number in range(500)]
    await until(lambda: len(open_now) == 500, 30)
    # On a machine that needs seconds to open them the first are over when the last are there.
    for number in range(2, 7):
        assert (await stage.jira.deliver(question(stage, f"ECD-{number}"))).status == 202
        if len(open_now) == 500:
            break
        await until(lambda: len(open_now) == 500, 30)
    assert len(open_now) == 500, "it was answered while all of them were there"
    over.set()
    await asyncio.wait_for(asyncio.gather(*slow, return_exceptions=True), 60)
    assert not open_now


@both
async def test_14_the_answer_is_lost_and_it_comes_again(stage: Stage) -> None:
    """Stored, and the sender is gone before it hears of it; the next delivery is known again, after a restart too."""
    await stage.start_bot()
    stage.claude.script(YES)
    payload = question(stage, "ECD-1")
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", stage.bot_port)
        writer.write(request(stage, payload))
        await writer.drain()
        writer.transport.abort()
    await stage.slack.card("ECD-1", button="Approve")
    assert (await stage.jira.deliver(payload)).status == 200
    await stage.stop_bot()
    await stage.start_bot()
    assert (await stage.jira.deliver(payload)).status == 200
    assert len(await exported(stage, "drafts")) == 1


async def test_a_signed_comment_of_megabytes_is_cut_before_it_is_converted(stage: Stage) -> None:
    """It kept the event loop for 16 s; clicks have three."""
    await stage.start_bot()
    payload = question(stage, "ECD-1")
    payload["comment"]["body"] = "* item\n" * 600_000
    assert (await stage.jira.deliver(payload)).status == 202
    [event] = await exported(stage, "webhook_events")
    text = event["event"]["comment"]["text"]
    assert text.endswith(CUT)
    assert len(text) < 2 * MAX_TEXT


async def test_what_is_long_keeps_no_click_waiting(stage: Stage) -> None:
    """Many comments of the greatest length, of what takes longest to convert, and 4.9 MiB at the door meanwhile."""
    await stage.start_bot()
    question(stage, "ECD-1")
    for _ in range(15):
        # A string in place of the document is what Jira's older endpoints answer.
        stage.jira.write("ECD-1", "ben", "x").body = cast(Any, ("*_-+^~" * MAX_TEXT)[:MAX_TEXT])
    asked, large = question(stage, "ECD-1"), question(stage, "ECD-2")
    large["comment"]["body"] = "* item\n" * 600_000
    stage.claude.script(YES, YES)
    over, waits = asyncio.Event(), list[float]()

    async def press() -> None:
        while not over.is_set():
            started = time.monotonic()
            assert (await stage.slack.command(DANA, "/pmagent", "help")).acked
            waits.append(time.monotonic() - started)

    pressing = asyncio.create_task(press())
    try:
        for payload in (asked, large):
            assert (await stage.jira.deliver(payload)).status == 202
        await stage.slack.card("ECD-1", button="Approve", seconds=40)
    finally:
        over.set()
        await pressing
    assert max(waits) < 0.5 * PATIENCE
