"""Whose interaction is it? Only the bot's own team and app count, the message a card is in, and windows that it opened.

Fault 64, through the front door: each test sends what Slack would send, with one thing changed.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from bot.demo.slack.people import DANA, FOREIGN_TEAM, GENERAL, OLGA, SAM, STANDUP, Message
from bot.demo.slack.socket_mode import Ack, Kind
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_learning import fill, pair
from tests.acceptance.test_main_path import YES, ask, exported
from tests.acceptance.test_slack_approval import waiting_card

Payload = dict[str, Any]
Change = Callable[[Payload], Any]
OTHER_APP = "A0OTHER001"


def to(*path: str, value: Any) -> Change:
    """Sets one field, however deep."""

    def change(payload: Payload) -> None:
        for name in path[:-1]:
            payload = payload[name]
        payload[path[-1]] = value

    return change


def without(*names: str) -> Change:
    """Leaves fields out."""

    def change(payload: Payload) -> None:
        for name in names:
            del payload[name]

    return change


def elsewhere(channel: str | None = None, ts: str | None = None) -> Change:
    """The same button on another message, or in another channel: every part of the payload says so."""

    def change(payload: Payload) -> None:
        if channel:
            payload["channel"]["id"] = payload["container"]["channel_id"] = channel
        if ts:
            payload["message"]["ts"] = payload["container"]["message_ts"] = ts

    return change


def ephemeral(payload: Payload) -> None:
    payload["container"]["is_ephemeral"] = True
    del payload["message"]


ORIGINS: dict[str, Change] = {
    "team": to("team", "id", value=FOREIGN_TEAM),
    "no team": to("team", value=None),
    "app": to("api_app_id", value=OTHER_APP),
    "user of another organisation": to("user", "team_id", value=FOREIGN_TEAM),
}
PLACES: dict[str, Change] = {
    "channel": elsewhere(channel=STANDUP),
    "channel the bot is not in": elsewhere(channel=GENERAL),
    "channel that does not exist": elsewhere(channel="C0NOWHERE1"),
    "message": elsewhere(ts="1700000000.000100"),
    "message in another channel": elsewhere(channel=STANDUP, ts="1700000000.000100"),
    "only the container's message": to("container", "message_ts", value="1700000000.000100"),
    "only the message": to("message", "ts", value="1700000000.000100"),
    "only the container's channel": to("container", "channel_id", value=STANDUP),
    "only the channel": to("channel", "id", value=STANDUP),
    "no message": without("message"),
    "no channel": without("channel"),
    "nowhere": without("message", "channel", "container"),
    "ephemeral": ephemeral,
    "in a modal": to("container", value={"type": "view", "view_id": "V0VIEW0001"}),
}


async def refusals(stage: Stage) -> list[dict[str, Any]]:
    return [r for r in await exported(stage, "audit") if r["action"] == "decision.refused"]


async def over_http(stage: Stage) -> None:
    """The program in HTTP mode: the same payloads, signed, as forms."""
    await stage.start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=stage.slack.signing_secret)
    stage.slack.http_target = f"{stage.bot_url}/webhooks/slack"


async def send(stage: Stage, payload: Payload, change: Change, kind: Kind = "interactive") -> Ack:
    forged = copy.deepcopy(payload)
    change(forged)
    ack = await stage.slack.send(kind, forged)
    assert ack.acked, ack.error
    assert ack.ms < 3000
    return ack


@pytest.mark.parametrize("mode", ["socket", "http"])
async def test_64_clicks_from_elsewhere_decide_nothing(stage: Stage, mode: str) -> None:
    await (over_http(stage) if mode == "http" else stage.start_bot())
    card = await waiting_card(stage)
    before = card.snapshot()
    tried = 0
    for button in ("Approve", "Skip", "Edit"):
        for name, change in {**ORIGINS, **PLACES}.items():
            seen = len(stage.slack.whispers(DANA))
            await send(stage, stage.slack.pressed(DANA, card, button), change)
            told = await stage.slack.whispered(DANA, "", after=seen)
            assert "Nothing was done" in told.words, (name, told.words)
            tried += 1
    assert card.payload == before.payload
    assert stage.slack.modal(DANA) is None
    assert not stage.jira.posted("ECD-1")
    found = await refusals(stage)
    assert len(found) == tried
    assert all(r["draft_id"] and r["issue"] == "ECD-1" and r["actor"] == f"slack:{DANA}" for r in found)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert len(await refusals(stage)) == tried


async def forged(stage: Stage, card: Message, button: str) -> None:
    """The button, as pressed elsewhere: one change of each kind is enough."""
    count = len(await refusals(stage))
    some = (ORIGINS["team"], ORIGINS["app"], PLACES["channel"], PLACES["message"], PLACES["no message"])
    before = card.snapshot()
    for change in some:
        seen = len(stage.slack.whispers(DANA))
        await send(stage, stage.slack.pressed(DANA, card, button), change)
        await stage.slack.whispered(DANA, "Nothing was done", after=seen)
    assert card.payload == before.payload
    assert len(await refusals(stage)) == count + len(some)


@pytest.mark.usefixtures("reins")
async def test_64_every_button(stage: Stage) -> None:
    """Post anyway, Draft anew and Discard of a held draft, Retry of a failed one, Look again, Post again, Undo; and
    Retry on an event that Claude could not answer."""
    await stage.start_bot()
    held = await waiting_card(stage)
    await stage.jira.comment("ECD-1", "ana", "I have it.")
    await stage.slack.click(DANA, held, "Approve")
    await stage.slack.changes(held, "Ana Ruiz commented")
    for button in held.buttons:
        await forged(stage, held, button)
    assert "Post anyway" in held.buttons
    await stage.slack.click(DANA, held, "Post anyway")
    await stage.slack.card("ECD-1", shows="Posted")
    await forged(stage, held, "Undo")
    assert len(stage.jira.posted("ECD-1")) == 1

    failed = await waiting_card(stage, "ECD-2")
    stage.jira.fail(r"POST .*/comment$", Fault("answer", 403))
    await stage.slack.click(DANA, failed, "Approve")
    await stage.slack.card("ECD-2", button="Retry")
    for button in failed.buttons:
        await forged(stage, failed, button)
    assert not stage.jira.posted("ECD-2")

    lost = await waiting_card(stage, "ECD-3")
    stage.jira.fail(r"POST .*/comment$", Fault("answer", 504))
    await stage.slack.click(DANA, lost, "Approve")
    await stage.slack.card("ECD-3", button="Look again", seconds=30)
    for button in lost.buttons:
        await forged(stage, lost, button)
    assert {"Look again", "Post again"} <= set(lost.buttons)
    assert not stage.jira.posted("ECD-3")

    stage.claude.script("no JSON", "no JSON")
    await ask(stage, "ECD-4")
    notice = await stage.slack.notice("No draft could be made")
    await forged(stage, notice, "Retry")
    stage.claude.script(YES)
    await stage.slack.click(DANA, notice, "Retry")
    await stage.slack.card("ECD-4", button="Approve")
    assert "event.retried" in [r["action"] for r in await exported(stage, "audit")]


async def test_64_a_button_that_was_copied_to_another_message_of_ours(stage: Stage) -> None:
    """Another card of the bot's own, in the right channel, is not this draft's card."""
    await stage.start_bot()
    one, two = await waiting_card(stage, "ECD-1"), await waiting_card(stage, "ECD-2")
    await send(stage, stage.slack.pressed(DANA, one, "Approve"), elsewhere(ts=two.ts))
    await stage.slack.whispered(DANA, "not on the message that it belongs to")
    assert not stage.jira.posted()
    [refused] = await refusals(stage)
    assert refused["issue"] == "ECD-1"


async def test_64_commands_and_the_home_tab(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_ADMINS=OLGA)
    await waiting_card(stage)
    changes = (to("team_id", value=FOREIGN_TEAM), to("api_app_id", value=OTHER_APP))
    for text in ("mode simulation", "pause", "draft ECD-1", "pending", "why ECD-1", "help"):
        for change in changes:
            seen = len(stage.slack.whispers(OLGA))
            await send(stage, stage.slack.commanded(OLGA, "/pmagent", text), change, "slash_commands")
            told = await stage.slack.whispered(OLGA, "Nothing was done", after=seen)
            assert "ECD-1" not in told.words
    opened = stage.slack.happened({"type": "app_home_opened", "user": OLGA, "channel": "D0HOME0001", "tab": "home"})
    for change in changes:
        await send(stage, opened, change, "events_api")
    assert len(await refusals(stage)) == 6 * 2 + 2
    assert OLGA not in stage.slack.homes
    assert "mode.switched" not in [r["action"] for r in await exported(stage, "audit")]
    await stage.slack.command(OLGA, text="mode")
    await stage.slack.whispered(OLGA, "The mode is production")
    await stage.slack.home(OLGA)
    await stage.slack.until(lambda: OLGA in stage.slack.homes)


async def test_64_an_answer_goes_to_no_address_that_is_not_slacks(stage: Stage) -> None:
    """A forged `response_url` would be given what only one person may see."""
    await stage.start_bot()
    await waiting_card(stage)
    listener = stage.jira  # some other service, by another name of this machine
    change = to("response_url", value=f"{listener.base.replace('127.0.0.1', 'localhost')}/stolen")
    await send(stage, stage.slack.commanded(DANA, "/pmagent", "pending"), change, "slash_commands")
    await stage.slack.whispered(DANA, "ECD-1")
    assert not listener.calls("stolen")


def sent_by(user: str) -> Change:
    return to("user", "id", value=user)


def noted(**changes: str) -> Change:
    """Another draft or wording in what the window says it is about."""

    def change(payload: Payload) -> None:
        view = payload["view"]
        view["private_metadata"] = json.dumps({**json.loads(view["private_metadata"]), **changes})

    return change


async def test_64_windows_of_others_and_windows_that_were_never_opened(stage: Stage) -> None:
    await stage.start_bot()
    card, other = await waiting_card(stage), await waiting_card(stage, "ECD-2")
    about = json.loads(other.button("Approve")["value"])
    await stage.slack.click(DANA, card, "Edit")
    modal = await stage.slack.opened(DANA)
    modal.view["state"] = {"values": {"reply": {"text": {"type": "plain_text_input", "value": "Forged."}}}}
    changes: dict[str, Change] = {
        **ORIGINS,
        "sent by somebody else": sent_by(SAM),
        "never opened": to("view", "id", value="V0NEVER001"),
        "another draft": noted(draft=about["draft"], seen=about["seen"]),
        "another draft's id": noted(draft=about["draft"]),
        "another revision": noted(seen="0123456789abcdef"),
        "about nothing": to("view", "private_metadata", value=""),
        "no object": to("view", "private_metadata", value="[[[["),
        "another app's view": to("view", "app_id", value=OTHER_APP),
        "another team's view": to("view", "app_installed_team_id", value=FOREIGN_TEAM),
    }
    for name, change in changes.items():
        ack = await send(stage, stage.slack.submitted(DANA, modal), change)
        assert ack.payload["response_action"] == "errors", name  # what was typed stays on the screen
        assert "Nothing was done" in json.dumps(ack.payload), name
    assert not stage.jira.posted()
    assert card.buttons == other.buttons == ["Approve", "Edit", "Skip"]
    found = await refusals(stage)
    assert [r["details"]["action"] for r in found] == ["edit"] * len(changes)
    assert {r["actor"] for r in found} == {f"slack:{DANA}", f"slack:{SAM}"}
    await stage.slack.submit(DANA, "Honest.")
    await stage.slack.changes(card, "Posted")
    assert "Honest." in card.words


async def test_64_a_window_outlives_a_restart(stage: Stage) -> None:
    """And a window that shows what became of the draft meanwhile counts for that."""
    await stage.start_bot()
    card = await waiting_card(stage)
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.command(DANA, text="mode simulation")
    await stage.slack.changes(card, "Simulation")
    assert await stage.stop_bot() == 0
    await stage.start_bot()
    await stage.slack.submit(DANA, "Typed before.")
    modal = await stage.slack.opened(DANA)
    assert "The mode is simulation now, and this card was made for production" in modal.words
    assert await stage.stop_bot() == 0
    await stage.start_bot()
    await stage.slack.submit(DANA, "Typed before.")
    await stage.slack.changes(card, "Typed before.")
    assert await refusals(stage) == []


async def test_29_a_click_on_a_card_that_is_not_recorded_yet(stage: Stage) -> None:
    """Slack shows the card, and its answer to us was lost: the click finds the card by its metadata."""
    await stage.start_bot()
    stage.slack.fail("chat.postMessage", Fault("swallow"))
    stage.slack.fail("conversations.history", Fault("answer", 503), Fault("answer", 503))
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    await send(stage, stage.slack.pressed(DANA, card, "Approve"), elsewhere(ts="1700000000.000100"))
    await stage.slack.whispered(DANA, "")
    assert not stage.jira.posted("ECD-1")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted", seconds=20)
    assert len(await stage.slack.cards()) == 1


async def test_before_slack_has_said_who_we_are_nothing_counts(stage: Stage) -> None:
    """The socket may be open before the workspace is known: a click then is told to try again."""
    stage.slack.fail("auth.test", *(Fault("answer", 503) for _ in range(4)))
    await stage.start_bot()
    await stage.slack.connected()
    await stage.slack.command(DANA, text="mode simulation")
    await stage.slack.whispered(DANA, "Slack has not said yet who this bot is")
    stage.slack.mend()
    card = await waiting_card(stage)
    await stage.slack.until(lambda: stage.log.count("slack.refused") == 1)
    for _ in range(40):
        if "Approve" not in card.buttons:
            break
        await stage.slack.click(DANA, card, "Approve")
        await asyncio.sleep(0.5)
    await stage.slack.changes(card, "Posted")


async def test_64_a_proposed_change_and_forget(stage: Stage) -> None:
    """Accept counts on the one message of the proposal, Forget and a reason for Skip in what only its reader sees; also
    after a restart, and by an admin alone."""
    await fill(stage, *(pair(number) for number in range(10)))
    await stage.start_bot(PMAGENT_ADMINS=OLGA)
    slack = stage.slack
    proposal = await slack.notice("Claude proposes a change of its prompts", 20)
    await stage.stop_bot()
    await stage.start_bot(PMAGENT_ADMINS=OLGA)
    await slack.command(OLGA, text="learned")
    page = await slack.whispered(OLGA, "10 corrections are in use")
    before, tried = proposal.snapshot(), 0
    forged_private = {
        **ORIGINS, "not private": to("container", "is_ephemeral", value=False),
        "on a message": lambda payload: payload.update(message={"ts": proposal.ts}),
    }  # fmt: skip
    for shown, button, changes in (
        (proposal, "Accept", {**ORIGINS, **PLACES}), (page, "Forget", forged_private),
    ):  # fmt: skip
        for name, change in changes.items():
            seen = len(slack.whispers(OLGA))
            await send(stage, slack.pressed(OLGA, shown, button), change)
            told = await slack.whispered(OLGA, "", after=seen)
            assert "Nothing was done" in told.words, (button, name, told.words)
            tried += 1
    assert len(await refusals(stage)) == tried
    assert proposal.payload == before.payload
    old = slack.pressed(OLGA, page, "Forget")
    await slack.click(OLGA, page, "Forget")
    await slack.until(lambda: "9 corrections are in use" in page.words)
    await slack.send("interactive", old)
    await slack.whispered(OLGA, "forgotten already")
    again = slack.pressed(OLGA, proposal, "Not now")
    await slack.click(OLGA, proposal, "Accept")
    await slack.changes(proposal, "accepted it")
    await slack.send("interactive", again)
    await slack.whispered(OLGA, "settled already")
    assert "declined" not in proposal.words
