"""What Jira tells us, in our own words: a webhook's JSON becomes an event, a named silence, or `Malformed`.

Handled: `comment_created`, `comment_updated`, `jira:issue_created`, `jira:issue_updated`. A comment may also arrive as
`jira:issue_updated` (with the comment in it): it becomes the same event, and intake knows it by id and time of
change. Everything else is ignored by its name. Users come in two shapes: today's (`accountId`, `accountType`) and
that of 2019 and of Data Center (`name`, `key`). No clock, no I/O; who watches what is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from bot.events import (
    CommentArrived,
    DraftRequested,
    Event,
    FieldChange,
    Ignored,
    IssueChanged,
    IssueCommented,
    IssueCreated,
    Malformed,
)
from bot.issues import Comment, Person, Visibility
from bot.markup import from_body, postponed
from handlers.fields import ACCOUNT, ISSUE_KEY, Fields, kind_of, one_line

MAX_CHANGES = 50
_SHORT = 400  # characters
NOT_A_COMMENT = "issue_comment_deleted"


def parse(payload: dict[str, Any], *, watches: Callable[[str], bool], own_account: str | None) -> Event | Ignored:
    """As `arrival`, with every comment as it is when it has been stored and is read back."""
    found = arrival(payload, watches=watches, own_account=own_account)
    return found.read() if isinstance(found, CommentArrived) else found


def arrival(
    payload: dict[str, Any], *, watches: Callable[[str], bool], own_account: str | None
) -> Event | CommentArrived | Ignored:
    """The event in a webhook's JSON object.

    `watches` tells whether a project's key is ours to handle; `own_account` is our account id, once it is known.
    Raises `Malformed` when a handled kind lacks a field that it needs. The order: fields, our own doing, project.
    """
    kind = Fields(payload).text("webhookEvent")
    handler = _HANDLED.get(kind)
    if handler is None:
        named = kind_of(kind)
        return Ignored(reason=f"{named} is a kind of event that is not handled", kind=named, issues=_keys(payload))
    return handler(_Delivery(Fields(payload), kind, watches, own_account))


def parse_automation(payload: dict[str, Any], *, watches: Callable[[str], bool], at: datetime) -> Event | Ignored:
    """What a Jira Automation rule asks for: `{"issue": "ECD-1", "comment": "10019" or absent, "id": unique}`.

    An empty `comment` counts as absent: that is what `{{comment.id}}` becomes in a rule that has no comment.
    Raises `Malformed`. The delivery's id is read by `automation_id`.
    """
    root = Fields(payload)
    automation_id(payload)
    key = root.issue_key("issue")
    comment = None if root.data.get("comment") in (None, "") else root.identifier("comment")
    event = DraftRequested(issues=(key,), comment_id=comment, by="jira:automation", at=at)
    return _unwatched(key, event.kind, watches) or event


def automation_id(payload: dict[str, Any]) -> str:
    """The `id` that a rule gave its request. Raises `Malformed`."""
    value = payload.get("id")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.strip() or len(text) > 200:
        raise Malformed("id is missing" if "id" not in payload else "id is not a text of 1 to 200 characters")
    return text


class _Delivery:
    """A delivery of a handled kind, with what every kind needs already read."""

    def __init__(self, root: Fields, kind: str, watches: Callable[[str], bool], own_account: str | None) -> None:
        self.root = root
        self.kind = kind
        self.watches = watches
        self.own_account = own_account
        self.at = root.milliseconds("timestamp")
        issue = root.object("issue")
        self.key = issue.issue_key("key")
        self.fields = issue.object("fields")
        self.summary = self.fields.line("summary")
        user = root.maybe_object("user")
        self.user = _person(user) if user else None

    def silence(self, reason: str) -> Ignored:
        return Ignored(reason=reason, kind=self.kind, issues=(self.key,))

    def left_alone(self, what: str, *people: Person | None) -> Ignored | None:
        """Why this delivery is none of our business: it is our own doing, or another project's. None: it is ours."""
        if self.own_account and any(p and p.account_id == self.own_account for p in people):
            return self.silence(f"our own {what}")
        return _unwatched(self.key, self.kind, self.watches)


def _comment_event(delivery: _Delivery) -> IssueCommented | CommentArrived | Ignored:
    return _commented(delivery, edited=delivery.kind == "comment_updated")


def _commented(delivery: _Delivery, *, edited: bool | None) -> IssueCommented | CommentArrived | Ignored:
    comment = delivery.root.object("comment")
    body = comment.data.get("body")
    if not isinstance(body, str | dict):
        raise Malformed("comment.body is missing" if body is None else "comment.body is neither a text nor a document")
    author = _person(comment.object("author"))
    editor = comment.maybe_object("updateAuthor")
    created = comment.time("created")
    unchanged = comment.data.get("updated") in (None, comment.data["created"])
    updated = created if unchanged else comment.time("updated")
    comment_id, public = comment.identifier("id"), comment.flag("jsdPublic", default=True)
    visibility = _visibility(comment)
    left_alone = delivery.left_alone("comment", author, _person(editor) if editor else None)
    if left_alone:
        return left_alone
    edited = updated > created if edited is None else edited
    if isinstance(body, str) and (waits := postponed(body)) is not None:
        first = created.isoformat()
        return CommentArrived(
            issues=(delivery.key,),
            project=_project(delivery.key),
            summary=delivery.summary,
            comment_id=comment_id,
            author=author,
            body=waits[0],
            says=waits[1],
            created=first,
            updated=first if unchanged else updated.isoformat(),
            public=public,
            visibility=visibility,
            edited=edited,
            at=delivery.at,
        )
    found = Comment(
        id=comment_id,
        author=author,
        text=from_body(body),  # last: the dearest part
        created=created,
        updated=updated,
        public=public,
        visibility=visibility,
    )
    return IssueCommented(
        issues=(delivery.key,),
        project=_project(delivery.key),
        summary=delivery.summary,
        comment=found,
        edited=edited,
        at=delivery.at,
    )


def _created(delivery: _Delivery) -> Event | Ignored:
    description = delivery.fields.data.get("description")
    if description is not None and not isinstance(description, str | dict):
        raise Malformed("issue.fields.description is neither a text nor a document")
    reported = delivery.fields.maybe_object("reporter") or delivery.fields.maybe_object("creator")
    reporter = _person(reported) if reported else delivery.user
    left_alone = delivery.left_alone("issue", reporter, delivery.user)
    if left_alone:
        return left_alone
    return IssueCreated(
        issues=(delivery.key,),
        project=_project(delivery.key),
        summary=delivery.summary,
        text=f"{delivery.summary}\n\n{from_body(description)}".strip(),
        reporter=reporter,
        at=delivery.at,
    )


def _updated(delivery: _Delivery) -> Event | CommentArrived | Ignored:
    how = delivery.root.maybe_text("issue_event_type_name")
    if how == NOT_A_COMMENT:
        return delivery.silence(f"{how} is a kind of event that is not handled")
    if delivery.root.data.get("comment") is not None:
        # A comment, or a transition with one: the words matter more, and the fields are read from Jira anyway.
        return _commented(delivery, edited={"issue_commented": False, "issue_comment_edited": True}.get(how))
    changelog = delivery.root.maybe_object("changelog")
    changes = tuple(_change(item) for item in changelog.objects("items")[:MAX_CHANGES]) if changelog else ()
    left_alone = delivery.left_alone("change", delivery.user)
    if left_alone:
        return left_alone
    if not changes:
        return delivery.silence("an update that names neither a change nor a comment")
    return IssueChanged(
        issues=(delivery.key,),
        project=_project(delivery.key),
        summary=delivery.summary,
        changes=changes,
        by=delivery.user,
        at=delivery.at,
    )


_HANDLED: dict[str, Callable[[_Delivery], Event | CommentArrived | Ignored]] = {
    "comment_created": _comment_event,
    "comment_updated": _comment_event,
    "jira:issue_created": _created,
    "jira:issue_updated": _updated,
}


def _change(item: Fields) -> FieldChange:
    # "toString" is Jira's own name for the new value as it is displayed.
    return FieldChange(
        field=item.line("field", 100), before=item.maybe_line("fromString"), after=item.maybe_line("toString")
    )


def _person(user: Fields) -> Person:
    get = user.data.get
    account_id, name, kind = get("accountId"), get("displayName"), get("accountType")
    known = None
    if isinstance(account_id, str) and isinstance(name, str) and isinstance(kind, str | None) and get("name") is None:
        known = known_person(account_id, name, kind)
    return known or _described(user)


def _described(user: Fields) -> Person:
    get = user.data.get
    account = next((n for n in ("accountId", "key", "name") if get(n) is not None), "accountId")
    account_id = user.account(account)
    name = user.maybe_line("displayName", 100) or user.maybe_line("name", 100) or "somebody"
    return Person(account_id=account_id, name=name, kind=kind_of(user.maybe_text("accountType") or "atlassian"))


def known_person(account_id: str, name: str, kind: str | None) -> Person | None:
    """The person of an account as Jira Cloud describes it (`accountType`: `kind`); None for one that is not plain."""
    # The same few people write most of what arrives. What is longer than people's names is not remembered.
    return _people(account_id, name, kind) if len(account_id) + len(name) < _SHORT else None


@lru_cache(maxsize=2048)
def _people(account_id: str, name: str, kind: str | None) -> Person | None:
    if not ACCOUNT.fullmatch(account_id) or len(kind or "") > _SHORT:
        return None
    return Person(account_id=account_id, name=one_line(name, 100) or "somebody", kind=kind_of(kind or "atlassian"))


def _visibility(comment: Fields) -> Visibility | None:
    found = comment.maybe_object("visibility")
    if found is None:
        return None
    return Visibility(
        type=found.text("type"), value=found.text("value"), identifier=found.maybe_text("identifier") or None
    )


def _project(key: str) -> str:
    return key.rpartition("-")[0]


def _unwatched(key: str, kind: str, watches: Callable[[str], bool]) -> Ignored | None:
    project = _project(key)
    if watches(project):
        return None
    return Ignored(reason=f"project {project} is not among those that are watched", kind=kind, issues=(key,))


def _keys(payload: dict[str, Any]) -> tuple[str, ...]:
    """The issue's key in an event that is not handled, where it is where it always is."""
    issue = payload.get("issue")
    key = issue.get("key") if isinstance(issue, dict) else None
    return (key,) if isinstance(key, str) and ISSUE_KEY.fullmatch(key) else ()
