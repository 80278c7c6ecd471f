"""Names of months, weekdays and units of time and number words, in 16 languages, from `words.json`. Pure.

`tests/support/make_words.py` says where the file comes from. It is read when it is first needed.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

LETTER = r"[^\W\d_]"
DIGITS = r"(?<!\d)\d{1,9}(?:[.,]\d{1,9})?"


class Vocabulary(NamedTuple):
    """One language. `spans`: expressions with groups `n` and `unit`, each with its units by word, and its sign
    (1: ahead, -1: past, 0: either); … stands for up to three words."""

    common: frozenset[str]
    numbers: dict[str, int]
    number: re.Pattern[str] | None
    relative: dict[str, int]
    day: re.Pattern[str]
    spans: tuple[tuple[re.Pattern[str], dict[str, str], int], ...]


class Calendar(NamedTuple):
    """All languages together: names are told apart well enough, and a text may hold a foreign one."""

    months: dict[str, int]
    short: dict[str, int]
    weekdays: dict[str, int]
    month: str
    any_month: str
    weekday: re.Pattern[str]


def alternatives(words: Any) -> str:
    """An expression for any of these words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def whole(pattern: str) -> str:
    """The pattern between ends of words, where its script has such."""
    return rf"(?<![A-Za-zÀ-ž\d])(?:{pattern})(?![A-Za-zÀ-ž])"


_NONE: dict[str, Any] = {"common": (), "numbers": {}, "relative": {}, "units": {}, "future": (), "past": ()}


@cache
def _file() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("bot.support") / "words.json").read_text(encoding="utf-8"))
    return found


@cache
def calendar() -> Calendar:
    months: dict[str, int] = {}
    short: dict[str, int] = {}
    weekdays: dict[str, int] = {}
    for language in _file().values():
        months |= {name: n for name, n in language["months"].items() if not name[0].isdigit()}
        short |= {name: n for name, n in language["short_months"].items() if name.isalpha()}
        weekdays |= language["weekdays"]
    short = {name: n for name, n in short.items() if name not in months}
    wide, every = alternatives(months), alternatives([*months, *short])
    return Calendar(months, short, weekdays, wide, every, re.compile(whole(alternatives(weekdays)), re.IGNORECASE))


@cache
def vocabulary(language: str) -> Vocabulary:
    """The words of one language; "" for a text of which it is not known: those of none."""
    found = _file().get(language, _NONE)
    numbers: dict[str, int] = found["numbers"]
    n = rf"(?P<n>{DIGITS}{'|' if numbers else ''}{alternatives(numbers)})"
    spans: list[tuple[re.Pattern[str], dict[str, str], int]] = []
    for sign, key in ((1, "future"), (-1, "past")):
        before: dict[str, dict[str, str]] = {}
        for phrase in found[key]:
            said, _, unit = phrase.partition("=")
            head, _, tail = said.partition("#")
            before.setdefault(head.strip(), {})[tail.strip()] = unit
        for head, units in before.items():
            said = re.escape(head).replace("…", rf"(?:{LETTER}+\s){{0,3}}")
            pattern = whole(rf"{said}\s{{0,3}}{n}\s{{0,3}}(?P<unit>{alternatives(units)})")
            # In French "il y a cinq jours" is "five days ago" and "there are five days".
            spans.append((re.compile(pattern, re.IGNORECASE), units, 0 if head == "il y a" else sign))
    if units := {word: unit for word, unit in found["units"].items() if word != "年"}:
        spans.append((re.compile(whole(rf"{n}\s{{0,3}}(?P<unit>{alternatives(units)})"), re.IGNORECASE), units, 0))
    number = re.compile(whole(alternatives(numbers)), re.IGNORECASE) if numbers else None
    relative: dict[str, int] = found["relative"]
    day = re.compile(whole(alternatives(relative)) if relative else r"(?!)", re.IGNORECASE)
    return Vocabulary(frozenset(found["common"]), numbers, number, relative, day, tuple(spans))


@cache
def _weights() -> dict[str, dict[str, float]]:
    """What each word says for each language: a month or a number, which few share, more than a common word."""
    found: dict[str, dict[str, float]] = {}
    for name, language in _file().items():
        own = {*language["units"], *language["months"], *language["weekdays"], *language["relative"]}
        own |= set(language["numbers"])
        found[name] = dict.fromkeys((word for word in own if len(word) > 2), 1.5)
        found[name] |= dict.fromkeys(language["common"], 1.0)
    return found


def language_of(text: str) -> str:
    """The language of a text, by its commonest words; "" where nothing tells it."""
    if re.search(r"[\u3040-\u30ff]", text):
        return "ja"
    if re.search(r"[\u4e00-\u9fff]", text):
        return "zh"
    found = re.findall(rf"{LETTER}+", text.lower())
    scores = {name: sum(weights.get(word, 0.0) for word in found) for name, weights in _weights().items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0 else ""
