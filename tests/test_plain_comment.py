"""The short way reads an ordinary comment as the long one does, or leaves it to that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.events import CommentArrived, Ignored, Malformed
from handlers import jira, plain_comment
from handlers.body import NotJson, read_object
from tests.damage import damage
from tests.test_jira_events import BEN, OURS, PM_AGENT, THEIRS, load, watches

NAMES = sorted(path.stem for path in OURS.glob("*.json") if path.stem.startswith(("comment_", "issue_updated__comm")))
QUESTION = load("comment_created__question")


PEOPLE = [None, {}, {"accountId": BEN, "displayName": "Ben"}, {"accountId": PM_AGENT, "displayName": ""}, {"name": "b"}]
TIMES = [None, "", 0, "2026-11-22T09:10:00.000+0000", "2026-11-22T09:11:00Z", "2026-11-22T09:11:00", "2026-11-22"]
LIKELY: dict[str, list[Any]] = {
    "timestamp": [0, -1, True, 1.5, 10**12, 4102444800000, 10**30, "1"],
    "user": PEOPLE, "comment.author": PEOPLE, "comment.updateAuthor": PEOPLE,
    "comment.author.displayName": ["", "\u200b", "a\nb", "x" * 500, 5], "comment.author.name": [None, "ben", 5],
    "comment.author.accountType": [None, "app", "", "customer", "a b", "x" * 500, 5],
    "comment.author.accountId": ["", "a b", "5f", "x" * 129, None],
    "comment.created": TIMES, "comment.updated": TIMES,
    "comment.id": ["", "1", 1, "a b", "x" * 65, None], "comment.jsdPublic": [None, True, False, 0, "true"],
    "comment.visibility": [None, {}, {"type": "role", "value": "Staff"}],
    "comment.body": ["", " ", "a", "h1. Über", "{code}a{code}", "[~a] _b_", "a\\b", "password: x1!", {"type": "doc"}],
    "issue.key": ["ECD-1", "ecd-1", "XYZ-1", "ECD-0", "TES-12345678901", "", None],
    "issue.fields.summary": ["", "\u202e", "a" * 400, None, 5, "token=8f3a09bc12ee"],
    "webhookEvent": ["comment_created", "comment_updated", "comment_deleted", "jira:issue_updated", 5],
}  # fmt: skip
"""What may stand in the fields that are looked at."""


def short(raw: bytes, own_account: str | None = PM_AGENT) -> CommentArrived | None:
    return plain_comment.read(raw, watches=watches, own_account=own_account)


def long(raw: bytes, own_account: str | None = PM_AGENT) -> object:
    try:
        return jira.arrival(read_object(raw), watches=watches, own_account=own_account)
    except (NotJson, Malformed) as refused:
        return refused


def written(payload: Any, **changes: Any) -> bytes:
    """A payload as it comes, with these fields of its comment changed."""
    found = json.loads(json.dumps(payload))
    found["comment"].update(changes)
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    "raw",
    [
        written(QUESTION),
        json.dumps(load("comment_updated__words"), ensure_ascii=False).encode(),
        written(QUESTION, updated="2026-11-22T12:00:00.000+0530"),
        written(QUESTION, updateAuthor={"accountId": BEN, "displayName": "Ben"}),
        written(QUESTION, jsdPublic=False),
        written(QUESTION, body="Größe? 😀"),
        json.dumps({**QUESTION, "comment": {**QUESTION["comment"], "body": "Größe? 😀"}}, ensure_ascii=False).encode(),
    ],
)
def test_an_ordinary_comment_is_taken(raw: bytes) -> None:
    assert short(raw) is not None
    assert short(raw) == long(raw)


@pytest.mark.parametrize(
    "raw",
    [
        *(json.dumps(load(name)).encode() for name in ("comment_created__by_us", "comment_created__other_project")),
        *(json.dumps(load(name)).encode() for name in ("comment_created__adf", "comment_created__restricted")),
        written(QUESTION, updateAuthor={"accountId": PM_AGENT, "displayName": "PM Agent"}),
        written(QUESTION, author={"accountId": "a b", "displayName": "Ben"}),
        written(QUESTION, author={"accountId": "x", "displayName": "\u200b", "name": "ben"}),
        written(QUESTION, body="the key sk-ant-api03-abcdefghijkl"),
        written(QUESTION, body=""),
        written(QUESTION, created="2026-11-22T12:00:00"),
        written(QUESTION, updated="9999-12-31T23:59:59-23:00"),
        written(QUESTION, id=20001),
        written({**QUESTION, "timestamp": 0}),
        written({**QUESTION, "timestamp": 10**20}),
        written(QUESTION)[:-1],
        written(QUESTION)[:-1] + b', "x": NaN}',
        written(QUESTION)[:-1] + b', "x": "\\ud800"}',
        written(QUESTION)[:-1] + b', "x": "\xff"}',
        written(QUESTION)[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        written(QUESTION)[:-1] + b', "x": ' + b"7" * 1001 + b"}",
        b"[]", b"", b"null", b'"comment_created"',
    ],
)  # fmt: skip
def test_everything_else_is_left_to_the_long_way(raw: bytes) -> None:
    assert short(raw) is None


@pytest.mark.parametrize(
    "again",
    [
        b'"timestamp": 1795338600001', b'"\\u0074imestamp": 1795338600001',
        b'"comment": ' + json.dumps({**QUESTION["comment"], "body": "Another?"}).encode(),
        b'"issue": {"key": "ECD-9", "fields": {"summary": "Another"}}',
    ],
)  # fmt: skip
def test_the_last_of_two_equal_names_counts(again: bytes) -> None:
    raw = written(QUESTION)[:-1] + b", " + again + b"}"
    assert short(raw) is not None
    assert short(raw) == long(raw) != long(written(QUESTION))


@pytest.mark.parametrize("before", [*range(101), *range(137, 1000, 37)])
def test_a_number_of_too_many_digits_is_found_wherever_it_stands(before: int) -> None:
    raw = written(QUESTION)[:-1] + b', "x": ' + b" " * before + b"7" * 1001 + b"}"
    assert short(raw) is None
    assert isinstance(long(raw), NotJson)


@given(st.data())
@settings(max_examples=400)
def test_a_time_in_utc_is_what_isoformat_writes(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(["2026-11-22T09:10:00.123+0000", "2026-11-22T09:10:00.000+0000"]))
    text = list(shape)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(st.sampled_from([*"0123456789-+:.,TWZ ", "", "００"]))
        text = text or ["0"]
    time = "".join(text)
    try:
        found = datetime.fromisoformat(time)
        expected = None if found.tzinfo is None else found.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        with pytest.raises((ValueError, OverflowError)):
            plain_comment._utc(time)
    else:
        assert plain_comment._utc(time) == expected


@given(st.sampled_from(NAMES), st.data(), st.booleans(), st.sampled_from([PM_AGENT, BEN, None]))
@settings(max_examples=400)
def test_what_it_reads_is_what_the_long_way_reads(
    name: str, data: st.DataObject, plain: bool, own_account: str | None
) -> None:
    payload = load(name)
    if data.draw(st.booleans()):
        damage(data.draw, payload)
    for place, values in data.draw(st.lists(st.sampled_from(sorted(LIKELY.items())), max_size=3)):
        *parents, last = place.split(".")
        target = payload
        for part in parents:
            target = target.setdefault(part, {}) if isinstance(target, dict) else {}
        if isinstance(target, dict):
            target[last] = data.draw(st.sampled_from(values))
    raw = json.dumps(payload, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    found = short(raw, own_account)
    assert found is None or found == long(raw, own_account)


def test_recordings_of_ordinary_comments_take_the_short_way() -> None:
    if not THEIRS.is_dir():
        pytest.skip(f"THE SHARED RECORDINGS ARE NOT HERE: {THEIRS}")
    raw = (THEIRS / "comment_created__modern_user.json").read_bytes()
    found = plain_comment.read(raw, watches=lambda project: True, own_account=None)
    assert found is not None
    assert found == jira.arrival(read_object(raw), watches=lambda project: True, own_account=None)
    assert not isinstance(found, Ignored)
