"""Which deliveries are known: who holds a key, for as long as it is remembered."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from bot.store import REMEMBERED
from bot.store.entries import NEVER

DAY = 86400.0
_DAYS = 1 + math.ceil(REMEMBERED.total_seconds() / DAY) + 1  # today, those before, and one of another time


class Seen:
    """Rows of `webhook_events` by the hash of their keys, in one dict for each day of their `at`.

    The time is that of the records. The last few days that began are kept: those that an asker may look at, and one
    more, so that a clock that was wrong for a while (a record of next year, or of 1970) makes nobody forget. So what is
    kept in memory depends on how much came within these days, not on how much there is.
    """

    def __init__(self, newest: float = NEVER) -> None:
        """`newest`: a time that has come, in seconds; until `loaded`, nothing is noted that was forgotten by then."""
        self._days: dict[int, dict[int, int | tuple[int, ...]]] = {}
        self._oldest = NEVER if newest == NEVER else (newest - REMEMBERED.total_seconds() - DAY) // DAY

    def __len__(self) -> int:
        return sum(len(day) for day in self._days.values())

    def loaded(self) -> None:
        """All that was stored is noted: what comes from here on is new."""
        self._oldest = NEVER

    def add(self, keys: Iterable[str], at: float, row: int, *, new: bool = True) -> None:
        """Remember that the record in this row, of this time (seconds), holds these keys.

        `new`: the row is. An old record that changes brings no day back that is forgotten.
        """
        if at == NEVER:
            return  # it has no time, so nobody asks for it
        number = at // DAY
        if number < self._oldest:
            return
        day = self._days.get(int(number))
        if day is None:
            if not new:
                return
            day = self._begin(int(number))
        for key in keys:
            hashed = hash(key)
            if (known := day.setdefault(hashed, row)) != row:
                rows = (known,) if isinstance(known, int) else known
                if row not in rows:
                    day[hashed] = (*rows, row)

    def _begin(self, number: int) -> dict[int, int | tuple[int, ...]]:
        if len(self._days) >= _DAYS:
            del self._days[next(iter(self._days))]  # the one that began first
        return self._days.setdefault(number, {})

    def among(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that a record may hold."""
        hashes = [*map(hash, keys)]
        if all(day.keys().isdisjoint(hashes) for day in self._days.values()):
            return set()
        return {key for key in keys if any(hash(key) in day for day in self._days.values())}

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
