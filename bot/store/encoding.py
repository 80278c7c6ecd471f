"""Records as JSON: what is written is read back as it was, and what is no JSON is refused."""

from __future__ import annotations

import json
from typing import Any

Row = tuple[int | None, str, str]
"""A record to be stored: its number in the order of arrival (None: the next one), its id, and its JSON."""

_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_sorted = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)


def to_json(value: Any) -> str:
    """Compact JSON that UTF-8 can hold. Raises ValueError (NaN, a lone surrogate) or TypeError (not JSON)."""
    text = _compact.encode(value)
    text.encode()
    return text


def canonical_json(value: Any) -> bytes:
    """The one way to write a value that is hashed: compact, keys sorted, UTF-8. Raises as `to_json`."""
    return _sorted.encode(value).encode()
