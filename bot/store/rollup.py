"""Figures that are kept in the commit that they count, so that reading them costs the same however much happened.

A record of `rollup` counts the audit lines of one local day (or `EVER`), project, action, prompt version and `part` of
the action: `count`; `drafts`, how many drafts had this action for the first time; `seconds`, `usd` and `words`, summed
up; and `spread`, how often it took so many seconds, for a median. No person is in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import accumulate

from bot.store import Audit, Record

EVER = "ever"
"""In place of a day: everything there was."""
ONCE_A_DRAFT = frozenset(f"draft.{name}" for name in ("approved", "posted", "simulated", "edited", "skipped", "undone"))
"""Actions of which it is told how many drafts had them, however often each did."""


class Rollup:
    """The figures that these lines of the audit trail change."""

    def __init__(self, lines: Sequence[Audit], zone: tzinfo, now: datetime) -> None:
        self._at = now.astimezone(UTC).isoformat()
        self._lines = lines
        days = (now.astimezone(zone).date().isoformat(), EVER)
        self._wanted = [(f"{day}|{key}", day, n) for n, key in enumerate(map(_key, lines)) for day in days]

    def ids(self) -> list[str]:
        """The records that are changed: `records` has to know them as they are."""
        return list(dict.fromkeys(record_id for record_id, *_ in self._wanted))

    def drafts(self) -> list[str]:
        """The drafts of which it has to know what they had before."""
        once = (line.draft_id for line in self._lines if line.action in ONCE_A_DRAFT)
        return list(dict.fromkeys(draft_id for draft_id in once if draft_id is not None))

    def records(self, known: Iterable[Record], had: Iterable[tuple[str, str]]) -> list[Record]:
        """The records as they are with these lines. `had`: drafts and actions that they had before."""
        found = {record["id"]: record for record in known}
        first = self._first(set(had))
        for record_id, day, number in self._wanted:
            line = self._lines[number]
            record = found.get(record_id)
            if record is None:
                record = found[record_id] = self._new(record_id, day, line)
            record["count"] += 1
            record["drafts"] += number in first
            record["usd"] = round(record["usd"] + line.figures.usd, 9)
            if line.figures.words:
                record["words"] = record.get("words", 0) + line.figures.words
            if line.figures.seconds is not None:
                record["seconds"] = round(record["seconds"] + line.figures.seconds, 3)
                value = f"{rough(line.figures.seconds):g}"
                record["spread"][value] = record["spread"].get(value, 0) + 1
        return list(found.values())

    def _first(self, had: set[tuple[str, str]]) -> set[int]:
        """Which of the lines are their draft's first of that action."""
        found: set[int] = set()
        for number, line in enumerate(self._lines):
            if line.action in ONCE_A_DRAFT and line.draft_id is not None and (line.draft_id, line.action) not in had:
                had.add((line.draft_id, line.action))
                found.add(number)
        return found

    def _new(self, record_id: str, day: str, line: Audit) -> Record:
        return {
            "id": record_id, "at": self._at, "day": day, "project": _project(line), "action": line.action,
            "prompt": line.figures.prompt, "part": line.figures.part, "count": 0, "drafts": 0, "seconds": 0.0,
            "usd": 0.0, "words": 0, "spread": {},
        }  # fmt: skip


def _key(line: Audit) -> str:
    part = f"|{line.figures.part}" if line.figures.part else ""
    return f"{_project(line)}|{line.action}|{line.figures.prompt}{part}"


def _project(line: Audit) -> str:
    return line.issue.rpartition("-")[0] if line.issue else ""


def rough(seconds: float) -> float:
    """Seconds to two significant digits, at least tenths: so few values that a record of them stays small."""
    return float(f"{max(seconds, 0.0):.2g}") if seconds >= 1 else round(max(seconds, 0.0), 1)


def spread(records: Iterable[Record]) -> Counter[float]:
    """How often it took so many seconds, over these records of `rollup`."""
    found: Counter[float] = Counter()
    for record in records:
        found.update({float(value): count for value, count in record["spread"].items()})
    return found


def median(counted: Mapping[float, int]) -> float | None:
    """The median of values with how often each occurs."""
    total = sum(counted.values())
    if not total:
        return None
    values = [value for value, _ in sorted(counted.items())]
    ends = list(accumulate(counted[value] for value in values))
    low, high = values[bisect_right(ends, (total - 1) // 2)], values[bisect_right(ends, total // 2)]
    return round((low + high) / 2, 1)
