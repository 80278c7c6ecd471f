"""When something is due: rules of the clock and of the calendar. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.settings.standup_time import StandupTime

STANDUP_GRACE = timedelta(hours=2)
"""How late a missed standup is still worth posting."""
MEMORY = 10
"""Missed dates that are recorded one by one; of a longer absence, the last ones."""


@dataclass(frozen=True)
class Every:
    """Again and again, `seconds` after the last run ended."""

    seconds: float


@dataclass(frozen=True)
class At:
    """On these weekdays at this local time. `asked`: somebody chose it, rather than that it is so by default."""

    time: StandupTime
    zone: ZoneInfo
    grace: timedelta = STANDUP_GRACE
    asked: bool = True


@dataclass(frozen=True)
class Run:
    """One occurrence of a timed entry. `day` is its local date; `missed`: too late, to be recorded as a skip."""

    name: str
    day: date
    planned: datetime
    missed: bool

    @property
    def key(self) -> str:
        return f"schedule:{self.name}:{self.day.isoformat()}"


def occurrence(rule: At, day: date) -> datetime | None:
    """When the rule falls on this local day, in UTC; None on other weekdays.

    A time that the clock change leaves out (02:30 in spring) is read with the offset before it, so it falls an hour
    later by the wall; of a time that comes twice, the first counts.
    """
    if day.weekday() not in rule.time.days:
        return None
    return datetime.combine(day, time(rule.time.hour, rule.time.minute), rule.zone).astimezone(UTC)


def due(now: datetime, last: date | None, rule: At, name: str = "") -> tuple[Run, ...]:
    """The occurrences up to `now` that are not settled, oldest first. `last`: the last settled local date.

    Without `last` (a new data folder, or a clock that was set back) only today's counts, and yesterday's while its
    grace lasts: nobody missed what was due before there was a program.
    """
    today = now.astimezone(rule.zone).date()
    first = today - timedelta(days=1) if last is None or last > today else last + timedelta(days=1)
    runs: list[Run] = []
    for back in range(min((today - first).days, 400), -1, -1):
        day = today - timedelta(days=back)
        planned = occurrence(rule, day)
        if planned is None or planned > now:
            continue
        missed = now - planned > rule.grace
        if missed and last is None and day != today:
            continue
        runs.append(Run(name, day, planned, missed))
    return tuple(runs[-MEMORY:])


def next_at(now: datetime, rule: At) -> datetime | None:
    """The next occurrence after `now`, in UTC; None when no weekday is chosen."""
    today = now.astimezone(rule.zone).date()
    for ahead in range(9):
        planned = occurrence(rule, today + timedelta(days=ahead))
        if planned is not None and planned > now:
            return planned
    return None
