"""Reading somebody else's JSON: every look-up says which field was missing or of the wrong type.

`Fields` is a JSON object at a path. What cannot be read raises `Malformed("comment.id is missing")`, which is the
sentence the sender gets with 422 and the record keeps. Values never stand in these sentences: they are untrusted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bot.events import Malformed
from bot.safety import tidy

MISSING = object()
ISSUE_KEY = re.compile(r"[A-Z][A-Z0-9_]+-[1-9]\d{0,9}")
_SHORT = 300  # characters; longer lines are rare, and not remembered
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
ACCOUNT = re.compile(r"[^\s\[\]|<>\x00-\x1f\x7f]{1,128}")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]{0,59}")
LATEST_MS = 4_102_444_800_000  # the year 2100: anything later is no time of an event


class Fields:
    """A JSON object and the path under which it was found. The `maybe_…` verbs take null and absence alike for None."""

    __slots__ = ("data", "path")

    def __init__(self, data: Mapping[str, Any], path: str = "") -> None:
        self.data = data
        self.path = path

    def at(self, name: str) -> str:
        """The field's full name, for a sentence."""
        return f"{self.path}.{name}" if self.path else name

    def _get(self, name: str, kinds: type | tuple[type, ...], what: str) -> Any:
        value = self.data.get(name, MISSING)
        if value is MISSING:
            raise Malformed(f"{self.at(name)} is missing")
        # bool is an int to Python and is none to JSON.
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise Malformed(f"{self.at(name)} is not {what}")
        return value

    def _none(self, name: str) -> bool:
        return self.data.get(name) is None

    def object(self, name: str) -> Fields:
        """The object in this field."""
        return Fields(self._get(name, dict, "an object"), self.at(name))

    def maybe_object(self, name: str) -> Fields | None:
        return None if self._none(name) else self.object(name)

    def objects(self, name: str) -> list[Fields]:
        """The list of objects in this field."""
        return [Fields(_object(v, self.at(name)), self.at(name)) for v in self._get(name, list, "a list")]

    def maybe_objects(self, name: str) -> list[Fields]:
        """As `objects`; empty for null and absence."""
        return [] if self._none(name) else self.objects(name)

    def text(self, name: str) -> str:
        """The string in this field, as it came."""
        value: str = self._get(name, str, "a text")
        return value

    def maybe_text(self, name: str) -> str:
        """As `text`; empty for null and absence."""
        return "" if self._none(name) else self.text(name)

    def line(self, name: str, limit: int = 300) -> str:
        """The string in this field as one cleaned line of at most `limit` characters."""
        return one_line(self.text(name), limit)

    def maybe_line(self, name: str, limit: int = 300) -> str:
        """As `line`; empty for null and absence."""
        return "" if self._none(name) else self.line(name, limit)

    def flag(self, name: str, default: bool) -> bool:
        """The boolean in this field; `default` when it is null or absent."""
        return default if self._none(name) else bool(self._get(name, bool, "true or false"))

    def number(self, name: str) -> int:
        """The whole, positive number in this field."""
        value: int = self._get(name, int, "a whole number")
        if not 0 < value < 2**53:
            raise Malformed(f"{self.at(name)} is not a number that identifies anything")
        return value

    def identifier(self, name: str) -> str:
        """An id, given as a text or a number; safe to stand in an address."""
        value = str(self._get(name, (str, int), "an id"))
        if not TOKEN.fullmatch(value):
            raise Malformed(f"{self.at(name)} is not an id")
        return value

    def account(self, name: str) -> str:
        """An account's id."""
        value = self.text(name)
        if not ACCOUNT.fullmatch(value):
            raise Malformed(f"{self.at(name)} is not an account id")
        return value

    def issue_key(self, name: str) -> str:
        """An issue's key, such as ECD-1."""
        value = self.text(name)
        if not ISSUE_KEY.fullmatch(value):
            raise Malformed(f"{self.at(name)} is not an issue key")
        return value

    def milliseconds(self, name: str) -> datetime:
        """Milliseconds since 1970, as Jira's `timestamp`."""
        value: int = self._get(name, int, "a time in milliseconds")
        if not 0 < value < LATEST_MS:
            raise Malformed(f"{self.at(name)} is not a time in milliseconds")
        return datetime.fromtimestamp(value / 1000, UTC)

    def time(self, name: str) -> datetime:
        """An ISO-8601 time with its zone, in UTC."""
        text = self.text(name)
        try:
            found = datetime.fromisoformat(text)
            if found.tzinfo is not None:
                return found.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise Malformed(f"{self.at(name)} is not a time with its zone")


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{path} holds something that is not an object")
    return value


def one_line(text: str, limit: int = 300) -> str:
    """`text` without invisible characters and secrets, on one line, at most `limit` characters (an ellipsis tells)."""
    return _remembered(text, limit) if len(text) <= _SHORT else _one_line(text, limit)


def _one_line(text: str, limit: int) -> str:
    # Cut generously first: nothing that is dropped anyway is searched for secrets.
    line = " ".join(tidy(text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


# Names, summaries and branches come again and again, and the search for secrets is the dearest part of parsing.
_remembered = lru_cache(maxsize=2048)(_one_line)


def text_at(value: Any, *path: str) -> str:
    """The text at the end of a path of names in a payload that may be anything; "" where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value[:1000] if isinstance(value, str) else ""


def kind_of(value: object) -> str:
    """An event's name as the sender gave it, if it looks like one; else `unknown`. For records and sentences."""
    return value if isinstance(value, str) and _KIND.fullmatch(value) else "unknown"


def address(value: str) -> str:
    """An http(s) address without blanks, at most 2,000 characters; else empty."""
    return value if re.fullmatch(r"https?://[^\s<>\"]{1,1990}", value) else ""
