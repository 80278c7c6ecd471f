"""Which deliveries are known: who holds a key, for as long as it is remembered."""

from __future__ import annotations

from collections.abc import Iterable

from bot.store import REMEMBERED
from bot.store.entries import NEVER

DAY = 86400.0


class Seen:
    """Rows of `webhook_events` by the hash of their keys, in one dict for each day of their `at`.

    The time is that of the newest record, not a clock's: days that lie too far before it are dropped whole. So what is
    kept in memory depends on how much came within three days, not on how much there is.
    """

    def __init__(self, newest: float = NEVER) -> None:
        """`newest`: the time of a record that will come, if one is known, in seconds."""
        self._days: dict[int, dict[int, int | tuple[int, ...]]] = {}
        self._oldest = NEVER if newest == NEVER else _oldest(newest // DAY)

    def __len__(self) -> int:
        return sum(len(day) for day in self._days.values())

    def add(self, keys: Iterable[str], at: float, row: int) -> None:
        """Remember that the record in this row, of this time (seconds), holds these keys."""
        if at == NEVER:
            return  # it has no time, so nobody asks for it
        number = at // DAY
        if number < self._oldest:
            return
        day = self._days.get(int(number))
        if day is None:
            day = self._begin(int(number))
        for key in keys:
            hashed = hash(key)
            known = day.setdefault(hashed, row)
            if known != row:
                rows = (known,) if isinstance(known, int) else known
                if row not in rows:
                    day[hashed] = (*rows, row)

    def _begin(self, number: int) -> dict[int, int | tuple[int, ...]]:
        self._days[number] = {}
        self._oldest = max(self._oldest, _oldest(max(self._days)))
        for old in [old for old in self._days if old < self._oldest]:
            del self._days[old]
        return self._days.get(number, {})

    def rows(self, key: str, since: float) -> list[int]:
        """Rows of the records of that time or later that may hold the key, in order of first insertion."""
        hashed = hash(key)
        found: list[int] = []
        for number, day in self._days.items():
            if hashed in day and (number + 1) * DAY > since:
                known = day[hashed]
                if isinstance(known, int):
                    found.append(known)
                else:
                    found += known
        return sorted(found) if len(found) > 1 else found


def _oldest(day: float) -> float:
    """The first day of which something may be known on a day."""
    return (day * DAY - REMEMBERED.total_seconds()) // DAY
