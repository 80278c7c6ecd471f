"""Jira's REST answers → our own types (`bot.domain.issues`). Pure.

Lenient on purpose: a missing or odd optional field is an empty value, never an exception; an issue needs only its key.
Texts come as ADF (REST v3) or wiki markup and leave as tidy Markdown; names and summaries leave tidied too.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from bot.clients.values import listing, mapping, moment, one_line
from bot.domain.issues import Change, Comment, Person, Visibility
from bot.markup import from_body

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEWEST_CHANGES = 20
LONGEST_CHANGE = 200
"""Characters of a value in a change: a changed description stands there whole, twice."""

FIELDS = (
    "summary", "status", "description", "issuetype", "project", "assignee", "reporter", "priority", "labels",
    "duedate", "created", "updated", "issuelinks", "security", "parent", "subtasks", "fixVersions", "resolution",
    "components",
)  # fmt: skip
"""The fields that are asked for; `comment` is asked for in searches alone."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?")


def person(value: Any) -> Person | None:
    """A user object; None without an account id or any name."""
    user = mapping(value)
    name = one_line(user.get("displayName"))
    account_id = user.get("accountId")
    if not isinstance(account_id, str) or not account_id:
        # A deleted or anonymous author: no id that anybody could be mentioned by.
        return Person(account_id="", name=name) if name else None
    kind = user.get("accountType")
    return Person(account_id=account_id, name=name or account_id, kind=kind if isinstance(kind, str) else "atlassian")


def visibility(value: Any) -> Visibility | None:
    """A comment's restriction, as Jira gave it."""
    found = mapping(value)
    kind, identifier = found.get("type"), found.get("identifier")
    name = found.get("value")
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    return Visibility(type=kind, value=name, identifier=identifier if isinstance(identifier, str) else None)


def comment(value: Any, own_account: str | None, *, desk: bool) -> Comment:
    """One comment. `own_account`: our service account's id, for `by_us`.

    `desk`: it is a service desk's, where only what Jira calls public is. Elsewhere everybody who sees the issue sees
    its comments, and Jira need not say so.
    """
    found = mapping(value)
    author = person(found.get("author")) or Person(account_id="", name="somebody")
    created = moment(found.get("created")) or EPOCH
    return Comment(
        id=str(found.get("id", "")),
        author=author,
        text=from_body(body(found.get("body"))),
        created=created,
        updated=moment(found.get("updated")) or created,
        public=found.get("jsdPublic") is True if desk else found.get("jsdPublic") is not False,
        visibility=visibility(found.get("visibility")),
        by_us=bool(own_account) and author.account_id == own_account,
    )


def changes(histories: Any, since: datetime | None = None) -> tuple[Change, ...]:
    """The newest changes, and all `since` then, oldest first, of a list of histories in any order.

    Jira keeps the words of an edited or deleted comment as a change, and not who might see it: they are left out.
    """
    found: list[Change] = []
    for history in sorted(listing(histories), key=lambda h: moment(h.get("created")) or EPOCH):
        by = person(history.get("author"))
        for item in listing(history.get("items")):
            field = one_line(item.get("field"))
            told = field.casefold() != "comment"
            found.append(
                Change(
                    field=field,
                    before=_side(item, "from") if told else "",
                    after=_side(item, "to") if told else "",
                    at=moment(history.get("created")) or EPOCH,
                    by=by.name if by else "",
                )
            )
    start = max(len(found) - NEWEST_CHANGES, 0)
    while since is not None and start and found[start - 1].at >= since:
        start -= 1
    return tuple(found[start:])


def _side(item: dict[str, Any], side: str) -> str:
    """What a field was changed from, or to, as it is displayed; a day and a time without what Jira adds to them."""
    shown = one_line(item.get(f"{side}String"), LONGEST_CHANGE)
    raw = item.get(side)
    found = _TIME.fullmatch(raw) if isinstance(raw, str) and shown else None
    found = found or _TIME.fullmatch(shown)
    if found is None:
        return shown
    return found[1] if found[2] in (None, "00:00") else f"{found[1]} {found[2]}"


def is_desk(value: Any) -> bool:
    """Whether an issue of Jira's answers is a service desk's."""
    return mapping(mapping(mapping(value).get("fields")).get("project")).get("projectTypeKey") == "service_desk"


def has_security_level(value: Any) -> bool:
    """Whether an issue of Jira's answers has a security level, whatever it looks like."""
    return mapping(mapping(value).get("fields")).get("security") is not None


def number(value: Any, default: int) -> int:
    """A count out of an answer, or `default`."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def body(value: Any) -> str | dict[str, Any] | None:
    """A text as Jira sends it, wiki markup or ADF; None for anything else."""
    return value if isinstance(value, (str, dict)) else None


def day(value: Any) -> date | None:
    """Jira's `2026-01-05`; None when unreadable."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
