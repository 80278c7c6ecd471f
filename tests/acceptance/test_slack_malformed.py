"""Payloads that are signed and wrong (fault 26 and its kind): 400 in words over HTTP, acknowledged over the socket.

A body of each kind that Slack sends is taken apart: every field that is needed is left out, and every field that is
read is null or of each wrong type. The program stays up, logs one line each, and changes nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus, urlencode

from bot.demo.slack.people import DANA
from bot.demo.slack.socket_mode import http_body, post_signed
from bot.demo.stage import Stage
from bot.log.repeats import MAX_DIFFERENT_LINES as LOGGED
from tests.acceptance.test_main_path import exported
from tests.acceptance.test_slack_approval import waiting_card

FORM, PLAIN = "application/x-www-form-urlencoded", "application/json"
ABSENT = object()
NESTED = "[" * 100_000 + "]" * 100_000
READ: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "block_actions": (
        ("type",), ("team",), ("team", "id"), ("api_app_id",), ("user",), ("user", "id"), ("actions",), ("actions", 0),
        ("actions", 0, "action_id"),
    ),
    "view_submission": (
        ("type",), ("team",), ("api_app_id",), ("user",), ("user", "id"), ("view",), ("view", "id"),
    ),
    "event_callback": (
        ("type",), ("team_id",), ("api_app_id",), ("event",), ("event", "type"), ("event", "user"),
    ),
}  # fmt: skip
"""The fields that must be there."""
OPTIONAL: dict[str, tuple[tuple[str | int, ...], ...]] = {
    "block_actions": (
        ("channel",), ("channel", "id"), ("container",), ("container", "message_ts"), ("container", "is_ephemeral"),
        ("message",), ("message", "ts"), ("response_url",), ("trigger_id",), ("user", "team_id"),
        ("actions", 0, "value"),
    ),
    "view_submission": (
        ("view", "state"), ("view", "state", "values"), ("view", "private_metadata"), ("view", "callback_id"),
        ("view", "app_id"), ("user", "team_id"),
    ),
    "event_callback": (("event", "tab"),),
}  # fmt: skip
"""Those that may be absent, and must be of their type where they are not."""
MAY_BE_NULL = {("team",)}
WRONG: tuple[Any, ...] = (7, [], {}, True, "")


def changed(payload: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    found: Any = copy.deepcopy(payload)
    inside = found
    for step in path[:-1]:
        inside = inside[step]
    if value is ABSENT:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return found  # type: ignore[no-any-return]  # a copy of the same shape


def wrong(payload: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The payload with one thing wrong, each named."""
    kind = payload["type"]
    for path in READ[kind]:
        yield f"{kind} without {path}", changed(payload, path, ABSENT)
        if path not in MAY_BE_NULL:
            yield f"{kind} {path} null", changed(payload, path, None)
    for path in (*READ[kind], *OPTIONAL[kind]):
        inside: Any = payload
        for step in path:
            inside = inside[step]
        for value in WRONG:
            same = type(value) is type(inside)
            empty_is_wrong = path in READ[kind]
            if not same or (empty_is_wrong and not value):
                yield f"{kind} {path} {value!r}", changed(payload, path, value)


async def honest(stage: Stage) -> tuple[dict[str, Any], ...]:
    """A click, a submission and an event, as Slack sends them."""
    card = await waiting_card(stage)
    await stage.slack.click(DANA, card, "Edit")
    modal = await stage.slack.opened(DANA)
    modal.view["state"] = {"values": {"reply": {"text": {"type": "plain_text_input", "value": "Hello."}}}}
    return (
        stage.slack.pressed(DANA, card, "Approve"),
        stage.slack.submitted(DANA, modal),
        stage.slack.happened({"type": "app_home_opened", "user": DANA, "channel": "D0HOME0001", "tab": "home"}),
    )


def bodies(command: dict[str, str]) -> Iterator[tuple[str, bytes, str]]:
    """Bodies that hold no payload, or one that cannot be read: (name, body, content type)."""
    for name in ("team_id", "api_app_id", "user_id", "command"):
        rest = {k: v for k, v in command.items() if k != name}
        yield f"command without {name}", urlencode(rest).encode(), FORM
        yield (
            f"command with empty {name}",
            urlencode({**rest, name: "" if name != "command" else "x" * 300}).encode(),
            FORM,
        )
        yield f"command with two {name}", (urlencode(command) + f"&{name}={command[name]}").encode(), FORM
    texts = ("", "null", "7", "true", '"text"', "[]", "{}", "[{}]", "{", "nope", "NaN", NESTED,
             '{"type":' * 5000, '{"type":"block_actions"}', '{"type":NaN}', '{"type":"\\ud800"}', '{"type":null}',
             '{"type":"event_callback"}', '{"type":"view_submission","view":null}', '{"type":"url_verification"}',
             '{"type":"url_verification","challenge":{}}', '{"type":"unheard_of"}', '{"type":"interactive_message"}',
             '{"type":["block_actions"]}', json.dumps({"type": "x" * 500_000}))  # fmt: skip
    for text in texts:
        yield f"payload={text[:30]}", f"payload={quote_plus(text)}".encode(), FORM
        yield f"json {text[:30]}", text.encode(), PLAIN
    yield "empty form", b"", FORM
    yield "no form", b"&&&==&", FORM
    yield "not UTF-8 inside", b"payload=%ff%fe", FORM
    yield "a surrogate inside", b"payload=%ED%A0%80", FORM
    yield "two payloads", b"payload={}&payload={}", FORM
    yield "a thousand fields", urlencode({f"f{n}": n for n in range(1000)}).encode(), FORM
    yield "unknown fields", b"a=1&b=2", FORM
    yield "plain text", b"hello", "text/plain"
    yield "no content type", b"payload={}", ""
    yield "another content type", b"<payload/>", "application/xml"
    yield "JSON in a form", b'{"type":"block_actions"}', FORM
    yield "a form as JSON", b"payload={}", PLAIN


async def test_26_malformed_over_http(stage: Stage) -> None:
    secret = stage.slack.signing_secret
    await stage.start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=secret)
    url = stage.slack.http_target = f"{stage.bot_url}/webhooks/slack"
    payloads = await honest(stage)
    found = list(bodies(stage.slack.commanded(DANA, "/pmagent", "pause")))
    for payload in payloads:
        kind: Any = "events_api" if payload["type"] == "event_callback" else "interactive"
        found += [(name, *http_body(kind, broken)) for name, broken in wrong(payload)]
    assert len(found) >= 116
    answers = {name: await post_signed(url, secret, body, content_type) for name, body, content_type in found}
    assert {name: got[:2] for name, got in answers.items() if got[0] != 400} == {}
    assert all(isinstance(said, dict) and len(said["error"]) > 20 for _, said, _ in answers.values())
    await unharmed(stage, len(found))


async def test_26_malformed_over_the_socket(stage: Stage) -> None:
    """What can be read of the envelope is acknowledged; what cannot is a line in the log."""
    await stage.start_bot()
    payloads = await honest(stage)
    odd: list[Any] = [None, 7, True, "text", [], {}, [{}], {"type": None}, {"type": "unheard_of"}, {"command": 7}]
    sent = 0
    for payload in payloads:
        kind: Any = "events_api" if payload["type"] == "event_callback" else "interactive"
        for name, broken in wrong(payload):
            ack = await stage.slack.connections.send(kind, broken)
            assert ack.acked, name
            sent += 1
    for item in odd:
        ack = await stage.slack.connections.send("interactive", item)
        assert ack.acked, item
        sent += 1
    [socket] = stage.slack.connections.sockets
    for raw in ("{", "[]", "nope", '{"envelope_id":"e","payload":' + NESTED + "}", '{"envelope_id":7}', '"x"', "{}"):
        await socket.send_str(raw)
    sent += 5
    await stage.slack.until(lambda: stage.log.count('"slack.malformed"') >= LOGGED)
    await unharmed(stage, sent)


async def unharmed(stage: Stage, lines: int) -> None:
    """A few lines and a count, no traceback, nobody's draft decided; who was named is in the audit trail; and a click
    counts."""
    logged = [json.loads(line) for line in stage.log.splitlines() if line.startswith("{")]
    assert lines > len([line for line in logged if line["event"] == "slack.malformed"]) == LOGGED
    assert [line for line in logged if line["level"] in ("error", "critical")] == []
    assert "Traceback" not in stage.log
    assert not stage.jira.posted()
    trail = await exported(stage, "audit")
    refused: list[Any] = [r for r in trail if r["action"] == "decision.refused"]
    assert {(r["actor"], r["details"]["action"]) for r in refused} == {(f"slack:{DANA}", "malformed")}
    assert not {"agent.paused", "draft.approved"} & {r["action"] for r in trail}
    [card] = await stage.slack.cards()
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")


async def test_slack_tries_the_address(stage: Stage) -> None:
    """The challenge when the address is entered, and the look at the certificate."""
    secret = stage.slack.signing_secret
    await stage.start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=secret)
    url = f"{stage.bot_url}/webhooks/slack"
    challenge = json.dumps({"type": "url_verification", "token": "t", "challenge": "abc"}).encode()
    status, said, _ = await post_signed(url, secret, challenge, PLAIN)
    assert (status, said) == (200, {"challenge": "abc"})
    status, said, _ = await post_signed(url, secret, b"ssl_check=1&token=t", FORM)
    assert status == 200
    for kind in ("shortcut", "message_action", "block_suggestion", "view_closed"):
        person = {k: v for k, v in stage.slack.happened({}).items() if k == "api_app_id"}
        payload = {"type": kind, **person, "user": {"id": DANA}, "team": {"id": "T0HOME0001"}, "callback_id": "x",
                   "action_id": "x", "view": {"id": "V1", "callback_id": "x"}}  # fmt: skip
        status, _, _ = await post_signed(url, secret, *http_body("interactive", payload))
        assert status == 200, kind
