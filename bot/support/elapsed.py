"""How much time lies between now and the dates of the data, or between two of them. Pure.

"Open for six days", "five days before the release", "eight working days left": days by the calendar or by the clock,
weeks and months about, hours from now or between what came one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import combinations, pairwise

_HOURS = {"minute": 1 / 60, "hour": 1.0}
_DAYS = {"week": 7.0, "month": 30.4, "year": 365.25}
_FAR = 400
"""Days in which working days are counted."""


def passes(value: str, now: datetime, days: Sequence[date], stamps: Iterable[str]) -> bool:
    """Whether a span (`Meaning` of kind `span`) lies between today and a date; with the sign `=` also between two."""
    count, unit, sign = value.split()
    n, moments = float(count), sorted(datetime.fromisoformat(stamp) for stamp in stamps)
    if unit in _HOURS:
        return any(abs(hours / _HOURS[unit] - n) < 1 for hours in _hours(now, moments, sign))
    if unit == "workday":
        return any(n in _working_days(now.date(), day) for day in days)
    found = list(_days(now, days, moments, sign))
    if unit == "day":
        return n in found
    return any(abs(far / _DAYS[unit] - n) < 0.6 for far in found)


def _hours(now: datetime, moments: Sequence[datetime], sign: str) -> Iterator[float]:
    for at in moments:
        far = (at - now).total_seconds() / 3600
        if sign == "=" or (far > 0) == (sign == "+"):
            yield abs(far)
    if sign == "=":  # all pairs of many moments would support any number of hours
        yield from ((b - a).total_seconds() / 3600 for a, b in pairwise(moments))


def _days(now: datetime, days: Sequence[date], moments: Sequence[datetime], sign: str) -> Iterator[int]:
    today = now.date()
    for day in days:
        far = (day - today).days
        if sign == "=" or (far >= 0 if sign == "+" else far <= 0):
            yield abs(far)
    if sign != "+":
        yield from (round((now - at) / timedelta(days=1)) for at in moments if at <= now)
    if sign == "=":
        yield from (abs(a - b).days for a, b in combinations(days, 2))


def _working_days(today: date, day: date) -> set[int]:
    """From Monday to Friday, between the two; with the first or without it."""
    first, last = sorted((today, day))
    if (last - first).days > _FAR:
        return set()
    later = [first + timedelta(days=n) for n in range(1, (last - first).days + 1)]
    count = sum(one.weekday() < 5 for one in later)
    return {count, count + (first.weekday() < 5)}
