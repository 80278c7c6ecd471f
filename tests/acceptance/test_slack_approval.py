"""Slack and approval through the front door: faults 17–22, 24–27 and 30 (23 is in `test_publishing`)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import time
from typing import Any

import aiohttp
import pytest

from bot.demo.slack.limits import walk
from bot.demo.slack.people import DANA, DORA, FINN, GUS, LENA, OLGA, PM_GROUP, PRIYA, ROBO, SAM, Message
from bot.demo.slack.socket_mode import Ack
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import REPLY, YES, ask, exported
from tests.stores import both

HANG = Fault("hang", seconds=60)


async def waiting_card(stage: Stage, key: str = "ECD-1", **answer: Any) -> Message:
    stage.claude.script({**YES, **answer})
    await ask(stage, key)
    return await stage.slack.card(key, button="Approve")


async def actions(stage: Stage) -> list[str]:
    return [str(record["action"]) for record in await exported(stage, "audit")]


def in_time(*acks: Ack) -> None:
    for ack in acks:
        assert ack.acked, ack.error
        assert ack.ms < 3000


async def test_17_acknowledged_in_time_whatever_hangs(stage: Stage) -> None:
    await stage.start_bot()
    cards = [await waiting_card(stage, f"ECD-{n}") for n in (1, 2, 3)]
    stage.claude.delay = 60
    await ask(stage, "ECD-4")  # Claude is being asked now, and hangs
    stage.jira.fail(r"GET ", *(HANG for _ in range(20)))
    slack = stage.slack
    in_time(
        *await asyncio.gather(
            slack.click(DANA, cards[0], "Approve"),
            slack.click(SAM, cards[1], "Skip"),
            slack.click(DANA, cards[2], "Edit"),
            slack.command(DANA, text="pending"),
            slack.command(DANA, text="health"),
            slack.command(DANA, text="draft ECD-1"),
        )
    )
    await slack.changes(cards[1], "Skipped")
    await slack.whispered(DANA, "wait")
    await slack.opened(DANA)
    in_time(await slack.submit(DANA, "Edited."))
    await slack.changes(cards[2], "Edited.")


async def test_17_slack_itself_is_slow(stage: Stage) -> None:
    """The look-up hangs: the modal opens all the same, its submission is answered in time and loses no word."""
    await stage.start_bot()
    card = await waiting_card(stage)
    stage.slack.fail("users.info", *(Fault("hang", seconds=12) for _ in range(3)))
    in_time(await stage.slack.click(DANA, card, "Edit"))
    modal = await stage.slack.opened(DANA)
    ack = await stage.slack.submit(DANA, "Typed with care.")
    in_time(ack)
    assert stage.slack.modal(DANA) is modal
    assert modal.text == "Typed with care."
    assert "try again" in modal.words
    in_time(await stage.slack.click(SAM, card, "Approve"))
    told = await stage.slack.whispered(SAM, "try again", seconds=12)
    assert "could not check" in told.words
    assert card.buttons == ["Approve", "Edit", "Skip"]
    stage.slack.mend()
    in_time(await stage.slack.submit(DANA, "Typed with care."))
    await stage.slack.changes(card, "Posted")
    assert "Typed with care." in card.words


async def test_18_a_click_that_is_delivered_again_is_handled_once(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    ack = await stage.slack.click(DANA, card, "Approve")
    in_time(ack, *await asyncio.gather(*(stage.slack.again(ack) for _ in range(3))))
    await stage.slack.changes(card, "Posted")
    in_time(await stage.slack.again(ack))
    assert len(stage.jira.posted("ECD-1")) == 1
    assert (await actions(stage)).count("draft.approved") == 1


async def test_19_two_clicks_are_one_outcome(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    in_time(*await asyncio.gather(*(stage.slack.click(DANA, card, "Approve") for _ in range(2))))
    await stage.slack.changes(card, "Posted")
    await stage.slack.whispered(DANA, "You already approved this")
    assert len(stage.jira.posted("ECD-1")) == 1

    other = await waiting_card(stage, "ECD-2")
    before = {user: len(stage.slack.whispers(user)) for user in (DANA, SAM)}
    in_time(*await asyncio.gather(stage.slack.click(DANA, other, "Approve"), stage.slack.click(SAM, other, "Skip")))
    await stage.slack.until(lambda: "Posted" in other.words or "Skipped" in other.words)
    posted = "Posted" in other.words
    loser, winner = (SAM, "Dana Petrova") if posted else (DANA, "Sam Whitfield")
    told = await stage.slack.whispered(loser, winner, after=before[loser])
    assert " at " in told.words
    assert len(stage.jira.posted("ECD-2")) == (1 if posted else 0)
    events = [d for d in await exported(stage, "audit") if d["issue"] == "ECD-2" and d["action"] in
              ("draft.approved", "draft.skipped")]  # fmt: skip
    assert len(events) == 1


async def test_20_approve_on_what_was_edited_since(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    old = card.snapshot()
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    in_time(await stage.slack.submit(DANA, "Dana's own words."))
    in_time(await stage.slack.click(SAM, old, "Approve"))
    told = await stage.slack.whispered(SAM, "Dana Petrova")
    assert "edit" in told.words
    await stage.slack.changes(card, "Posted")
    assert "Dana's own words." in card.words
    assert len(stage.jira.posted("ECD-1")) == 1


async def test_20_an_edit_that_comes_too_late_keeps_the_text(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_APPROVERS=f"{DANA},{SAM},{OLGA}")
    card = await waiting_card(stage)
    old = card.snapshot()
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.click(SAM, card, "Skip")
    await stage.slack.changes(card, "Skipped")
    in_time(await stage.slack.submit(DANA, "Ten minutes of typing."))
    modal = await stage.slack.opened(DANA)
    assert modal.text == "Ten minutes of typing."
    assert "Sam Whitfield already skipped this at" in modal.words
    in_time(await stage.slack.click(OLGA, old, "Edit"))  # the Edit of an old card opens no window for nothing
    await stage.slack.whispered(OLGA, "Sam Whitfield already skipped this at")
    assert stage.slack.modal(OLGA) is None
    for text, says in (("   ", "empty"), ("x" * 3001, "3,001")):
        ack = await stage.slack.submit(DANA, text, force=True)
        in_time(ack)
        assert says in json.dumps(ack.payload)
        assert ack.payload["response_action"] == "errors"
    assert not stage.jira.posted("ECD-1")


async def test_21_people_who_may_not_decide(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_APPROVERS=",".join([DANA, SAM, GUS, ROBO, DORA, FINN]))
    card = await waiting_card(stage)
    before = card.snapshot()
    says = {PRIYA: "approvers", GUS: "Guests", ROBO: "Bots", DORA: "deactivated", FINN: "another organisation",
            LENA: "approvers"}  # fmt: skip
    for user, words in says.items():
        for button in ("Approve", "Skip", "Edit"):
            in_time(await stage.slack.click(user, card, button))
        await stage.slack.until(lambda user=user: len(stage.slack.whispers(user)) == 3)  # type: ignore[misc]  # bound at once
        assert all(words in w.words for w in stage.slack.whispers(user))
        assert stage.slack.modal(user) is None
    assert card.payload == before.payload
    assert not stage.jira.posted("ECD-1")
    refused = [r for r in await exported(stage, "audit") if r["action"] == "decision.refused"]
    assert {r["actor"] for r in refused} == {f"slack:{user}" for user in says}
    assert len(refused) == 18
    assert all(r["issue"] == "ECD-1" and r["draft_id"] for r in refused)
    # Dismissed between opening and submitting: the modal says so and keeps the text.
    await stage.slack.click(SAM, card, "Edit")
    await stage.slack.opened(SAM)
    stage.slack.people[SAM].deleted = True
    in_time(await stage.slack.submit(SAM, "Too late."))
    modal = await stage.slack.opened(SAM)
    assert (modal.text, "deactivated" in modal.words) == ("Too late.", True)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")


async def test_22_no_approver_or_no_answer_is_a_no(stage: Stage) -> None:
    code, out = await stage.run("run", PMAGENT_APPROVERS="")
    assert code == 2
    assert "PMAGENT_APPROVERS" in out
    await stage.start_bot(PMAGENT_APPROVERS=PM_GROUP)
    card = await waiting_card(stage)
    stage.slack.fail("usergroups.users.list", *(Fault("answer", status=500) for _ in range(2)))
    in_time(await stage.slack.click(DANA, card, "Approve"))
    await stage.slack.whispered(DANA, "Please try again in a moment")
    stage.slack.fail("users.info", *(Fault("answer", status=500) for _ in range(2)))
    in_time(await stage.slack.click(DANA, card, "Approve"))
    await stage.slack.until(lambda: len(stage.slack.whispers(DANA)) == 2)
    assert card.buttons == ["Approve", "Edit", "Skip"]
    stage.slack.mend()
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")


@pytest.mark.parametrize(("first", "then"), [("production", "simulation"), ("simulation", "production")])
async def test_24_a_click_counts_only_under_the_mode_it_shows(stage: Stage, first: str, then: str) -> None:
    await stage.start_bot(PMAGENT_MODE=first)
    card = await waiting_card(stage)
    old = card.snapshot()
    in_time(await stage.slack.command(DANA, text=f"mode {then}"))
    await stage.slack.changes(card, then.capitalize())
    await stage.slack.notice(f"The mode is {then} now")
    in_time(await stage.slack.click(DANA, old, "Approve"))
    await stage.slack.whispered(DANA, f"this card was made for {first}, so nothing was done")
    assert card.buttons == ["Approve", "Edit", "Skip"]
    assert not stage.jira.posted("ECD-1")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted" if then == "production" else "Simulated")
    assert len(stage.jira.posted("ECD-1")) == (1 if then == "production" else 0)


async def test_25_only_admins_switch_the_mode(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_MODE="simulation", PMAGENT_ADMINS=OLGA)
    for user in (DANA, PRIYA, GUS):
        in_time(await stage.slack.command(user, text="mode production"))
        await stage.slack.whispered(user, "Guests" if user == GUS else "Only admins may do this")
    in_time(await stage.slack.command(PRIYA, text="mode"))
    await stage.slack.whispered(PRIYA, "The mode is simulation")
    in_time(await stage.slack.command(OLGA, text="mode production"))
    await stage.slack.whispered(OLGA, "The mode is production now")
    trail = await exported(stage, "audit")
    assert [r["actor"] for r in trail if r["action"] == "decision.refused"] == [
        f"slack:{user}" for user in (DANA, PRIYA, GUS)
    ]
    assert [r["actor"] for r in trail if r["action"] == "mode.switched"] == [f"slack:{OLGA}"]


async def test_commands_answer_privately_and_say_what_is_wrong(stage: Stage) -> None:
    await stage.start_bot(JIRA_PROJECTS="ECD")
    await waiting_card(stage)
    slack, posted = stage.slack, len(stage.slack.messages())
    asked = {
        "": "/pmagent draft KEY", "help": "/pmagent health", "stat": "Did you mean /pmagent stats?",
        "pending": "ECD-1", "why ECD-1": "draft, waiting. A direct status question.",
        "why SEC-1": "does not look after", "draft ECD": "is not an issue key",
        "draft": "Which issue?", "mode maybe": "There is no mode", "stats 7": "The last 7 days",
        "pause 30x": "is not a duration", "pause 30m": "Drafting is paused until", "health": "paused",
        "resume": "Drafting goes on", "sprint": "does not know",
    }  # fmt: skip
    for text, says in asked.items():
        seen = len(slack.whispers(DANA))
        in_time(await slack.command(DANA, text=text))
        await slack.whispered(DANA, says, after=seen)
    for typed in ("he\u200bllo\u202e", "why ECD\u2060-1\u200b", "mode \u202eproduction\U000e0041"):
        seen = len(slack.whispers(DANA))
        in_time(await slack.command(DANA, text=typed))
        told = await slack.whispered(DANA, after=seen)
        assert not set(told.words) & {c for c in typed if not c.isascii()}  # invisible ones are not said back
        assert "does not know" in told.words or "ECD-1" in told.words or "production already" in told.words
    for text in ("stats", "pending", "why ECD-1", "draft ECD-1", "pause", "resume", "standup share", "standup"):
        seen = len(slack.whispers(LENA))
        in_time(await slack.command(LENA, text=text, channel=slack.standup_channel))
        told = await slack.whispered(LENA, after=seen)
        assert "approvals channel" in told.words or "approvers" in told.words
    assert len(slack.messages()) == posted
    for user in (LENA, GUS):
        in_time(await slack.command(user, text="health"))
        await slack.whispered(user, "mode")


async def post_raw(url: str, body: bytes, headers: dict[str, str]) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(body), headers=headers) as answer:
        return answer.status


async def test_26_http_mode(stage: Stage) -> None:
    secret = stage.slack.signing_secret
    await stage.start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=secret)
    url = f"{stage.bot_url}/webhooks/slack"

    def signed(body: bytes, timestamp: str) -> dict[str, str]:
        digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        return {
            "X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}",
            "Content-Type": "application/x-www-form-urlencoded",
        }  # fmt: skip

    now, body = str(int(time.time())), b"command=%2Fpmagent&text=help"
    for timestamp in ("abc", "1e9", str(int(now) - 301), str(int(now) + 400), ""):
        assert await post_raw(url, body, signed(body, timestamp)) == 401
    assert await post_raw(url, b"\xff\xfe", signed(b"\xff\xfe", now)) == 401
    assert await post_raw(url, body, {**signed(body, now), "X-Slack-Signature": "v0=\u00e9"}) == 401
    assert await post_raw(url, body, {}) == 401
    assert await post_raw(url, body + b"x", signed(body, now)) == 401
    large = b"x" * (2**20 + 1)
    assert await post_raw(url, large, signed(large, now)) == 413

    stage.slack.http_target = url
    card = await waiting_card(stage)
    in_time(await stage.slack.click(PRIYA, card, "Approve"))
    await stage.slack.whispered(PRIYA, "approvers")
    in_time(await stage.slack.click(DANA, card, "Edit"))
    await stage.slack.opened(DANA)
    in_time(await stage.slack.submit(DANA, "Over HTTP."))
    await stage.slack.changes(card, "Posted")
    in_time(await stage.slack.command(DANA, text="pending"))
    await stage.slack.whispered(DANA, "No draft waits")
    assert len(stage.jira.posted("ECD-1")) == 1


@both
async def test_27_the_socket_comes_back(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    await stage.slack.disconnect("refresh_requested")
    await asyncio.sleep(0.5)
    await stage.slack.connected()
    in_time(await stage.slack.click(DANA, card, "Approve"))
    await stage.slack.changes(card, "Posted")


@both
@pytest.mark.parametrize("fault", [Fault("answer", status=503), Fault("drop")], ids=["refusing", "down"])
@pytest.mark.usefixtures("reins")
async def test_27_drafts_made_while_slack_is_away_are_posted_once(stage: Stage, fault: Fault) -> None:
    await stage.start_bot()
    first = await waiting_card(stage)
    stage.slack.fail("/api/", *(fault for _ in range(500)))
    for socket in list(stage.slack.connections.sockets):
        await socket.close()
    stage.claude.script(YES)
    await ask(stage, "ECD-2")
    await stage.slack.until(lambda: stage.slack.calls("chat.postMessage")[1:])
    async with aiohttp.ClientSession() as session:

        async def ready() -> tuple[int, str]:
            async with session.get(f"{stage.bot_url}/ready") as answer:
                return answer.status, await answer.text()

        status, said = await ready()
        assert (status, "slack" in said) == (503, True)
        stage.slack.mend()
        await stage.slack.connected(20)
        second = await stage.slack.card("ECD-2", seconds=30)
        assert (await ready())[0] == 200
    for card in (first, second):
        in_time(await stage.slack.click(DANA, card, "Approve"))
        await stage.slack.changes(card, "Posted")
    assert len(await stage.slack.cards()) == 2


PINGS = "<!channel> <@U0DANA0001> <!subteam^S0PMGROUP1> <#C0APPROVE1> @here *bold* :boom: <https://evil.example|click>"


@both
async def test_30_nothing_pings_or_unfurls(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script({**YES, "response_text": f"{REPLY}\n\n{PINGS}", "reasoning": PINGS})
    stage.jira.issue("ECD-1", f"Export {PINGS}", status="Open", assignee="ana", reporter="ben")
    await stage.jira.comment("ECD-1", "ben", f"Is anybody there? {PINGS}")
    card = await stage.slack.card("ECD-1", button="Approve")
    assert "<!channel>" in card.words
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    await stage.slack.command(DANA, text="pending")
    await stage.slack.command(DANA, text="why ECD-1")
    await stage.slack.until(lambda: len(stage.slack.whispers(DANA)) == 2)
    forbidden = {"user", "usergroup", "broadcast", "channel", "emoji", "mrkdwn", "markdown"}
    for blocks, text in (
        *((m.blocks, m.text) for m in stage.slack.messages()),
        *((w.blocks, w.text) for w in stage.slack.whispers(DANA)),
        *((v["blocks"], v["text"]) for v in card.versions),
    ):
        assert not {item.get("type") for item in walk(blocks)} & forbidden
        assert "<" not in text
        assert not any("evil.example" in str(item.get("url", "")) for item in walk(blocks))
    for call in stage.slack.calls(r"chat\.(postMessage|update)"):
        assert (call.request["unfurl_links"], call.request["unfurl_media"]) == (False, False)


async def test_the_home_tab_is_drawn(stage: Stage) -> None:
    await stage.start_bot()
    await waiting_card(stage)
    for user in (DANA, LENA):
        await stage.slack.home(user)
        await stage.slack.until(lambda user=user: user in stage.slack.homes)  # type: ignore[misc]  # bound at once
    assert "ECD-1" in json.dumps(stage.slack.homes[DANA])
    assert "ECD-1" not in json.dumps(stage.slack.homes[LENA])
