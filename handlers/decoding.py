"""Somebody else's JSON: a request's bytes become an object, read strictly, and the object a model that is declared.

`read_object` refuses what two parsers could read in two ways (`NotJson`, a sentence; the answer is 400): bytes that are
no UTF-8, a byte order mark, NaN and Infinity (also as 1e999), numbers past a float's range, more than 200 levels, lone
surrogates, anything but an object. Duplicate keys are fine: the last one counts, as in JavaScript. All of it takes time
linear in the body's length, and a body of too many values is refused: one that is nothing but brackets is no event.

`decode` raises `Malformed("comment.id is missing")` for the first field that a model needs and cannot have: what the
sender gets with 422 and the record keeps. Values never stand in these sentences: they are untrusted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError

from bot.domain.events import Malformed
from bot.safety import tidy
from bot.safety.quoting import shortened

MAX_DEPTH = 200
MAX_VALUES = 200_000
"""Values in one body: 5 MiB of nothing else would keep the event loop for seconds."""
LATEST_MS = 4_102_444_800_000  # the year 2100: anything later is no time of an event


class NotJson(ValueError):
    """The body is no JSON object that we accept. The text says why."""


def read_object(raw: bytes) -> dict[str, Any]:
    """The object in `raw`. Raises `NotJson`."""
    if _values(raw) > MAX_VALUES:
        raise NotJson(f"the body holds more than {MAX_VALUES:,} values")
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"the body is not JSON: {error}") from None  # what and where, without the text itself
    if not isinstance(found, dict):
        raise NotJson("the body is not a JSON object")
    # A look at the bytes first: ordinary deliveries never pay for the walk.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _too_deep(found):
        raise NotJson(f"the body has more than {MAX_DEPTH} levels")
    return found


def _values(raw: bytes) -> int:
    """At least so many values as the body holds: brackets and commas are counted, those in texts only where few."""
    found = sum(map(raw.count, (b"{", b"[", b",")))
    if found <= MAX_VALUES:
        return found
    # Perhaps they stand in a text. What is no text is every other part between quotation marks that are not escaped.
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    if (marks := bare.count(b'"')) > 4 * MAX_VALUES:
        return marks
    bare = b"".join(bare.split(b'"')[::2])
    return sum(map(bare.count, (b"{", b"[", b",")))


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


class Payload(BaseModel):
    """A part of somebody else's JSON, with the fields that are read. More fields than these are let pass."""

    model_config = ConfigDict(strict=True, frozen=True)


Declared = TypeVar("Declared", bound=Payload)


def decode(model: type[Declared], payload: dict[str, Any]) -> Declared:
    """The payload as this model. Raises `Malformed`."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise Malformed(_sentence(error.errors(include_url=False, include_input=False)[0])) from None


_WRONG = {
    "missing": "is missing",
    "string_type": "is not a text",
    "bool_type": "is not true or false",
    "int_type": "is not a whole number",
    "greater_than": "is not a number that identifies anything",
    "less_than": "is not a number that identifies anything",
    "model_type": "is not an object",
    "dict_type": "is not an object",
    "list_type": "is not a list",
}


def _sentence(error: ErrorDetails) -> str:
    wrong = _LIKE[error["ctx"]["pattern"]] if error["type"] == "string_pattern_mismatch" else _WRONG.get(error["type"])
    wrong = wrong or error["msg"]  # one of ours
    if isinstance(error["loc"][-1], int):
        wrong = wrong.replace("is not", "holds something that is not", 1)
    return f"{'.'.join(part for part in error['loc'] if isinstance(part, str))} {wrong}"


def wrong(sentence: str) -> PydanticCustomError:
    """What a field's own check raises: "is not an id"."""
    return PydanticCustomError("malformed", sentence)


_KEY = r"^[A-Z][A-Z0-9_]+-[1-9][0-9]{0,9}$"
_TOKEN = r"^[A-Za-z0-9_-]{1,64}$"  # noqa: S105 - a pattern
_ACCOUNT = r"^[^\s\[\]|<>\x00-\x1f\x7f]{1,128}$"
_LIKE = {_KEY: "is not an issue key", _TOKEN: "is not an id", _ACCOUNT: "is not an account id"}


def _id(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise wrong("is not an id")
    return value


def _milliseconds(value: object) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < LATEST_MS:
        raise wrong("is not a time in milliseconds")
    return datetime.fromtimestamp(value / 1000, UTC)


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise wrong("is not a text")
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise wrong("is not a time with its zone")


def one_line(text: str, limit: int = 300) -> str:
    """`text` without invisible characters and secrets, on one line, at most `limit` characters (an ellipsis tells)."""
    # Cut generously first: nothing that is dropped anyway is searched for secrets.
    return _one_line(text[: limit * 8], limit)


@lru_cache(maxsize=2048)  # names, summaries and branches come again and again
def _one_line(text: str, limit: int) -> str:
    return shortened(" ".join(tidy(text).split()), limit)


Line = Annotated[str, AfterValidator(one_line)]
"""A text as one clean line."""
Name = Annotated[str, AfterValidator(lambda text: one_line(text, 100))]
"""A name as one clean line."""
IssueKey = Annotated[str, Field(pattern=_KEY, examples=["ECD-1"])]
AccountId = Annotated[str, Field(pattern=_ACCOUNT)]
Identifier = Annotated[str, Field(pattern=_TOKEN), BeforeValidator(_id)]
"""An id, given as a text or a number; safe to stand in an address."""
Milliseconds = Annotated[
    datetime,
    BeforeValidator(_milliseconds),
    WithJsonSchema({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": LATEST_MS}),
]
"""Milliseconds since 1970, as Jira's `timestamp`."""
Moment = Annotated[datetime, BeforeValidator(_moment)]
"""An ISO-8601 time with its zone, in UTC."""


def first(most: int) -> BeforeValidator:
    """Of a list only so many are read, whatever the rest is."""
    return BeforeValidator(lambda value: value[:most] if isinstance(value, list) else value)


_KIND = re.compile(r"[A-Za-z][A-Za-z0-9_:.-]{0,59}")


def kind_of(value: object) -> str:
    """An event's name as the sender gave it, if it looks like one; else `unknown`. For records and sentences."""
    return value if isinstance(value, str) and _KIND.fullmatch(value) else "unknown"


def text_at(value: Any, *path: str) -> str:
    """The text at the end of a path of names in a payload that may be anything; "" where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value[:1000] if isinstance(value, str) else ""
