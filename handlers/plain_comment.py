"""The short way for what most deliveries are: an ordinary comment of Jira Cloud.

It gives what `handlers.jira.arrival` gives for the same body, or None, and then that module takes its time: for every
other kind, for whatever is missing, odd, our own or another project's, for words that must be converted at once. So all
sentences about what is wrong are said there, and nothing is decided here. `tests/test_plain_comment.py` holds the two
ways against each other.

msgspec reads only the fields that are declared and checks their types on the way: less than half the time of reading
everything, and a fifth of that of looking at each field from Python. What is not declared it skips. There it lets pass
what `handlers.body` refuses: numbers past the range of a float, and more than 200 levels (to about a thousand).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from msgspec import Struct
from msgspec.json import Decoder

from bot.events import CommentArrived
from bot.issues import Person
from bot.markup import postponed
from handlers.body import AS_ZEROS, MAX_DIGITS
from handlers.fields import ISSUE_KEY, LATEST_MS, TOKEN, one_line
from handlers.jira import known_person

_STEP = 100
_TOO_MANY = b"0" * (MAX_DIGITS // _STEP)


class _Account(Struct, gc=False):
    accountId: str  # noqa: N815 - Jira's
    displayName: str  # noqa: N815 - Jira's
    accountType: str | None = None  # noqa: N815 - Jira's
    name: None = None


class _Comment(Struct, gc=False):
    id: str
    author: _Account
    body: str
    created: str
    updated: str | None = None
    updateAuthor: _Account | None = None  # noqa: N815 - Jira's
    jsdPublic: bool | None = None  # noqa: N815 - Jira's
    visibility: None = None


class _Fields(Struct, gc=False):
    summary: str


class _Issue(Struct, gc=False):
    key: str
    fields: _Fields


class _Delivery(Struct, gc=False):
    webhookEvent: Literal["comment_created", "comment_updated"]  # noqa: N815 - Jira's
    timestamp: int
    issue: _Issue
    comment: _Comment
    user: _Account | None = None


_decode = Decoder(_Delivery).decode


def read(raw: bytes, *, watches: Callable[[str], bool], own_account: str | None) -> CommentArrived | None:
    """The comment in a request's body; None for anything that is not plainly one."""
    try:
        if not raw.isascii():
            raw.decode()  # what is skipped is not looked at
        delivery = _decode(raw)
        comment = delivery.comment
        first = last = _utc(comment.created)
        if comment.updated is not None and comment.updated != comment.created:
            last = _utc(comment.updated)
    except (ValueError, RecursionError, OverflowError):
        return None
    author, editor, project = _person(comment.author), comment.updateAuthor, _project(delivery.issue.key)
    changed_by = author if editor is None or editor == comment.author else _person(editor)
    if author is None or changed_by is None or project is None or first is None or last is None:
        return None
    if delivery.user is not None and _person(delivery.user) is None:
        return None
    if not watches(project) or own_account in (author.account_id, changed_by.account_id):
        return None
    if not 0 < delivery.timestamp < LATEST_MS or not TOKEN.fullmatch(comment.id) or _many_digits(raw):
        return None
    waits = postponed(comment.body)
    if waits is None:
        return None
    return CommentArrived(
        (delivery.issue.key,), project, one_line(delivery.issue.fields.summary), comment.id, author, waits[0], waits[1],
        first, last, comment.jsdPublic is not False, None, delivery.webhookEvent == "comment_updated",
        datetime.fromtimestamp(delivery.timestamp / 1000, UTC),
    )  # fmt: skip


@lru_cache(maxsize=4096)  # the same issues are talked about again and again
def _project(key: str) -> str | None:
    return key.rpartition("-")[0] if len(key) < 100 and ISSUE_KEY.fullmatch(key) else None


def _person(account: _Account) -> Person | None:
    return known_person(account.accountId, account.displayName, account.accountType)


def _utc(text: str) -> str | None:
    """The time in UTC, as text; None without a zone. Raises ValueError, OverflowError."""
    found = datetime.fromisoformat(text)
    if text[4:20:3] == "--T::." and text[23:] == "+0000":
        # As Jira writes it, 2026-11-22T09:10:00.123+0000. For `isoformat` it would take three times as long.
        return text[:19] + "+00:00" if text[20:23] == "000" else text[:23] + "000+00:00"
    return None if found.tzinfo is None else found.astimezone(UTC).isoformat()


def _many_digits(raw: bytes) -> bool:
    """Whether there may be a number of more than 1,000 digits: so many in a row of every hundredth byte say so."""
    return _TOO_MANY in raw[::_STEP].translate(AS_ZEROS)
