"""Clocks that are set, and restarts in quick succession (51, 54). The table of times itself is in `test_schedule`."""

from __future__ import annotations

import asyncio
import random
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.domain.draft_states import DraftState
from tests.acceptance.test_main_path import exported
from tests.hostile.support import cards, clean, question, until_so
from tests.model.reins import Reins
from tests.stores import both

DAY = 86_400.0
LOOKED = 8.0
"""Seconds in which the schedule has looked at the clock, which it does every 30 s, at the reins' speed."""


def standups(stage: Stage) -> list[Any]:
    return [m for m in stage.slack.messages() if m.text.startswith("Standup")]


@both
@pytest.mark.soak  # the ordinary run has it in `test_standup` and `test_workflow_faults`
async def test_51_a_day_forward_and_a_day_back(stage: Stage, reins: Reins) -> None:
    """No second standup for a date that had one, and nobody's draft expires."""
    due = datetime.now(UTC) - timedelta(minutes=1)
    await stage.start_bot(PMAGENT_STANDUP_AT=f"{due:%H:%M} daily")
    [card] = await cards(stage, "ECD-1")
    await stage.slack.until(lambda: standups(stage), 20)
    reins.shift(DAY)  # tomorrow's
    await stage.slack.until(lambda: standups(stage)[1:], 20)
    for seconds in (0.0, -DAY, 0.0, DAY):
        reins.shift(seconds)
        await asyncio.sleep(LOOKED / 4)
    await asyncio.sleep(LOOKED)
    reins.shift(0.0)
    trail = [r["action"] for r in await exported(stage, "audit")]
    # The day before had none: it counts where the program was there to see it, as it was here.
    assert trail.count("standup.posted") == len(standups(stage)) <= 3
    days = [str(m.metadata["event_payload"]) for m in standups(stage)]
    assert len(set(days)) == len(days)
    assert "draft.expired" not in trail
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted", seconds=20)
    assert (await stage.run("audit", "verify"))[0] == 0
    clean(stage.log)


async def restarts(stage: Stage, times: int, seed: int) -> None:
    """Kill it at any moment, again and again, with questions, clicks and announcements under way."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    asked = set()
    for number in range(1, times + 1):
        await stage.start_bot()
        key = f"ECD-{number}"
        if (await stage.jira.deliver(question(stage, key), retries=0)).status == 202:
            asked.add(key)
        for card in await stage.slack.cards():
            if "Approve" in card.buttons:
                await stage.slack.click(DANA, card, "Approve")
                break
        await stage.slack.command(DANA, text=f"mode {chance.choice(['simulation', 'production'])}")
        await asyncio.sleep(chance.uniform(0, 2))
        await stage.stop_bot(signal.SIGKILL)
    await stage.start_bot()
    settled: list[dict[str, Any]] = []

    async def look() -> bool:
        settled[:] = await exported(stage, "drafts")
        busy = {str(s) for s in (DraftState.APPROVED, DraftState.POSTING, DraftState.LOOKING)}
        shown = [d for d in settled if d["card"]["ts"] and d["card"]["shown"] >= d["version"]]
        return {d["issue_key"] for d in shown} >= asked and not {str(d["state"]) for d in settled} & busy

    await until_so(look, 60)
    messages = stage.slack.messages()
    for key in asked:
        assert len([m for m in stage.slack.drafts(key) if f"{key} " in m.words]) == 1, key
        assert len(stage.jira.posted(key)) <= 1
        assert len([d for d in settled if d["issue_key"] == key]) == 1
    switches = [r for r in await exported(stage, "audit") if r["action"] == "mode.switched"]
    notices = [m for m in messages if m.metadata.get("event_type") == "pmagent_message"]
    assert len(notices) == len(switches)
    assert len({m.metadata["event_payload"]["id"] for m in notices}) == len(notices)
    assert (await stage.run("audit", "verify"))[0] == 0


@both
async def test_54_restarts_in_quick_succession(stage: Stage, reins: Reins) -> None:
    await restarts(stage, 3, seed=54)


@both
@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(5))
async def test_54_twenty_restarts_in_a_minute(stage: Stage, reins: Reins, seed: int) -> None:
    await restarts(stage, 20, seed)
