"""A situation: the state of an issue, what happens in it, and what a good project manager would make of it.

Situations are TOML files, one for each category (see `tests/evals/README.md`). Everybody in them is invented.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from bot.domain.issues import Frozen
from bot.errors import UserError

CATEGORIES = (
    "direct", "unanswerable", "no_reply", "small_talk", "hostile", "service_desk", "languages", "edits_and_triggers",
    "contradictions", "long_threads", "children_and_links", "identity",
)  # fmt: skip
NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
"""When every situation happens: a Wednesday. Times in the files are UTC."""
MAX_WORDS = 120
"""As `prompts/voice.md` asks of a reply."""


def _utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


class Someone(Frozen):
    """A person besides those of the stand-in (`bot.demo.jira.world.people`)."""

    handle: str
    id: str
    name: str
    kind: Literal["atlassian", "customer", "app"] = "atlassian"


class Said(Frozen):
    """A comment. `restricted`: the role that alone may see it. `edited`: when it was edited last."""

    by: str
    at: datetime
    text: str
    public: bool = True
    restricted: str = ""
    edited: datetime | None = None

    _times = field_validator("at", "edited", mode="before")(_utc)


class Changed(Frozen):
    """A field's change that the history tells of, up to the value that the issue has."""

    by: str = "ana"
    at: datetime
    field: str
    before: str
    after: str

    _times = field_validator("at", mode="before")(_utc)


class Build(Frozen):
    name: str = "CI"
    state: Literal["SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"] = "SUCCESSFUL"
    at: datetime

    _times = field_validator("at", mode="before")(_utc)


class StagedPullRequest(Frozen):
    """A pull request. Its title names its issue. `merged_by`: it is merged; `at`: its last change, with which its
    approvals came; `opened`: when, if not a day before that."""

    number: int
    title: str
    by: str = "ana"
    at: datetime
    opened: datetime | None = None
    reviewers: tuple[str, ...] = ()
    approved_by: tuple[str, ...] = ()
    changes_requested_by: tuple[str, ...] = ()
    draft: bool = False
    declined: bool = False
    merged_by: str = ""
    branch: str = ""
    builds: tuple[Build, ...] = ()

    _times = field_validator("at", "opened", mode="before")(_utc)


class StagedIssue(Frozen):
    """An issue as the stand-in takes it. `links`: pairs of a relation and a key of an issue in `others`.

    `more`: further fields by the names of `bot.demo.jira.site.JiraSite.issue`.
    """

    key: str
    summary: str
    description: str = ""
    status: str = "To Do"
    assignee: str | None = None
    reporter: str = "ben"
    priority: str = "Medium"
    issue_type: str = "Story"
    labels: tuple[str, ...] = ()
    due: date | None = None
    security: str | None = None
    links: tuple[tuple[str, str], ...] = ()
    at: datetime = datetime(2026, 2, 23, 8, 0, tzinfo=UTC)
    more: dict[str, Any] = Field(default={})

    _times = field_validator("at", mode="before")(_utc)


class Expected(Frozen):
    """What is due. `mention`: each of these patterns is found in the reply; `never`: none of these is.

    Patterns are regular expressions, upper and lower case alike. `language`: an ISO 639-1 code.
    """

    reply: bool
    mention: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    language: str = "en"
    words: int = MAX_WORDS

    @field_validator("mention", "never")
    @classmethod
    def _patterns(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in found:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        return found


class Example(Frozen):
    """A stored answer, on which the scorer itself is tested. `fails`: the names of the checks that it does not pass.

    `claims`: what it states, as `prompts/claims.md` asks; what an entry leaves out is empty.
    """

    text: str
    fails: tuple[str, ...] = ()
    claims: tuple[dict[str, Any], ...] = ()

    @property
    def stated(self) -> list[dict[str, Any]]:
        """The claims whole, as the model gives them."""
        return [{"about": "", "value": "", "negated": False, **claim} for claim in self.claims]


class Situation(Frozen):
    """One situation. `event`: what happens last; `comment`, `edit` concern the last comment, the others the issue.

    `before`: what the description was before the event `description`. `rule`: a rule of Jira Automation asks for a
    draft on the last comment, or on the issue where there is none; `command`: an approver, by `/pmagent draft KEY`.
    """

    id: str = Field(pattern=r"[a-z0-9-]+")
    what: str
    category: str = ""
    event: Literal["comment", "edit", "created", "description", "rule", "command"] = "comment"
    before: str = ""
    issue: StagedIssue
    others: tuple[StagedIssue, ...] = ()
    people: tuple[Someone, ...] = ()
    comments: tuple[Said, ...] = ()
    changes: tuple[Changed, ...] = ()
    pulls: tuple[StagedPullRequest, ...] = ()
    public_replies: bool = False
    expect: Expected
    examples: tuple[Example, ...] = ()


def load_situations(folder: Path) -> list[Situation]:
    """Every situation in the files of `folder`, by category and id.

    Raises `UserError` that names the file and what is wrong in it.
    """
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise UserError(f"There are no situations in {folder}: they are in tests/evals of the project's repository.")
    found = [situation for path in files for situation in _read(path)]
    _once("id", [s.id for s in found])
    _once("pull request", [str(pull.number) for s in found for pull in s.pulls])  # they are all in one repository
    _once("person", [p.handle for p in {(p.handle, p): p for s in found for p in s.people}.values()])
    _once("issue key", [key for s in found for key in (s.issue.key, *(o.key for o in s.others))])
    return sorted(found, key=lambda s: (CATEGORIES.index(s.category), s.id))


def _read(path: Path) -> list[Situation]:
    category = path.stem
    if category not in CATEGORIES:
        raise UserError(f"{path.name} is none of the categories: {', '.join(CATEGORIES)}.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} is not TOML: {error}.") from None
    found = []
    for number, raw in enumerate(content.get("situation", ()), 1):
        name = raw.get("id", f"number {number}")
        try:
            found.append(Situation.model_validate({**raw, "category": category}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path.name}, situation {name}: {where}: {first['msg']}.") from None
    return found


def _once(what: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise UserError(f"Two situations have the {what} {value}: give one of them another.")
        seen.add(value)
