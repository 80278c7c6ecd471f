"""A canary in every secret setting, and services that echo what they were sent: not one occurrence anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import psycopg
import pytest

from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA, SAM
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from bot.settings import Settings
from tests.postgres import fresh_database

YES = {"should_respond": True, "reasoning": "A question.", "response_text": "Ana has it.", "confidence": 0.9}
SECRET_SETTINGS = sorted(n.upper() for n, f in Settings.model_fields.items() if "Secret" in str(f.annotation))


def canary(name: str) -> str:
    """A text that looks like no known kind of secret, so that only knowing it can hide it."""
    kind = {"SLACK_BOT_TOKEN": "xoxb-", "SLACK_APP_TOKEN": "xapp-"}.get(name, "")
    return f"{kind}canary-{name.lower().replace('_', '-')}-Zq9+/=x"


def planted(stage: Stage) -> dict[str, str]:
    """Every secret setting as a canary, and the stand-ins that expect them."""
    values = {
        name: canary(name) for name in SECRET_SETTINGS if name != "PMAGENT_DATABASE_URL"
    }  # its password is a part of it, see below
    stage.slack.bot_token, stage.slack.app_token = values["SLACK_BOT_TOKEN"], values["SLACK_APP_TOKEN"]
    stage.slack.signing_secret = values["SLACK_SIGNING_SECRET"]
    stage.jira.token, stage.jira.secret = values["ATLASSIAN_SERVICE_ACCOUNT_TOKEN"], values["JIRA_WEBHOOK_SECRET"]
    stage.bitbucket.secret, stage.claude.api_key = values["BITBUCKET_WEBHOOK_SECRET"], values["ANTHROPIC_API_KEY"]
    values["JIRA_WEBHOOK_SECRET"] += ",canary-of-the-old-secret"
    stage.env.update(values)
    return values


def found_in(text: str | bytes, where: str) -> list[str]:
    """Where a canary, or HTTP's form of one, stands in `text`."""
    data = text.encode() if isinstance(text, str) else text
    forms = [b"canary-"]
    for name in SECRET_SETTINGS:
        secret = canary(name)
        forms += [quote(secret, safe="").encode(), base64.b64encode(f"pm-agent@example.com:{secret}".encode())]
    return [f"{where}: …{data[max(0, data.index(f) - 60) : data.index(f) + 60]!r}…" for f in forms if f in data]


async def pages(stage: Stage) -> list[str]:
    """Everything the sidecar says, to right and to wrong requests."""
    found = []
    async with aiohttp.ClientSession() as session:
        for path in ("/", "/health", "/ready", "/metrics", "/docs", "/openapi.json", "/nowhere", "/webhooks/jira"):
            async with session.get(stage.bot_url + path) as answer:
                found += found_in(f"{answer.headers}{await answer.text()}", f"GET {path}")
        wrong = {"X-Hub-Signature": "sha256=" + "0" * 64, "Content-Type": "application/json"}
        for path in ("/webhooks/jira", "/webhooks/bitbucket", "/webhooks/slack"):
            for headers in (wrong, {}, {"X-PMAgent-Token": "no", "Content-Type": "application/json"}):
                async with session.post(stage.bot_url + path, data=b"{}", headers=headers) as answer:
                    found += found_in(f"{answer.headers}{await answer.text()}", f"POST {path} {answer.status}")
    return found


def slack_and_claude(stage: Stage) -> list[str]:
    """All that people in Slack could see, all that Claude was given, and what was written into Jira."""
    found = []
    for message in stage.slack.log:
        found += found_in(json.dumps([message.blocks, message.text, message.metadata]), "Slack message")
    for whisper in stage.slack.private:
        found += found_in(json.dumps([whisper.blocks, whisper.text]), "whisper")
    found += found_in(json.dumps(list(stage.slack.homes.values())), "home tab")
    found += found_in(json.dumps(stage.claude.requests), "request to Claude")
    for comment in stage.jira.posted():
        found += found_in(json.dumps([comment.body, comment.properties]), "comment in Jira")
    return found


def files(folder: Path) -> list[str]:
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            found += found_in(path.read_bytes(), path.name)
    return found


def echo(stage: Stage) -> Any:
    """What a careless service answers: the credentials that it was sent."""
    secrets = {name: canary(name) for name in SECRET_SETTINGS if name != "PMAGENT_DATABASE_URL"}
    text = " ".join(secrets.values())
    return {"error": {"type": "x", "message": text}, "errorMessages": [text], "ok": False, "message": text, **secrets}


async def settled(stage: Stage, calls: str, at_least: int) -> None:
    await stage.jira.until(
        lambda: sum(len(s.calls(calls)) for s in stage.standins) >= at_least, 20, f"for {at_least} × {calls}"
    )


def in_a_database(stage: Stage) -> str:
    """Have the program keep its data in a database whose address holds a canary. The server asks for no password."""
    url = fresh_database()
    secret = quote(canary("PMAGENT_DATABASE_URL"), safe="")
    stage.env["PMAGENT_DATABASE_URL"] = urlsplit(url)._replace(netloc=f"postgres:{secret}@").geturl()
    return url


def cut_off(url: str) -> None:
    """End the program's connections to its database, as a server that is started anew does."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.long
@pytest.mark.parametrize(("form", "home"), [("json", "folder"), ("text", "folder"), ("text", "database")])
@pytest.mark.usefixtures("reins")
async def test_55_no_canary_anywhere(stage: Stage, form: str, home: str) -> None:
    planted(stage)
    url = in_a_database(stage) if home == "database" else ""
    stage.env["PMAGENT_LOG_FORMAT"] = form
    stage.jira.issue("ECD-1", assignee="ana", reporter="ben")
    stage.jira.issue("ECD-2", assignee="ana", reporter="ben")
    await stage.start_bot()
    leaks = await pages(stage)

    # The main path, with every service failing once in the rudest way before it works.
    stage.jira.fail("GET .*/issue/ECD-1", Fault("answer", status=500, body=echo(stage)))
    stage.claude.fail("/v1/messages", Fault("answer", status=529, body=echo(stage)))
    stage.slack.fail("chat.postMessage", Fault("answer", status=500, body=echo(stage)))
    stage.claude.script(YES)
    await stage.jira.comment("ECD-1", "ben", "Is anybody looking at this?")
    card = await stage.slack.card("ECD-1", seconds=60, button="Approve")
    refusal = Fault("answer", status=403, body=echo(stage))
    stage.jira.fail("POST .*/comment", refusal)
    await stage.slack.click(DANA, card, "Approve")
    card = await stage.slack.card("ECD-1", seconds=30, button="Retry")
    await stage.slack.click(SAM, card, "Retry")
    await stage.slack.changes(card, "Posted", seconds=30)

    # What Claude refuses for good, with the same rudeness, ends in a notice.
    stage.claude.fail("/v1/messages", *[Fault("answer", status=400, body=echo(stage))] * 2)
    await stage.jira.comment("ECD-2", "ben", "And this one?")
    await settled(stage, "/v1/messages", 4)
    if url:
        await asyncio.to_thread(cut_off, url)
    for words in ("health", "stats", "why ECD-1", "why ECD-2", "pending", "mode", "nonsense"):
        await stage.slack.command(DANA, "/pmagent", words)
    await stage.slack.home(DANA)
    await asyncio.sleep(1.0)

    commands = ("stats --json", "audit export", "audit verify", "openapi", "check", "check --json",
                "export webhook_events", "export agent_cycles", "export drafts",
                f"backup {stage.folder / 'copy.db'}")  # fmt: skip
    for command in map(str.split, commands):
        _, out = await stage.run(*command)
        leaks += found_in(out, " ".join(command))
    leaks += await pages(stage)
    assert await stage.stop_bot() == 0
    leaks += found_in(stage.log, "log")
    leaks += slack_and_claude(stage)
    leaks += files(stage.folder)
    assert leaks == []
    assert len(stage.jira.posted("ECD-1")) == 1
    assert "redacted" in stage.log or "canary" not in stage.log


async def test_check_against_services_that_refuse_and_echo(stage: Stage) -> None:
    planted(stage)
    for standin in stage.standins:
        standin.fail(".", *[Fault("answer", status=401, body=echo(stage))] * 60)
    for arguments in (("check",), ("check", "--json")):
        code, out = await stage.run(*arguments)
        assert code == 1
        assert found_in(out, "check") == []


async def test_a_start_that_is_refused(stage: Stage) -> None:
    planted(stage)
    stage.slack.bot_token = "xoxb-another-token"
    with pytest.raises(BotFailed) as failed:
        await stage.start_bot()
    assert "SLACK_BOT_TOKEN" in str(failed.value)
    assert found_in(str(failed.value) + stage.log, "output") == []


@pytest.mark.parametrize("wrong", SECRET_SETTINGS)
async def test_settings_that_are_wrong_are_named_without_their_value(stage: Stage, wrong: str) -> None:
    planted(stage)
    changes = {wrong: f"  {canary(wrong)},\n", "JIRA_URL": canary("JIRA_URL"), "PMAGENT_PORT": "x"}
    changes["PMAGENT_DATABASE_URL"] = f"postgresql://u:{canary('PMAGENT_DATABASE_URL')}@h/d"
    code, out = await stage.run("run", **changes)
    assert code == 2
    assert "JIRA_URL" in out
    assert "PMAGENT_DATABASE_URL" in out
    assert found_in(out, "settings") == []


async def test_a_secret_in_ordinary_formatting_reaches_nobody(stage: Stage) -> None:
    """Somebody pastes a password, a row of a table and a key into a ticket, as people write there."""
    key = f"{{quote}}\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{'hunter5Zq81' * 5}\n{{quote}}"
    stage.jira.issue("ECD-1", assignee="ana", reporter="ben")
    stage.claude.script({**YES, "response_text": "Ana has it. **Password:** hunter6Zq81x"})
    await stage.start_bot()
    comment = (
        f"*Password:* hunter2Zq81\n\n||User||Password||\n|ben|*hunter3Zq81*|\n\nToken:\n{{{{hunter4Zq81x}}}}\n\n{key}\n"
    )
    await stage.jira.comment("ECD-1", "ben", f"{comment}\nIs anybody looking at this?")
    await stage.slack.card("ECD-1", seconds=60, button="Approve")
    assert "Is anybody looking at this?" in json.dumps(stage.claude.requests)
    seen = json.dumps([stage.claude.requests, [[m.blocks, m.text, m.metadata] for m in stage.slack.log]])
    _, drafts = await stage.run("export", "drafts")
    assert await stage.stop_bot() == 0
    kept = b"".join(path.read_bytes() for path in stage.folder.rglob("*") if path.is_file())
    for where, text in (("Claude or Slack", seen), ("an export", drafts), ("the store", str(kept)), ("log", stage.log)):
        assert "hunter" not in text, where
    assert "redacted secret" in drafts
