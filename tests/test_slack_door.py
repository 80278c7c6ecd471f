"""Is it Slack who knocks? The check before Bolt's, and the payloads that we parse at the door."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import hmac
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.access.origin import Origin, Spot, Workspace, foreign
from handlers.slack.decoding import MalformedInteraction, parse_payload
from handlers.slack.http import verify
from handlers.slack.interactions import Click, ReplyTo, Submission
from handlers.slack.payloads import Challenge, SslCheck

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
BODY = b"payload=%7B%7D"
NOW = 1_800_000_000.0


def signature(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


def ok(timestamp: str, body: bytes = BODY, *, sign: str | None = None, now: float = NOW) -> bool:
    return verify(SECRET, [timestamp], [signature(body, timestamp) if sign is None else sign], body, now)


def test_slacks_own_example() -> None:
    """The vector of Slack's guide on verifying requests."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    sign = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert verify(SECRET, ["1531420618"], [sign], body, 1531420618.0)


@pytest.mark.parametrize("age", [0, 299, 300, -300])
def test_five_minutes_either_way(age: int) -> None:
    assert ok(str(int(NOW) - age))


@pytest.mark.parametrize(
    "timestamp", ["abc", "1e9", "", " 1800000000", "+1800000000", "١٨٠٠٠٠٠٠٠٠", "1800000000.0", "9" * 400]
)
def test_timestamps_that_are_none(timestamp: str) -> None:
    assert not ok(timestamp)


@pytest.mark.parametrize("age", [301, -301, 10**9])
def test_too_old_and_from_the_future(age: int) -> None:
    assert not ok(str(int(NOW) - age))


def test_what_is_signed_is_the_raw_body() -> None:
    stamp = str(int(NOW))
    assert not ok(stamp, b"\xff\xfe")
    assert not ok(stamp, BODY, sign=signature(BODY + b" ", stamp))
    assert not ok(stamp, BODY, sign=signature(BODY, stamp, "other"))
    assert not ok(stamp, BODY, sign=signature(BODY, stamp).upper())
    assert not ok(stamp, BODY, sign="v0=é" + signature(BODY, stamp)[4:])
    assert not verify("", [stamp], [signature(BODY, stamp, "")], BODY, NOW)
    assert not verify(SECRET, [stamp, stamp], [signature(BODY, stamp)], BODY, NOW)
    assert not verify(SECRET, [stamp], [signature(BODY, stamp)] * 2, BODY, NOW)
    assert not verify(SECRET, [], [], BODY, NOW)


@given(st.lists(st.text(max_size=80), max_size=2), st.lists(st.text(max_size=80), max_size=2), st.binary(max_size=200))
def test_it_never_raises(timestamps: list[str], signatures: list[str], body: bytes) -> None:
    assert verify(SECRET, timestamps, signatures, body, time.time()) is False


PERSON: dict[str, Any] = {"user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T1"}, "api_app_id": "A1"}
PLACE: dict[str, Any] = {
    "container": {"type": "message", "channel_id": "C1", "message_ts": "1.2", "is_ephemeral": False},
    "channel": {"id": "C1"}, "message": {"ts": "1.2"},
}  # fmt: skip
CLICK: dict[str, Any] = {
    "type": "block_actions", **PERSON, **PLACE, "response_url": "https://h.example/1", "trigger_id": "1.2",
    "actions": [{"action_id": "pm.approve", "value": '{"draft":"drf_1","seen":"ab","n":1}'}],
}  # fmt: skip
SUBMISSION: dict[str, Any] = {
    "type": "view_submission", **PERSON,
    "view": {
        "id": "V1", "callback_id": "pm.edit.modal",
        "private_metadata": '{"draft":"drf_1","seen":"ab","channel":"C1"}',
        "state": {"values": {"reply": {"text": {"type": "plain_text_input", "value": "Hello"}}}},
    },
}  # fmt: skip


def test_a_click() -> None:
    click = parse_payload(CLICK)
    assert isinstance(click, Click)
    assert (click.action_id, click.value, click.trigger_id) == ("pm.approve", {"draft": "drf_1", "seen": "ab"}, "1.2")
    assert click.place == ReplyTo("C1", "U1", "https://h.example/1")
    assert click.spot == Spot(channel="C1", ts="1.2")
    assert click.origin == Origin(teams=frozenset({"T1"}), apps=frozenset({"A1"}), user_team="T1")
    assert click.attempt == ("approve", "drf_1")


def test_a_submission() -> None:
    sent = parse_payload(SUBMISSION)
    assert isinstance(sent, Submission)
    assert (sent.draft, sent.seen, sent.text, sent.place.channel) == ("drf_1", "ab", "Hello", "C1")
    view = SUBMISSION["view"] | {"app_id": "A2", "app_installed_team_id": "T2"}
    other = parse_payload(SUBMISSION | {"view": view})
    assert isinstance(other, Submission)
    assert other.origin == Origin(teams=frozenset({"T1", "T2"}), apps=frozenset({"A1", "A2"}), user_team="T1")


HOME = Workspace(team="T1", app="A1")
OURS = {"teams": frozenset({"T1"}), "apps": frozenset({"A1"})}


@pytest.mark.parametrize(
    ("changes", "home", "says"),
    [
        ({}, HOME, None),
        ({"user_team": "T1"}, HOME, None),
        ({"user_team": "T2"}, HOME, "another organisation"),
        ({"user_team": "T2"}, HOME.model_copy(update={"grid": True}), None),  # `users.info` tells who is a member
        ({"teams": frozenset({"T2"})}, HOME, "another Slack workspace"),
        ({"teams": frozenset({"T1", "T2"})}, HOME, "another Slack workspace"),
        ({"teams": frozenset({None})}, HOME, "another Slack workspace"),
        ({"apps": frozenset({"A2"})}, HOME, "another Slack app"),
        ({"apps": frozenset({"A1", "A2"})}, HOME, "another Slack app"),
        ({}, None, "try again"),
    ],
)
def test_what_is_foreign(changes: dict[str, Any], home: Workspace | None, says: str | None) -> None:
    found = foreign(Origin(**{**OURS, **changes}), home)
    assert (found is None) if says is None else (found is not None and says in found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of everything in a payload."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in places(item, (*path, key)))]


@given(st.data())
def test_whatever_stands_somewhere_in_a_payload(data: st.DataObject) -> None:
    """It is parsed, and then Bolt can do with it, or it is malformed."""
    payload: Any = copy.deepcopy(data.draw(st.sampled_from([CLICK, SUBMISSION])))
    *way, last = data.draw(st.sampled_from(places(payload)[1:]))
    inside = payload
    for step in way:
        inside = inside[step]
    inside[last] = data.draw(JSON)
    try:
        parsed = parse_payload(payload)
    except MalformedInteraction:
        return
    AsyncBoltRequest(body=parsed.model_dump(exclude_none=True), mode="socket_mode")
    if isinstance(parsed, Click):
        assert all(isinstance(value, str) for value in parsed.value.values())
    if not isinstance(parsed, Challenge | SslCheck):
        assert all(isinstance(part, str) for part in parsed.attempt)


@given(JSON)
def test_whatever_comes_as_a_payload(payload: Any) -> None:
    with contextlib.suppress(MalformedInteraction):
        parse_payload(payload)
