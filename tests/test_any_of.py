"""`bot.any_of` says what `in` says for each word."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.any_of import any_of

LETTERS = st.sampled_from([b"a", b"b", b"-", b"\n", b"\xc3\xa9"])
BYTES = st.lists(LETTERS, max_size=60).map(b"".join)
WORDS = st.lists(LETTERS, min_size=1, max_size=6).map(b"".join)


@given(st.lists(WORDS, max_size=150), BYTES)
@settings(max_examples=300)
def test_it_says_what_in_says(words: list[bytes], raw: bytes) -> None:
    assert any_of(words)(raw) == any(word in raw for word in words)


def test_every_word_of_many_is_found_wherever_it_stands() -> None:
    words = [f"{number:03}-x".encode() for number in range(200)]
    found = any_of(words)
    for number, word in enumerate(words):
        assert found(b"-" * number + word + b"-" * 50)
        assert not found(b"-" * number + word[:-1] + b"-" * 50)
