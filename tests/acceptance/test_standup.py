"""The standup of the real program: posted once, whatever kills it, and shown only to whom it is for."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA, PRIYA
from bot.demo.stage import Stage
from tests.stores import both


def minutes_ago(minutes: float) -> dict[str, str]:
    """Settings in which today's standup was due so many minutes ago."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return {"PMAGENT_STANDUP_AT": f"{at:%H:%M} daily"}


def standups(stage: Stage) -> list[Any]:
    return [m for m in stage.slack.messages(stage.slack.approvals_channel) if m.text.startswith("Standup")]


async def audit(stage: Stage) -> list[str]:
    code, out = await stage.run("audit", "export")
    assert code == 0, out
    found = [json.loads(line)["action"] for line in out.splitlines()]
    return [action for action in found if action.startswith("standup.")]


async def recorded(stage: Stage, what: str) -> None:
    for _ in range(100):
        if what in await audit(stage):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{what} was not recorded:\n{stage.log}")


@both
async def test_54_posted_once_over_restarts(stage: Stage) -> None:
    stage.jira.issue("ECD-1", assignee="ana", reporter="ben")
    changes = minutes_ago(2)
    await stage.start_bot(**changes)
    await stage.slack.until(lambda: standups(stage), 15, "for the standup")
    await recorded(stage, "standup.posted")
    await stage.stop_bot()
    for _ in range(5):  # the other fifteen are tests/test_standup.py's: a start costs seconds
        await stage.start_bot(**changes)
        await stage.stop_bot()
    assert len(standups(stage)) == 1
    assert await audit(stage) == ["standup.posted"]
    assert "ECD-1" in standups(stage)[0].words


@pytest.mark.parametrize("failpoint", ["standup.before_post", "standup.after_post"])
async def test_killed_around_the_post(stage: Stage, failpoint: str) -> None:
    stage.jira.issue("ECD-1")
    changes = minutes_ago(2)
    with contextlib.suppress(BotFailed):  # it may die before it is ready
        await stage.start_bot(**changes, PMAGENT_FAILPOINT=failpoint)
    assert await stage.ended() == -9
    assert len(standups(stage)) == (failpoint == "standup.after_post")
    await stage.start_bot(**changes)
    await recorded(stage, "standup.posted")
    assert len(standups(stage)) == 1
    assert len([r for r in stage.claude.requests if "Task: standup" in json.dumps(r)]) == 1  # not paid for twice


@both
async def test_52_missed_by_more_than_two_hours_is_a_recorded_skip(stage: Stage) -> None:
    at = datetime.now(UTC)
    if at.hour < 3:
        pytest.skip(
            "BEFORE 03:00 UTC today's standup cannot be three hours late; the rule is in tests/test_schedule.py"
        )
    await stage.start_bot(**minutes_ago(180))
    await recorded(stage, "standup.skipped")
    assert standups(stage) == []


async def test_the_published_head_verifies(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.issue("ECD-1", reporter="ben")
    await stage.jira.comment("ECD-1", "ben", "Thanks, all good.")  # something for the trail
    await recorded_any(stage)
    await stage.slack.command(DANA, "/pmagent", "standup share")
    message = await stage.slack.notice("Audit trail:", channel=stage.slack.approvals_channel)
    head = message.words.split(" records, head ")[1].split()[0]
    code, out = await stage.run("audit", "verify", "--head", head)
    assert code == 0, out
    assert out.startswith("ok ")


async def recorded_any(stage: Stage) -> None:
    for _ in range(100):
        code, out = await stage.run("audit", "export")
        if code == 0 and out:
            return
        await asyncio.sleep(0.1)


async def test_on_command_for_members_and_shared_by_approvers_only(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.issue("ECD-1", "A summary <!channel>", reporter="ben")
    await stage.slack.command(PRIYA, "/pmagent", "standup")
    await stage.slack.until(lambda: [w for w in stage.slack.whispers(PRIYA) if "ECD-1" in w.words], 15, "for a standup")
    await stage.slack.command(PRIYA, "/pmagent", "standup share")
    await stage.slack.until(lambda: len(stage.slack.whispers(PRIYA)) >= 2, 10, "for the refusal")
    assert standups(stage) == []
    await stage.slack.command(DANA, "/pmagent", "standup share")
    await stage.slack.until(lambda: standups(stage), 15, "for the shared standup")
    assert "<!channel>" in standups(stage)[0].words  # shown as text
