"""A request's body as a JSON object, read strictly: what two parsers could read in two ways is refused.

Refused with `NotJson` (a sentence; the answer is 400): bytes that are no UTF-8, a byte order mark, NaN and Infinity
(also as 1e999), whole numbers of more than 1,000 digits, more than 200 levels, lone surrogates, anything but an object.
Duplicate keys are fine: the last one counts, as in JavaScript. All of it takes time linear in the body's length.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

MAX_DEPTH = 200
MAX_DIGITS = 1000
AS_ZEROS = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))
_MANY_DIGITS = b"0" * 19
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The body is no JSON object that we accept. The text says why."""


def read_object(raw: bytes) -> dict[str, Any]:
    """The object in `raw`. Raises `NotJson`."""
    found = _quickly(raw)
    if found is None:
        found = _strictly(raw)
    # A look at the bytes first: ordinary deliveries never pay for the walk.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _too_deep(found):
        raise NotJson(f"the body has more than {MAX_DEPTH} levels")
    return found


def _quickly(raw: bytes) -> dict[str, Any] | None:
    """The object, where orjson is sure to read it as `_strictly` does; else None.

    orjson refuses all that we refuse but one thing: whole numbers of more than 64 bits become floats there.
    """
    if _MANY_DIGITS in raw.translate(AS_ZEROS):
        return None
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None  # `_strictly` finds out why
    return found if isinstance(found, dict) else None


def _strictly(raw: bytes) -> dict[str, Any]:
    """The object, or the reason why it is refused."""
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise NotJson("the body is not UTF-8") from None
    except RecursionError:
        raise NotJson(f"the body has more than {MAX_DEPTH} levels") from None
    except NotJson:
        raise
    except ValueError:
        raise NotJson("the body is not JSON") from None
    if not isinstance(found, dict):
        raise NotJson("the body is not a JSON object")
    if _SURROGATE.search(raw):
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise NotJson("the body has half a character (a lone surrogate)") from None
    return found


def _too_deep(found: object) -> bool:
    level, layer = 0, [found]
    while layer:
        level += 1
        if level > MAX_DEPTH:
            return True
        layer = [
            child
            for parent in layer
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, dict | list)
        ]
    return False


def _constant(name: str) -> float:
    raise NotJson(f"the body has {name}, which JSON does not have")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotJson("the body has a number that is too large")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise NotJson(f"the body has a number of more than {MAX_DIGITS:,} digits")
    return int(text)


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_float, parse_int=_int)
