"""Running counts of what the audit trail and the drafts say, so that figures need no reading of everything.

`Sums` are the counts over one archive, `Tally` those of the audit trail over everything: each record of the journal,
taken in while it is loaded and from then on as it becomes durable, and the sums of the archives. An action may be
recorded several times for one draft (two edits); then it counts once per draft, also when an archive has the first
line of it and the journal the next. For that an archive names the drafts that may come again (`again`).
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

from bot.store import Totals

COUNTED_BY_DRAFT = frozenset(f"draft.{name}" for name in ("posted", "simulated", "edited", "skipped", "undone"))
"""Audit actions of which the number of different drafts is told."""


@dataclass
class Sums:
    """Counts over some records. `lines`: audit lines by action, `drafts`: different drafts by action.

    `again`: action → drafts that are counted here and may come again in later records. `first`: the first audit line's
    time. `states`: drafts by state. `to_card`, `to_decision`: seconds, rounded by `rough`, → how often. `calls`, `usd`:
    Claude's, of days that are archived.
    """

    lines: Counter[str] = field(default_factory=Counter)
    drafts: Counter[str] = field(default_factory=Counter)
    again: dict[str, set[str]] = field(default_factory=dict)
    first: str | None = None
    states: Counter[str] = field(default_factory=Counter)
    to_card: Counter[float] = field(default_factory=Counter)
    to_decision: Counter[float] = field(default_factory=Counter)
    calls: int = 0
    usd: float = 0.0

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
            record["calls"],
            record["usd"],
        )

    def record(self) -> dict[str, Any]:
        return {
            "lines": dict(self.lines), "drafts": dict(self.drafts),
            "again": {action: sorted(ids) for action, ids in self.again.items() if ids}, "first": self.first,
            "states": dict(self.states), "to_card": sorted(self.to_card.items()),
            "to_decision": sorted(self.to_decision.items()), "calls": self.calls, "usd": self.usd,
        }  # fmt: skip

    def add(self, other: Sums) -> None:
        """Take in a later archive's sums; both then count as one."""
        for name in ("lines", "drafts", "states", "to_card", "to_decision"):
            getattr(self, name).update(getattr(other, name))
        for action, ids in other.again.items():
            self.again.setdefault(action, set()).update(ids)
        self.first = self.first or other.first
        self.calls += other.calls
        self.usd = round(self.usd + other.usd, 6)


class Tally:
    """Counts over everything there ever was. One thread takes in; the counts may be read by any.

    A record that moves to an archive stays counted. Only what left before this journal was begun (the file was written
    anew since) comes from the archives' sums.
    """

    def __init__(self) -> None:
        self._base: dict[int, Sums] = {}
        self._lines: Counter[str] = Counter()
        self._seen: dict[str, set[str]] = {}
        self._lowest: int | None = None
        self._archived = 0
        self._first: str | None = None

    def take(self, record: Mapping[str, Any]) -> None:
        """One more audit record; nothing when an archive's sums count it."""
        self.note(record["seq"], record["at"], record["action"], record["draft_id"])

    def note(self, seq: int, at: str, action: str, draft_id: str | None) -> None:
        """The same, by its fields."""
        if seq <= self._archived:
            return
        if self._lowest is None:
            self._lowest, self._first = seq, at
        self._lines[action] += 1
        if draft_id and action in COUNTED_BY_DRAFT:
            self._seen.setdefault(action, set()).add(draft_id)

    def archive(self, number: int, first: int | None, sums: Sums) -> None:
        """An archive, as the journal lists it, whose audit records begin at `first`; listed again counts once."""
        if first is None or (self._lowest is not None and self._lowest <= first) or number in self._base:
            return
        self._base[number] = sums
        self._archived = max(self._archived, first + sums.lines.total() - 1)

    def lines(self) -> Counter[str]:
        """Audit records by action."""
        found = Counter(self._lines)
        for sums in self._base.values():
            found.update(sums.lines)
        return found

    def drafts(self, action: str) -> int:
        """Different drafts that have an audit record of this action."""
        seen = self._seen.get(action, set())
        again: set[str] = set().union(*(sums.again.get(action, ()) for sums in self._base.values()))
        return sum(sums.drafts[action] for sums in self._base.values()) + len(seen - again)

    def first(self) -> str | None:
        """When the audit trail begins; None for an empty one."""
        return min((at for at in (self._first, *(sums.first for sums in self._base.values())) if at), default=None)


def totals(tally: Tally, archives: Iterable[Any]) -> Totals:
    """What `Store.totals` gives. `archives`: as the journal lists them (`bot.store.archive.listing.Listed`)."""
    archived, until = Sums(), None
    for one in archives:
        archived.add(one.sums)
        until = max(until or "", one.until)
    return Totals(
        lines=tally.lines(),
        drafts={action: tally.drafts(action) for action in COUNTED_BY_DRAFT},
        first=tally.first(),
        states=archived.states,
        to_card=archived.to_card,
        to_decision=archived.to_decision,
        calls=archived.calls,
        usd=archived.usd,
        archived_until=until,
    )


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
