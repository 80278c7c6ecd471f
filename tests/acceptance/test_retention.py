"""A data folder with records past the retention, and the real program: they leave the journal, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from bot.demo.stage import BotFailed, Stage
from bot.store import Put
from bot.store.tiny import TinyStore
from tests.old_records import NAMES, Clock, story

TODAY = datetime.now(UTC)
OLD = TODAY - timedelta(days=400)
TABLES = ("webhook_events", "agent_cycles", "drafts", "audit")
ANA = next(iter(NAMES))


def fill(folder: Path) -> None:
    """Three closed stories from long ago, one of last week, what a day long ago has cost."""
    store = TinyStore.open(folder, clock=Clock())
    for number, state in enumerate(("posted", "silence", "skipped")):
        story(store, str(number), OLD + timedelta(hours=number), state)
    store.commit_now(Put("state", {"id": f"spend:{OLD:%Y-%m-%d}", "at": OLD.isoformat(), "calls": 3, "usd": 0.25}))
    story(store, "young", TODAY - timedelta(days=7))
    store.close_now()


async def archives(stage: Stage, seconds: float = 15.0) -> list[Path]:
    """The archive files, when the program has listed one."""
    for _ in range(int(seconds / 0.1)):
        if "archive.moved" in stage.log:
            return sorted((stage.data / "archive").iterdir())
        await asyncio.sleep(0.1)
    pytest.fail(f"nothing was archived:\n{stage.log}")


async def exported(stage: Stage) -> dict[str, list[str]]:
    found = {}
    for table in TABLES:
        code, out = await stage.run("export", table)
        assert code == 0, out
        found[table] = [json.loads(line)["id"] for line in out.splitlines()]
    return found


async def metrics(stage: Stage) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"{stage.bot_url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


async def test_old_records_move_and_every_command_still_knows_them(stage: Stage, tmp_path: Path) -> None:
    fill(stage.data)
    before = await exported(stage)
    figures = json.loads((await stage.run("stats", "--json"))[1])
    await stage.start_bot()
    (archive,) = await archives(stage)
    after = await exported(stage)
    assert {table: sorted(ids) for table, ids in after.items() if table != "audit"} == {
        table: sorted(ids) for table, ids in before.items() if table != "audit"
    }
    assert after["audit"][: len(before["audit"])] == before["audit"]
    assert (await stage.run("export", "drafts", "--since", (TODAY - timedelta(days=30)).isoformat()))[1].count(
        "\n"
    ) == 1
    now = json.loads((await stage.run("stats", "--json"))[1])
    assert {**now, "mode": 0} == {**figures, "mode": 0}
    seen = await metrics(stage)
    assert (seen["pmagent_events_total"], seen["pmagent_posted_total"], seen["pmagent_claude_calls_total"]) == (4, 2, 3)
    assert (seen['pmagent_drafts{state="posted"}'], seen['pmagent_drafts{state="skipped"}']) == (2, 1)
    verified = await stage.run("audit", "verify")
    assert verified[1].startswith(f"ok {len(after['audit'])} records")
    assert "ok     archive" in (await stage.run("check"))[1]
    # A copy has everything; an erasure goes through all of it while the bot runs.
    code, out = await stage.run("backup", str(tmp_path))
    assert code == 0, out
    code, said = await stage.run("erase", ANA)
    assert code == 0, said
    assert not archive.exists()
    assert ANA not in (await stage.run("export", "webhook_events"))[1]
    assert (await stage.run("audit", "verify"))[1].startswith("ok")
    assert await stage.stop_bot() == 0
    code, said = await stage.run("restore", out.splitlines()[-1], "--force")
    assert (code, "ok" in said) == (0, True)
    assert archive.exists()
    assert await exported(stage) == after


@pytest.mark.parametrize("failpoint", ["archive.after_rename", "archive.after_list"])
async def test_killed_in_the_middle_it_is_done_at_the_next_start(stage: Stage, failpoint: str) -> None:
    fill(stage.data)
    before = await exported(stage)
    with contextlib.suppress(BotFailed):  # it may be killed before it is ready
        await stage.start_bot(PMAGENT_FAILPOINT=failpoint)
    assert await stage.ended() == -signal.SIGKILL
    await stage.start_bot()
    for _ in range(100):
        if not list(TinyStore.open(stage.data, read_only=True).records("drafts", id="drf_0")):
            break
        await asyncio.sleep(0.1)
    after = await exported(stage)
    assert {t: sorted(ids) for t, ids in after.items() if t != "audit"} == {
        t: sorted(ids) for t, ids in before.items() if t != "audit"
    }
    assert (await stage.run("audit", "verify"))[1].startswith("ok")
    assert len(list((stage.data / "archive").iterdir())) == 1
