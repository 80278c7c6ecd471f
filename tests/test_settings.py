"""The settings: each problem named, all of them at once, never with a secret; and `.env` read as people write it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.environment import read_variables
from bot.settings import REQUIRED, Problem, Settings, SettingsError, load
from bot.settings.standup_time import parse_standup

GOOD = {
    "ANTHROPIC_API_KEY": "sk-ant-secret-claude",
    "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "bot@example.com",
    "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "secret-atlassian",
    "JIRA_URL": "https://example.atlassian.net/",
    "JIRA_WEBHOOK_SECRET": "secret-hook-of-jira",
    "SLACK_BOT_TOKEN": "xoxb-secret-bot",
    "SLACK_APP_TOKEN": "xapp-secret-app",
    "SLACK_CHANNEL_APPROVALS": "C0APPROVE",
    "PMAGENT_APPROVERS": "U0DANA,S0LEADS",
}


KINDS = {"slack_bot_token": "xoxb-", "slack_app_token": "xapp-"}


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
        SLACK_APP_TOKEN=None, JIRA_AUTOMATION_TOKEN="secret-hook-of-jira",
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
        ({"JIRA_AUTOMATION_TOKEN": "secret-hook-of-jira"}, "JIRA_AUTOMATION_TOKEN", "is the same as a signing secret"),
        ({"ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "b@serviceaccount.atlassian.com"}, "ATLASSIAN_CLOUD_ID", "is missing"),
        ({"ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "b@ServiceAccount.Atlassian.com"}, "ATLASSIAN_CLOUD_ID", "is missing"),
        ({"SLACK_APP_TOKEN": None}, "SLACK_APP_TOKEN", "one of them is needed"),
        ({"PMAGENT_APPROVERS": "channel"}, "PMAGENT_ADMINS", "is missing while PMAGENT_APPROVERS is the word channel"),
        ({"PMAGENT_ADMINS": "channel"}, "PMAGENT_ADMINS", '"channel" is neither'),
        ({"PMAGENT_APPROVERS": ","}, "PMAGENT_APPROVERS", "names nobody"),
        ({"PMAGENT_ADMINS": ","}, "PMAGENT_ADMINS", "is blank"),
        ({"JIRA_PROJECTS": " , ,"}, "JIRA_PROJECTS", "is blank"),
        ({"BITBUCKET_WEBHOOK_SECRET": ","}, "BITBUCKET_WEBHOOK_SECRET", "is blank"),
        ({"JIRA_WEBHOOK_SECRET": '"secret-hook-of-jira"'}, "JIRA_WEBHOOK_SECRET", "stands in quotes"),
        ({"SLACK_SIGNING_SECRET": "'secret-of-slack'"}, "SLACK_SIGNING_SECRET", "stands in quotes"),
        ({"JIRA_WEBHOOK_SECRET": "$(openssl rand -hex 32)"}, "JIRA_WEBHOOK_SECRET", "is to be replaced"),
        ({"BITBUCKET_WEBHOOK_SECRET": "<a long random text>"}, "BITBUCKET_WEBHOOK_SECRET", "is to be replaced"),
        ({"ANTHROPIC_API_KEY": "xoxb-secret-x"}, "ANTHROPIC_API_KEY", "this one belongs into SLACK_BOT_TOKEN"),
        ({"JIRA_WEBHOOK_SECRET": "secret-16-letters,sk-ant-secret-cl"}, "JIRA_WEBHOOK_SECRET", "ANTHROPIC_API_KEY"),
        ({"BITBUCKET_TOKEN": "sk-ant-secret"}, "BITBUCKET_TOKEN", "this one belongs into ANTHROPIC_API_KEY"),
        ({"SLACK_SIGNING_SECRET": "ATATT3secret"}, "SLACK_SIGNING_SECRET", "ATLASSIAN_SERVICE_ACCOUNT_TOKEN"),
        ({"JIRA_URL": "https://example.atlassian.net."}, "JIRA_URL", "is not an address"),
        ({"JIRA_URL": "https://ex\u0430mple.atlassian.net"}, "JIRA_URL", "is not an address"),
        ({"JIRA_URL": "https://example.atlassian.net\\other"}, "JIRA_URL", "is not an address"),
        ({"ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "b@ServiceAccount.atlassian.com"}, "ATLASSIAN_CLOUD_ID", "is missing"),
        ({"PMAGENT_DATABASE_URL": "mysql://u:secret-pg@h/d"}, "PMAGENT_DATABASE_URL", "begins with postgresql://"),
        ({"PMAGENT_DATABASE_URL": "postgresql://u:secret@pg@h/d"}, "PMAGENT_DATABASE_URL", "write %40 for @"),
        ({"PMAGENT_DATABASE_URL": "postgresql://u:secret/pg@h/d"}, "PMAGENT_DATABASE_URL", "%2F for /"),
        ({"PMAGENT_DATABASE_URL": "postgresql://u:secret%pg@h/d"}, "PMAGENT_DATABASE_URL", "%25 for %"),
        ({"PMAGENT_DATABASE_URL": "postgresql://u:secret pg@h/d"}, "PMAGENT_DATABASE_URL", "is not an address"),
        ({"PMAGENT_DATABASE_URL": "postgresql://u:secret@h:pg/d"}, "PMAGENT_DATABASE_URL", "is not an address"),
        ({"JIRA_URL": "example.atlassian.net"}, "JIRA_URL", "is not an address"),
        ({"JIRA_PROJECTS": "ECD,oh no"}, "JIRA_PROJECTS", '"oh no" is not a project key'),
        ({"SLACK_CHANNEL_APPROVALS": "#approvals"}, "SLACK_CHANNEL_APPROVALS", "is not a channel id"),
        ({"PMAGENT_STANDUP_AT": "25:00"}, "PMAGENT_STANDUP_AT", "is not a time"),
        ({"PMAGENT_STANDUP_AT": "09:30 someday"}, "PMAGENT_STANDUP_AT", "has no such day"),
        ({"PMAGENT_RATE_LIMIT": "often"}, "PMAGENT_RATE_LIMIT", "is not a rate"),
        (
            {"JIRA_URL": "https://example.atlassian.net/browse/ECD-1"},
            "JIRA_URL",
            "https://example.atlassian.net is the",
        ),
        ({"JIRA_URL": "https://example.atlassian.net/?a=b"}, "JIRA_URL", "goes on after the address"),
        ({"JIRA_URL": "https://example.atlassian.net#x"}, "JIRA_URL", "goes on after the address"),
        ({"JIRA_URL": "https://bot:secret-x@example.atlassian.net"}, "JIRA_URL", "a user or a password"),
        ({"JIRA_URL": "http://example.atlassian.net"}, "JIRA_URL", "use https://"),
        ({"JIRA_URL": "https://example.atlassian.net:abc"}, "JIRA_URL", "is not an address"),
        ({"JIRA_URL": "https://exa mple.net"}, "JIRA_URL", "is not an address"),
        ({"JIRA_URL": "ftp://example.atlassian.net"}, "JIRA_URL", "has to begin with https://"),
        ({"SLACK_API_URL": "http://slack.example/api/"}, "SLACK_API_URL", "use https://"),
        ({"BITBUCKET_URL": "https://u:secret-p@bitbucket.example/2.0"}, "BITBUCKET_URL", "a user or a password"),
        ({"ANTHROPIC_BASE_URL": "https://gateway.example?key=secret-x"}, "ANTHROPIC_BASE_URL", "goes on after"),
        ({"SLACK_BOT_TOKEN": "xoxp-secret"}, "SLACK_BOT_TOKEN", "is a person's token"),
        ({"SLACK_BOT_TOKEN": "xapp-secret"}, "SLACK_BOT_TOKEN", "is the other token"),
        ({"SLACK_BOT_TOKEN": "xoxe.xoxb-1-secret"}, "SLACK_BOT_TOKEN", "is a token that expires"),
        ({"SLACK_BOT_TOKEN": "Bearer secret-x"}, "SLACK_BOT_TOKEN", "is not a token that begins with xoxb-"),
        ({"SLACK_BOT_TOKEN": "xoxb-…"}, "SLACK_BOT_TOKEN", "holds a space or a character"),
        ({"SLACK_APP_TOKEN": "xoxb-secret"}, "SLACK_APP_TOKEN", "is the other token"),
        ({"SLACK_APP_TOKEN": "xoxp-secret"}, "SLACK_APP_TOKEN", "is a person's token"),
        ({"SLACK_APP_TOKEN": "secret-x"}, "SLACK_APP_TOKEN", "is not a token that begins with xapp-"),
        ({"ANTHROPIC_API_KEY": "sk-ant-secret\u201d"}, "ANTHROPIC_API_KEY", "holds a space or a character"),
        (
            {"JIRA_WEBHOOK_SECRET": "secret-15-chars"},
            "JIRA_WEBHOOK_SECRET",
            "is too short: 15 characters of at least 16",
        ),
        (
            {"JIRA_WEBHOOK_SECRET": "secret-16-letters,x"},
            "JIRA_WEBHOOK_SECRET",
            "number 2 of 2 (comma-separated) is too",
        ),
        ({"BITBUCKET_WEBHOOK_SECRET": "short"}, "BITBUCKET_WEBHOOK_SECRET", "is too short"),
        ({"JIRA_WEBHOOK_SECRET": "secret-of-today\nsecret-of-before"}, "JIRA_WEBHOOK_SECRET", "holds a line break"),
        ({"ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "bot"}, "ATLASSIAN_SERVICE_ACCOUNT_EMAIL", "is not an e-mail address"),
        ({"ATLASSIAN_CLOUD_ID": "https://x.example"}, "ATLASSIAN_CLOUD_ID", "is not a cloud id"),
        ({"PMAGENT_MODEL": "Claude Sonnet"}, "PMAGENT_MODEL", "is not a model's id"),
        ({"PMAGENT_DATA_DIR": "~/data"}, "PMAGENT_DATA_DIR", "begins with ~"),
        ({"PMAGENT_HOST": "http://localhost"}, "PMAGENT_HOST", "is not an address to listen on"),
        ({"PMAGENT_HOST": "0.0.0.0:8000"}, "PMAGENT_HOST", "the port is PMAGENT_PORT"),
        ({"PMAGENT_TRUSTED_PROXIES": "*"}, "PMAGENT_TRUSTED_PROXIES", '"*" is not an IP address or network'),
        ({"PMAGENT_TIMEZONE": "Europe/berlin"}, "PMAGENT_TIMEZONE", "did you mean Europe/Berlin?"),
        ({"PMAGENT_DAILY_BUDGET_USD": "$10"}, "PMAGENT_DAILY_BUDGET_USD", '"$10" is not an amount of US dollars'),
        ({"PMAGENT_DAILY_BUDGET_USD": "10,50"}, "PMAGENT_DAILY_BUDGET_USD", '"10,50" is not an amount of US dollars'),
        ({"PMAGENT_DAILY_BUDGET_USD": "-1"}, "PMAGENT_DAILY_BUDGET_USD", '"-1" is not an amount'),
        ({"PMAGENT_DAILY_BUDGET_USD": "nan"}, "PMAGENT_DAILY_BUDGET_USD", '"nan" is not an amount'),
        ({"PMAGENT_MODE": "Prod"}, "PMAGENT_MODE", '"Prod" is not a mode: simulation or production'),
        ({"PMAGENT_DRAFT_DAYS": "0"}, "PMAGENT_DRAFT_DAYS", '"0" is not a number of days'),
        ({"PMAGENT_DRAFT_DAYS": "7d"}, "PMAGENT_DRAFT_DAYS", '"7d" is not a number of days'),
        ({"PMAGENT_RETENTION_DAYS": "1e300"}, "PMAGENT_RETENTION_DAYS", "is not a number of days"),
        ({"PMAGENT_PORT": "80 00"}, "PMAGENT_PORT", '"80 00" is not a port'),
        ({"PMAGENT_PORT": "70000"}, "PMAGENT_PORT", '"70000" is not a port'),
        ({"PMAGENT_OPEN_METRICS": "maybe"}, "PMAGENT_OPEN_METRICS", '"maybe" is not true or false'),
        ({"PMAGENT_LOG_FORMAT": "JSON"}, "PMAGENT_LOG_FORMAT", '"JSON" is not a format: text or json'),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str | None], variable: str, sentence: str) -> None:
    found = problems(**changes)
    assert sentence in found[variable]
    assert list(found) == [variable]


def test_a_problem_never_repeats_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            {
                **GOOD,
                "JIRA_AUTOMATION_TOKEN": "secret-hook-of-jira",
                "PMAGENT_DATABASE_URL": "mysql://u:secret-pg@h/d",
            }
        )
    assert "secret-" not in str(caught.value)
    assert "secret-" not in repr(caught.value.problems)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:pass%40word@h/d", "postgres://h", "postgresql:///d?host=/tmp/x&password=pass@word",
        "postgresql://u:pass%40word@h1:5432,h2:5433/d?target_session_attrs=read-write", "postgresql://u@[::1]:5433/d",
    ],
)  # fmt: skip
def test_an_address_of_a_database_is_kept_as_a_secret(url: str) -> None:
    found = load({**GOOD, "PMAGENT_DATABASE_URL": url})
    assert found.pmagent_database_url is not None
    assert found.pmagent_database_url.get_secret_value() == url
    assert url not in repr(found)
    assert url in found.secrets()
    assert ("pass@word" in found.secrets()) == ("pass" in url), "a library may say the password alone"


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
@pytest.mark.parametrize("pasted", ["xoxb-12345-secret-of-slack", "0123456789abcdef0123456789abcdef", "x ü {y} \0" * 9])
def test_a_secret_in_the_wrong_place_is_not_repeated(name: str, pasted: str) -> None:
    """And what is wrong is said in our words, not in those of the library that found it."""
    for value in (pasted, f"ok,{pasted}", f"https://{pasted}", f"09:30 {pasted}"):
        said = ""
        try:
            load({**GOOD, name: value})
        except SettingsError as error:
            said = str(error)
        assert pasted not in said
        assert not re.search("Input should|valid|unable to parse", said)


def test_no_secret_in_any_form_of_the_settings() -> None:
    found = load({**GOOD, "BITBUCKET_TOKEN": "secret-bb", "JIRA_WEBHOOK_SECRET": "secret-number-one,secret-number-two"})
    for text in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert "secret-" not in text
    assert set(found.secrets()) >= {
        "sk-ant-secret-claude", "secret-bb", "secret-number-one", "secret-number-two", "xoxb-secret-bot",
    }  # fmt: skip


def test_secrets_names_every_secret_field() -> None:
    secret_fields = [n for n, f in Settings.model_fields.items() if "Secret" in str(f.annotation)]
    secret_fields.remove("pmagent_database_url")  # refused for now, never held
    values = {n.upper(): KINDS.get(n, "") + f"secret-{n}" for n in secret_fields}
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
    found = read_variables(["JIRA_URL", "PMAGENT_PORT", "SLACK_BOT_TOKEN", "PMAGENT_STANDUP_AT"], tmp_path)
    assert found["JIRA_URL"] == "https://dot.example"
    assert found["PMAGENT_PORT"] == "2"
    assert found["SLACK_BOT_TOKEN"] == "quoted"
    assert found["PMAGENT_STANDUP_AT"] == ""


@given(st.dictionaries(st.sampled_from([n.upper() for n in Settings.model_fields]), st.text(max_size=40)))
def test_any_texts_give_settings_or_named_problems(values: dict[str, str]) -> None:
    found: tuple[Problem, ...] = ()
    try:
        load({**GOOD, **values})
    except SettingsError as error:
        found = error.problems or (Problem("", "", ""),)
    assert all(p.variable in {n.upper() for n in Settings.model_fields} and p.what for p in found)


@pytest.mark.parametrize("content", ["JIRA_URL=ü".encode("cp1252"), "JIRA_URL=x".encode("utf-16")])
def test_a_file_that_is_not_utf8_is_named(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as raised:
        load()
    assert [p.variable for p in raised.value.problems] == [".env"]


def test_a_rate_that_lets_nothing_through_is_refused() -> None:
    with pytest.raises(SettingsError, match="lets nothing through"):
        load({"PMAGENT_RATE_LIMIT": "0/minute"})


def doubts(**changes: str) -> dict[str, str]:
    """Variable → what may be wrong with it and what to do, after these changes to good settings."""
    return {p.variable: f"{p.what}; {p.mend}" for p in load({**GOOD, **changes}).doubts}


def test_good_settings_leave_no_doubt() -> None:
    assert doubts() == {}
    assert doubts(ANTHROPIC_API_KEY="sk-of-a-gateway", ANTHROPIC_BASE_URL="http://gateway:4000") == {}


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("PMAGENT_APROVERS", "PMAGENT_APPROVERS"),
        ("PMAGENT_BUDGET", "PMAGENT_DAILY_BUDGET_USD"),
        ("PMAGENT_DATADIR", "PMAGENT_DATA_DIR"),
        ("PMAGENT_TIME_ZONE", "PMAGENT_TIMEZONE"),
        ("PMAGENT_XYZ", "PMAGENT_"),
        ("PM_AGENT_MODE", "PMAGENT_MODE"),
        ("JIRA_PROJECT", "JIRA_PROJECTS"),
        ("SLACK_CHANNEL_STANDUPS", "SLACK_CHANNEL_STANDUP"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest_one(name: str, nearest: str) -> None:
    found = doubts(**{name: "x"})
    assert list(found) == [name]
    assert f"did you mean {nearest}" in found[name]


@pytest.mark.parametrize(
    "name",
    [
        "PMAGENT_FAILPOINT", "PMAGENT_TEST_SPEED", "PMAGENT_SITE", "PMAGENT_UPSTREAM", "PMAGENT_DATABASE_URL_FILE",
        "JIRA_API_TOKEN", "BITBUCKET_BUILD_NUMBER", "SLACK_WEBHOOK_URL", "ANTHROPIC_LOG", "PATH",
        "SLACK_API_TOKEN",  # like SLACK_APP_TOKEN, which is set
    ],
)  # fmt: skip
def test_names_of_others_are_not_told(name: str) -> None:
    assert doubts(**{name: ""}) == {}


def test_a_setting_of_a_later_version_is_told() -> None:
    assert "is a setting of a later version" in doubts(PMAGENT_WORKING_HOURS="09:00-17:00")["PMAGENT_WORKING_HOURS"]
    assert "is a setting of a later version" in doubts(BITBUCKET_REPOSITORIES="a/b")["BITBUCKET_REPOSITORIES"]


def test_a_key_of_another_vendor_and_a_short_token_are_told() -> None:
    assert "begins with sk-ant-" in doubts(ANTHROPIC_API_KEY="sk-proj-secret-x")["ANTHROPIC_API_KEY"]
    assert "no other is watched" in doubts(JIRA_PROJECTS="all")["JIRA_PROJECTS"]
    assert "has no effect" in doubts(JIRA_PROJECTS="ECD", JIRA_PUBLIC_REPLIES="SUP")["JIRA_PUBLIC_REPLIES"]
    assert doubts(JIRA_PROJECTS="ECD, sup", JIRA_PUBLIC_REPLIES="SUP") == doubts(JIRA_PUBLIC_REPLIES="SUP") == {}
    assert "can ask for drafts" in doubts(JIRA_AUTOMATION_TOKEN="secret-15-chars")["JIRA_AUTOMATION_TOKEN"]


def test_one_text_as_the_secret_of_two_services_is_told() -> None:
    told = doubts(SLACK_SIGNING_SECRET=GOOD["JIRA_WEBHOOK_SECRET"])
    assert "is the same as JIRA_WEBHOOK_SECRET" in told["SLACK_SIGNING_SECRET"]
    assert GOOD["JIRA_WEBHOOK_SECRET"] not in str(told)
    assert doubts(BITBUCKET_WEBHOOK_SECRET=GOOD["JIRA_WEBHOOK_SECRET"]) == {}


def test_an_address_that_the_sdk_completes_itself_is_told() -> None:
    assert "ends in /v1" in doubts(ANTHROPIC_BASE_URL="https://gateway.example/v1/")["ANTHROPIC_BASE_URL"]


def test_what_is_uncertain_is_told_with_what_is_wrong() -> None:
    with pytest.raises(SettingsError) as caught:
        load({**{k: v for k, v in GOOD.items() if k != "PMAGENT_APPROVERS"}, "PMAGENT_APROVERS": "U1"})
    assert [p.variable for p in caught.value.problems] == ["PMAGENT_APPROVERS"]
    assert [p.variable for p in caught.value.doubts] == ["PMAGENT_APROVERS"]
    assert "JIRA_URL" in caught.value.good


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    (tmp_path / "SLACK_BOT_TOKEN").write_text("\ufeffxoxb-secret-of-a-file\n", encoding="utf-8")
    return tmp_path / "SLACK_BOT_TOKEN"


@pytest.mark.parametrize("blank", [{}, {"SLACK_BOT_TOKEN": ""}, {"SLACK_BOT_TOKEN": "xoxb-secret-of-a-file"}])
def test_a_secret_may_come_from_a_file(secret_file: Path, blank: dict[str, str]) -> None:
    others = {name: text for name, text in GOOD.items() if name != "SLACK_BOT_TOKEN"} | blank
    for way in ({"SLACK_BOT_TOKEN_FILE": str(secret_file)}, {"CREDENTIALS_DIRECTORY": str(secret_file.parent)}):
        found = load({**others, **way})
        assert found.slack_bot_token.get_secret_value() == "xoxb-secret-of-a-file"
        assert found.doubts == ()


def test_a_file_of_several_secrets_is_read_as_the_variable_is(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("the-first-of-them,the-second-of-them\n")
    found = load({**GOOD, "JIRA_WEBHOOK_SECRET": "", "JIRA_WEBHOOK_SECRET_FILE": str(tmp_path / "secrets")})
    assert [s.get_secret_value() for s in found.jira_webhook_secret] == ["the-first-of-them", "the-second-of-them"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "cannot be read: No such file"), (b" \n", "is empty"), ("xoxb-ü".encode("cp1252"), "is not UTF-8 text")],
)
def test_a_file_that_gives_no_secret_is_named(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    [(variable, what)] = problems(SLACK_BOT_TOKEN=None, SLACK_BOT_TOKEN_FILE=str(path)).items()
    assert variable == "SLACK_BOT_TOKEN"
    assert "SLACK_BOT_TOKEN_FILE" in what
    assert str(path) in what
    assert sentence in what


def test_two_ways_to_one_secret_that_differ_are_refused(secret_file: Path) -> None:
    for way in ({"SLACK_BOT_TOKEN_FILE": str(secret_file)}, {"CREDENTIALS_DIRECTORY": str(secret_file.parent)}):
        found = problems(**way)
        assert "is given as SLACK_BOT_TOKEN and as" in found["SLACK_BOT_TOKEN"]
        assert "secret-of" not in str(found)


def test_only_a_secret_comes_from_a_file() -> None:
    assert "only a secret may come from a file" in doubts(PMAGENT_APPROVERS_FILE="x")["PMAGENT_APPROVERS_FILE"]


def test_spaces_around_a_value_do_not_count() -> None:
    assert load({**GOOD, "PMAGENT_MODE": " production\n"}).pmagent_mode == "production"
