"""The Slack client against the stand-in on a real socket: what is sent, what a failure becomes, order and pace."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.access.origin import Workspace
from bot.cards import Message, paragraph, whisper
from bot.clients.slack.client import Slack
from bot.clients.slack.pace import MAX_WAIT, WritePace
from bot.demo.slack.people import (
    APP_ID,
    APPROVALS,
    BOT_USER,
    DANA,
    FINN,
    GENERAL,
    GUS,
    HOME_TEAM,
    LENA,
    PM_GROUP,
    PRIYA,
)
from bot.demo.slack.stand_in import SlackStandIn
from bot.demo.wire import Fault, Server
from bot.domain.leases import Deadline
from bot.errors import Gone, OutcomeUnknown, Permanent, RetryLater, TooLate
from bot.settings import Settings, load
from tests.test_jira_client import Suspended

SINCE = datetime.now(UTC) - timedelta(minutes=5)


def settings_for(slack: SlackStandIn, **changes: str) -> Settings:
    return load(
        {
            "ANTHROPIC_API_KEY": "k", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "a@b.example",
            "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "t", "JIRA_URL": "https://x.example",
            "JIRA_WEBHOOK_SECRET": "a-secret-of-jiras",
            "SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_CHANNEL_APPROVALS": APPROVALS, "PMAGENT_APPROVERS": DANA, "SLACK_API_URL": f"{slack.base}/api/",
            **changes,
        }
    )  # fmt: skip


def message(text: str = "Hello", key: str = "drf_1") -> Message:
    metadata = {"event_type": "pmagent_draft", "event_payload": {"draft_id": key}}
    return Message([paragraph(text)], "A notification", metadata)


@pytest.fixture
async def standin() -> AsyncIterator[SlackStandIn]:
    server, slack = Server(), SlackStandIn()
    server.mount("/slack/", slack.application())
    await server.start()
    slack.base = f"{server.url}/slack"
    yield slack
    await slack.close()
    await server.stop()


@pytest.fixture
async def client(standin: SlackStandIn) -> AsyncIterator[Slack]:
    slack = Slack(settings_for(standin))
    await slack.start()
    yield slack
    await slack.close()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def test_start_learns_who_we_are(client: Slack) -> None:
    assert (client.bot_user_id, client.team_id) == (BOT_USER, HOME_TEAM)
    assert client.team_url.startswith("https://")
    assert client.home == Workspace(team=HOME_TEAM, app=None), "over the socket its hello says which app it serves"
    client.know_app(APP_ID)
    assert client.home == Workspace(team=HOME_TEAM, app=APP_ID)


async def test_over_http_slack_is_asked_for_the_app(standin: SlackStandIn) -> None:
    """Where it does not say, the signature, which is one app's own, stands for it."""
    for fault, app in ((None, APP_ID), (Fault("answer", 200, body={"ok": False, "error": "unknown_method"}), None)):
        fresh = Slack(settings_for(standin, SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=standin.signing_secret))
        if fault:
            standin.fail("bots.info", fault)
        await fresh.start()
        assert fresh.home == Workspace(team=HOME_TEAM, app=app)
        await fresh.close()


async def test_a_refused_token_is_the_end_at_start_and_waits_later(standin: SlackStandIn, client: Slack) -> None:
    wrong = Slack(settings_for(standin, SLACK_BOT_TOKEN="xoxb-wrong"))
    with pytest.raises(Permanent, match="SLACK_BOT_TOKEN"):
        await wrong.start()
    with pytest.raises(RetryLater, match="SLACK_BOT_TOKEN"):
        await wrong.post(APPROVALS, message())
    await wrong.close()


async def test_no_proxy_is_honoured(no_proxy: None, standin: SlackStandIn) -> None:
    slack = Slack(settings_for(standin))
    await slack.start()
    await slack.close()


async def test_a_message_is_posted_updated_and_found_again(standin: SlackStandIn, client: Slack) -> None:
    ts = await client.post(APPROVALS, message())
    posted = standin.messages()[0]
    assert (posted.ts, posted.text, posted.unfurl_links, posted.unfurl_media) == (ts, "A notification", False, False)
    await client.update(APPROVALS, ts, message("Changed"))
    assert posted.words == "Changed"
    assert standin.calls("chat.update")[0].request["unfurl_links"] is False
    assert await client.find(APPROVALS, "drf_1", SINCE) == ts
    assert await client.find(APPROVALS, "drf_2", SINCE) is None
    assert await client.find(APPROVALS, "drf_1", SINCE, event_type="pmagent_standup") is None
    # By a clock that was a day ahead it has not even been sent yet: the newest page is looked through all the same.
    assert await client.find(APPROVALS, "drf_1", datetime.now(UTC) + timedelta(days=1)) == ts


async def test_find_takes_nobody_elses_message_for_ours(standin: SlackStandIn, client: Slack) -> None:
    """Others can post the same metadata, by a bot of theirs or in a person's name."""
    await client.post(APPROVALS, message())
    posted = standin.messages()[0]
    for author in ({"bot_id": "B0OTHER001", "user": "U0OTHER001"}, {"user": DANA}):
        posted.payload = {k: v for k, v in posted.payload.items() if k != "bot_id"} | author
        assert await client.find(APPROVALS, "drf_1", SINCE) is None


async def test_find_reads_page_after_page(standin: SlackStandIn, client: Slack) -> None:
    ts = await client.post(APPROVALS, message(key="drf_old"))
    template = standin.messages()[0].snapshot()
    for _ in range(250):
        copy = template.snapshot()
        copy.payload |= {"ts": standin.next_ts(), "metadata": {"event_type": "x", "event_payload": {"id": "drf_old"}}}
        standin.log.append(copy)
    assert await client.find(APPROVALS, "drf_old", SINCE) == ts
    assert len(standin.calls("conversations.history")) == 2


LOST = [Fault("swallow"), Fault("answer", status=500), Fault("answer", status=503), Fault("drop"),
        Fault("answer", status=200, body={"ok": False, "error": "fatal_error"})]  # fmt: skip


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.kind}-{fault.status}")
async def test_a_lost_answer_to_a_post_is_never_repeated(standin: SlackStandIn, client: Slack, fault: Fault) -> None:
    standin.fail("chat.postMessage", fault)
    with pytest.raises(OutcomeUnknown):
        await client.post(APPROVALS, message())
    assert len(standin.calls("chat.postMessage")) == 1
    found = await client.find(APPROVALS, "drf_1", SINCE)
    assert (found is not None) is (fault.kind == "swallow")


async def test_a_lost_answer_to_an_update_may_be_repeated(standin: SlackStandIn, client: Slack) -> None:
    ts = await client.post(APPROVALS, message())
    standin.fail("chat.update", Fault("swallow"))
    with pytest.raises(RetryLater):
        await client.update(APPROVALS, ts, message("Changed"))


async def test_nothing_was_sent_when_nobody_listens(client: Slack, standin: SlackStandIn) -> None:
    slack = Slack(settings_for(standin, SLACK_API_URL="http://127.0.0.1:9/api/"))
    with pytest.raises(RetryLater) as failed:
        await slack.start()
    assert failed.value.nothing_sent
    await slack.close()


async def test_a_429_is_waited_out_and_the_order_kept(standin: SlackStandIn, client: Slack) -> None:
    body = {"ok": False, "error": "ratelimited"}
    standin.fail("chat.postMessage", Fault("answer", status=429, headers={"Retry-After": "1"}, body=body))
    started = time.monotonic()
    await asyncio.gather(*(client.post(APPROVALS, message(f"m{n}")) for n in range(3)))
    assert time.monotonic() - started >= 1.0
    assert [m.words for m in standin.messages()] == ["m0", "m1", "m2"]


async def test_a_long_429_is_the_callers_to_wait(standin: SlackStandIn, client: Slack) -> None:
    body = {"ok": False, "error": "ratelimited"}
    standin.fail("chat.postMessage", Fault("answer", status=429, headers={"Retry-After": "120"}, body=body))
    for _ in range(2):
        with pytest.raises(RetryLater) as failed:
            await client.post(APPROVALS, message())
        assert failed.value.nothing_sent
        assert 100 < (failed.value.after or 0) <= 121  # who comes later is told a second more: the order is kept
    assert len(standin.calls("chat.postMessage")) == 1


async def test_about_one_post_a_second_after_a_burst(standin: SlackStandIn, client: Slack) -> None:
    started = time.monotonic()
    for n in range(7):
        await client.post(APPROVALS, message(f"m{n}"))
    assert 1.5 < time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_blocks", Permanent), ("msg_blocks_too_long", Permanent), ("not_in_channel", RetryLater),
        ("channel_not_found", RetryLater), ("is_archived", RetryLater), ("missing_scope", RetryLater),
        ("token_revoked", RetryLater), ("something_new", RetryLater),
    ],
)  # fmt: skip
async def test_what_a_refusal_means(standin: SlackStandIn, client: Slack, code: str, kind: type[Exception]) -> None:
    standin.fail("chat.postMessage", Fault("answer", status=200, body={"ok": False, "error": code}))
    with pytest.raises(kind) as failed:
        await client.post(APPROVALS, message())
    assert type(failed.value) is not Gone
    assert standin.bot_token not in str(failed.value)


async def test_a_deleted_message_is_permanent_and_named(client: Slack) -> None:
    with pytest.raises(Permanent, match="message_not_found"):
        await client.update(APPROVALS, "1.2", message())


async def test_reads_are_repeated_once(standin: SlackStandIn, client: Slack) -> None:
    standin.fail("users.info", Fault("answer", status=500))
    assert (await client.user(DANA)).name == "Dana Petrova"
    standin.fail("users.info", *(Fault("answer", status=500) for _ in range(3)))
    with pytest.raises(RetryLater):
        await client.user(DANA)


async def test_people_as_they_are_now(standin: SlackStandIn, client: Slack) -> None:
    dana = await client.user(DANA)
    assert (dana.id, dana.team_id, dana.deleted, dana.is_bot, dana.is_guest) == (DANA, HOME_TEAM, False, False, False)
    assert (await client.user(GUS)).is_guest
    assert (await client.user(BOT_USER)).is_bot
    assert (await client.user(FINN)).is_stranger
    standin.people[DANA].deleted = True
    standin.people[DANA].name = "D\u202eana"
    changed = await client.user(DANA)
    assert changed.deleted
    assert changed.name == "Dana"
    with pytest.raises(Gone):
        await client.user("U0NOBODY")


async def test_groups_and_channels(standin: SlackStandIn, client: Slack) -> None:
    assert await client.group_members(PM_GROUP) == frozenset(standin.groups[PM_GROUP])
    assert {DANA, GUS, BOT_USER} <= await client.channel_members(APPROVALS)
    inside = await client.channel(APPROVALS)
    assert (inside.is_private, inside.is_member, inside.is_shared, inside.is_archived) == (True, True, False, False)
    assert not (await client.channel(GENERAL)).is_member


async def test_a_whisper_goes_to_one_person(standin: SlackStandIn, client: Slack) -> None:
    assert await client.whisper(APPROVALS, PRIYA, whisper("Only you"))
    assert [w.words for w in standin.whispers(PRIYA)] == ["Only you"]
    assert standin.whispers(DANA) == []


async def test_a_whisper_falls_back_to_the_response_url(standin: SlackStandIn, client: Slack) -> None:
    url = standin._response_url(LENA, APPROVALS, None)
    assert await client.whisper(APPROVALS, LENA, whisper("Hello"), url)
    assert [w.words for w in standin.whispers(LENA)] == ["Hello"]
    assert not await client.whisper(APPROVALS, LENA, whisper("Lost"))


async def test_a_modal_is_opened_once_for_a_trigger(standin: SlackStandIn, client: Slack) -> None:
    view: dict[str, Any] = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    trigger = standin.trigger(DANA)
    view_id = await client.open_modal(trigger, view)
    assert (await standin.opened(DANA)).id == view_id
    with pytest.raises(Permanent):
        await client.open_modal(trigger, view)


@pytest.mark.parametrize("before_look", [1, 2, 3], ids=["at once", "before it connects", "on the open connection"])
async def test_what_comes_too_late_is_not_sent(standin: SlackStandIn, client: Slack, before_look: int) -> None:
    deadlines = [Deadline(Suspended(looks), 10.0) for looks in (before_look, 99)]

    async def begin() -> Deadline:
        return deadlines.pop(0)

    with pytest.raises((TooLate, OutcomeUnknown)):  # where the time ends while it connects, nobody knows
        await client.post(APPROVALS, message("late"), begin)
    await client.post(APPROVALS, message("in time"), begin)
    assert [m.words for m in standin.messages()] == ["in time"]


async def test_what_begin_refuses_is_not_sent(standin: SlackStandIn, client: Slack) -> None:
    async def begin() -> Deadline:
        raise TooLate

    with pytest.raises(TooLate):
        await client.post(APPROVALS, message("late"), begin)
    assert standin.calls("chat.postMessage") == []


async def test_28_who_is_sent_home_comes_back_in_order() -> None:
    pace, waits = WritePace(5), []
    pace.not_before = time.monotonic() + MAX_WAIT + 60
    for _ in range(10):
        with pytest.raises(RetryLater) as caught:
            await pace.turn()
        waits.append(caught.value.after or 0.0)
    assert all(later - sooner > 0.5 for sooner, later in itertools.pairwise(waits))
    pace.not_before = 0.0
    await pace.turn()
