"""What Jira Automation rules send: a draft is asked for, with an issue and perhaps a comment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator

from bot.domain.events import DraftRequested, Event, Ignored
from handlers.decoding import (
    Identifier,
    IssueKey,
    Payload,
    decode,
    wrong,
)
from handlers.jira.events import unwatched


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


def parse(payload: dict[str, Any], *, watches: Callable[[str], bool], at: datetime) -> Event | Ignored:
    """The draft that a Jira Automation rule asks for, with whichever body it was set up. Raises `Malformed`.

    An empty `comment` counts as absent: that is what `{{comment.id}}` becomes in a rule that has no comment.
    """
    key, comment = _asked(payload)
    event = DraftRequested(issues=(key,), comment_id=comment, by="jira:automation", at=at)
    return unwatched(key, event.kind, watches) or event


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


def request_id(payload: dict[str, Any]) -> str | None:
    """The id that a rule gave its request. None: it gave none, or sent issue data, where `id` is the issue's own.

    Then the body alone tells two requests apart; an issue's holds the time of its last change.
    """
    given = payload.get("id")
    return None if _is_issue(payload) or isinstance(given, bool) or not isinstance(given, str | int) else str(given)
