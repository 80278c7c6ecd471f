"""A text → the things in it that can be looked up: dates, times, keys, versions, pull requests, numbers. Pure.

Each is read in every way that it can be meant ("04/03" is two dates): what one of the ways finds is there. The order
matters: what an earlier rule has read is gone for the later ones, so that the 29 of "29 September" is no number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from typing import Literal, NamedTuple

from bot.support.counting import COUNTED
from bot.support.names import calendar, language_of, vocabulary

MeaningKind = Literal[
    "date",
    "month",
    "weekday",
    "day",
    "span",
    "time",
    "hour",
    "key",
    "pull",
    "name",
    "number",
    "counted",
    "percent",
    "each",
]


class Meaning(NamedTuple):
    """One way to understand words. `value`, by `kind`:

    `date` 2026-09-29 or --09-29; `month` 9; `weekday` 0 for Monday; `day` days from today; `span` "2 day +" (`+` ahead,
    `-` past, `=` either); `time` 09:05; `hour` 9; `key` ECD-1; `pull` 12; `name` of a version or a thing, in lower
    case; `number` in plain digits; `counted` "3 children", of which the data lists some; `percent` 60, before its
    sign; `each` several numbers, of which every one has to be there.
    """

    kind: MeaningKind
    value: str


class Checkable(NamedTuple):
    """Words of a text, and what they can mean."""

    words: str
    at: int
    readings: tuple[Meaning, ...]


_NOT_WORDS = re.compile(
    r"\[~accountid:[^\]]{0,200}\]|(?<=\])\([^)\s]{0,500}\)|\b(?:https?|mailto):[^\s<>)\]]+|@\w{1,60}:[\w-]+"
    r"|^[ \t]*\d{1,2}[.)](?=[ \t])",
    re.MULTILINE,
)
_B, _E = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_ISO = re.compile(rf"{_B}(\d{{4}})-(\d\d)-(\d\d)(?!\d)")
_CJK_DATE = re.compile(r"(?:(\d{4})年)?(\d{1,2})月(\d{1,2})日")
_DOTTED = re.compile(rf"{_B}(?<!\d\.)(\d{{1,2}})\.\s?(\d{{1,2}})\.(?:\s?(\d{{4}}|\d\d(?!\d)))?(?!\d)")
_SLASHED = re.compile(rf"{_B}(\d{{1,2}})[/](\d{{1,2}})(?:/(\d{{4}}|\d\d))?(?![\d/])")
_TIME = re.compile(rf"{_B}([01]?\d|2[0-4])\s?(?:[:h]\s?)([0-5]\d)(?:\s?([ap])\.?m\b)?(?![\d:])", re.IGNORECASE)
_HOUR = re.compile(rf"{_B}([01]?\d|2[0-4])\s?(?:([ap])\.?m\b\.?|Uhr\b|uur\b(?= )|時(?!間))", re.IGNORECASE)
_GERMAN_AM = re.compile(r"(?<=\d)\sam(?=\s)")
_KEY = re.compile(rf"{_B}[A-Z][A-Z0-9_]+-\d+{_E}(?!\.\d)")
_NO_KEY = re.compile(r"(?:UTF|ISO|IEC|EN|DIN|SHA|RFC|AES|RSA|MD|HTTP|TLS|COVID|PR|MR|CVE|UTC|GMT)-")
_PULL = re.compile(
    rf"(?:{_B}(?:PRs?|MRs?|pull[- ]?requests?|merge[- ]?requests?)|プルリクエスト|プルリク)"
    rf"[\s,:-]{{0,3}}(?:nr\.?|no\.?|n[°ºo]\.?|número)?\s?#?\s?(\d{{1,7}}){_E}|#(\d{{1,7}}){_E}",
    re.IGNORECASE,
)
_VERSION = re.compile(
    rf"{_B}v?\d{{1,9}}(?:\.\d{{1,9}}){{1,5}}(?:-?(?:rc|alpha|beta|b|a|snapshot|build|dev|post)\.?\d*)?{_E}",
    re.IGNORECASE,
)
_NAME = re.compile(rf"{_B}(?<!-)[A-Za-z][A-Za-z_-]{{0,60}}\d[A-Za-z0-9_-]{{0,60}}(?<![-_])")
_NUMBER = re.compile(r"(?<![A-Za-z0-9_])\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3}){1,5}(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?")
_PERCENT = re.compile(r"[ \u00a0\u202f]?(?:%|percent\b|Prozent\b|pour cent\b|por ciento\b)", re.IGNORECASE)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|er|ère|e|º|ª|\.)(?![A-Za-z])", re.IGNORECASE)


_KNOWN = Meaning("each", "")
"""What needs nothing: a name that everybody knows."""


def read(text: str, language: str | None = None) -> list[Checkable]:
    """What of `text` (Markdown) can be looked up, in its order. `language`: as `language_of` says, if not given."""
    plain = _NOT_WORDS.sub(lambda m: " " * len(m[0]), text)
    return _Reader(plain, language_of(plain) if language is None else language).all()


def numbers_in(raw: str) -> tuple[str, ...]:
    """The values that digits with points, commas and spaces can have: 1.250 is 1250 or 1.25."""
    plain = re.sub(r"[ \u00a0\u202f'’]", "", raw)
    found: list[str] = []
    grouped = re.fullmatch(r"\d{1,3}([.,])\d{3}(?:\1\d{3})*", plain)
    if grouped:
        found.append(plain.replace(grouped[1], ""))
    if mixed := re.fullmatch(r"(\d{1,3}(?:([.,])\d{3})+)[.,](\d+)", plain):
        found.append(f"{mixed[1].replace(mixed[2], '')}.{mixed[3]}")
    if re.fullmatch(r"\d+(?:[.,]\d+)?", plain):
        found.append(plain.replace(",", "."))
    return tuple(dict.fromkeys(n for n in map(canonical_number, found) if n))


def canonical_number(number: str) -> str:
    """The number without zeros that mean nothing; "" for what is none."""
    try:
        value = Decimal(number).normalize()
    except InvalidOperation:
        return ""
    return f"{value:f}"


def _date(year: str | None, month: int, day: int) -> Meaning | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    years = f"{int(year) + (2000 if int(year) < 100 else 0):04d}" if year else "-"
    return Meaning("date", f"{years}-{month:02d}-{day:02d}")


class _Reader:
    def __init__(self, text: str, language: str) -> None:
        # In German "MED-7 am Dienstag" is no morning.
        self.text = _GERMAN_AM.sub("   ", text) if language == "de" else text
        self.language = language
        self.found: list[Checkable] = []

    def all(self) -> list[Checkable]:
        names, own = calendar(), vocabulary(self.language)
        flags = re.IGNORECASE
        day = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|º|ª|\.)?"
        year = r"(?:,?\s{1,3}(?:de\s|del\s)?(?P<year>(?:19|20)\d\d))?"
        between = r"\s{1,3}(?:of\s|de\s|di\s)?"
        self._take(_ISO, lambda m: [_date(m[1], int(m[2]), int(m[3]))])
        self._take(_CJK_DATE, lambda m: [_date(m[1], int(m[2]), int(m[3]))])
        month = rf"(?P<month>{names.any_month})"
        written = (rf"{_B}{day}{between}{month}(?![A-Za-zÀ-ž])\.?{year}",
                   rf"(?<![A-Za-zÀ-ž]){month}\.?\s{{1,3}}{day}(?![\d:%]|[.,]\d){year}")  # fmt: skip
        for pattern in written:
            self._take(_compiled(pattern, flags), self._written)
        self._take(_DOTTED, _dotted)
        self._take(_TIME, lambda m: [Meaning("time", _clock(m[1], m[2], m[3]))])
        self._take(_HOUR, lambda m: [Meaning("hour", _clock(m[1], "00", m[2])[:2])])
        self._take(_PULL, lambda m: [Meaning("pull", m[1] or m[2])])
        self._take(_KEY, lambda m: [_KNOWN if _NO_KEY.match(m[0]) else Meaning("key", m[0])])
        self._take(_VERSION, lambda m: [Meaning("name", plain_name(m[0])), *self._figures(numbers_in(m[0]), m.end())])
        self._take(_SLASHED, _slashed)
        self._take(_NAME, _name)
        for phrase, units, sign in own.spans:
            self._take(phrase, partial(self._span, units, sign))
        self._take(own.day, lambda m: [Meaning("day", str(own.relative[m[0].lower()]))])
        self._take(names.weekday, lambda m: [Meaning("weekday", str(names.weekdays[m[0].lower()]))])
        self._take(_NUMBER, self._number)
        if own.number:
            self._take(own.number, lambda m: self._figures((str(own.numbers[m[0].lower()]),), m.end()))
        self._take(_compiled(rf"(?<![A-Za-zÀ-ž])(?:{names.month})(?![A-Za-zÀ-ž])", flags), self._month)
        return sorted(self.found, key=lambda f: f.at)

    def _take(self, pattern: re.Pattern[str], meaning: Callable[[re.Match[str]], list[Meaning | None]]) -> None:
        """Every match that means something; its words are taken out of the text."""
        parts, end = [], 0
        for match in pattern.finditer(self.text):
            readings = tuple(r for r in meaning(match) if r)
            if readings:
                self.found.append(Checkable(match[0].strip(" ,."), match.start(), readings))
                parts += [self.text[end : match.start()], " " * len(match[0])]
                end = match.end()
        self.text = "".join([*parts, self.text[end:]]) if parts else self.text

    def _written(self, match: re.Match[str]) -> list[Meaning | None]:
        names, name = calendar(), match["month"]
        short = name.lower() in names.short or name.lower() in ("may", "march")
        if short and not name[0].isupper() and not match[0].endswith("."):
            return []  # "12 may need it": a short or everyday word is a month only as a name is written
        month = names.months.get(name.lower()) or names.short[name.lower()]
        return [_date(match["year"], month, int(match["day"]))]

    def _month(self, match: re.Match[str]) -> list[Meaning | None]:
        name = match[0].lower()
        if len(name) < 4 or (name == "march" and match[0][0].islower()):
            return []
        return [Meaning("month", str(calendar().months[name]))]

    def _span(self, units: dict[str, str], sign: int, match: re.Match[str]) -> list[Meaning | None]:
        n, unit = match["n"], units[match["unit"].lower()]
        values = numbers_in(n) or (str(vocabulary(self.language).numbers.get(n.lower(), "")),)
        return [Meaning("span", f"{value} {unit} {'-=+'[sign + 1]}") for value in values if value]

    def _figures(self, values: tuple[str, ...], end: int) -> list[Meaning | None]:
        """What a number can mean by what follows it."""
        if what := COUNTED.match(self.text, end):
            return [Meaning("counted", f"{n} {what.lastgroup}") for n in values]
        return [Meaning("percent" if _PERCENT.match(self.text, end) else "number", n) for n in values]

    def _number(self, match: re.Match[str]) -> list[Meaning | None]:
        found = self._figures(numbers_in(match[0]), match.end())
        parts = re.split(r"[ \u00a0\u202f]", match[0])
        if len(parts) > 1:  # "node 7 504" is two numbers
            found.append(Meaning("each", " ".join(n for part in parts for n in numbers_in(part)[:1])))
        if _ORDINAL.match(self.text, match.end()) and len(match[0]) < 3:
            found.append(Meaning("date", f"---{int(match[0]):02d}"))
        return found


def plain_name(word: str) -> str:
    """A version's or a thing's name in lower case, without the v before a version and without hyphens."""
    return re.sub(r"[-_]", "", re.sub(r"^v(?=\d)", "", word.lower()))


def _name(match: re.Match[str]) -> list[Meaning | None]:
    word = match[0]
    digits = re.findall(r"\d+", word)
    if len("".join(digits)) < 2 and not re.fullmatch(r"[QqHh][1-4]", word):
        return []  # S3, IPv4, OAuth2: a name, and no figure
    return [Meaning("name", plain_name(word)), Meaning("each", " ".join(map(canonical_number, digits)))]


def _dotted(match: re.Match[str]) -> list[Meaning | None]:
    found = _date(match[3], int(match[2]), int(match[1]))
    return [found, Meaning("name", f"{match[1]}.{match[2]}")] if found else []  # "in 3.2." ends a sentence


def _slashed(match: re.Match[str]) -> list[Meaning | None]:
    first, second, year = int(match[1]), int(match[2]), match[3]
    found = [_date(year, second, first), _date(year, first, second)]
    return [*found, Meaning("each", f"{first} {second}")] if year is None else found


def _clock(hour: str, minute: str, half: str | None) -> str:
    value = int(hour)
    if half and value <= 12:
        value = value % 12 + (12 if half.lower() == "p" else 0)
    return f"{value:02d}:{minute}"


_compiled = cache(re.compile)
