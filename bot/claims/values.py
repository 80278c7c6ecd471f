"""Dates, numbers and names as people write them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date, timedelta

from bot.claims.phrases import NUMBERS

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_MONTH = "|".join(f"{m[:3]}(?:{m[3:]})?" if len(m) > 3 else m for m in _MONTHS).replace(
    "sep(?:tember)?", "sept?(?:ember)?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_WRITTEN = (
    re.compile(r"(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})"),
    re.compile(rf"{_DAY}\.? (?:of )?(?P<month>{_MONTH})\.?(?:,? (?P<year>\d{{4}}))?", re.IGNORECASE),
    re.compile(rf"(?P<month>{_MONTH})\.? {_DAY}(?:,? (?P<year>\d{{4}}))?", re.IGNORECASE),
)


def number(text: str) -> int:
    """A small number in words or figures."""
    lower = text.lower()
    return int(lower) if lower.isdecimal() else 0 if lower == "zero" else NUMBERS.index(lower)


def due(text: str) -> str | None:
    """A date → `2026-11-27`, `--11-27`, `weekday 4`, `today`, `tomorrow`; None when it is not understood whole."""
    rest = re.sub(r"^(?:on|this|the) ", "", text.strip().rstrip(".!"), flags=re.IGNORECASE)
    rest = re.sub(r"^(?:on|the) ", "", rest, flags=re.IGNORECASE)
    lower = rest.lower()
    if lower in ("today", "tomorrow"):
        return lower
    day = re.match(rf"({'|'.join(_DAYS)})\b,? ?(?:the )?", lower)
    if day and day.end() == len(lower):
        return f"weekday {_DAYS.index(day[1])}"
    rest = re.sub(rf"\s*\((?:{'|'.join(_DAYS)})\)?$", "", rest[day.end() if day else 0 :], flags=re.IGNORECASE)
    for pattern in _WRITTEN:
        if found := pattern.fullmatch(rest):
            named = found.groupdict()
            month = int(named["number"]) if named.get("number") else _month(named["month"])
            try:
                whole = date(int(named["year"] or 2024), month, int(named["day"]))  # 2024 has a 29 February
            except ValueError:
                return None
            return whole.isoformat() if named["year"] else f"--{whole:%m-%d}"
    return None


def _month(text: str) -> int:
    return next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(text.lower()[:3]))


def is_on(day: date, value: str, today: date) -> bool:
    """Whether a day is the one that `due` understood."""
    if value in ("today", "tomorrow"):
        return day == today + timedelta(days=value == "tomorrow")
    if value.startswith("weekday"):
        return day.weekday() == int(value.split()[1])
    return day.isoformat() == value or f"--{day:%m-%d}" == value


def same_person(said: str, name: str) -> bool:
    """Whether a name in a text can mean the person of this name: every word of it begins one of theirs, or is begun
    by it ("Ben" and "Benjamin Okafor")."""
    theirs = _parts(name)
    return bool(theirs) and all(any(_alike(a, b) for b in theirs) for a in _parts(said))


def _alike(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return short == long or (len(short) > 2 and long.startswith(short))  # "Li" is not short for "Lisa"


def meant(said: str, names: Iterable[str]) -> list[str]:
    """The names of those whom a name in a text can mean."""
    return [name for name in dict.fromkeys(names) if same_person(said, name)]


def _parts(name: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    return [part for part in re.findall(r"[^\W\d_]+", plain) if len(part) > 1]
