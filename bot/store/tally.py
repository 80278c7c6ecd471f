"""Running counts of what the audit trail and the drafts say, so that figures need no reading of everything.

`Sums` are the counts over one archive, `Tally` those over everything: the sums of all archives and each audit record
of the journal, taken in while it is loaded and again as each one becomes durable. An action may be recorded several
times for one draft (two edits); then it counts once per draft, also when an archive has the first line of it and the
journal the next. For that an archive names the drafts that may come again (`again`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

COUNTED_BY_DRAFT = frozenset(f"draft.{name}" for name in ("posted", "simulated", "edited", "skipped", "undone"))
"""Audit actions of which the number of different drafts is told."""


@dataclass
class Sums:
    """Counts over some records. `lines`: audit lines by action, `drafts`: different drafts by action.

    `again`: action → drafts that are counted here and may come again in later records. `first`: the first audit line's
    time. `states`: drafts by state. `to_card`, `to_decision`: seconds, rounded by `rough`, → how often.
    """

    lines: Counter[str] = field(default_factory=Counter)
    drafts: Counter[str] = field(default_factory=Counter)
    again: dict[str, set[str]] = field(default_factory=dict)
    first: str | None = None
    states: Counter[str] = field(default_factory=Counter)
    to_card: Counter[float] = field(default_factory=Counter)
    to_decision: Counter[float] = field(default_factory=Counter)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Sums:
        return cls(
            Counter(record["lines"]),
            Counter(record["drafts"]),
            {action: set(ids) for action, ids in record["again"].items()},
            record["first"],
            Counter(record["states"]),
            Counter(dict(record["to_card"])),
            Counter(dict(record["to_decision"])),
        )

    def record(self) -> dict[str, Any]:
        return {
            "lines": dict(self.lines), "drafts": dict(self.drafts),
            "again": {action: sorted(ids) for action, ids in self.again.items() if ids}, "first": self.first,
            "states": dict(self.states), "to_card": sorted(self.to_card.items()),
            "to_decision": sorted(self.to_decision.items()),
        }  # fmt: skip

    def add(self, other: Sums) -> None:
        """Take in a later archive's sums; both then count as one."""
        for name in ("lines", "drafts", "states", "to_card", "to_decision"):
            getattr(self, name).update(getattr(other, name))
        for action, ids in other.again.items():
            self.again.setdefault(action, set()).update(ids)
        self.first = self.first or other.first


class Tally:
    """Counts over everything there ever was. `take` is for one thread; the counts may be read by any."""

    def __init__(self, archived: Iterable[Sums] = ()) -> None:
        self.sums = Sums()
        for one in archived:
            self.sums.add(one)
        self._seen: dict[str, set[str]] = {}

    def take(self, action: str, draft_id: str | None, at: str) -> None:
        """One more audit record."""
        sums = self.sums
        sums.lines[action] += 1
        if sums.first is None:
            sums.first = at
        if draft_id and action in COUNTED_BY_DRAFT:
            seen = self._seen.setdefault(action, set())
            if draft_id not in seen:
                seen.add(draft_id)
                if draft_id not in sums.again.get(action, ()):
                    sums.drafts[action] += 1


def rough(seconds: float) -> float:
    """Seconds to four significant digits, at least tenths: few different values, and a median that is right."""
    if seconds < 1000:
        return round(seconds, 1)
    return float(round(seconds, 3 - math.floor(math.log10(seconds))))


def seconds_to_card(cycle: Mapping[str, Any]) -> float | None:
    """Seconds from the beginning of a cycle that led to a draft to that draft; None for others."""
    if cycle.get("outcome") != "draft" or not cycle.get("at") or not cycle.get("ended"):
        return None
    return (datetime.fromisoformat(cycle["ended"]) - datetime.fromisoformat(cycle["at"])).total_seconds()


def seconds_to_decision(draft: Mapping[str, Any]) -> float | None:
    """Seconds from the draft to the first decision about it; None while there is none."""
    decisions = [*(draft.get("decided") or ()), *([draft["decision"]] if draft.get("decision") else [])]
    moments = [datetime.fromisoformat(item["at"]) for item in decisions]
    return (min(moments) - datetime.fromisoformat(draft["created"])).total_seconds() if moments else None


def median(counted: Counter[float]) -> float | None:
    """The median of values with how often each occurs."""
    total = counted.total()
    if not total:
        return None
    values = [value for value, _ in sorted(counted.items())]
    ends = list(accumulate(counted[value] for value in values))
    low, high = values[bisect_right(ends, (total - 1) // 2)], values[bisect_right(ends, total // 2)]
    return round((low + high) / 2, 1)
