"""Records as PostgreSQL holds them: the same JSON, but for what it refuses or would read back as something else.

That is the character U+0000, and a float so large that JSONB spells it as another integer. Both are spelled with a
character that Unicode promises never to use, and so is that character itself: what is written has to be read back.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bot.store import Record
from bot.store.encoding import to_json

_NUL, _SIGN = "\0", "\ufdd0"
_LARGE = 1e16
"""From here on Python spells a float with an exponent, which JSONB does not keep."""


def text(value: str) -> str:
    """A text as it is stored: an id, say."""
    return value.replace(_SIGN, f"{_SIGN}1").replace(_NUL, f"{_SIGN}0") if _NUL in value or _SIGN in value else value


def plain(value: str) -> str:
    """A text from how it is stored."""
    return value.replace(f"{_SIGN}0", _NUL).replace(f"{_SIGN}1", _SIGN) if _SIGN in value else value


def scalar(value: Any) -> Any:
    """A text, number or the like as it is stored."""
    if isinstance(value, str):
        return text(value)
    return f"{_SIGN}f{value!r}" if isinstance(value, float) and abs(value) >= _LARGE else value


def _plain_scalar(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return float(value[2:]) if value.startswith(f"{_SIGN}f") else plain(value)


def stored(record: str) -> str:
    """A record's JSON as it is stored."""
    if "\\u0000" not in record and _SIGN not in record and "e+" not in record:
        return record
    return to_json(_each(json.loads(record), scalar))


def read(record: str) -> Record:
    """A record from its JSON as it is stored."""
    found: Record = json.loads(record)
    return _each(found, _plain_scalar) if _SIGN in record else found


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with each of its texts and numbers changed."""
    match value:
        case list():
            return [_each(item, change) for item in value]
        case dict():
            return {change(name): _each(item, change) for name, item in value.items()}
    return change(value)
