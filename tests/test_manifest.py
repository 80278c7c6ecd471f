"""app_manifest.yml: valid under Slack's own schema, and exactly what the program registers and needs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from handlers.slack.listeners import COMMAND_LISTENERS, EVENT_LISTENERS
from handlers.slash_command.words import COMMANDS

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "../shared/schemas/slack-manifest.json"

SCOPES = {
    "chat.postMessage": "chat:write", "chat.update": "chat:write", "chat.postEphemeral": "chat:write",
    "users.info": "users:read", "usergroups.users.list": "usergroups:read", "slash command": "commands",
    "bots.info": "users:read",
    "conversations.info, conversations.members of a public channel": "channels:read",
    "conversations.info, conversations.members of a private channel": "groups:read",
    "conversations.history of a public channel": "channels:history",
    "conversations.history of a private channel": "groups:history",
}  # fmt: skip
"""What the client calls, and the scope that Slack's reference names for it."""


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "app_manifest.yml").read_text("utf-8"))
    return found


def test_it_is_valid_under_slacks_schema(manifest: dict[str, Any]) -> None:
    if not SCHEMA.exists():
        pytest.skip("NOT CHECKED: Slack's manifest schema is not at ../shared/schemas/slack-manifest.json")
    jsonschema.validate(manifest, json.loads(SCHEMA.read_text("utf-8")))


def test_it_asks_for_the_scopes_that_are_used_and_no_more(manifest: dict[str, Any]) -> None:
    scopes = manifest["oauth_config"]["scopes"]
    assert set(scopes) == {"bot"}
    assert sorted(scopes["bot"]) == sorted(set(SCOPES.values()))


def test_what_the_client_calls_is_what_the_scopes_are_for() -> None:
    code = "".join(path.read_text("utf-8") for path in sorted(ROOT.glob("bot/clients/slack/*.py")))
    called = set(re.findall(r"\breads\.(\w+)", code)) - {"session", "proxy"}
    called |= set(re.findall(r'"((?:chat|views|reactions|files|pins)\.\w+)"', code))
    assert called == {
        "users_info", "usergroups_users_list", "conversations_info", "conversations_members", "conversations_history",
        "users_conversations", "bots_info", "chat.postMessage", "chat.update", "chat.postEphemeral", "views.open",
        "views.publish",
    }  # fmt: skip


def test_commands_and_events_are_those_that_are_registered(manifest: dict[str, Any]) -> None:
    commands = manifest["features"]["slash_commands"]
    assert [c["command"] for c in commands] == list(COMMAND_LISTENERS)
    assert manifest["settings"]["event_subscriptions"]["bot_events"] == list(EVENT_LISTENERS)
    assert manifest["features"]["app_home"]["home_tab_enabled"] is True
    hinted = {word.split()[0] for word in commands[0]["usage_hint"].split("|")}
    assert hinted <= set(COMMANDS)


def test_buttons_work_over_socket_mode_without_an_address(manifest: dict[str, Any]) -> None:
    settings = manifest["settings"]
    assert settings["socket_mode_enabled"] is True
    assert settings["interactivity"] == {"is_enabled": True}
    assert "url" not in manifest["features"]["slash_commands"][0]
