"""Jira's webhook payloads: their models, and their conversion to events, named silences, or `Malformed`.

Handled: `comment_created`, `comment_updated`, `jira:issue_created`, `jira:issue_updated`. A comment may also arrive as
`jira:issue_updated` (with the comment in it): it becomes the same event, and intake knows it by id and time of
change. Everything else is ignored by its name. Users come in two shapes: today's (`accountId`, `accountType`) and
that of 2019 and of Data Center (`name`, `key`); one who is not there is somebody. No clock, no I/O; who watches what
is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from bot.domain.events import DraftRequested, Event, FieldChange, Ignored, IssueChanged, IssueCommented, IssueCreated
from bot.domain.issues import Comment, Person, Visibility
from bot.markup import from_body
from bot.rules.policy import newly_asks
from handlers.decoding import (
    AccountId,
    Identifier,
    IssueKey,
    Line,
    Milliseconds,
    Moment,
    Name,
    Payload,
    decode,
    first,
    kind_of,
    one_line,
    text_at,
    wrong,
)

MAX_CHANGES = 50
COMMENT_DELETED = "issue_comment_deleted"
SOMEBODY = Person(account_id="", name="somebody")


class JiraPayload(Payload):
    """Jira's own names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel)


def _words(value: object) -> object:
    if not isinstance(value, str | dict):
        raise wrong("is missing" if value is None else "is neither a text nor a document")
    return value


Body = Annotated[Any, BeforeValidator(_words), WithJsonSchema({"type": ["string", "object"]})]
"""Wiki markup, or a document in the Atlassian Document Format; converted later, because that is the dearest part."""


class JiraUser(JiraPayload):
    """An account. Which of its ids it has depends on the product and the year; an anonymous one has none."""

    account_id: AccountId | None = None
    key: AccountId | None = None
    name: Name | None = None
    display_name: Name | None = None
    account_type: str | None = Field(None, examples=["atlassian", "app", "customer"])

    @property
    def id(self) -> str:
        """The id that Jira gave; "" for none."""
        return self.account_id or self.key or self.name or ""


class JiraVisibility(JiraPayload):
    """The role or group that alone may see a comment."""

    type: str
    value: str
    identifier: str | None = None


class JiraComment(JiraPayload):
    """A comment. `author` and `updateAuthor` are absent where nobody was logged in."""

    id: Identifier
    author: JiraUser | None = None
    update_author: JiraUser | None = None
    body: Body
    created: Moment
    updated: Moment | None = None
    jsd_public: bool | None = None
    visibility: JiraVisibility | None = None


class JiraProject(JiraPayload):
    """The project that an issue is in."""

    project_type_key: str | None = Field(None, examples=["software", "service_desk"])


class JiraFields(JiraPayload):
    """The fields of an issue that every event has."""

    summary: Line
    project: JiraProject | None = None


class CreatedFields(JiraFields):
    """Those of an issue that is new."""

    description: Body | None = None
    reporter: JiraUser | None = None
    creator: JiraUser | None = None


class JiraIssue(JiraPayload):
    """The issue that an event is about."""

    key: IssueKey
    fields: JiraFields


class CreatedIssue(JiraIssue):
    """An issue that is new."""

    fields: CreatedFields


class ChangedField(JiraPayload):
    """One item of a changelog, as it was displayed."""

    field: Name
    from_string: str | None = None
    to_string: str | None = None

    @property
    def change(self) -> FieldChange:
        """On one line each."""
        return FieldChange(
            field=self.field, before=one_line(self.from_string or ""), after=one_line(self.to_string or "")
        )

    @property
    def asks(self) -> str:
        """The description that was written, where it asks something and did not before; else empty."""
        if self.field.casefold() != "description" or not self.to_string:
            return ""
        before, after = from_body(self.from_string), from_body(self.to_string)
        return after if newly_asks(before, after) else ""


class Changelog(JiraPayload):
    """What was changed, at one time."""

    items: Annotated[list[ChangedField], first(MAX_CHANGES)]


class JiraDelivery(JiraPayload):
    """What every webhook of a handled kind holds."""

    webhook_event: str
    timestamp: Milliseconds
    issue: JiraIssue


class CommentDelivery(JiraDelivery):
    """`comment_created`, `comment_updated`, and a `jira:issue_updated` with a comment in it."""

    comment: JiraComment
    how: str | None = Field(None, alias="issue_event_type_name")


class CreatedDelivery(JiraDelivery):
    """`jira:issue_created`."""

    issue: CreatedIssue
    user: JiraUser | None = None


class UpdatedDelivery(JiraDelivery):
    """`jira:issue_updated`: fields were changed."""

    user: JiraUser | None = None
    changelog: Changelog | None = None
    how: str | None = Field(None, alias="issue_event_type_name")


class Announced(JiraPayload):
    """What every webhook names."""

    webhook_event: str


class Ours(NamedTuple):
    """What is ours. `watches`: whether a project's key is; `own_account`: our account's id, once it is known."""

    watches: Callable[[str], bool]
    own_account: str | None

    def leaves_alone(self, delivery: JiraDelivery, what: str, *people: JiraUser | None) -> Ignored | None:
        """Why this is none of our business: it is our own doing, or another project's. None: it is ours."""
        if self.own_account and any(p is not None and p.id == self.own_account for p in people):
            return _silence(delivery, f"our own {what}")
        return _unwatched(delivery.issue.key, delivery.webhook_event, self.watches)


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
    return IssueChanged(
        issues=(delivery.issue.key,),
        project=_project(delivery.issue.key),
        summary=delivery.issue.fields.summary,
        changes=tuple(item.change for item in items),
        asks=next(filter(None, (item.asks for item in items)), ""),
        by=_person(delivery.user) if delivery.user else None,
        at=delivery.timestamp,
    )


# Jira Automation


def _request_id(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.strip() or len(text) > 200:
        raise wrong("is not a text of 1 to 200 characters")
    return text


class AutomationRequest(Payload):
    """What a rule sends with custom data. `id` is different for each request, `comment` the one to be answered."""

    id: Annotated[str, BeforeValidator(_request_id)]
    issue: IssueKey
    comment: Annotated[Identifier | None, BeforeValidator(lambda given: None if given == "" else given)] = None


class IssueData(Payload):
    """What a rule sends with "Issue data (Automation format)": the issue, as Jira's REST API describes it."""

    key: IssueKey
    fields: dict[str, Any]


class AskedComment(Payload):
    """The comment that a rule is about."""

    id: Identifier


class JiraFormat(Payload):
    """What a rule sends with "Issue data (Jira format)"."""

    issue: IssueData
    comment: AskedComment | None = None


def parse_automation(payload: dict[str, Any], *, watches: Callable[[str], bool], at: datetime) -> Event | Ignored:
    """The draft that a Jira Automation rule asks for, with whichever body it was set up. Raises `Malformed`.

    An empty `comment` counts as absent: that is what `{{comment.id}}` becomes in a rule that has no comment.
    """
    key, comment = _asked(payload)
    event = DraftRequested(issues=(key,), comment_id=comment, by="jira:automation", at=at)
    return _unwatched(key, event.kind, watches) or event


def _asked(payload: dict[str, Any]) -> tuple[str, str | None]:
    """The issue, and the comment if one is named."""
    if isinstance(payload.get("issue"), dict):
        found = decode(JiraFormat, payload)
        return found.issue.key, found.comment.id if found.comment else None
    if _is_issue(payload):
        return decode(IssueData, payload).key, None
    request = decode(AutomationRequest, payload)
    return request.issue, request.comment


def _is_issue(payload: dict[str, Any]) -> bool:
    return "issue" not in payload and "key" in payload and "fields" in payload


def automation_id(payload: dict[str, Any]) -> str | None:
    """The id that a rule gave its request. None: it gave none, or sent issue data, where `id` is the issue's own.

    Then the body alone tells two requests apart; an issue's holds the time of its last change.
    """
    given = payload.get("id")
    return None if _is_issue(payload) or isinstance(given, bool) or not isinstance(given, str | int) else str(given)


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


def _unwatched(key: str, kind: str, watches: Callable[[str], bool]) -> Ignored | None:
    project = _project(key)
    if watches(project):
        return None
    return Ignored(reason=f"project {project} is not among those that are watched", kind=kind, issues=(key,))
