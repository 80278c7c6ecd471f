"""What a webhook of Jira's means: payloads become events, named silences, or `Malformed`.

Handled: `comment_created`, `comment_updated`, `jira:issue_created`, `jira:issue_updated`. A comment may also arrive as
`jira:issue_updated` (with the comment in it): it becomes the same event, and intake knows it by id and time of
change. Everything else is ignored by its name. Users come in two shapes: today's (`accountId`, `accountType`) and
that of 2019 and of Data Center (`name`, `key`); one who is not there is somebody. No clock, no I/O; who watches what
is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bot.domain.events import Event, Ignored, IssueChanged, IssueCommented, IssueCreated
from bot.domain.issues import Comment, Person, Visibility
from bot.markup import from_body
from handlers.decoding import (
    IssueKey,
    Payload,
    decode,
    kind_of,
    text_at,
)
from handlers.jira.payloads import Announced, CommentDelivery, CreatedDelivery, JiraDelivery, JiraUser, UpdatedDelivery

COMMENT_DELETED = "issue_comment_deleted"
SOMEBODY = Person(account_id="", name="somebody")


class Ours(NamedTuple):
    """What is ours. `watches`: whether a project's key is; `own_account`: our account's id, once it is known."""

    watches: Callable[[str], bool]
    own_account: str | None

    def leaves_alone(self, delivery: JiraDelivery, what: str, *people: JiraUser | None) -> Ignored | None:
        """Why this is none of our business: it is our own doing, or another project's. None: it is ours."""
        if self.own_account and any(p is not None and p.id == self.own_account for p in people):
            return _silence(delivery, f"our own {what}")
        return unwatched(delivery.issue.key, delivery.webhook_event, self.watches)


def parse(payload: dict[str, Any], *, watches: Callable[[str], bool], own_account: str | None) -> Event | Ignored:
    """The event in a webhook's JSON object. Raises `Malformed` when a handled kind lacks a field that it needs.

    The order: fields, our own doing, project. See `Ours`.
    """
    ours = Ours(watches, own_account)
    match decode(Announced, payload).webhook_event:
        case "comment_created" | "comment_updated":
            return _commented(decode(CommentDelivery, payload), ours)
        case "jira:issue_updated" if payload.get("comment") is not None and (
            payload.get("issue_event_type_name") != COMMENT_DELETED
        ):
            # A comment, or a transition with one: the words matter more, and the fields are read from Jira anyway.
            return _commented(decode(CommentDelivery, payload), ours)
        case "jira:issue_created":
            return _created(decode(CreatedDelivery, payload), ours)
        case "jira:issue_updated":
            return _updated(decode(UpdatedDelivery, payload), ours)
        case other:
            kind = kind_of(other)
            return Ignored(
                reason=f"{kind} is a kind of event that is not handled", kind=kind, issues=named_issues(payload)
            )


def named_issues(payload: dict[str, Any]) -> tuple[str, ...]:
    """The key of the issue that a payload names, whatever else is wrong with it."""
    issue = payload.get("issue")
    key = issue if isinstance(issue, str) else text_at(issue, "key") or text_at(payload, "key")
    try:
        return (decode(_Keyed, {"key": key}).key,)
    except ValueError:
        return ()


class _Keyed(Payload):
    key: IssueKey


def _commented(delivery: CommentDelivery, ours: Ours) -> IssueCommented | Ignored:
    comment = delivery.comment
    updated = comment.updated or comment.created
    left_alone = ours.leaves_alone(delivery, "comment", comment.author, comment.update_author)
    if left_alone:
        return left_alone
    edited = {"comment_created": False, "comment_updated": True}.get(delivery.webhook_event)
    if edited is None:
        edited = {"issue_commented": False, "issue_comment_edited": True}.get(delivery.how or "")
    return IssueCommented(
        issues=(delivery.issue.key,),
        project=_project(delivery.issue.key),
        summary=delivery.issue.fields.summary,
        comment=Comment(
            id=comment.id,
            author=_person(comment.author),
            text=from_body(comment.body),
            created=comment.created,
            updated=updated,
            public=comment.jsd_public is True if _is_desk(delivery) else comment.jsd_public is not False,
            visibility=Visibility(**comment.visibility.model_dump()) if comment.visibility else None,
        ),
        edited=updated > comment.created if edited is None else edited,
        at=delivery.timestamp,
    )


def _is_desk(delivery: JiraDelivery) -> bool:
    """Whether it is a service desk's: there, what is not known to be public is internal."""
    project = delivery.issue.fields.project
    return project is not None and project.project_type_key == "service_desk"


def _created(delivery: CreatedDelivery, ours: Ours) -> IssueCreated | Ignored:
    fields = delivery.issue.fields
    reporter = fields.reporter or fields.creator or delivery.user
    left_alone = ours.leaves_alone(delivery, "issue", reporter, delivery.user)
    if left_alone:
        return left_alone
    return IssueCreated(
        issues=(delivery.issue.key,),
        project=_project(delivery.issue.key),
        summary=fields.summary,
        text=f"{fields.summary}\n\n{from_body(fields.description)}".strip(),
        reporter=_person(reporter) if reporter else None,
        at=delivery.timestamp,
    )


def _updated(delivery: UpdatedDelivery, ours: Ours) -> IssueChanged | Ignored:
    if delivery.how == COMMENT_DELETED:
        return _silence(delivery, f"{delivery.how} is a kind of event that is not handled")
    left_alone = ours.leaves_alone(delivery, "change", delivery.user)
    if left_alone:
        return left_alone
    items = delivery.changelog.items if delivery.changelog else []
    if not items:
        return _silence(delivery, "an update that names neither a change nor a comment")
    asks, added = next(filter(any, (item.question for item in items)), ("", ""))
    return IssueChanged(
        issues=(delivery.issue.key,),
        project=_project(delivery.issue.key),
        summary=delivery.issue.fields.summary,
        changes=tuple(item.change for item in items),
        asks=asks,
        added=added,
        by=_person(delivery.user) if delivery.user else None,
        at=delivery.timestamp,
    )


def _silence(delivery: JiraDelivery, reason: str) -> Ignored:
    return Ignored(reason=reason, kind=delivery.webhook_event, issues=(delivery.issue.key,))


def _person(user: JiraUser | None) -> Person:
    if user is None:
        return SOMEBODY
    return Person(
        account_id=user.id,
        name=user.display_name or user.name or SOMEBODY.name,
        kind=kind_of(user.account_type or "atlassian"),
    )


def _project(key: str) -> str:
    return key.rpartition("-")[0]


def unwatched(key: str, kind: str, watches: Callable[[str], bool]) -> Ignored | None:
    """The silence about an issue of a project that is not watched; None: it is."""
    project = _project(key)
    if watches(project):
        return None
    return Ignored(reason=f"project {project} is not among those that are watched", kind=kind, issues=(key,))
