"""Records as PostgreSQL holds them: the same JSON, but for the character U+0000, which it refuses.

That one is spelled with a character that Unicode promises never to use, and so is that character itself. A comment may
hold either, and what is written has to be read back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bot.store import Record
from bot.store.encoding import to_json

_NUL, _SIGN = "\0", "\ufdd0"


def text(value: str) -> str:
    """A text as it is stored: an id, say."""
    return value.replace(_SIGN, f"{_SIGN}1").replace(_NUL, f"{_SIGN}0") if _NUL in value or _SIGN in value else value


def plain(value: str) -> str:
    """A text from how it is stored."""
    return value.replace(f"{_SIGN}0", _NUL).replace(f"{_SIGN}1", _SIGN)


def stored(record: str) -> str:
    """A record's JSON as it is stored."""
    if "\\u0000" not in record and _SIGN not in record:
        return record
    return to_json(_each(json.loads(record), text))


def read(record: str) -> Record:
    """A record from its JSON as it is stored."""
    found: Record = json.loads(record)
    return _each(found, plain) if _SIGN in record else found


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """The value with each of its texts changed."""
    match value:
        case str():
            return change(value)
        case list():
            return [_each(item, change) for item in value]
        case dict():
            return {change(name): _each(item, change) for name, item in value.items()}
    return value
