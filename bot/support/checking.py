"""A draft held against what Claude was given: the words for which nothing there stands. Pure.

It looks up, and does not reason: a wrong alarm costs trust in all the right ones, so whatever one of the readings of
some words finds is supported. Beyond what stands there, it knows what people work out in their head: days between two
dates, a weekday, sums and differences, how many of something there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import permutations

from bot.support.elapsed import passes
from bot.support.given import Given, days_meant, derived
from bot.support.reading import Meaning, canonical_number, read

MAX_MARKS = 6
"""Marks on one card."""
MOST_NUMBERS = 16
"""Numbers of a text with which it may calculate."""
_NEAR = (-8, 14)
"""Days from today within which a weekday by its name alone can lie."""
_KANA = "\u3040"
"""The first of the characters that are written without spaces."""


def unsupported(text: str, found: Given, named: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """The words of `text` (Markdown) that the data does not support, in its order, each once.

    `named`: what the author says that it names, as (`person` or `status`, name); counted only where it stands in the
    text.
    """
    looked = _Looked(found)
    marks: list[tuple[int, str]] = []
    waiting = []
    for one in read(text):
        if not any(looked.up(reading) for reading in one.readings):
            waiting.append(one)
    for one in waiting:
        if not any(looked.worked_out(reading) for reading in one.readings):
            marks.append((one.at, one.words))
    for _, name in named:
        at = text.casefold().find(name.casefold())
        if name.strip() and at >= 0 and not looked.knows(name):
            marks.append((at, text[at : at + len(name)]))
    return tuple(dict.fromkeys(words for _, words in sorted(marks)))[:MAX_MARKS]


class _Looked:
    """Look-ups, and the numbers that were found by them: with those a draft may calculate."""

    def __init__(self, found: Given) -> None:
        self._found = found
        self._today = found.now.date()
        self._names = {name.casefold() for name in found.names}
        self._numbers = {*found.numbers, *map(str, found.counts), "0", "1"}
        self._totals = dict(found.totals)
        self._stated: list[str] = []
        self._results: set[str] | None = None
        self._pulls_stated: set[str] = set()
        self._days_stated: set[date] = set()

    def up(self, reading: Meaning) -> bool:
        """Whether it stands in the data, or follows from the calendar."""
        there = self._stands(reading)
        if there and reading.kind in ("number", "counted", "percent", "span"):
            self._stated.append(reading.value.split()[0])
        if there and reading.kind == "pull":
            self._pulls_stated.add(reading.value)
        if there and reading.kind == "date":
            self._days_stated |= set(days_meant(reading, self._today))
        return there

    def worked_out(self, reading: Meaning) -> bool:
        """Whether it follows from other numbers of the same text."""
        if reading.kind in ("number", "percent") or (reading.kind == "counted" and self._can_be(reading.value)):
            if self._results is None:
                self._results = _calculated(self._stated[:MOST_NUMBERS])
            value = reading.value.split()[0]
            return value in self._pulls_stated or value in self._results
        if reading.kind == "span":
            return reading.value.split()[0] in derived(self._stated[:MOST_NUMBERS])
        if reading.kind == "weekday":
            return any(day.weekday() == int(reading.value) for day in self._days_stated)
        return False

    def _stands(self, reading: Meaning) -> bool:
        kind, value, found = reading.kind, reading.value, self._found
        match kind:
            case "date" if value.startswith("---"):
                return any(day.day == int(value[3:]) for day in found.days) or str(int(value[3:])) in self._numbers
            case "date" | "day":
                return any(day in found.days for day in days_meant(reading, self._today))
            case "weekday":
                first, last = _NEAR
                near = [day for day in found.days if first <= (day - self._today).days <= last]
                return any(day.weekday() == int(value) for day in near)
            case "month":
                return any(day.month == int(value) for day in found.days) or f"month {value}" in found.things
            case "span":
                return value[:-2] in found.spans or passes(value, found.now, found.days, found.stamps)
            case "time":
                return value in found.times
            case "hour":
                return any(time.startswith(value) for time in found.times)
            case "key":
                return value in found.keys
            case "pull":
                return value in found.pulls
            case "name":
                return value in found.things
            case "counted":
                n = value.split()[0]
                return n in found.numbers or (n in self._numbers and self._can_be(value))
            case "percent":
                off = 0.05 if "." in value else 0.5
                return value in found.numbers or any(abs(share - float(value)) <= off for share in found.shares)
            case "number":
                year = len(value) == 4 and value.isdecimal() and any(str(day.year) == value for day in found.days)
                return year or value in self._numbers
            case _:
                return all(one in self._numbers for one in value.split())

    def _can_be(self, value: str) -> bool:
        """Whether there are so many of it in the data; where that is not known in full, they can be."""
        n, what = value.split()
        return float(n) <= self._totals.get(what, float("inf"))

    def knows(self, name: str) -> bool:
        """Whether a person or a status of this name stands in the data."""
        wanted = name.casefold().strip()
        if wanted in self._names:
            return True
        words = [part.strip(".") for part in wanted.split() if len(part.strip(".")) > 1 or not part.isascii()]
        return bool(words) and all(any(_same(word, known) for known in self._names) for word in words)


def _same(word: str, known: str) -> bool:
    """Whether two words can be one name: equal, a shorter form of it, or inside a run of a script without spaces."""
    if word == known or (word[0] >= _KANA and word in known):
        return True
    short, long = sorted((word, known), key=len)
    return len(short) > 2 and long.startswith(short) and len(long) - len(short) < 6 and " " not in long


def _calculated(numbers: list[str]) -> set[str]:
    """Sums, differences, products, ratios and percentages of two numbers, exact and rounded."""
    found = derived(numbers)
    for a, b in permutations({float(n) for n in numbers}, 2):
        ratios = [a / b, 100 * a / b] if b else []
        found |= {canonical_number(f"{round(x, digits):.6f}") for x in (*ratios, a * b) for digits in (0, 1, 2)}
    return found
