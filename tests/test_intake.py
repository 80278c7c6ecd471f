"""What a delivery's record is found by: its id, and the keys under which it is not taken twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from bot.events import CommentArrived
from bot.intake import Delivery, _base32, _record, _version_key, new_event_id
from bot.issues import Person
from bot.policy import words

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates, too


@given(st.integers(0, 2**60))
def test_ten_characters_are_a_numbers_last_fifty_bits(number: int) -> None:
    assert _base32(number) == "".join(DIGITS[number >> shift & 31] for shift in range(45, -1, -5))


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)), st.integers(1, 10**9))  # noqa: DTZ001
def test_ids_sort_by_their_time(at: datetime, later: int) -> None:
    first, second = new_event_id(at), new_event_id(at + timedelta(milliseconds=later))
    assert first < second
    assert len(first) == len("evt_") + 20


def test_an_ids_second_half_is_all_chance() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    halves = [new_event_id(at)[14:] for _ in range(2000)]
    assert len(set(halves)) == len(halves)
    for place in range(10):
        assert {half[place] for half in halves} == set(DIGITS)


@given(ANY_TEXT, ANY_TEXT | st.text(st.characters(max_codepoint=127)))
def test_a_comments_key_is_the_hash_of_its_author_and_words(author: str, text: str) -> None:
    said = sha256(f"{author} {''.join(words(text))}".encode("utf-8", "replace")).hexdigest()
    person = Person.model_construct(account_id=author, name="Ana")
    assert _version_key("jira", "7", "now", person, text) == f"jira:comment:7:now:{said[:32]}"


def holds_a_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(holds_a_float, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_a_float, value))
    return isinstance(value, float)


@given(ANY_TEXT, st.none() | st.text(max_size=10), st.datetimes(timezones=st.just(UTC)))
def test_what_is_said_to_hold_no_float_holds_none(text: str, delivery_id: str | None, at: datetime) -> None:
    person = Person.model_construct(account_id="712020:ana", name=text, kind="atlassian")
    event = CommentArrived(
        ("ECD-1",), "ECD", text, "7", person, text, text, at.isoformat(), at.isoformat(), True, None, False, at
    )
    record = _record(Delivery("jira", delivery_id, "0" * 64, at), event, None)
    assert not holds_a_float(record)
