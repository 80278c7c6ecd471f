"""A service that drips for ever holds no thread: a call that is over its deadline is ended from outside."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from bot.clients.bitbucket import Bitbucket
from bot.clients.jira import Jira
from bot.clients.threads import MOST_LEFT_BEHIND
from bot.demo.stage import Stage
from bot.errors import OutcomeUnknown, RetryLater
from bot.issues import PullRequest
from bot.settings import load
from tests.hostile.proxy import Wire
from tests.hostile.support import until

DEADLINE = 0.6
PR = PullRequest(
    id="demo/app#1", repository="demo/app", number=1, title="", state="OPEN", url="", updated=datetime.now(UTC)
)


def threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


async def test_what_drips_for_ever_holds_no_thread(stage: Stage, wire: Wire) -> None:
    """More calls than may be left behind, in several rounds: afterwards Jira is read as if nothing had been."""
    jira = Jira(load(stage.env), deadline=DEADLINE)
    stage.jira.issue("ECD-1")
    wire.jira.drip("*", "/project/", every=0.3, times=1000)
    wire.jira.never_answer("POST", "comment")
    for _ in range(MOST_LEFT_BEHIND // 12 + 1):
        answers = await asyncio.gather(*(jira.project("ECD") for _ in range(12)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {RetryLater}
    with pytest.raises(OutcomeUnknown):
        await jira.post_comment("ECD-1", {}, [])
    await until(lambda: threads("jira") == 0, 5)
    assert (await jira.myself()).name
    await jira.close()


async def test_bitbucket_drips_for_ever(stage: Stage, wire: Wire) -> None:
    bitbucket = Bitbucket(load({**stage.env, "BITBUCKET_TOKEN": "x"}), deadline=DEADLINE)
    wire.bitbucket.drip("GET", "/pullrequests/", every=0.3, times=10)
    wire.bitbucket.never_answer("GET", "/user")
    for call in (bitbucket.pull_request(PR), bitbucket.check()):
        with pytest.raises(RetryLater):
            await call
    await until(lambda: threads("bitbucket") == 0, 5)
    await bitbucket.close()
