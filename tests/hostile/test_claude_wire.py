"""Claude and Bitbucket behind a bad wire: events wait and go on by themselves, and no draft waits without end."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES, exported
from tests.hostile.proxy import Proxy, Wire
from tests.hostile.support import cards, clean, question, until
from tests.model.reins import SPEED, Reins
from tests.stores import both

ASK = "/v1/messages"


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Proxy.cut_answer, id="cut in its JSON"),
        pytest.param(Proxy.reset, id="reset", marks=pytest.mark.soak),
    ],
)
async def test_44_a_broken_answer_is_a_short_outage(stage: Stage, wire: Wire, reins: Reins, fault: Any) -> None:
    await stage.start_bot()
    fault(wire.claude, "POST", ASK)
    stage.claude.script(YES)
    for key in ("ECD-1", "ECD-2"):
        assert (await stage.jira.deliver(question(stage, key))).status == 202
    for key in ("ECD-1", "ECD-2"):
        await stage.slack.card(key, button="Approve", seconds=30)
    calls = wire.claude.seen("POST", ASK)
    assert len(calls) == 1 + 4, "one was lost; then two for each draft, and nobody called in between"
    assert len(await exported(stage, "drafts")) == 2
    clean(stage.log)


@pytest.mark.soak
async def test_44_claude_is_gone_and_comes_back(stage: Stage, wire: Wire, reins: Reins) -> None:
    """Refused connections, then overloaded twice, the second time with a time of its own."""
    await stage.start_bot()
    wire.claude.refuse()
    assert (await stage.jira.deliver(question(stage, "ECD-1"))).status == 202
    await until(lambda: "Claude cannot be reached" in stage.log)
    await wire.claude.start()
    stage.claude.script(Fault("answer", 529, {"retry-after": "2"}), YES)
    await stage.slack.card("ECD-1", button="Approve", seconds=40)
    assert [c.fate for c in wire.claude.seen("POST", ASK)] == ["passed"] * 3
    clean(stage.log)


async def test_bitbucket_that_hangs_or_drips_holds_up_no_draft(stage: Stage, wire: Wire, reins: Reins) -> None:
    await stage.start_bot(BITBUCKET_TOKEN="a-token")
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    for number, fault in enumerate((Proxy.never_answer, Proxy.drip, Proxy.reset), 1):
        found = await stage.bitbucket.open(f"ECD-1 Part {number}", branch=f"ECD-1-{number}")
        fault(wire.bitbucket, "GET", f"/pullrequests/{found.number}$", times=5)
    [card] = await cards(stage, "ECD-1")
    assert len(wire.bitbucket.seen("GET", "/pullrequests/")) >= 3
    assert "ECD-1" in card.words
    clean(stage.log)


@pytest.mark.soak  # the ordinary run has it in `test_claude_client`
async def test_an_answer_of_claudes_that_drips_for_ever(stage: Stage, wire: Wire, reins: Reins) -> None:
    """The deadline of 60 s (a fifth of that here) ends it, and what is asked after it is answered."""
    await stage.start_bot()
    wire.claude.drip("POST", ASK)
    stage.claude.script(YES)
    begun = time.monotonic()
    assert (await stage.jira.deliver(question(stage, "ECD-1"))).status == 202
    await stage.slack.card("ECD-1", button="Approve", seconds=60)
    assert time.monotonic() - begun >= 60 / SPEED
    clean(stage.log)


async def test_44_a_refused_key_is_one_notice(stage: Stage, reins: Reins) -> None:
    """After a quarter of an hour, not before; it says what to do, and in the end that it is over."""
    await stage.start_bot()
    stage.claude.fail(ASK, *[Fault("answer", 401)] * 100)
    for key in ("ECD-1", "ECD-2", "ECD-3"):
        assert (await stage.jira.deliver(question(stage, key))).status == 202
    await until(lambda: "does not accept the API key" in stage.log)
    await asyncio.sleep(2)
    assert stage.slack.messages() == []
    reins.shift(15 * 60)
    notice = await stage.slack.notice("ANTHROPIC_API_KEY", seconds=20)
    assert len(stage.claude.calls(ASK)) < 12, "one at a time tries, with pauses"
    await stage.stop_bot()
    await stage.start_bot()
    reins.shift(3600)
    await asyncio.sleep(2)
    assert len(stage.slack.messages()) == 1
    stage.claude.mend()
    for key in ("ECD-1", "ECD-2", "ECD-3"):
        await stage.slack.card(key, button="Approve", seconds=40)
    await until(lambda: len(notice.versions) > 0)
    assert len(stage.slack.messages()) == 1 + 3
    clean(stage.log)


async def budget_spent(stage: Stage) -> int:
    """One draft took more than the day's money; returns how often Claude was asked."""
    await stage.start_bot(PMAGENT_DAILY_BUDGET_USD="0.50")
    stage.claude.usage = {"input_tokens": 600_000, "output_tokens": 10}
    await cards(stage, "ECD-1")
    stage.claude.usage = None
    return len(stage.claude.requests)


async def budget_notice(stage: Stage, calls: int) -> None:
    for key in ("ECD-2", "ECD-3"):
        assert (await stage.jira.deliver(question(stage, key))).status == 202
    await stage.slack.notice("budget is spent", seconds=15)
    await until(lambda: "today's budget of $0.50 is used up" in stage.log)
    assert len(stage.claude.requests) == calls


async def next_day(stage: Stage) -> None:
    for key in ("ECD-2", "ECD-3"):
        await stage.slack.card(key, button="Approve", seconds=60)
    assert len([m for m in stage.slack.messages() if "budget is spent" in m.words]) == 1
    assert len(await stage.slack.cards()) == 3
    clean(stage.log)


@both
async def test_46_the_budget_is_spent(stage: Stage, reins: Reins) -> None:
    """No call, one notice, the queue kept, over a restart too; the next day it goes on."""
    calls = await budget_spent(stage)
    await budget_notice(stage, calls)
    await stage.stop_bot()
    await stage.start_bot(PMAGENT_DAILY_BUDGET_USD="0.50")
    await asyncio.sleep(1)
    assert len(stage.claude.requests) == calls
    await stage.stop_bot()
    reins.shift(86_400)
    await stage.start_bot(PMAGENT_DAILY_BUDGET_USD="0.50")
    await next_day(stage)


@both
@pytest.mark.soak
async def test_46_midnight_comes_while_it_runs(stage: Stage, reins: Reins) -> None:
    calls = await budget_spent(stage)
    now = datetime.now(UTC)
    reins.shift((now.replace(hour=23, minute=59, second=30) - now).total_seconds())
    await budget_notice(stage, calls)
    assert reins.now().hour == 23, "this machine is too slow for this test"
    await next_day(stage)
    assert reins.now().hour == 0
