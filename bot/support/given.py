"""What can be looked up in the data that Claude was given: its dates, numbers, keys and names, and no sentence. Pure.

It is kept with the draft (a few kB), because a person may edit the draft days later, when the issue is another, and
because Claude is shown less than the draft's issue holds (no internal comment for a public reply).
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import combinations, groupby
from typing import Any

from bot.domain.issues import Frozen
from bot.support.counting import counts_in, counts_of, shares_in, shares_of, totals_of
from bot.support.reading import Checkable, Meaning, canonical_number, read

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d))?")
_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"[.!?。！？](?=\s)|\n")
_OPAQUE = frozenset({"id", "url"})
"""Fields whose digits mean nothing to a reader."""
_NAMED = 60
"""Characters of a value that may be a name, of a status or a person, whole."""
_NAME_WORDS = 3
_TOGETHER = 6
"""Numbers in one sentence of which sums and differences are expected."""


class Given(Frozen):
    """The things in the data, each once. `now` is local time. `days`: dates that stand there or are meant ("by
    Friday" in a comment of Monday). `stamps`: `2026-11-20 16:05`. `counts`: how many there are of something; `shares`:
    the same in percent; `totals`: of what most, by its name in `counting`. `names`: short values whole, and words that
    are not in lower case (names, in any script).
    """

    now: datetime
    days: tuple[date, ...] = ()
    stamps: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    totals: tuple[tuple[str, int], ...] = ()
    keys: tuple[str, ...] = ()
    pulls: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def given(data: Any, now: datetime) -> Given:
    """The things in the data of one request. `now`: as it was told, in local time."""
    found = _Collected(now.replace(tzinfo=None))
    found.walk(data, "", found.now)
    found.days.add(found.now.date())
    return Given(
        now=found.now, days=tuple(sorted(found.days)), stamps=tuple(sorted(found.stamps)),
        times=tuple(sorted(found.times)), spans=tuple(sorted(found.spans)), numbers=tuple(sorted(found.numbers)),
        counts=tuple(sorted(found.counts)), shares=tuple(sorted(found.shares)), totals=tuple(totals_of(data).items()),
        keys=tuple(sorted(found.keys)), pulls=tuple(sorted(found.pulls)), things=tuple(sorted(found.things)),
        names=tuple(sorted(found.names)),
    )  # fmt: skip


class _Collected:
    def __init__(self, now: datetime) -> None:
        self.now = now
        self.days: set[date] = set()
        self.stamps: set[str] = set()
        self.times: set[str] = set()
        self.spans: set[str] = set()
        self.numbers: set[str] = set()
        self.counts: set[int] = set()
        self.shares: set[float] = set()
        self.keys: set[str] = set()
        self.pulls: set[str] = set()
        self.things: set[str] = set()
        self.names: set[str] = set()

    def walk(self, value: Any, field: str, at: datetime) -> None:
        """`field`: where it stands. `at`: when it was said, from which "tomorrow" counts."""
        if isinstance(value, dict):
            self.counts |= set(counts_in(value))
            self.shares |= set(shares_in(value))
            at = _moment(str(value.get("at", ""))) or at
            for name, item in value.items():
                self.walk(item, field if field == "children_count" else name, at)
        elif isinstance(value, list | tuple):
            self.counts.add(len(value))
            items = [item for item in value if isinstance(item, dict)]
            self.counts |= set(counts_of(items))
            self.shares |= set(shares_of(items))
            for item in value:
                self.walk(item, field, at)
        elif isinstance(value, str):
            self._text(value, field, at)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            number = canonical_number(str(value))
            if field == "number":
                self.pulls.add(number)
            elif field == "children_count":
                self.counts.add(int(value))
            else:
                self.numbers.add(number)

    def _text(self, text: str, field: str, at: datetime) -> None:
        for match in _MOMENT.finditer(text):
            if moment := _moment(match[0]):
                self.days.add(moment.date())
                if match[2]:
                    self.stamps.add(match[0].replace("T", " "))
                    self.times.add(match[2])
        if field in _OPAQUE or field == "ref":
            return
        if len(text) <= _NAMED:
            self.names.add(text)
        self.names |= {word for word in _WORD.findall(text) if not word[0].islower()}
        if field != "text" and len(text.split()) <= _NAME_WORDS and not any(c.isdigit() for c in text):
            return  # a name or a status: most values are
        ends = [m.end() for m in _SENTENCE_END.finditer(text)]
        for _, sentence in groupby(read(text), key=lambda one: bisect(ends, one.at)):
            self._sentence(list(sentence), at)

    def _sentence(self, found: list[Checkable], at: datetime) -> None:
        numbers = [n for one in found for n in _first_number(one)]
        self.numbers |= derived(numbers) if len(numbers) <= _TOGETHER else set()
        for one in found:
            for kind, value in one.readings:
                match kind:
                    case "date" | "weekday" | "day" | "span":
                        self.days |= set(days_meant(Meaning(kind, value), at.date()))
                        if kind == "span":
                            self.spans.add(value[:-2])
                            self.numbers.add(value.split()[0])
                    case "time" | "hour":
                        self.times.add(value if kind == "time" else f"{value}:00")
                    case "key":
                        self.keys.add(value)
                    case "pull":
                        self.pulls.add(value)
                    case "name":
                        self.things.add(value)
                    case "number" | "counted" | "percent":
                        self.numbers.add(value.split()[0])
                    case "each":
                        self.numbers |= set(value.split())
                    case "month":
                        self.things.add(f"month {value}")


def _moment(text: str) -> datetime | None:
    """The date, with its time where it has one, that a text begins with."""
    found = _MOMENT.match(text)
    try:
        return datetime.fromisoformat(found[0]) if found else None
    except ValueError:  # 31 February
        return None


def _first_number(found: Checkable) -> Iterator[str]:
    for kind, value in found.readings:
        if kind in ("number", "counted", "percent", "span"):
            yield value.split()[0]
            return


def derived(numbers: list[str]) -> set[str]:
    """Sums and differences of two of these: 850 where 350 of 1200 are there."""
    pairs = combinations([float(n) for n in dict.fromkeys(numbers)], 2)
    return {canonical_number(f"{n:.6f}") for a, b in pairs for n in (a + b, abs(a - b))}


def days_meant(reading: Meaning, said: date) -> list[date]:
    """The days that words can mean which were said on a day. A weekday is the one before or the one after."""
    if not 1000 < said.year < 9000:
        return []
    if reading.kind == "day":
        return [said + timedelta(days=int(reading.value))]
    if reading.kind == "weekday":
        ahead = (int(reading.value) - said.weekday()) % 7
        return [said + timedelta(days=ahead), said + timedelta(days=ahead - 7)]
    if reading.kind == "span":
        count, unit, sign = reading.value.split()
        days = {"day": 1, "week": 7}.get(unit)
        far = float(count) * (days or 0)
        return [said + timedelta(days=far if sign == "+" else -far)] if days and sign != "=" and far < 3650 else []
    year, month, day = reading.value.rsplit("-", 2)
    if not month:
        return []
    years = [int(year)] if year.isdecimal() else [said.year - 1, said.year, said.year + 1]
    found = []
    for one in years:
        try:
            found.append(date(one, int(month), int(day)))
        except ValueError:  # 31 November
            continue
    return sorted(found, key=lambda when: abs(when - said))[:1]
