"""Claude and Bitbucket behind a bad wire: events wait and go on by themselves, and no draft waits without end."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES, exported
from tests.hostile.proxy import Proxy, Wire
from tests.hostile.support import cards, clean, question, until

ASK = "/v1/messages"


@pytest.mark.parametrize("fault", [Proxy.reset, Proxy.cut_answer], ids=["reset", "cut in its JSON"])
async def test_44_a_broken_answer_is_an_outage_that_ends_by_itself(stage: Stage, wire: Wire, fault: Any) -> None:
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


async def test_44_claude_is_gone_and_comes_back(stage: Stage, wire: Wire) -> None:
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


async def test_bitbucket_that_hangs_or_drips_holds_up_no_draft(stage: Stage, wire: Wire) -> None:
    await stage.start_bot(BITBUCKET_TOKEN="a-token")
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    for number, fault in enumerate((Proxy.never_answer, Proxy.drip, Proxy.reset), 1):
        found = await stage.bitbucket.open(f"ECD-1 Part {number}", branch=f"ECD-1-{number}")
        fault(wire.bitbucket, "GET", f"/pullrequests/{found.number}$", times=5)
    [card] = await cards(stage, "ECD-1")
    assert len(wire.bitbucket.seen("GET", "/pullrequests/")) >= 3
    assert "ECD-1" in card.words
    clean(stage.log)


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_an_answer_of_claudes_that_drips_for_ever(stage: Stage, wire: Wire) -> None:
    """The deadline of 60 s ends it, and what is asked after it is answered."""
    await stage.start_bot()
    wire.claude.drip("POST", ASK)
    stage.claude.script(YES)
    begun = time.monotonic()
    assert (await stage.jira.deliver(question(stage, "ECD-1"))).status == 202
    await stage.slack.card("ECD-1", button="Approve", seconds=120)
    assert 60 <= time.monotonic() - begun < 90
    clean(stage.log)
