"""`python -m bot check` as a process: each thing that can be wrong has its line and its way to be mended."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bot.commands.check.doctor import unforeseen
from bot.demo.stage import ROOT, Stage
from bot.demo.wire import Fault

NO_PROJECT = {"errorMessages": ["No project could be found with that key."], "errors": {}}


async def checked(stage: Stage, **changes: str) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Run `check --json`: whether all is well, and the lines by name. The exit code must agree."""
    code, output = await stage.run("check", "--json", seconds=110, **changes)
    found = json.loads(output)
    assert code == (0 if found["ok"] else 1)
    for value in changes.values():
        assert not value.startswith("secret-") or value not in output
    return found["ok"], {line["name"]: line for line in found["checks"]}


async def test_all_is_well_without_the_bot(stage: Stage) -> None:
    ok, lines = await checked(stage, BITBUCKET_TOKEN=stage.bitbucket.token, JIRA_PROJECTS="ECD,SUP")
    assert ok, lines
    assert "does not run" in lines["bot"]["text"]
    assert "a service desk" in lines["Jira project SUP"]["text"]
    assert {
        "settings",
        "Slack token",
        "Slack app token",
        "Slack scopes",
        "Jira token",
        "Bitbucket token",
        "store",
    } <= set(lines)
    posts = [e for s in (stage.jira, stage.bitbucket, stage.claude) for e in s.calls("^(POST|PUT|DELETE)")]
    assert not posts, "a check changes nothing"
    assert not stage.slack.calls("chat.post")
    assert not stage.data.exists()


async def test_all_is_well_while_the_bot_runs(stage: Stage) -> None:
    await stage.start_bot()
    ok, lines = await checked(stage, PMAGENT_PORT=str(stage.bot_port))
    assert ok, lines
    assert "in production mode" in lines["bot"]["text"]
    assert lines["webhook jira"]["ok"]
    assert lines["webhook bitbucket"]["ok"]
    assert lines["events"]["text"] == "no event has come yet", "trying the webhook leaves no record"
    other = f"{stage.env['JIRA_WEBHOOK_SECRET']},secret-that-is-new"
    ok, lines = await checked(stage, PMAGENT_PORT=str(stage.bot_port), JIRA_WEBHOOK_SECRET=other)
    assert not ok
    assert await stage.stop_bot() == 0


async def test_text_has_one_line_each(stage: Stage) -> None:
    code, output = await stage.run("check")
    assert code == 0, output
    assert all(line.startswith("ok ") for line in output.strip().splitlines())


@pytest.mark.parametrize(
    ("changes", "name", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-secret"}, "Slack token", "invalid_auth"),
        ({"SLACK_APP_TOKEN": "xapp-secret"}, "Slack app token", "refused"),
        ({"SLACK_CHANNEL_STANDUP": "C0NOPE"}, "Slack channel C0NOPE", "channel_not_found"),
        ({"SLACK_CHANNEL_APPROVALS": "C0NOPE"}, "Slack channel C0NOPE", "channel_not_found"),
        ({"PMAGENT_APPROVERS": "U0NOBODY"}, "PMAGENT_APPROVERS U0NOBODY", "not a member"),
        ({"PMAGENT_APPROVERS": "S0NOBODY"}, "PMAGENT_APPROVERS S0NOBODY", "no_such_subteam"),
        ({"ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "secret-x"}, "Jira token", "must be authenticated"),
        ({"JIRA_PROJECTS": "ECD,XYZ"}, "Jira project XYZ", "'XYZ' does not exist"),
        ({"JIRA_PUBLIC_REPLIES": "SUP,XYZ"}, "Jira project XYZ", "'XYZ' does not exist"),
        ({"JIRA_PUBLIC_REPLIES": "XYZ", "JIRA_PROJECTS": "ECD"}, "Jira project XYZ", "'XYZ' does not exist"),
        ({"BITBUCKET_TOKEN": "secret-x"}, "Bitbucket token", "Token is invalid"),
        ({"PMAGENT_MODEL": "claude-nope"}, "Claude claude-nope", "claude-nope"),
        ({"JIRA_URL": "http://127.0.0.1:9"}, "Jira token", "connection refused"),
        ({"PMAGENT_DATA_DIR": f"{__file__}/data"}, "store", "is not a folder"),
        ({"PMAGENT_TIMEZONE": "Mars/Base"}, "PMAGENT_TIMEZONE", "not an IANA time zone"),
        ({"SLACK_BOT_TOKEN": ""}, "SLACK_BOT_TOKEN", "is blank"),
    ],
)
async def test_what_is_wrong_is_named_with_the_way_to_mend_it(
    stage: Stage, changes: dict[str, str], name: str, said: str
) -> None:
    ok, lines = await checked(stage, **changes)
    assert not ok
    assert name in lines, lines
    assert not lines[name]["ok"]
    assert said in lines[name]["text"]
    assert lines[name]["mend"]
    assert next(iter(changes)) in f"{name} {lines[name]['mend']}", "the variable to mend is named"
    unnamed = [
        x for x in lines.values() if not x["ok"] and not re.search(r"[A-Z]+_[A-Z]+|^the rest", x["name"] + x["mend"])
    ]
    assert not unnamed


async def test_two_clients_that_load_the_same_library_at_once_do_not_lock_each_other_out(
    stage: Stage, tmp_path: Path
) -> None:
    """`import a.b` locks `a.b` and then `a`; `import a`, whose code imports `a.b`, locks them the other way round."""
    (tmp_path / "sitecustomize.py").write_text(dedent(MEETING))
    ok, lines = await checked(stage, BITBUCKET_TOKEN=stage.bitbucket.token, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert ok, lines


MEETING = """
    import sys, threading, time

    begun = threading.Event()

    class Slow:
        \"\"\"Jira's library is looked for once requests is on its way, which takes long enough to be met there.\"\"\"

        def find_spec(self, name, path=None, target=None):
            if name == "atlassian":
                begun.wait(5)
            elif name == "urllib3":
                begun.set()
                time.sleep(1)

    sys.meta_path.insert(0, Slow())
"""


def test_what_nobody_foresaw_is_told_with_its_place_and_without_its_words() -> None:
    try:
        Fraction("https://token@host")
    except ValueError as error:
        line = unforeseen("Bitbucket", error)
    assert re.fullmatch(r"failed \(ValueError in python3\.\d+/fractions\.py:\d+\)", line.text)
    assert "token" not in line.text


@pytest.mark.parametrize("issues", [[], [{"key": "OTHER-1", "fields": {"project": {"key": "OTHER"}}}]])
async def test_a_jira_that_searches_for_anything_proves_no_project(stage: Stage, issues: list[Any]) -> None:
    """Its project endpoint says 404, and a search for a project that is not there is no error to it."""
    stage.jira.fail(r"GET .*/project/XYZ", Fault("answer", 404, body=NO_PROJECT))
    stage.jira.fail(r"POST .*/search/jql", Fault("answer", 200, body={"issues": issues, "isLast": True}))
    ok, lines = await checked(stage, JIRA_PROJECTS="XYZ")
    assert not ok
    assert "no issue of XYZ" in lines["Jira project XYZ"]["text"]
    assert "JIRA_PROJECTS" in lines["Jira project XYZ"]["mend"]


async def test_a_project_whose_details_are_closed_is_known_by_its_issues(stage: Stage) -> None:
    stage.jira.issue("ECD-1")
    stage.jira.fail(r"GET .*/project/ECD", Fault("answer", 404, body=NO_PROJECT))
    ok, lines = await checked(stage, JIRA_PROJECTS="ECD")
    assert ok, lines


async def test_other_settings_than_the_running_bots_are_named(stage: Stage) -> None:
    await stage.start_bot()
    _, lines = await checked(stage, PMAGENT_PORT=str(stage.bot_port), BITBUCKET_WEBHOOK_SECRET="secret-that-is-new")
    assert "BITBUCKET_WEBHOOK_SECRET" in lines["webhook bitbucket"]["mend"]


async def test_missing_rights_are_told(stage: Stage) -> None:
    stage.jira.denied.add("ADD_COMMENTS")
    ok, lines = await checked(stage, JIRA_PROJECTS="ECD")
    assert not ok
    assert "may not post replies" in lines["Jira project ECD"]["text"]
    assert "ATLASSIAN_SERVICE_ACCOUNT_EMAIL" in lines["Jira project ECD"]["mend"]
