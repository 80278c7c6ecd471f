"""Every text that `Material` can hold, with a word of its own: which of them each audience's request shows.

The material is filled by its declaration, so a field that is new stands in here by itself, and fails until somebody
has said who may be shown it.
"""

from __future__ import annotations

import re
import types
import typing
from datetime import date, datetime
from typing import Any

import pytest

from bot.domain.issues import Comment, Frozen, Issue, Visibility
from bot.prompting import Material, reply_message, triage_message
from bot.rules.policy import Audience, shown_to
from tests.asking_material import NOW

CUSTOMER = frozenset({
    "issue.key", "issue.summary", "issue.url", "issue.status", "issue.description", "issue.issue_type",
    "issue.assignee.name", "issue.assignee.account_id", "issue.reporter.name", "issue.reporter.account_id",
    "issue.priority", "issue.resolution", "issue.comments.id", "issue.comments.text", "issue.comments.author.name",
    "issue.comments.author.account_id", "by.name", "by.account_id", "added",
    "answered.id", "answered.text", "answered.author.name", "answered.author.account_id",
})  # fmt: skip
"""Every place whose text a customer's request shows."""
NOT_SHOWN = re.compile(
    r"issue\.project|issue\.status_category|.*\.kind|.*\.visibility\..*|kind|audience|.*\.author_id|timezone"
    r"|issue\.(links|parent|children)\.status_category|issue\.(parent|children)\.relation"
    r"|issue\.(links|parent|children)\.assignee\.account_id|.*pull_requests\.(repository|keys|built|approved_at)"
    r"|other_pull_requests\.url"
)
"""Places whose text is not for anybody's request: codes, and what is said in other words."""


def fill(kind: Any, path: str) -> Any:
    """A value of this type, with its place in every text."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return fill(inner[0], path)
    if origin is tuple:
        return (fill(inner[0], path),)
    if origin is dict:
        return {fill(inner[0], path): fill(inner[1], path)}
    if origin is typing.Literal:
        return inner[0]
    if isinstance(kind, type) and issubclass(kind, Frozen):
        return kind(**fields(kind, path))
    return {str: f"zq:{path}:", datetime: NOW, date: date(2026, 12, 1), bool: False, int: 3}[kind]


def fields(kind: type[Frozen], path: str = "", /, **given: Any) -> dict[str, Any]:
    names = {name: f"{path}.{name}".strip(".") for name in kind.model_fields}
    return {n: given[n] if n in given else fill(kind.model_fields[n].annotation, p) for n, p in names.items()}


def comment(place: str, **more: Any) -> Comment:
    return Comment(**fields(Comment, place, **{"public": True, "visibility": None, "by_us": False, **more}))


def everything(audience: Audience) -> dict[str, Any]:
    """All that there is to say: the workflow's part (who is shown what) done, and nothing else left out."""
    written = (
        comment("issue.comments"),
        comment("internal", public=False),
        comment("restricted", visibility=Visibility(type="role", value="zq:role:")),
    )
    whole = Issue(**fields(Issue, "issue", comments=written, comment_total=3, has_security_level=False))
    change = whole.changes[0].model_copy(update={"field": "zq:issue.changes.field:"})
    given = {
        "issue": shown_to(audience, whole.model_copy(update={"changes": (change,)})),
        "answered": comment("answered"),
        "audience": audience.audience,
        "customer": audience.customer,
        "kind": "issue_changed",
        "timezone": "UTC",
    }
    return fields(Material, **given)


def places(message: str) -> set[str]:
    return set(re.findall(r"zq:([\w.]+):", message))


def all_places() -> set[str]:
    return places(str(fields(Material, timezone="UTC")))


def test_the_team_is_shown_everything_but_codes() -> None:
    both = {Audience(audience="internal"): {"internal"}, Audience(audience="public"): set()}
    for audience, more in both.items():
        found = everything(audience)
        message = (
            reply_message(Material(**found)).message + reply_message(Material(**{**found, "answered": None})).message
        )
        expected = {place for place in all_places() if not NOT_SHOWN.fullmatch(place)}
        extra = {f"{place}.{name}" for place in more for name in ("id", "text", "author.name", "author.account_id")}
        assert places(message) == expected | extra


def test_a_customer_is_shown_what_is_listed_and_nothing_else() -> None:
    """What the workflow should not have handed over is refused, or is not shown."""
    found = everything(Audience(audience="public", customer=True))
    empty = {name: field.default for name, field in Material.model_fields.items() if not field.is_required()}
    own = {"answered", "audience", "customer", "kind", "by", "at", "added", "timezone"}
    allowed = {**found, **{name: value for name, value in empty.items() if name not in own}}
    for ask in (reply_message, triage_message):
        shown = places(ask(Material(**allowed)).message)
        shown |= places(ask(Material(**{**allowed, "answered": None})).message)
        assert shown == CUSTOMER
    for name in empty.keys() - own - {"asked_for"}:
        with pytest.raises(ValueError, match="the team's own"):
            Material(**{**allowed, name: found[name]})
