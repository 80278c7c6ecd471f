"""The one place where text by others enters a request: as JSON, inside one pair of tags that it cannot contain."""

from __future__ import annotations

import json
import re
from typing import Any

from bot.safety import tidy

TAG = "untrusted_data"
_OPEN, _CLOSE = f"<{TAG}>", f"</{TAG}>"
# JSON may write any character as \uXXXX. With these three gone, no text inside can look like a tag or an entity.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def block(data: Any) -> str:
    """`data` as a delimited block. Every string in it, keys included, is tidied (invisible characters, secrets)."""
    text = json.dumps(_tidied(data), ensure_ascii=False, indent=1)
    return f"{_OPEN}\n{text.translate(_ESCAPES)}\n{_CLOSE}"


def read_block(message: str) -> Any:
    """The data of the block in `message`: for tests and the stand-in. Raises ValueError unless there is exactly one."""
    found = re.findall(rf"{_OPEN}\n(.*?)\n{_CLOSE}", message, re.DOTALL)
    if len(found) != 1 or message.count(_OPEN) != 1 or message.count(_CLOSE) != 1:
        raise ValueError(f"there are {len(found)} data blocks in the message, not one")
    return json.loads(found[0])


def replaced(message: str, data: Any) -> str:
    """The message with other data in its block."""
    return f"{message.partition(_OPEN)[0]}{block(data)}{message.partition(_CLOSE)[2]}"


def cut_middle(text: str, limit: int) -> str:
    """At most about `limit` characters: the beginning (two thirds) and the end, with a visible note between them.

    The beginning says what it is about; the end often holds the conclusion or the error's last line.
    """
    if len(text) <= limit:
        return text
    head, tail = limit * 2 // 3, limit // 3
    return f"{text[:head]}\n[… {len(text) - head - tail:,} characters left out here …]\n{text[-tail:]}"


def _tidied(value: Any) -> Any:
    if isinstance(value, str):
        # A lone surrogate is no text and cannot be sent as UTF-8.
        return tidy(value.encode("utf-8", "replace").decode())
    if isinstance(value, dict):
        return {_tidied(str(key)): _tidied(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_tidied(item) for item in value]
    return value
