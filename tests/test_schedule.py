"""The clock's rules: which runs are due, on which day, and when to look again. Pure arithmetic."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.schedule.rules import MEMORY, At, Run, due, next_at, occurrence
from bot.settings.standup_time import parse_standup

BERLIN = ZoneInfo("Europe/Berlin")


def rule(text: str = "09:30 mon-fri", zone: ZoneInfo = BERLIN) -> At:
    time = parse_standup(text)
    assert time is not None
    return At(time, zone)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def days(runs: tuple[Run, ...]) -> list[tuple[str, bool]]:
    return [(run.day.isoformat(), run.missed) for run in runs]


MONDAY, TUESDAY, FRIDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 20)


@pytest.mark.parametrize(
    ("now", "last", "expected"),
    [
        ("2026-11-24T09:29:59", MONDAY, []),
        ("2026-11-24T09:30:00", MONDAY, [("2026-11-24", False)]),
        ("2026-11-24T09:30:00", TUESDAY, []),
        # Down at standup time: late within two hours, then missed.
        ("2026-11-24T11:30:00", MONDAY, [("2026-11-24", False)]),
        ("2026-11-24T11:30:01", MONDAY, [("2026-11-24", True)]),
        # Away for days: each missed working day is named, the weekend is none.
        (
            "2026-11-24T09:31:00",
            date(2026, 11, 19),
            [("2026-11-20", True), ("2026-11-23", True), ("2026-11-24", False)],
        ),
        # A new data folder missed nothing before its first day.
        ("2026-11-24T08:00:00", None, []),
        ("2026-11-24T10:00:00", None, [("2026-11-24", False)]),
        ("2026-11-24T18:00:00", None, [("2026-11-24", True)]),
        ("2026-11-22T12:00:00", None, []),
        # The clock was a day ahead: the settled date lies in the future. Today's claim decides, not the future's.
        ("2026-11-23T10:00:00", TUESDAY, [("2026-11-23", False)]),
    ],
)
def test_what_is_due(now: str, last: date | None, expected: list[tuple[str, bool]]) -> None:
    assert days(due(berlin(now), last, rule())) == expected


def test_a_late_evening_standup_keeps_its_grace_past_midnight() -> None:
    assert days(due(berlin("2026-11-24T00:30:00"), None, rule("23:30 daily"))) == [("2026-11-23", False)]


def test_a_long_absence_names_the_last_days_only() -> None:
    runs = due(berlin("2026-11-24T09:31:00"), date(2024, 1, 1), rule("09:30 daily"))
    assert len(runs) == MEMORY
    assert runs[-1].day == TUESDAY
    assert not runs[-1].missed


@pytest.mark.parametrize(
    ("day", "time", "utc"),
    [
        ("2026-03-28", "02:30", "2026-03-28T01:30"),
        ("2026-03-29", "02:30", "2026-03-29T01:30"),  # 02:30 does not exist: it falls at 03:30 by the wall
        ("2026-10-25", "02:30", "2026-10-25T00:30"),  # 02:30 comes twice: the first
        ("2026-10-26", "02:30", "2026-10-26T01:30"),
        ("2026-03-29", "09:30", "2026-03-29T07:30"),
        ("2026-03-28", "09:30", "2026-03-28T08:30"),
    ],
)
def test_days_on_which_the_clock_is_changed(day: str, time: str, utc: str) -> None:
    planned = occurrence(rule(f"{time} daily"), date.fromisoformat(day))
    assert planned == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("time", ["00:00", "00:30", "01:30", "02:00", "02:15", "03:00", "23:59"])
def test_every_day_of_a_year_has_one_run(zone: str, time: str) -> None:
    """Stepping through a year in uneven steps, each chosen day runs once and no other day does."""
    daily = rule(f"{time} daily", ZoneInfo(zone))
    now, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    last = now.astimezone(daily.zone).date()
    ran: list[date] = []
    while now < end:
        for run in due(now, last, daily):
            assert not run.missed
            ran.append(run.day)
            last = run.day
        now += timedelta(minutes=97)
    assert ran == [ran[0] + timedelta(days=n) for n in range(len(ran))]
    assert len(ran) >= 364


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - naive bounds are asked for
    st.sampled_from(["09:30 mon-fri", "02:30 daily", "23:59 sun", "00:00 mon,wed"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC", "Pacific/Auckland"]),
)
def test_the_next_time_is_the_one_that_becomes_due(now: datetime, text: str, zone: str) -> None:
    when = rule(text, ZoneInfo(zone))
    following = next_at(now, when)
    assert following is not None
    assert now < following <= now + timedelta(days=8)
    runs = due(following, following.astimezone(when.zone).date() - timedelta(days=1), when)
    assert [run.planned for run in runs] == [following]
    assert not runs[0].missed
