"""Who may do what, asked of the stand-in: every kind of account, what is cached and for how long, failed look-ups."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from bot.access.people import People
from bot.clients.slack.client import Slack
from bot.demo.slack.people import APPROVALS, DANA, DORA, FINN, GUS, LENA, OLGA, PM_GROUP, PRIYA, ROBO, SAM
from bot.demo.slack.stand_in import SlackStandIn
from bot.demo.wire import Fault, Server
from bot.settings import load


class Hands:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


Make = Callable[..., Awaitable[People]]


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
def clock() -> Hands:
    return Hands()


@pytest.fixture
async def people(standin: SlackStandIn, clock: Hands) -> AsyncIterator[Make]:
    opened: list[Slack] = []

    async def make(approvers: str, admins: str = "") -> People:
        settings = load(
            {
                "ANTHROPIC_API_KEY": "k", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "a@b.example",
                "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "t", "JIRA_URL": "https://x.example",
                "JIRA_WEBHOOK_SECRET": "a-secret-of-jiras",
                "SLACK_BOT_TOKEN": standin.bot_token, "SLACK_APP_TOKEN": standin.app_token,
                "SLACK_CHANNEL_APPROVALS": APPROVALS, "SLACK_API_URL": f"{standin.base}/api/",
                "PMAGENT_APPROVERS": approvers, "PMAGENT_ADMINS": admins,
            }
        )  # fmt: skip
        slack = Slack(settings)
        await slack.start()
        opened.append(slack)
        return People(slack, settings, clock)

    yield make
    for slack in opened:
        await slack.close()


async def test_approvers_by_id(people: Make) -> None:
    who = await people(f"{DANA},{SAM}")
    verdict = await who.may_decide(DANA)
    assert (verdict.allowed, verdict.reason, verdict.name) == (True, "", "Dana Petrova")
    refused = await who.may_decide(PRIYA)
    assert not refused.allowed
    assert "approvers" in refused.reason


@pytest.mark.parametrize(
    ("user", "says"),
    [
        (GUS, "Guests"),
        (ROBO, "Bots"),
        (DORA, "deactivated"),
        (FINN, "another organisation"),
        ("U0NOBODY", "not a member"),
    ],
)
async def test_never_whatever_the_settings_say(people: Make, user: str, says: str) -> None:
    who = await people(user, user)
    for verdict in (await who.may_decide(user), await who.may_administer(user), await who.is_member(user)):
        assert not verdict.allowed
        assert says in verdict.reason


async def test_the_account_is_asked_at_every_click(people: Make, standin: SlackStandIn) -> None:
    who = await people(DANA)
    assert (await who.may_decide(DANA)).allowed
    standin.people[DANA].deleted = True
    assert not (await who.may_decide(DANA)).allowed


async def test_a_group_is_believed_for_a_minute(people: Make, standin: SlackStandIn, clock: Hands) -> None:
    who = await people(PM_GROUP)
    standin.groups[PM_GROUP] = [DANA]
    assert (await who.may_decide(DANA)).allowed
    standin.groups[PM_GROUP] = [SAM]
    clock.seconds += 59
    assert (await who.may_decide(DANA)).allowed
    clock.seconds += 2
    assert not (await who.may_decide(DANA)).allowed
    assert (await who.may_decide(SAM)).allowed


async def test_the_word_channel_means_members_of_a_private_channel(people: Make, standin: SlackStandIn) -> None:
    who = await people("channel", OLGA)
    assert (await who.may_decide(PRIYA)).allowed
    assert not (await who.may_decide(LENA)).allowed
    assert not (await who.may_decide(GUS)).allowed


async def test_a_public_channel_has_no_approvers(people: Make, standin: SlackStandIn) -> None:
    standin.channels[APPROVALS].is_private = False
    who = await people("channel", OLGA)
    assert not (await who.may_decide(PRIYA)).allowed


async def test_admins_are_the_approvers_unless_named(people: Make) -> None:
    assert (await (await people(DANA)).may_administer(DANA)).allowed
    who = await people(DANA, OLGA)
    assert (await who.may_administer(OLGA)).allowed
    refused = await who.may_administer(DANA)
    assert not refused.allowed
    assert "admins" in refused.reason


async def test_members_of_the_approvals_channel(people: Make) -> None:
    who = await people(DANA)
    assert (await who.is_member(PRIYA)).allowed
    assert "approvals channel" in (await who.is_member(LENA)).reason


@pytest.mark.parametrize("method", ["users.info", "usergroups.users.list"])
async def test_what_cannot_be_found_out_is_a_no(people: Make, standin: SlackStandIn, method: str) -> None:
    who = await people(PM_GROUP)
    standin.fail(method, *(Fault("answer", status=500) for _ in range(5)))
    verdict = await who.may_decide(DANA, seconds=10)
    assert not verdict.allowed
    assert "try again" in verdict.reason
    standin.mend()
    assert (await who.may_decide(DANA)).allowed


async def test_who_is_named_needs_no_group(people: Make, standin: SlackStandIn) -> None:
    who = await people(f"S0UNKNOWN,{DANA}")
    assert (await who.may_decide(DANA)).allowed
    refused = await who.may_decide(PRIYA)
    assert not refused.allowed
    assert "try again" in refused.reason


async def test_a_slow_look_up_is_given_up(people: Make, standin: SlackStandIn) -> None:
    who = await people(DANA)
    standin.fail("users.info", Fault("hang", seconds=4))
    started = time.monotonic()
    verdict = await who.may_decide(DANA)
    assert time.monotonic() - started < 2.6
    assert not verdict.allowed
    assert "try again" in verdict.reason
