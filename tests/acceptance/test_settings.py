"""Settings through the front door: what a new user reads when one is wrong, odd, or comes from a file."""

from __future__ import annotations

import re
import socket

import aiohttp
import pytest

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.demo.wire import Fault

WRONG = {
    "SLACK_BOT_TOKEN": (
        "xoxp-canary-of-a-person",
        "is a person's token: replies would go out under that person's name",
    ),
    "SLACK_APP_TOKEN": ("xoxb-canary-of-the-bot", "is the other token"),
    "JIRA_WEBHOOK_SECRET": ("canary-of-sixteen-and-more,canary", "number 2 of 2 (comma-separated) is too short"),
    "BITBUCKET_WEBHOOK_SECRET": ("canary", "is too short: 6 characters of at least 16"),
    "JIRA_URL": (
        "https://example.atlassian.net/jira",
        "has a path after the host: https://example.atlassian.net is the whole address",
    ),
    "ANTHROPIC_BASE_URL": ("https://me:canary@gateway.example", "holds a user or a password"),
    "SLACK_CHANNEL_STANDUP": ("xoxb-canary-of-the-bot", "what is set is not a channel id"),
    "PMAGENT_MODE": ("Prod", '"Prod" is not a mode: simulation or production'),
    "PMAGENT_DAILY_BUDGET_USD": ("$10", '"$10" is not an amount of US dollars such as 10 or 2.50'),
    "PMAGENT_PORT": ("eighty", '"eighty" is not a port'),
    "PMAGENT_DRAFT_DAYS": ("a week", '"a week" is not a number of days such as 7'),
    "PMAGENT_OPEN_METRICS": ("maybe", '"maybe" is not true or false'),
    "PMAGENT_LOG_FORMAT": ("yaml", '"yaml" is not a format: text or json'),
}


@pytest.mark.parametrize("command", ["run", "check"])
async def test_each_wrong_setting_is_told_in_words_and_without_a_secret(stage: Stage, command: str) -> None:
    code, out = await stage.run(command, **{name: value for name, (value, _) in WRONG.items()}, PMAGENT_APROVERS="U1")
    assert code == (2 if command == "run" else 1)
    for name, (_, sentence) in WRONG.items():
        assert re.search(rf"{name}:? +{re.escape(sentence)}", out), (name, out)
    assert "PMAGENT_APROVERS" in out, "what is only odd is told as well"
    assert "canary" not in out
    assert not re.search(r"Input should|unable to parse|valid|Traceback", out)


async def test_a_token_that_slack_says_is_a_persons(stage: Stage) -> None:
    """Its shape is a bot's; `auth.test` names no bot."""
    person = {"ok": True, "url": "https://x.slack.com/", "team_id": "T1", "user": "dana", "user_id": DANA}
    stage.slack.fail("auth.test", Fault("answer", 200, body=person))
    code, out = await stage.run("run", PMAGENT_PORT="0")
    assert code == 2
    assert "SLACK_BOT_TOKEN: Slack says that this is a person's token" in out
    assert not stage.slack.calls("chat.|views.")


async def test_what_is_odd_is_told_and_started_with(stage: Stage) -> None:
    (stage.folder / ".env").write_text("PMAGENT_TIMEZON=Europe/Berlin\nJIRA_PROJECT=ECD\n")
    odd = {
        "PMAGENT_APROVERS": "U1", "PMAGENT_WORKING_HOURS": "09:00-17:00", "JIRA_AUTOMATION_TOKEN": "canary",
        "PMAGENT_FAILPOINT": "", "PMAGENT_TEST_SPEED": "1", "PMAGENT_SITE": "x", "PMAGENT_UPSTREAM": "x",
    }  # fmt: skip
    await stage.start_bot(**odd)
    assert await stage.stop_bot() == 0
    said = stage.log.partition("PM Agent 0")[0]
    for name, meant in (
        ("PMAGENT_APROVERS", "PMAGENT_APPROVERS"),
        ("PMAGENT_TIMEZON", "PMAGENT_TIMEZONE"),
        ("JIRA_PROJECT", "JIRA_PROJECTS"),
    ):
        assert re.search(rf"{name}: is not a setting, so it has no effect\n +did you mean {meant}\?", said), said
    assert "PMAGENT_WORKING_HOURS: is a setting of a later version" in said
    assert "JIRA_AUTOMATION_TOKEN: is short (6 characters)" in said
    assert "canary" not in stage.log
    assert not re.search("FAILPOINT|TEST_SPEED|PMAGENT_SITE|UPSTREAM|ANTHROPIC", said)

    code, out = await stage.run("check", seconds=110, **odd)
    assert code == 0, out
    assert re.search(r"^warn +PMAGENT_APROVERS .*PMAGENT_APPROVERS\?$", out, re.MULTILINE)


async def test_a_claude_key_of_another_vendor_is_told_unless_there_is_a_gateway(stage: Stage) -> None:
    # Only where the settings are read: without ANTHROPIC_BASE_URL a start would ask the real Claude.
    code, out = await stage.run("run", ANTHROPIC_API_KEY="sk-proj-canary", ANTHROPIC_BASE_URL="", PMAGENT_MODE="Prod")
    assert code == 2
    assert "ANTHROPIC_API_KEY: does not look like a key of Anthropic's, which begins with sk-ant-" in out
    assert "canary" not in out
    code, out = await stage.run("run", ANTHROPIC_API_KEY="sk-proj-canary", PMAGENT_MODE="Prod")
    assert "ANTHROPIC_API_KEY" not in out


async def test_secrets_come_from_files(stage: Stage) -> None:
    """By `NAME_FILE`, and as systemd's credentials."""
    credentials = stage.folder / "credentials"
    credentials.mkdir()
    for name in ("SLACK_BOT_TOKEN", "JIRA_WEBHOOK_SECRET"):
        (credentials / name).write_text(f"{stage.env.pop(name)}\n")
    (stage.folder / "key").write_text(stage.env.pop("ANTHROPIC_API_KEY"))
    stage.env |= {"CREDENTIALS_DIRECTORY": str(credentials), "ANTHROPIC_API_KEY_FILE": "key"}
    await stage.start_bot()
    code, out = await stage.run("check", seconds=110, PMAGENT_PORT=str(stage.bot_port))
    assert code == 0, out
    assert "warn" not in out
    assert "webhook jira" in out
    code, out = await stage.run("check", ANTHROPIC_API_KEY_FILE="nowhere", SLACK_BOT_TOKEN="xoxb-another-canary")
    assert code == 1
    assert "is to come from ANTHROPIC_API_KEY_FILE, but nowhere cannot be read: No such file or directory" in out
    assert "is given as SLACK_BOT_TOKEN and as $CREDENTIALS_DIRECTORY/SLACK_BOT_TOKEN, and the two differ" in out
    assert "canary" not in out


async def test_an_address_of_ipv6_is_printed_as_one_that_can_be_opened(stage: Stage) -> None:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    await stage.start_bot(PMAGENT_HOST="::")
    [address] = re.findall(r"listens on (\S+)", stage.log)
    assert address == f"http://[::]:{stage.bot_port}"
    async with aiohttp.ClientSession() as session, session.get(f"{address}/health") as answer:
        assert answer.status == 200
