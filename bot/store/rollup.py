"""Figures that are kept in the commit that they count, so that reading them costs the same however much happened.

A record of `rollup` counts the audit lines of one local day (or `EVER`), project, action and prompt version: `count`;
`drafts`, how many drafts had this action for the first time; `seconds` and `usd`, summed up; and `spread`, how often it
took so many seconds, for a median. No person is in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from itertools import accumulate

from tinydb import where

from bot.store import Audit, Record
from bot.store.embedded.tiny import Database

EVER = "ever"
"""In place of a day: everything there was."""
ONCE_A_DRAFT = frozenset(f"draft.{name}" for name in ("posted", "simulated", "edited", "skipped", "undone"))
"""Actions of which it is told how many drafts had them, however often each did."""


class Rollup:
    """The figures that one transaction changes."""

    def __init__(self, db: Database, zone: tzinfo, now: datetime) -> None:
        self._db = db
        self._day = now.astimezone(zone).date().isoformat()
        self._at = now.astimezone(UTC).isoformat()
        self._lines: list[tuple[Audit, bool]] = []
        self._seen: set[tuple[str, str]] = set()

    def add(self, line: Audit) -> None:
        """Count this line. It is not in the audit trail yet."""
        self._lines.append((line, line.action in ONCE_A_DRAFT and self._is_first(line)))

    def records(self) -> list[Record]:
        """The records of `rollup` as they are with these lines."""
        wanted = [(f"{day}|{_key(line)}", day, line, first) for line, first in self._lines for day in (self._day, EVER)]
        ids = list(dict.fromkeys(record_id for record_id, *_ in wanted))
        found: dict[str, Record] = {record["id"]: record for record in self._db.of("rollup").by_ids(ids)}
        for record_id, day, line, first in wanted:
            record = found.setdefault(record_id, self._new(record_id, day, line))
            record["count"] += 1
            record["drafts"] += first
            record["usd"] = round(record["usd"] + line.figures.usd, 9)
            if line.figures.seconds is not None:
                record["seconds"] = round(record["seconds"] + line.figures.seconds, 3)
                value = f"{rough(line.figures.seconds):g}"
                record["spread"][value] = record["spread"].get(value, 0) + 1
        return list(found.values())

    def _new(self, record_id: str, day: str, line: Audit) -> Record:
        return {
            "id": record_id, "at": self._at, "day": day, "project": _project(line), "action": line.action,
            "prompt": line.figures.prompt, "count": 0, "drafts": 0, "seconds": 0.0, "usd": 0.0, "spread": {},
        }  # fmt: skip

    def _is_first(self, line: Audit) -> bool:
        if line.draft_id is None or (line.action, line.draft_id) in self._seen:
            return False
        self._seen.add((line.action, line.draft_id))
        asked = (where("draft_id") == line.draft_id) & (where("action") == line.action)
        return self._db.of("audit").get(asked) is None


def _key(line: Audit) -> str:
    return f"{_project(line)}|{line.action}|{line.figures.prompt}"


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
