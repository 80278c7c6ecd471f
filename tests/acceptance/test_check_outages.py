"""`python -m bot check` while a service is away: it says to try again, and nothing that breaks good settings."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from typing import Any

import pytest

from bot.demo.slack.people import DANA, PM_GROUP
from bot.demo.stage import Stage
from bot.demo.wire import Fault

PAGE = "<html><body>Page unavailable</body></html>"
AWAY = {
    "503": Fault("answer", 503),
    "500 HTML": Fault("answer", 500, body=PAGE),
    "429": Fault("answer", 429, {"Retry-After": "0"}),
    "200 HTML": Fault("answer", 200, body=PAGE),
    "drop": Fault("drop"),
}
EVERYTHING = {"PMAGENT_APPROVERS": f"{DANA},{PM_GROUP},channel", "PMAGENT_ADMINS": DANA, "JIRA_PROJECTS": "ECD,SUP"}
# What a person would break good settings with, were it said of a service that is merely away.
ADVICE = re.compile(r"remove|copy|create|check [A-Z]|invite|restart|private|retired|misspelt|set PMAGENT|give the")

Lines = dict[str, dict[str, Any]]


async def checked(stage: Stage, **changes: str) -> Lines:
    """The lines of `check --json` by name."""
    settings = {**EVERYTHING, "BITBUCKET_TOKEN": stage.bitbucket.token, **changes}
    _, output = await stage.run("check", "--json", seconds=110, **settings)
    return {line["name"]: line for line in json.loads(output)["checks"]}


def away(lines: Lines, *names: str) -> None:
    """These lines, and no others but "settings", "store" and "bot", say to try again, and nothing else."""
    for name in names:
        line = lines[name]
        assert not line["ok"], line
        assert line["state"] == "later", line
        assert line["mend"].startswith("try again"), line
        assert not ADVICE.search(line["text"] + line["mend"]), line
    assert not [line for line in lines.values() if line["state"] == "wrong"]


@pytest.mark.parametrize("fault", AWAY.values(), ids=AWAY)
async def test_every_service_is_away(stage: Stage, fault: Fault) -> None:
    for standin in stage.standins:
        standin.fail(".", *[fault] * 200)
    lines = await checked(stage)
    away(lines, "Slack token", "Jira token", "Bitbucket token", "Claude claude-sonnet-5-5", "Claude claude-haiku-5-5")


async def test_no_service_can_be_reached(stage: Stage) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        lines = await checked(
            stage, SLACK_API_URL=f"{nobody}/api/", JIRA_URL=nobody, BITBUCKET_URL=nobody, ANTHROPIC_BASE_URL=nobody
        )
    away(lines, "Slack token", "Jira token", "Bitbucket token", "Claude claude-sonnet-5-5")
    assert "JIRA_URL" in lines["Jira token"]["mend"], "the address may be wrong as well"


@pytest.mark.long
async def test_no_service_answers_in_time(stage: Stage) -> None:
    over = asyncio.Event()
    for standin in stage.standins:
        standin.fail(".", *[Fault("hang", seconds=100, over=over)] * 200)
    try:
        lines = await checked(stage)
    finally:
        over.set()
    away(lines, "Slack token", "Jira token", "Bitbucket token", "Claude claude-sonnet-5-5")


@pytest.mark.parametrize("fault", AWAY.values(), ids=AWAY)
async def test_the_tokens_are_good_and_everything_else_is_away(stage: Stage, fault: Fault) -> None:
    """A look-up of a person, a group, a channel, a project that fails says nothing about them."""
    stage.slack.fail("users.info|usergroups|conversations|connections.open", *[fault] * 200)
    stage.jira.fail("/project/|/search/|/mypermissions", *[fault] * 200)
    lines = await checked(stage)
    away(
        lines, "Slack app token", f"Slack channel {stage.slack.approvals_channel}", f"PMAGENT_APPROVERS {DANA}",
        f"PMAGENT_APPROVERS {PM_GROUP}", f"PMAGENT_ADMINS {DANA}", "Jira project ECD", "Jira project SUP",
    )  # fmt: skip
    assert lines["PMAGENT_APPROVERS channel"]["state"] == "later", "that it is private is not known now"
    assert lines["Slack token"]["ok"]
    assert lines["Jira token"]["ok"]


@pytest.mark.parametrize("body", [PAGE, {"detail": "Not Found"}], ids=["HTML", "JSON"])
async def test_a_gateway_of_models_without_a_look_up_is_no_wrong_model(stage: Stage, body: Any) -> None:
    stage.claude.fail("GET .*/v1/models/", *[Fault("answer", 404, body=body)] * 2)
    lines = await checked(stage, PMAGENT_APPROVERS=DANA)
    for model in ("claude-sonnet-5-5", "claude-haiku-5-5"):
        line = lines[f"Claude {model}"]
        assert (line["ok"], line["state"]) == (True, "warn"), line
        assert not ADVICE.search(line["text"] + line["mend"]), line


@pytest.mark.parametrize(
    ("service", "call", "answer", "name", "said"),
    [
        ("slack", "users.info", {"ok": False, "error": "user_not_found"}, f"PMAGENT_APPROVERS {DANA}", "remove"),
        (
            "slack",
            "users.info",
            {"ok": False, "error": "missing_scope"},
            f"PMAGENT_APPROVERS {DANA}",
            "SLACK_BOT_TOKEN",
        ),
        ("slack", "auth.test", {"ok": False, "error": "account_inactive"}, "Slack token", "SLACK_BOT_TOKEN"),
        ("slack", "auth.test", {"ok": True, "user_id": DANA, "team_id": "T1"}, "Slack token", "SLACK_BOT_TOKEN"),
        ("slack", "connections.open", {"ok": False, "error": "not_allowed_token_type"}, "Slack app token", "SLACK_APP"),
    ],
)
async def test_a_definite_answer_names_the_thing(
    stage: Stage, service: str, call: str, answer: Any, name: str, said: str
) -> None:
    getattr(stage, service).fail(call, *[Fault("answer", 200, body=answer)] * 5)
    line = (await checked(stage, PMAGENT_APPROVERS=DANA))[name]
    assert line["state"] == "wrong"
    assert said in line["mend"]
    assert "remove" not in line["mend"] or answer.get("error") == "user_not_found"


async def test_a_webhook_that_is_busy_is_no_wrong_secret(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_RATE_LIMIT="1/hour")
    lines = await checked(stage, PMAGENT_APPROVERS=DANA, PMAGENT_PORT=str(stage.bot_port))
    assert lines["webhook jira"]["state"] == "later"
    assert not ADVICE.search(lines["webhook jira"]["mend"])
