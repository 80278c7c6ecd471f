"""Jira's webhook payloads, as models: the fields that are read, and of which type they have to be."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from bot.domain.events import FieldChange
from bot.markup import from_body
from bot.rules.questions import added, newly_asks
from handlers.decoding import (
    AccountId,
    Identifier,
    IssueKey,
    Line,
    Milliseconds,
    Moment,
    Name,
    Payload,
    first,
    one_line,
    wrong,
)

MAX_CHANGES = 50


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
    def question(self) -> tuple[str, str]:
        """The description that was written, where it asks something and did not before, and what is new in it."""
        if self.field.casefold() != "description" or not self.to_string:
            return "", ""
        before, after = from_body(self.from_string), from_body(self.to_string)
        return (after, added(before, after)) if newly_asks(before, after) else ("", "")


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
