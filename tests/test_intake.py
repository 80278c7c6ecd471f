"""What a delivery's record is found by: its id, and the keys under which it is not taken twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.issues import Comment, Person
from bot.intake.accept import _base32, _said, new_event_id
from bot.rules.policy import words

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
    at = datetime(2026, 11, 22, tzinfo=UTC)
    comment = Comment.model_construct(
        id="7", author=Person.model_construct(account_id=author, name="Ana"), text=text, updated=at
    )
    assert _said(comment) == f"7:{at.isoformat()}:{said[:32]}"
