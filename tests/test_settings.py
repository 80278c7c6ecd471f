"""The settings: each problem named, all of them at once, never with a secret; and `.env` read as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.settings import REQUIRED, Problem, Settings, SettingsError, load, read_environment
from bot.standup_time import parse_standup

GOOD = {
    "ANTHROPIC_API_KEY": "secret-claude",
    "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "bot@example.com",
    "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "secret-atlassian",
    "JIRA_URL": "https://example.atlassian.net/",
    "JIRA_WEBHOOK_SECRET": "secret-hook",
    "SLACK_BOT_TOKEN": "secret-bot",
    "SLACK_APP_TOKEN": "secret-app",
    "SLACK_CHANNEL_APPROVALS": "C0APPROVE",
    "PMAGENT_APPROVERS": "U0DANA,S0LEADS",
}


def problems(**changes: str | None) -> dict[str, str]:
    """Variable → what is wrong with it, after these changes to good settings."""
    with pytest.raises(SettingsError) as caught:
        load({k: v for k, v in {**GOOD, **changes}.items() if v is not None})
    return {p.variable: p.what for p in caught.value.problems}


def test_good_settings_with_every_default() -> None:
    found = load(GOOD)
    assert found.pmagent_mode == "simulation"
    assert found.pmagent_triage_model == "claude-haiku-5-5"
    assert found.site == found.jira_api == "https://example.atlassian.net"
    assert found.standup_channel == "C0APPROVE"
    assert found.admins == ("U0DANA", "S0LEADS")
    assert found.socket_mode
    assert found.watches("ANY")
    assert found.standup_time == parse_standup("9:30 mon,tue,wed,thu,fri")


def test_every_missing_setting_is_named_at_once_with_the_way_to_mend_it() -> None:
    with pytest.raises(SettingsError) as caught:
        load({})
    named = {p.variable: p for p in caught.value.problems}
    assert set(REQUIRED) <= set(named)
    assert all(p.mend for p in named.values())


def test_missing_and_wrong_are_found_in_one_run() -> None:
    found = problems(
        JIRA_URL=None, PMAGENT_TIMEZONE="Mars/Olympus", PMAGENT_PORT="eighty", PMAGENT_APPROVERS="dana",
        SLACK_APP_TOKEN=None, JIRA_AUTOMATION_TOKEN="secret-hook",
    )  # fmt: skip
    assert set(found) == {
        "JIRA_URL", "PMAGENT_TIMEZONE", "PMAGENT_PORT", "PMAGENT_APPROVERS", "SLACK_APP_TOKEN", "JIRA_AUTOMATION_TOKEN",
    }  # fmt: skip
    assert found["JIRA_URL"] == "is missing"


@pytest.mark.parametrize(
    ("changes", "variable", "sentence"),
    [
        ({"JIRA_WEBHOOK_SECRET": ""}, "JIRA_WEBHOOK_SECRET", "is blank"),
        ({"JIRA_WEBHOOK_SECRET": "   "}, "JIRA_WEBHOOK_SECRET", "is blank"),
        ({"JIRA_WEBHOOK_SECRET": " , ,"}, "JIRA_WEBHOOK_SECRET", "is blank"),
        ({"JIRA_AUTOMATION_TOKEN": "secret-hook"}, "JIRA_AUTOMATION_TOKEN", "is the same as a signing secret"),
        ({"ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "b@serviceaccount.atlassian.com"}, "ATLASSIAN_CLOUD_ID", "is missing"),
        ({"SLACK_APP_TOKEN": None}, "SLACK_APP_TOKEN", "one of them is needed"),
        ({"PMAGENT_APPROVERS": "channel"}, "PMAGENT_ADMINS", "is missing while PMAGENT_APPROVERS is the word channel"),
        ({"PMAGENT_ADMINS": "channel"}, "PMAGENT_ADMINS", "channel is neither"),
        ({"PMAGENT_APPROVERS": ","}, "PMAGENT_APPROVERS", "names nobody"),
        ({"PMAGENT_DATABASE_URL": "postgresql://u:secret-pg@h/d"}, "PMAGENT_DATABASE_URL", "is not supported yet"),
        ({"JIRA_URL": "example.atlassian.net"}, "JIRA_URL", "is not an address"),
        ({"JIRA_PROJECTS": "ECD,oh no"}, "JIRA_PROJECTS", "oh no is not a project key"),
        ({"SLACK_CHANNEL_APPROVALS": "#approvals"}, "SLACK_CHANNEL_APPROVALS", "is not a channel id"),
        ({"PMAGENT_STANDUP_AT": "25:00"}, "PMAGENT_STANDUP_AT", "is not a time"),
        ({"PMAGENT_STANDUP_AT": "09:30 someday"}, "PMAGENT_STANDUP_AT", "has no such day"),
        ({"PMAGENT_RATE_LIMIT": "often"}, "PMAGENT_RATE_LIMIT", "is not a rate"),
        ({"PMAGENT_DAILY_BUDGET_USD": "-1"}, "PMAGENT_DAILY_BUDGET_USD", "is not valid"),
        ({"PMAGENT_DAILY_BUDGET_USD": "nan"}, "PMAGENT_DAILY_BUDGET_USD", "is not valid"),
        ({"PMAGENT_MODE": "live"}, "PMAGENT_MODE", "is not valid"),
        ({"PMAGENT_DRAFT_DAYS": "0"}, "PMAGENT_DRAFT_DAYS", "is not valid"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str | None], variable: str, sentence: str) -> None:
    found = problems(**changes)
    assert sentence in found[variable]
    assert list(found) == [variable]


def test_a_problem_never_repeats_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        load({**GOOD, "JIRA_AUTOMATION_TOKEN": "secret-hook", "PMAGENT_DATABASE_URL": "postgresql://u:secret-pg@h/d"})
    assert "secret-" not in str(caught.value)
    assert "secret-" not in repr(caught.value.problems)


def test_no_secret_in_any_form_of_the_settings() -> None:
    found = load({**GOOD, "BITBUCKET_TOKEN": "secret-bb", "JIRA_WEBHOOK_SECRET": "secret-1,secret-2"})
    for text in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert "secret-" not in text
    assert set(found.secrets()) >= {"secret-claude", "secret-bb", "secret-1", "secret-2", "secret-bot"}


def test_secrets_names_every_secret_field() -> None:
    secret_fields = [n for n, f in Settings.model_fields.items() if "Secret" in str(f.annotation)]
    values = {
        n.upper(): f"secret-{n}" for n in secret_fields if n != "pmagent_database_url"  # refused for now, never held
    }  # fmt: skip
    assert set(load({**GOOD, **values}).secrets()) == set(values.values())


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("09:30 mon-fri", {0, 1, 2, 3, 4}),
        ("9:05", set(range(7))),
        ("23:59 daily", set(range(7))),
        ("08:00 fri-mon", {4, 5, 6, 0}),
        ("08:00 mon,wed,fri", {0, 2, 4}),
        ("08:00 Sun-Thu", {6, 0, 1, 2, 3}),
        ("08:00 mon-mon", {0}),
    ],
)
def test_standup_times(text: str, days: set[int]) -> None:
    found = parse_standup(text)
    assert found is not None
    assert found.days == days


def test_empty_turns_off_what_can_be_turned_off() -> None:
    found = load({**GOOD, "PMAGENT_STANDUP_AT": "", "PMAGENT_RATE_LIMIT": "", "PMAGENT_TIMEZONE": ""})
    assert found.standup_time is None
    assert found.pmagent_rate_limit == ""
    assert found.pmagent_timezone == "UTC"


def test_dotenv_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text(
        '\ufeffJIRA_URL="https://dot.example"  # said here\nPMAGENT_PORT=1\nOTHER=x\nPMAGENT_STANDUP_AT=\n'
        "export SLACK_BOT_TOKEN='quoted'\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PMAGENT_PORT", "2")
    found = read_environment(tmp_path)
    assert found["JIRA_URL"] == "https://dot.example"
    assert found["PMAGENT_PORT"] == "2"
    assert found["SLACK_BOT_TOKEN"] == "quoted"
    assert found["PMAGENT_STANDUP_AT"] == ""
    assert "OTHER" not in found


@given(st.dictionaries(st.sampled_from([n.upper() for n in Settings.model_fields]), st.text(max_size=40)))
def test_any_texts_give_settings_or_named_problems(values: dict[str, str]) -> None:
    found: tuple[Problem, ...] = ()
    try:
        load({**GOOD, **values})
    except SettingsError as error:
        found = error.problems or (Problem("", "", ""),)
    assert all(p.variable in {n.upper() for n in Settings.model_fields} and p.what for p in found)


@pytest.mark.parametrize("content", ["JIRA_URL=ü".encode("cp1252"), "JIRA_URL=x".encode("utf-16")])
def test_a_file_that_is_not_utf8_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError) as raised:
        read_environment(tmp_path)
    assert [p.variable for p in raised.value.problems] == [".env"]


def test_a_rate_that_lets_nothing_through_is_refused() -> None:
    with pytest.raises(SettingsError, match="lets nothing through"):
        load({"PMAGENT_RATE_LIMIT": "0/minute"})
