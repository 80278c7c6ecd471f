"""Records as JSON: what is written is read back as it was, and what is no JSON is refused."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store.encoding import canonical_json, to_json

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert json.loads(to_json(value)) == value
    assert "\n" not in to_json(value)


@given(VALUES)
def test_the_canonical_form_depends_on_the_value_alone(value: Any) -> None:
    again = json.loads(to_json(value))
    assert canonical_json(again) == canonical_json(value)
    assert json.loads(canonical_json(value)) == value
    sorted_by_key = b'{"a":1,"b":' + canonical_json(value) + b"}"
    assert canonical_json({"b": value, "a": 1}) == canonical_json({"a": 1, "b": value}) == sorted_by_key


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf"), "\ud800", object(), datetime.now(UTC), b""])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"a": {"b": (1, x)}}, lambda x: [None, [[x]]]])
def test_what_is_no_json_is_refused(bad: Any, wrap: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        to_json(wrap(bad))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=12,
    )
)
def test_no_number_is_falsified_wherever_it_stands(value: Any) -> None:
    try:
        wanted = json.loads(json.dumps(value, allow_nan=False))
    except ValueError:
        with pytest.raises(ValueError):
            to_json(value)
    else:
        assert json.loads(to_json(value)) == wanted


def test_large_numbers_numbers_as_names_and_kinds_of_text() -> None:
    class Kind(enum.StrEnum):
        ONE = "one"

    assert json.loads(to_json({"n": 2**80, 1: -(2**70)})) == {"n": 2**80, "1": -(2**70)}
    assert json.loads(to_json([Kind.ONE, (1, 2)])) == ["one", [1, 2]]
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    assert json.loads(to_json(deep)) == deep
