"""Is it Slack who knocks? The check before Bolt's, and the payloads that we parse at the door."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.interactions import Click, Command, Submission
from handlers.slack_http import verify

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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["value", "action_id", "private_metadata", "state", "values", "reply", "text", "id"])
ODD = st.dictionaries(NAMES, JSON, max_size=4)


@given(action=st.lists(ODD, max_size=2), user=ODD, view=st.dictionaries(NAMES, st.text(max_size=30), max_size=3))
def test_odd_values_in_a_payload_are_no_clicks(
    action: list[dict[str, Any]], user: dict[str, Any], view: dict[str, Any]
) -> None:
    click = Click.of({"actions": action, "user": user, "channel": {}, "container": None})
    assert all(isinstance(value, str) for value in click.value.values())
    Submission.of({"user": user, "view": {**view, "state": {"values": {}}}})
    Command.of({"text": None, "user_id": None})


def test_a_click_and_a_submission() -> None:
    click = Click.of(
        {
            "user": {"id": "U1"}, "channel": {"id": "C1"}, "response_url": "https://h.example/1", "trigger_id": "1.2",
            "actions": [{"action_id": "pm.approve", "value": '{"draft":"drf_1","seen":"ab","n":1}'}],
        }
    )  # fmt: skip
    assert (click.action_id, click.value, click.trigger_id) == ("pm.approve", {"draft": "drf_1", "seen": "ab"}, "1.2")
    assert (click.place.user, click.place.channel, click.place.response_url) == ("U1", "C1", "https://h.example/1")
    sent = Submission.of(
        {
            "user": {"id": "U1"},
            "view": {
                "private_metadata": '{"draft":"drf_1","seen":"ab","channel":"C1"}',
                "state": {"values": {"reply": {"text": {"type": "plain_text_input", "value": "Hello"}}}},
            },
        }
    )
    assert (sent.draft, sent.seen, sent.text, sent.place.channel) == ("drf_1", "ab", "Hello", "C1")
