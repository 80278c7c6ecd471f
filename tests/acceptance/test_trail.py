"""The audit trail through the front door: what the running program and its commands say of one that was changed."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from tests.homes import Home
from tests.stores import both


def home(stage: Stage) -> Home:
    return Home(stage.data, stage.env.get("PMAGENT_DATABASE_URL", ""))


async def trail(stage: Stage) -> list[dict[str, Any]]:
    code, out = await stage.run("audit", "export")
    assert code == 0, out
    return [json.loads(line) for line in out.splitlines()]


async def recorded(stage: Stage, action: str) -> None:
    for _ in range(100):
        if any(line["action"] == action for line in await trail(stage)):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{action} was not recorded:\n{stage.log}")


async def tampered(stage: Stage, sql: str) -> None:
    await asyncio.to_thread(home(stage).tamper, sql)


def notices(stage: Stage, words: str) -> list[Any]:
    return [m for m in stage.slack.messages(stage.slack.approvals_channel) if words in m.words]


async def ready(stage: Stage) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{stage.bot_url}/ready") as answer:
        return answer.status, await answer.json()


async def a_decided_draft(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.issue("ECD-1", assignee="ana", reporter="ben")
    await stage.jira.comment("ECD-1", "ben", "Is anybody looking at this?")
    await stage.slack.click(DANA, await stage.slack.card("ECD-1", button="Approve"), "Approve")
    await recorded(stage, "draft.posted")


async def checked(stage: Stage) -> tuple[bool, str]:
    """The line of `check` about the trail."""
    _, out = await stage.run("check", "--json")
    found = json.JSONDecoder().raw_decode(out)[0]
    (line,) = [line for line in found["checks"] if line["name"] == "audit trail"]
    return line["ok"], line["text"]


async def test_health_says_in_local_time_when_the_trail_was_verified(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_TIMEZONE="Asia/Tokyo")
    before = datetime.now(ZoneInfo("Asia/Tokyo"))
    told = ""
    while "records verified" not in told:
        seen = len(stage.slack.whispers(DANA))
        await stage.slack.command(DANA, text="health")
        told = (await stage.slack.whispered(DANA, "audit trail", after=seen)).words
    found = re.search(r"records verified (\S+ \S+)", told)
    assert found
    at = datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=before.tzinfo)
    assert abs(at - before) < timedelta(minutes=2)


@both
async def test_a_start_on_a_broken_trail_is_told_everywhere_once(stage: Stage) -> None:
    await a_decided_draft(stage)
    assert "audit_trail" not in (await ready(stage))[1]
    assert (await checked(stage))[0]
    await stage.stop_bot()
    text, back = ("::text", "::json") if home(stage).url else ("", "")
    changed = f"UPDATE audit SET doc = replace(doc{text}, 'slack:{DANA}', 'slack:U0OTHER'){back}"  # noqa: S608 - ours
    await tampered(stage, changed)
    await stage.start_bot()
    told = await stage.slack.notice("The audit trail is broken")
    assert "audit verify" in told.words
    status, answer = await ready(stage)
    assert status == 200, "deliveries and clicks are taken all the same"
    assert answer["audit_trail"].startswith("broken at seq ")
    await stage.slack.command(DANA, "/pmagent", "health")
    assert "broken at seq" in (await stage.slack.whispered(DANA, "audit trail")).words
    ok, said = await checked(stage)
    assert (ok, said) == (False, answer["audit_trail"])
    await stage.stop_bot()
    verified = stage.log.count('"trail.broken"')
    await stage.start_bot()
    await stage.slack.until(lambda: stage.log.count('"trail.broken"') > verified, 10, "for the next verification")
    await stage.stop_bot()
    assert len(notices(stage, "The audit trail is broken")) == 1


@both
async def test_rewritten_texts_break_what_verify_and_check_say(stage: Stage) -> None:
    await a_decided_draft(stage)
    await stage.stop_bot()
    assert (await stage.run("audit", "verify"))[0] == 0
    (draft,) = await asyncio.to_thread(home(stage).records, "drafts")
    draft["revisions"][-1]["text"] = "It is done."
    doc = json.dumps(draft).replace("'", "''")
    await tampered(stage, f"UPDATE drafts SET doc = '{doc}'")  # noqa: S608 - ours
    code, out = await stage.run("audit", "verify")
    assert code == 1
    assert out.startswith("broken at seq ")
    assert draft["id"] in out.splitlines()[0]
    assert (await checked(stage))[0] is False


async def test_an_erasure_is_told_to_the_channel_once(stage: Stage) -> None:
    await a_decided_draft(stage)
    code, out = await stage.run("erase", DANA)
    assert code == 0, out
    await stage.stop_bot()
    for _ in range(2):
        await stage.start_bot()
        told = await stage.slack.notice("A person's texts were erased")
        await stage.stop_bot()
    assert len(notices(stage, "A person's texts were erased")) == 1
    assert DANA not in told.words
    (line,) = [line for line in await trail(stage) if line["action"] == "erase"]
    assert f"audit record {line['seq']}" in told.words
    code, out = await stage.run("audit", "verify")
    assert code == 0, out


@both
async def test_the_head_that_health_tells_is_one_that_verify_takes(stage: Stage) -> None:
    await a_decided_draft(stage)
    await stage.slack.command(DANA, text="health")
    told = await stage.slack.whispered(DANA, "audit records, head ")
    found = re.search(r"audit records, head (\S+)", told.words)
    assert found
    assert (await stage.run("audit", "verify", "--head", found[1]))[0] == 0


async def test_verify_against_every_head_that_slack_has(stage: Stage) -> None:
    """Standups went to two channels; whoever cuts or rewrites what came before one of them is found."""
    await a_decided_draft(stage)
    await stage.slack.command(DANA, "/pmagent", "standup share")
    first = await stage.slack.notice("Audit trail:", channel=stage.slack.approvals_channel)
    await recorded(stage, "standup.posted")
    await stage.stop_bot()
    await stage.start_bot(SLACK_CHANNEL_STANDUP=stage.slack.standup_channel)
    stage.jira.issue("ECD-2", reporter="ben")
    await stage.jira.comment("ECD-2", "ben", "Thanks, all good.")
    await stage.slack.command(DANA, "/pmagent", "standup share")
    second = await stage.slack.notice("Audit trail:", channel=stage.slack.standup_channel)
    await stage.stop_bot()
    assert first.metadata["event_payload"]["seq"] < second.metadata["event_payload"]["seq"]
    # The settings name the approvals channel alone now: that there was another one, the trail knows, and Slack.
    code, out = await stage.run("audit", "verify", "--slack")
    assert code == 0, out
    assert out.startswith("ok ")
    last = first.metadata["event_payload"]["seq"] + 1
    await tampered(stage, f"DELETE FROM audit WHERE seq > {last}")  # noqa: S608 - ours
    code, out = await stage.run("audit", "verify", "--slack")
    assert (code, out.splitlines()[0].startswith(f"broken at seq {last + 1}: the head ")) == (1, True), out
    assert stage.slack.standup_channel in out.splitlines()[0]
    await tampered(stage, "DELETE FROM audit")
    code, out = await stage.run("audit", "verify", "--slack")
    assert (code, out.startswith("broken at seq 1: the head ")) == (1, True), out
    code, out = await stage.run("audit", "verify")
    assert (code, out.splitlines()[0]) == (
        1,
        "broken at seq 1: no record of the trail names 1 of the drafts that are there",
    )
