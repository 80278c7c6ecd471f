"""When the standup is due, as `PMAGENT_STANDUP_AT` says it: `09:30 mon-fri`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class StandupTime:
    """When the standup is due: local hour and minute, on these weekdays (Monday is 0)."""

    hour: int
    minute: int
    days: frozenset[int]


def parse_standup(text: str) -> StandupTime | None:
    """`HH:MM`, then `daily`, a range (`mon-fri`) or a list (`mon,wed,fri`). Empty: None. Raises ValueError."""
    if not text.strip():
        return None
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)(?:\s+(\S+))?", text.strip().lower())
    if not match:
        raise ValueError("is not a time such as 09:30 mon-fri")
    hour, minute, when = int(match[1]), int(match[2]), match[3] or "daily"
    if when == "daily":
        return StandupTime(hour, minute, frozenset(range(7)))
    days: set[int] = set()
    for part in when.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError("has no such day (use mon, tue, wed, thu, fri, sat, sun)")
        start, end = DAYS.index(first), DAYS.index(last) if dash else DAYS.index(first)
        days |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return StandupTime(hour, minute, frozenset(days))
