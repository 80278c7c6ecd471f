"""The clock: times as texts, quicker than the standard library's and the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from bot.clock import isoformat

ZONES = st.none() | st.just(UTC) | st.integers(-86_399, 86_399).map(lambda s: timezone(timedelta(seconds=s)))


@given(st.datetimes(timezones=ZONES) | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0)))
def test_a_time_as_text_is_what_the_standard_library_says(at: datetime) -> None:
    assert isoformat(at) == at.isoformat()


def test_another_kind_of_datetime_says_itself_what_it_is() -> None:
    class Own(datetime):
        def isoformat(self, sep: str = "T", timespec: str = "auto") -> str:
            return "mine"

    assert isoformat(Own(2026, 11, 22, tzinfo=UTC)) == "mine"
