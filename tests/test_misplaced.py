"""A secret in any setting's place is repeated by nothing: not by a start, not by `check`, not by the other commands."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.safety.misplaced import is_plain, looks_secret
from bot.settings import Settings, SettingsError, load
from bot.settings.reading import secret_names
from tests import warm
from tests.test_settings import GOOD

ROOT = Path(__file__).parents[1]
PART = "Zq8vT3nLw0KxYb5J"
TOKENS = {
    "Slack bot": f"xoxb-1234567890-{PART}", "Slack app": f"xapp-1-A012-{PART}", "Slack, cut off": "xoxb-12",
    "Anthropic": f"sk-ant-api03-{PART}{PART}", "Atlassian": f"ATATT3x{PART}{PART}", "Bitbucket": f"ATCTT3x{PART}",
    "GitHub": f"ghp_{PART}{PART}", "AWS": "AKIAZQ8VT3NLW0KXYB5J",
    "web token": f"eyJhbGciOiJ{PART}.eyJzdWIiOi{PART}.{PART}",
    "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015", "short hexadecimal": "9f86d081884c", "base64": f"{PART}==",
    "password": "hunter2Secret!", "short password": "Tr0ub4dor&3", "Basic": f"Basic {PART}{PART}",
    "assignment": f"TOKEN={PART}",
    "user and password": f"https://bot:{PART}@example.com", "database": f"postgresql://u:{PART}@h/d",
}  # fmt: skip
FORMS = (
    "{}", " {} ", "ok,{}", "{},{}", "https://{}", "https://{}@h.example", "https://u:{}@h.example/x", "09:30 {}",
    "https://h.example/{}", "https://{}/path", "{}/minute", "Europe/{}", "~/{}", "C{}", "'{}'", "{}\n",
)  # fmt: skip
SLIP = "PMAGENT_" + "APROVERS"
"""A name that is none; not written whole, since no other file may hold one (`test_docs`)."""
OPEN = tuple(name.upper() for name in Settings.model_fields if name.upper() not in secret_names())


def held(said: str, token: str) -> bool:
    """Whether something of the token is said; in upper case too, as projects' keys are."""
    return any(part.lower() in said.lower() for part in (token, *([PART] if PART in token else ())))


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_no_problem_of_any_setting_repeats_it(name: str) -> None:
    forms = itertools.cycle(FORMS)
    for kind, token in TOKENS.items():
        for form in itertools.islice(forms, 5):  # five of them with each token, others with the next
            value, said = form.replace("{}", token), ""
            try:
                load({**GOOD, name: value, SLIP: value, f"PMAGENT_{token}": "x", f"{name}_FILE": token})
            except SettingsError as error:
                said = f"{error} {error.problems} {error.doubts} {error.good}"
            assert not held(said, token), (kind, form, said)


LONG = ("Slack bot", "Slack app", "Slack, cut off", "Anthropic", "Atlassian", "GitHub", "AWS", "hexadecimal")


@pytest.mark.parametrize("name", OPEN)
def test_a_token_in_an_open_setting_is_refused(name: str) -> None:
    """What its own rule would let pass: a host, a model, a folder, a project's key, an address's path."""
    ours = {"PMAGENT_HOST", "PMAGENT_MODEL", "PMAGENT_TRIAGE_MODEL", "PMAGENT_DATA_DIR", "JIRA_PROJECTS"}
    for kind in LONG if name in ours else LONG[:6]:
        forms = ("https://h.example/{}", "https://{}.example") if name.endswith("_URL") else ("{}", "bot@{}")
        for form in forms:
            if name == "ATLASSIAN_CLOUD_ID" and form == "{}":
                continue  # as random as a token; no page and no card shows it
            with pytest.raises(SettingsError) as raised:
                load({**GOOD, name: form.replace("{}", TOKENS[kind])})
            assert not held(str(raised.value), TOKENS[kind])


@pytest.mark.parametrize("name", OPEN)
def test_another_settings_secret_is_known_whatever_it_looks_like(name: str) -> None:
    secret = "correct-horse-battery"
    with pytest.raises(SettingsError) as raised:
        load({**GOOD, "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": secret, name: secret})
    assert name in [problem.variable for problem in raised.value.problems]
    assert secret not in str(raised.value)


COMMANDS = ("run", "check", "check --json", "stats", "stats --json", "audit verify", "export audit", "backup x")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_repeats_it(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, with the environment alone. `run` and `check` stop at the settings: one more is missing."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("PMAGENT_", "SLACK_", "JIRA_", "ANTHROPIC_", "ATLASSIAN_", "BITBUCKET_")):
            monkeypatch.delenv(name)
    names = OPEN if command.startswith(("run", "check")) else ("PMAGENT_DATA_DIR", "PMAGENT_MODE", "PMAGENT_TIMEZONE")
    for name in names:
        for token in (TOKENS[kind] for kind in LONG[:2]):
            with monkeypatch.context() as patch:
                for variable, text in {**GOOD, "SLACK_BOT_TOKEN": "", name: token}.items():
                    patch.setenv(variable, text)
                assert not held(printed(command), token), name


def printed(command: str) -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out), contextlib.suppress(SystemExit):
        main(command.split())
    out.seek(0)
    return out.read()


def test_a_start_and_a_check_by_the_real_program(tmp_path: Path) -> None:
    """Every open setting at once, a broken `.env`, a secret where its file's name belongs, and a misspelt name."""
    kinds = list(TOKENS.values())
    values = {name: kinds[number % len(kinds)] for number, name in enumerate(OPEN)}
    broken = f'PMAGENT_{PART}=1\nSLACK_BOT_TOKEN="{TOKENS["Slack bot"]}\n{TOKENS["Anthropic"]}\n= {PART}\n'
    (tmp_path / ".env").write_text(broken)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **values, SLIP: PART}
    environment["SLACK_APP_TOKEN_FILE"] = TOKENS["Slack app"]
    for command, code in (("run", 2), ("check", 1), ("check --json", 1), ("--help", 0)):
        done = warm.run("bot", *command.split(), folder=tmp_path, environment=environment)
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert [token for token in TOKENS.values() if held(said, token)] == []
        if command == "check --json":
            assert {"SLACK_CHANNEL_APPROVALS", "PMAGENT_HOST"} <= {x["name"] for x in json.loads(done.stdout)["checks"]}
    assert not [path for path in tmp_path.iterdir() if path.name != ".env"], "no folder of that name was made"


@pytest.mark.parametrize(
    "text", ["oh no", "#approvals", "$10", "10,50", "70000", "-1", "7d", "Prod", "Mars/Olympus", "*"]
)
def test_what_is_plainly_none_is_repeated(text: str) -> None:
    assert is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "claude-sonnet-5-5-20260101", "gateway/anthropic.claude-sonnet-5-5-v1:0", "https://example.atlassian.net",
        "/var/lib/pm-agent", "/home/runner/pytest-of-root/pytest-12/test_x0/data", "C0123ABCD45", "U0123ABCD45,S0LEADS",
        "09:30 mon-fri", "6000/minute;100/second", "bot-12ab@serviceaccount.atlassian.com", "2001:db8::1/64", "data",
        "http://ip-10-0-0-12.eu-central-1.compute.internal:4000", "America/Argentina/ComodRivadavia", "ECD,SUP2,B2B",
        "https://team.atlassian.net/ex/jira/11223344-a1b2-3b33-c444-def123456789",
        "/srv/docker/volumes/" + "9f86d08188" * 6,
    ],
)  # fmt: skip
def test_what_people_set_is_no_secret(text: str) -> None:
    assert not looks_secret(text)
