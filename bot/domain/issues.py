"""An issue as we know it: what was read from Jira, and the pull requests that mention it. Pure data.

All texts in here are Markdown made by `bot.markup`, already cleaned of invisible characters and of secrets by
`bot.safety`: they may go to Claude, to Slack and into the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bot.domain.mentions import mentioned, renamed

WITHOUT_CUSTOMERS = frozenset({"software", "business", "product_discovery"})
"""Jira's types of project that have no portal. Those with one are `service_desk`, and by now `customer_service`."""


def has_customers(project_type: object) -> bool:
    """Whether customers may read what is written in a project of this type. Jira always says which it is."""
    return project_type is not None and project_type not in WITHOUT_CUSTOMERS


class Frozen(BaseModel):
    """Base of our value types: immutable, and nothing undeclared gets in."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(Frozen):
    """A Jira or Bitbucket account. `kind`: `atlassian` (a colleague), `customer` (service desk), `app` (a bot)."""

    account_id: str
    name: str
    kind: str = "atlassian"


class Visibility(Frozen):
    """A comment restricted to a Jira role or group, exactly as Jira gave it (`type` is `role` or `group`).

    A group may come by its `identifier` alone.
    """

    type: str
    value: str | None = None
    identifier: str | None = None


class Comment(Frozen):
    """One comment. `by_us`: written by our service account.

    `public` is False for a service desk's internal notes, and there for whatever Jira does not call public.
    """

    id: str
    author: Person
    text: str
    created: datetime
    updated: datetime
    public: bool = True
    visibility: Visibility | None = None
    by_us: bool = False

    @property
    def for_everybody(self) -> bool:
        """Whether everybody who sees the issue may read it."""
        return self.public and self.visibility is None


def in_order(comments: Iterable[Comment]) -> tuple[Comment, ...]:
    """Oldest first; comments of the same instant by their number."""
    return tuple(sorted(comments, key=lambda c: (c.created, int(c.id) if c.id.isdecimal() else 0, c.id)))


class Change(Frozen):
    """One field's change from an issue's history; `before` and `after` are the display strings."""

    field: str
    before: str
    after: str
    at: datetime
    by: str


NOISE = frozenset(
    {"rank", "timespent", "timeestimate", "worklogid", "remoteissuelink", "remoteworkitemlink", "attachment"}
)
"""Fields, in lower case, whose changes are no news to anybody, or come in units that nobody reads."""


class LinkedIssue(Frozen):
    """Another issue: a linked one, the parent, or a child.

    `relation` as Jira words it from this issue's side ("is blocked by"), or `parent`, `child`. `status_category` as in
    `Issue`. `assignee` None: nobody.
    """

    relation: str
    key: str
    summary: str
    status: str
    status_category: str = ""
    issue_type: str = ""
    assignee: Person | None = None


class Version(Frozen):
    """A version that an issue is fixed in. `on`: its release's day, which is planned while it is not `released`."""

    name: str
    released: bool = False
    on: date | None = None


class Sprint(Frozen):
    """A sprint that an issue is or was in. `state`: `active`, `future` or `closed`."""

    name: str
    state: str
    start: date | None = None
    end: date | None = None


class PullRequest(Frozen):
    """A pull request, from webhooks or read from Bitbucket. `id` is `workspace/repo#number`.

    `approved_at`: name → when, where it is known. `closed`: when it was merged or declined, where a webhook told of it;
    `closed_by`: who did. `builds`: name → state of the last build, `built`: name → when that was reported.
    """

    id: str
    repository: str
    number: int
    title: str
    url: str
    state: str
    draft: bool = False
    author: str = ""
    author_id: str = ""
    reviewers: tuple[str, ...] = ()
    approved_by: tuple[str, ...] = ()
    approved_at: dict[str, datetime] = {}
    changes_requested_by: tuple[str, ...] = ()
    branch: str = ""
    target: str = ""
    keys: tuple[str, ...] = ()
    builds: dict[str, str] = {}
    built: dict[str, datetime] = {}
    opened: datetime | None = None
    updated: datetime
    closed: datetime | None = None
    closed_by: str = ""


class Issue(Frozen):
    """What Claude, the card and the freshness check are given.

    `comments`: the newest, oldest first, and older ones that were asked for by themselves. `comments_from`: from this
    time on they are complete; None: there are no others. `status_category`: `new`, `indeterminate` or `done`.

    `links`, `parent`, `children`: only issues that may be told of. `children` are the first ones, unfinished before
    finished; `more_children` counts the others by their status. `related`: whether all of these were read (`all`), or
    not every child (`some`), or something not at all (`unread`). `sprints`: None where the site has none.
    """

    key: str
    project: str
    summary: str
    url: str
    status: str
    status_category: str = ""
    description: str = ""
    issue_type: str = ""
    assignee: Person | None = None
    reporter: Person | None = None
    priority: str = ""
    labels: tuple[str, ...] = ()
    due: date | None = None
    resolution: str = ""
    components: tuple[str, ...] = ()
    fix_versions: tuple[Version, ...] = ()
    sprints: tuple[Sprint, ...] | None = None
    created: datetime | None = None
    updated: datetime | None = None
    links: tuple[LinkedIssue, ...] = ()
    parent: LinkedIssue | None = None
    children: tuple[LinkedIssue, ...] = ()
    more_children: dict[str, int] = {}
    related: Literal["all", "some", "unread"] = "unread"
    comments: tuple[Comment, ...] = ()
    comment_total: int = 0
    comments_from: datetime | None = None
    changes: tuple[Change, ...] = ()
    service_desk: bool = False
    has_security_level: bool = False

    def with_comments(self, *more: Comment) -> Issue:
        """With these among its comments; they take the place of what was read of them before."""
        found = {comment.id: comment for comment in (*self.comments, *more)}
        return self.model_copy(update={"comments": in_order(found.values())}).named()

    def named(self) -> Issue:
        """The same, with everybody who is mentioned in its texts under one name: their own, where it is known."""
        names = self.people()
        comments = tuple(
            c if c.text == text else c.model_copy(update={"text": text})
            for c, text in ((c, renamed(c.text, names)) for c in self.comments)
        )
        return self.model_copy(update={"description": renamed(self.description, names), "comments": comments})

    def people(self) -> dict[str, str]:
        """Account id → name of everybody whose id stands in the issue: the only people a reply may mention.

        Names come from Jira's own fields first; of somebody who is only mentioned, the name in the mention is all that
        is known, and whoever is mentioned without a name is not among them.
        """
        persons = [p for p in (self.assignee, self.reporter) if p] + [c.author for c in self.comments]
        found = {p.account_id: p.name for p in persons if p.account_id}  # a deleted account has none
        for text in (self.description, *(c.text for c in self.comments)):
            for account_id, name in mentioned(text).items():
                if name:
                    found.setdefault(account_id, name)
        return found
