"""What happened, in our own words: parsed once at the door (`handlers/`), frozen from then on. Pure data.

`kind` is the discriminator under which an event is stored and read back (`EVENT.validate_python`).
Texts are Markdown, cleaned by `bot.safety` at the door. `issues` holds the keys that an event is about, the most
important first.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from bot.domain.issues import Comment, Frozen, Person, PullRequest


class FieldChange(Frozen):
    """One item of a Jira changelog, as display strings."""

    field: str
    before: str = ""
    after: str = ""


class IssueCommented(Frozen):
    """A comment was written, or (`edited`) its words were changed."""

    kind: Literal["issue_commented"] = "issue_commented"
    issues: tuple[str, ...]
    project: str
    summary: str
    comment: Comment
    edited: bool = False
    at: datetime


class IssueCreated(Frozen):
    """A new issue. `text` is summary and description."""

    kind: Literal["issue_created"] = "issue_created"
    issues: tuple[str, ...]
    project: str
    summary: str
    text: str
    reporter: Person | None = None
    at: datetime


class IssueChanged(Frozen):
    """Fields of an issue were changed. `asks`: the description, where it asks something now and did not before, and
    `added` what is new in it; all other changes are context."""

    kind: Literal["issue_changed"] = "issue_changed"
    issues: tuple[str, ...]
    project: str
    summary: str
    changes: tuple[FieldChange, ...]
    asks: str = ""
    added: str = ""
    by: Person | None = None
    at: datetime


class PullRequestChanged(Frozen):
    """Something happened to a pull request. `action` is Bitbucket's event key after the colon."""

    kind: Literal["pull_request"] = "pull_request"
    issues: tuple[str, ...]
    action: str
    pull_request: PullRequest
    by: Person | None = None
    at: datetime


class BranchPushed(Frozen):
    """Commits arrived on a branch (or `deleted`: it went away). `commits` are first lines, newest first, at most 10."""

    kind: Literal["push"] = "push"
    issues: tuple[str, ...]
    repository: str
    branch: str
    commits: tuple[str, ...] = ()
    by: Person | None = None
    deleted: bool = False
    at: datetime


class BuildReported(Frozen):
    """A commit status. `state`: SUCCESSFUL, FAILED, INPROGRESS, STOPPED."""

    kind: Literal["build"] = "build"
    issues: tuple[str, ...]
    repository: str
    branch: str
    commit: str
    name: str
    state: str
    url: str = ""
    at: datetime


class DraftRequested(Frozen):
    """Somebody asked for a draft: a Jira Automation rule, or `/pmagent draft KEY`. `comment_id`: what to answer.

    `comment_id` None: the newest comment, or the issue itself where there is none. `by`: `jira:automation`, `slack:U…`.
    """

    kind: Literal["draft_requested"] = "draft_requested"
    issues: tuple[str, ...]
    comment_id: str | None = None
    by: str
    at: datetime


Event = Annotated[
    IssueCommented | IssueCreated | IssueChanged | PullRequestChanged | BranchPushed | BuildReported | DraftRequested,
    Field(discriminator="kind"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Ignored(Frozen):
    """A delivery that is named and left alone. `reason` is a sentence, shown by `/pmagent why` and in the answer."""

    reason: str
    kind: str
    issues: tuple[str, ...] = ()


class Malformed(ValueError):
    """A known kind whose needed fields are missing or of the wrong type. The text names the field."""
