"""Single values out of a service's answers in JSON. Pure, and lenient: what is missing or odd is an empty value."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from bot.safety import tidy
from bot.safety.quoting import shortened


def mapping(value: Any) -> dict[str, Any]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[dict[str, Any]]:
    """The objects in `value` if it is a list, else none."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def one_line(value: Any, most: int = 1000) -> str:
    """One line of tidy text, at most so many characters; "" for anything that is not text."""
    # Cut generously first: a changed description stands in a history whole.
    text = " ".join(tidy(value[: most * 8]).split()) if isinstance(value, str) else ""
    return shortened(text, most)


def moment(value: Any) -> datetime | None:
    """Jira's `2026-01-05T10:00:00.000+0100`, ISO 8601, or milliseconds → aware UTC; None when unreadable."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1000, UTC)
        except (OverflowError, OSError, ValueError):
            return None
    if not isinstance(value, str):
        return None
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", value.strip())
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
