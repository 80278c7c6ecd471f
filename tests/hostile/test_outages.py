"""What is refused to the account, or said by somebody else than the service, is an outage and no event's end.

Events wait, `/ready` and one notice name the service, and everything goes on by itself.
"""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest

from bot.demo.hooks import signature
from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES, exported
from tests.acceptance.test_reconcile import away as away_since
from tests.acceptance.test_reconcile import checkpointed, records
from tests.hostile.proxy import Wire
from tests.hostile.support import cards, clean, question, until, until_so
from tests.model.reins import SPEED, Reins

READS = r"GET .*/rest/api/3/issue/"
PAGE = "<html><body>Page unavailable</body></html>"
GATEWAYS = {
    "404 HTML": Fault("answer", 404, body=PAGE),
    "403 HTML": Fault("answer", 403, body=PAGE),
    "a gateway's JSON": Fault("answer", 404, body={"code": 404, "message": "No message available"}),
    "a login page": Fault("answer", 302, {"Location": "https://login.example.net/"}),
    "maintenance": Fault("answer", 200, body={"status": "maintenance"}),
    "503": Fault("answer", 503, body=PAGE),
}
WORDS = {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}
USAGE_LIMIT = {
    "type": "error",
    "error": {
        "type": "invalid_request_error",
        "message": "You have reached your specified API usage limits. "
        "You will regain access on 2026-12-01 at 00:00 UTC.",
    },
}


async def away(stage: Stage) -> dict[str, str]:
    """The services that `/ready` names, which answers 200 all the same: deliveries are taken."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.bot_url}/ready") as answer:
        assert answer.status == 200
        found: dict[str, str] = (await answer.json()).get("away", {})
        return found


async def only_away(stage: Stage, name: str) -> bool:
    return list(await away(stage)) == [name]


async def asked(stage: Stage, *keys: str) -> None:
    for key in keys:
        assert (await stage.jira.deliver(question(stage, key))).status == 202


def lines(stage: Stage, event: str) -> list[dict[str, Any]]:
    """The lines of the log about this."""
    found = [json.loads(line) for line in stage.log.splitlines() if line.startswith("{")]
    return [line for line in found if line["event"] == event]


async def outage(stage: Stage, reins: Reins, service: str, *keys: str) -> Message:
    """The one notice of an outage that these events wait for, after a quarter of an hour and a restart."""
    name = service.lower()
    await until_so(lambda: only_away(stage, name))
    assert stage.slack.messages() == []
    reins.shift(15 * 60)
    notice = await stage.slack.notice(f"{service} cannot be asked", seconds=20)
    await stage.slack.command(DANA, text="health")
    assert "away since" in (await stage.slack.whispered(DANA, name)).words
    await stage.stop_bot()
    await stage.start_bot()
    await asyncio.sleep(2 / SPEED)
    await until_so(lambda: only_away(stage, name))
    assert len(stage.slack.messages()) == 1
    assert {str(e["state"]) for e in await exported(stage, "webhook_events")} == {"received"}
    return notice


async def over(stage: Stage, notice: Message, service: str, *keys: str) -> None:
    """They go on by themselves, and the notice says so."""
    for key in keys:
        await stage.slack.card(key, button="Approve", seconds=60)
    await stage.slack.changes(notice, f"{service} answers again")
    assert await away(stage) == {}
    assert len(stage.slack.messages()) == 1 + len(keys)
    assert [line["service"] for line in lines(stage, "outage.began")] == [service], "one line for each change of state"
    assert [line["service"] for line in lines(stage, "outage.over")] == [service]
    clean(stage.log)


@pytest.mark.parametrize("gateway", GATEWAYS.values(), ids=GATEWAYS)
async def test_somebody_else_answers_for_jira(stage: Stage, reins: Reins, gateway: Fault) -> None:
    await stage.start_bot()
    stage.jira.fail(READS, *[gateway] * 5000)
    await asked(stage, "ECD-1", "ECD-2")
    notice = await outage(stage, reins, "Jira", "ECD-1", "ECD-2")
    stage.jira.mend()
    stage.claude.script(YES, YES)
    await over(stage, notice, "Jira", "ECD-1", "ECD-2")


@pytest.mark.parametrize("fields", [None, [7]])
async def test_an_issue_of_which_nothing_is_told_is_not_jiras(stage: Stage, fields: object) -> None:
    """Whether it is a service desk's, or has a security level, is not known of it."""
    await stage.start_bot()
    body = {"id": "10001", "key": "ECD-1", "fields": fields}
    stage.jira.fail(r"GET .*/rest/api/3/issue/ECD-1\?", *[Fault("answer", 200, body=body)] * 2)
    stage.claude.script(YES)
    await asked(stage, "ECD-1")
    await until_so(lambda: only_away(stage, "jira"))
    await stage.slack.card("ECD-1", button="Approve", seconds=30)
    clean(stage.log)


async def test_a_wrong_cloud_id(stage: Stage, reins: Reins) -> None:
    """Everything is gone then, also who we are: in whose words ever."""
    right = {"ATLASSIAN_API_URL": stage.jira.base, "ATLASSIAN_CLOUD_ID": stage.jira.cloud_id}
    stage.env |= right | {"ATLASSIAN_CLOUD_ID": "0b5c1d6e-wrong"}
    await stage.start_bot()
    await asked(stage, "ECD-1")
    notice = await outage(stage, reins, "Jira", "ECD-1")
    assert "ATLASSIAN_CLOUD_ID" in notice.words
    await stage.stop_bot()
    stage.env |= right
    stage.claude.script(YES)
    await stage.start_bot()
    await over(stage, notice, "Jira", "ECD-1")


async def test_gone_in_jiras_words_and_who_we_are_not_told(stage: Stage) -> None:
    """A token that ended: to a stranger every issue is gone. Once Jira knows us again, it is so."""
    await stage.start_bot()
    stage.jira.fail(READS, *[Fault("answer", 404, body=WORDS)] * 5000)
    stage.jira.fail("/myself", *[Fault("answer", 401)] * 5000)
    await asked(stage, "ECD-1")
    await until_so(lambda: away(stage))
    [event] = await exported(stage, "webhook_events")
    assert event["state"] == "received"
    stage.jira.mend()
    stage.jira.fail(READS, *[Fault("answer", 404, body=WORDS)] * 5000)
    await until_so(lambda: exported(stage, "agent_cycles"))
    [cycle] = await exported(stage, "agent_cycles")
    assert cycle["reason"] == "the issue is gone or forbidden"
    assert await away(stage) == {}
    clean(stage.log)


@pytest.mark.usefixtures("reins")
async def test_one_issue_that_a_gateway_blocks_holds_up_no_other(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.fail(rf"{READS}ECD-1[/?]", *[GATEWAYS["403 HTML"]] * 5000)
    await asked(stage, "ECD-1")
    await until_so(lambda: away(stage))
    await cards(stage, "ECD-2", "ECD-3", "ECD-4")
    events = {str(e["issue"]): e["state"] for e in await exported(stage, "webhook_events")}
    assert events["ECD-1"] == "received"
    clean(stage.log)


async def waits_again(stage: Stage, times: int) -> bool:
    """So often a click was answered with: the draft waits on. The card may look as it did after the one before."""
    return [line["action"] for line in await exported(stage, "audit")].count("draft.waiting") == times


async def test_at_approve_the_draft_keeps_waiting_and_the_card_says_why(stage: Stage) -> None:
    await stage.start_bot()
    [card] = await cards(stage, "ECD-1")
    for clicks, gateway in enumerate(GATEWAYS.values(), 1):
        stage.jira.fail(READS, *[gateway] * 4)
        await stage.slack.click(DANA, card, "Approve")
        await until_so(lambda so_often=clicks: waits_again(stage, so_often))
        await stage.slack.changes(card, "Still waiting. Jira cannot be read")
        assert card.buttons == ["Approve", "Edit", "Skip"]
        stage.jira.mend()
    assert stage.jira.posted() == []
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    clean(stage.log)


async def test_a_gateway_refuses_the_post_and_the_undo(stage: Stage, reins: Reins) -> None:
    """The card says so in words: not posted, with Retry; not undone, and the comment is still there."""
    await stage.start_bot()
    [card] = await cards(stage, "ECD-1")
    for number, name in enumerate(("404 HTML", "403 HTML", "a gateway's JSON"), 1):
        stage.jira.fail(r"POST .*/comment$", GATEWAYS[name])
        button = "Retry" if "Retry" in card.buttons else "Approve"
        before = card.button(button)["value"]
        await stage.slack.click(DANA, card, button)
        await until(lambda count=number: len(lines(stage, "draft.failed")) == count)
        await until(lambda old=before: "Retry" in card.buttons and card.button("Retry")["value"] != old)  # drawn anew
        await stage.slack.changes(card, "not Jira but a gateway")
        assert stage.jira.posted() == []
    await stage.slack.click(DANA, card, "Retry")
    await stage.slack.changes(card, "Posted")
    stage.jira.fail(r"DELETE ", *[GATEWAYS["404 HTML"]] * 9)
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "and is still in Jira")
    assert len(stage.jira.posted()) == 1
    stage.jira.mend()
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "Undone")
    assert stage.jira.posted() == []


async def test_a_page_that_answers_a_delete_has_deleted_nothing(stage: Stage) -> None:
    """A login page says 200 to anything. It is tried again, and the card says Undone when the comment is gone."""
    page = Fault("answer", 200, body=PAGE)
    await stage.start_bot()
    [card] = await cards(stage, "ECD-1")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    stage.jira.fail(r"DELETE ", page, page)
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "Undone", seconds=20)
    assert len(stage.jira.calls(r"DELETE ")) == 3
    assert stage.jira.posted() == []
    clean(stage.log)


@pytest.mark.usefixtures("reins")
async def test_a_gateway_answers_the_search_at_start(stage: Stage) -> None:
    """What was missed is asked for again; health says what is the matter, and then that it is over."""
    await stage.start_bot()
    await checkpointed(stage)
    await stage.stop_bot()
    stage.jira.fail("/search/jql", *[GATEWAYS["maintenance"]] * 3)
    await stage.start_bot()
    await until(lambda: lines(stage, "outage.began"))
    await stage.slack.command(DANA, text="health")
    said = await stage.slack.whispered(DANA, "reconcile")
    assert "not Jira but a gateway" in said.words
    await until_so(lambda: _recovered(stage), 60)
    clean(stage.log)


async def _recovered(stage: Stage) -> bool:
    return not await away(stage) and bool(lines(stage, "reconcile.done"))


async def test_bitbucket_behind_a_gateway_forgets_nothing(stage: Stage) -> None:
    """Its 404 does not say that a repository is gone: the run is not over, and health says why."""
    await stage.start_bot(BITBUCKET_TOKEN=stage.bitbucket.token)
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await stage.bitbucket.open("ECD-1 Export", branch="ECD-1-export")
    await until_so(lambda: records(stage, "development"))
    await stage.stop_bot()
    before = await records(stage, "development")
    stage.bitbucket.fail("GET .*/pullrequests", *[GATEWAYS["404 HTML"]] * 50)
    await stage.start_bot(BITBUCKET_TOKEN=stage.bitbucket.token)
    await until(lambda: [line for line in lines(stage, "reconcile.waits") if line.get("service") == "bitbucket"])
    await stage.slack.command(DANA, text="health")
    assert "not Bitbucket but a gateway" in (await stage.slack.whispered(DANA, "pull requests")).words
    assert await records(stage, "development") == before


async def test_claudes_usage_limit_is_one_notice_that_names_the_day(stage: Stage, reins: Reins) -> None:
    await stage.start_bot()
    keys = ("ECD-1", "ECD-2", "ECD-3")
    stage.claude.fail("/v1/messages", *[Fault("answer", 400, body=USAGE_LIMIT)] * 200)
    await asked(stage, *keys)
    notice = await outage(stage, reins, "Claude", *keys)
    assert "2026-12-01 at 00:00 UTC" in notice.words
    stage.claude.mend()
    stage.claude.script(YES, YES, YES)
    await over(stage, notice, "Claude", *keys)


def refusal(status: int, words: str, kind: str = "invalid_request_error", **headers: str) -> Fault:
    body = {"type": "error", "error": {"type": kind, "message": words}}
    return Fault("answer", status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    "fault",
    [
        refusal(400, "You have exceeded your monthly quota."),
        Fault("answer", 200, body={"content": []}),
        refusal(429, "Rate limit.", "rate_limit_error", retry_after="1e400"),
    ],
    ids=["quota", "an empty answer", "a pause without end"],
)  # fmt: skip
async def test_what_every_call_would_meet_ends_no_event(stage: Stage, reins: Reins, fault: Fault) -> None:
    await stage.start_bot()
    stage.claude.fail("/v1/messages", *[fault] * 200)
    await asked(stage, "ECD-1", "ECD-2")
    await until_so(lambda: only_away(stage, "claude"))
    reins.shift(15 * 60)
    await stage.slack.notice("Claude cannot be asked", seconds=20)
    assert len(stage.slack.messages()) == 1
    assert {str(e["state"]) for e in await exported(stage, "webhook_events")} == {"received"}
    clean(stage.log)


async def test_an_event_that_fails_leaves_a_line_in_the_log(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script("no JSON", "no JSON")
    await asked(stage, "ECD-1")
    await stage.slack.notice("No draft could be made")
    [line] = lines(stage, "event.failed")
    [event] = await exported(stage, "webhook_events")
    assert (line["event_id"], line["issue"], line["level"]) == (event["id"], "ECD-1", "warning")
    assert line["reason"] == event["reason"]


@pytest.mark.usefixtures("reins")
async def test_with_slack_jira_and_claude_unreachable_the_log_has_a_line_for_each_change(stage: Stage) -> None:
    """Neither one for each attempt nor the libraries' tracebacks; and each says when the next attempt is."""
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        addresses = {"SLACK_API_URL": f"{nowhere}/api/", "JIRA_URL": nowhere, "ANTHROPIC_BASE_URL": nowhere}
        await away_since(stage, hours=1)  # so that there is something to reconcile
        with pytest.raises(BotFailed, match="not ready"):
            await stage.start_bot(**addresses, BITBUCKET_URL=nowhere, BITBUCKET_TOKEN="a-token-of-nobody", seconds=5.0)
        async with aiohttp.ClientSession() as session:
            for key in ("ECD-1", "ECD-2", "ECD-3"):
                body = json.dumps(question(stage, key)).encode()
                headers = {"X-Hub-Signature": signature(stage.jira.secret, body), "Content-Type": "application/json"}
                async with session.post(f"{stage.bot_url}/webhooks/jira", data=body, headers=headers) as answer:
                    assert answer.status == 202
        await asyncio.sleep(10 / SPEED)
        assert "jira" in (await ready_or_not(stage))["away"]
        code = await stage.stop_bot()
    assert code == 0
    assert "Traceback" not in stage.log
    found = [json.loads(line) for line in stage.log.splitlines() if line.startswith("{")]
    told = [
        line for line in found if line["logger"] != "uvicorn.error" and line["event"] not in ("stopping", "stopped")
    ]
    assert len(told) <= 12, stage.log
    assert len(stage.log) < 6_000
    for event in ("outage.began", "slack.disconnected"):
        [line] = lines(stage, event)
        assert any(name.startswith("next_try") for name in line)


@pytest.mark.usefixtures("reins")
async def test_a_socket_that_is_lost_and_found_again_is_two_lines(stage: Stage, wire: Wire) -> None:
    await stage.start_bot()
    wire.slack.refuse()
    await until(lambda: lines(stage, "slack.disconnected"), 40)
    await asyncio.sleep(5 / SPEED)
    await wire.slack.start()
    await until(lambda: lines(stage, "slack.connected"), 40)
    assert len(lines(stage, "slack.disconnected")) == len(lines(stage, "slack.connected")) == 1
    clean(stage.log)
    [card] = await cards(stage, "ECD-1")
    assert (await stage.slack.click(DANA, card, "Skip")).acked


async def ready_or_not(stage: Stage) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{stage.bot_url}/ready") as answer:
        assert answer.status == 503, "Slack is not connected"
        found: dict[str, Any] = await answer.json()
        return found
