"""What is in the Jira stand-in: people, projects, issues, comments, changes; and how Jira words them over the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from bot.demo.jira import adf

CATEGORIES = {"To Do": "new", "In Progress": "indeterminate", "In Review": "indeterminate", "Done": "done"}
"""The statuses of the demo's workflow, with their categories."""
_OTHERS = {"Backlog": "new", "Open": "new", **dict.fromkeys(("Released", "Closed", "Resolved", "Cancelled"), "done")}
_CATEGORY_NAMES = {"new": "To Do", "indeterminate": "In Progress", "done": "Done"}
_ZONE = timezone(timedelta(hours=1))
FIELDS = (
    "summary", "issuetype", "project", "assignee", "reporter", "priority", "status", "labels", "description", "duedate",
    "created", "updated", "issuelinks", "security", "parent", "subtasks", "fixVersions", "resolution", "components",
    "customfield_10020", "comment",
)  # fmt: skip
ABBREVIATED = ("summary", "issuetype", "project", "assignee", "priority", "status")
"""All that a comment's webhook says about its issue."""


SPRINT = "customfield_10020"
"""The field of sprints, as most sites have it."""


@dataclass
class Account:
    """A person, a customer or an app. `handle` is what tests and the page call them."""

    handle: str
    account_id: str
    name: str
    kind: str = "atlassian"

    def shape(self, base: str) -> dict[str, Any]:
        return {
            "self": f"{base}/rest/api/3/user?accountId={self.account_id}",
            "accountId": self.account_id,
            "accountType": self.kind,
            "displayName": self.name,
            "active": True,
            "timeZone": "Europe/Berlin",
            "avatarUrls": {"48x48": f"{base}/avatar/48.png"},
        }


@dataclass
class JiraProject:
    """`kind`: `software` or `service_desk`."""

    id: str
    key: str
    name: str
    kind: str = "software"

    def shape(self, base: str) -> dict[str, Any]:
        return {
            "self": f"{base}/rest/api/3/project/{self.id}",
            "id": self.id,
            "key": self.key,
            "name": self.name,
            "projectTypeKey": self.kind,
            "simplified": False,
        }


@dataclass
class JiraComment:
    """`text` is wiki markup as webhooks carry it, `body` the ADF that REST answers. `properties`: key → value.

    `public` None: Jira says nothing about it. `deliveries`: the webhooks so far, as `bot.demo.hooks.Delivery`.
    """

    id: str
    author: Account
    text: str
    body: dict[str, Any]
    created: datetime
    updated: datetime
    public: bool | None = True
    visibility: dict[str, Any] | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    deliveries: list[Any] = field(default_factory=list)

    def shape(self, base: str, issue_id: str, *, wiki: bool = False, properties: bool = False) -> dict[str, Any]:
        """As REST answers it, or (`wiki`) as a webhook carries it."""
        found: dict[str, Any] = {
            "self": f"{base}/rest/api/{2 if wiki else 3}/issue/{issue_id}/comment/{self.id}",
            "id": self.id,
            "author": self.author.shape(base),
            "body": self.text if wiki else self.body,
            "updateAuthor": self.author.shape(base),
            "created": stamp(self.created),
            "updated": stamp(self.updated),
        }
        if self.public is not None:
            found["jsdPublic"] = self.public
        if self.visibility:
            found["visibility"] = self.visibility
        if properties:
            found["properties"] = [{"key": k, "value": v} for k, v in self.properties.items()]
        return found


@dataclass
class JiraIssue:
    """An issue. `history`: oldest first, as the changelog endpoint has it. `security`: its security level's name.

    `fix_versions`, `sprints`: as Jira's REST API words them. `children`: whose `parent` it is; `subtask`: whether it is
    a sub-task, which the parent names.
    """

    id: str
    key: str
    project: JiraProject
    summary: str
    reporter: Account
    created: datetime
    updated: datetime
    description: str = ""
    status: str = "To Do"
    assignee: Account | None = None
    priority: str = "Medium"
    issue_type: str = "Story"
    labels: list[str] = field(default_factory=list)
    due: str | None = None
    security: str | None = None
    links: list[tuple[str, JiraIssue]] = field(default_factory=list)
    resolution: str | None = None
    components: list[str] = field(default_factory=list)
    fix_versions: list[dict[str, Any]] = field(default_factory=list)
    sprints: list[dict[str, Any]] = field(default_factory=list)
    parent: JiraIssue | None = None
    children: list[JiraIssue] = field(default_factory=list)
    former_keys: list[str] = field(default_factory=list)
    comments: list[JiraComment] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def category(self) -> str:
        return CATEGORIES.get(self.status) or _OTHERS.get(self.status, "indeterminate")

    def fields(self, base: str, *, wiki: bool = False) -> dict[str, Any]:
        """Every field but the comments."""
        return {
            "summary": self.summary,
            "issuetype": self._type(),
            "project": self.project.shape(base),
            "assignee": self.assignee.shape(base) if self.assignee else None,
            "reporter": self.reporter.shape(base),
            "priority": {"id": "3", "name": self.priority},
            "status": self._status(self),
            "labels": list(self.labels),
            "description": (self.description or None) if wiki else self._description(),
            "duedate": self.due,
            "created": stamp(self.created),
            "updated": stamp(self.updated),
            "issuelinks": [self._link(number, *link) for number, link in enumerate(self.links)],
            "security": self._security(base),
            "parent": self.parent._named() if self.parent else None,
            "subtasks": [child._named() for child in self.children if child.subtask],
            "fixVersions": [{"id": str(n), "archived": False, "released": False, **v}
                            for n, v in enumerate(self.fix_versions, 10100)],
            "resolution": self._resolution(),
            "components": [{"id": str(n), "name": name} for n, name in enumerate(self.components, 10200)],
            SPRINT: [{"id": n, "boardId": 1, "goal": "", **sprint} for n, sprint in enumerate(self.sprints, 1)] or None,
        }  # fmt: skip

    @property
    def subtask(self) -> bool:
        return self.issue_type == "Sub-task"

    def _type(self) -> dict[str, Any]:
        return {"id": "10003" if self.subtask else "10001", "name": self.issue_type, "subtask": self.subtask}

    def _resolution(self) -> dict[str, Any] | None:
        name = self.resolution or ("Done" if self.category == "done" else None)
        return {"id": "10000", "name": name, "description": ""} if name else None

    def _named(self) -> dict[str, Any]:
        """As another issue names it: without its assignee, and without its security level."""
        fields = {"summary": self.summary, "status": self._status(self), "priority": {"id": "3", "name": self.priority}}
        return {"id": self.id, "key": self.key, "fields": {**fields, "issuetype": self._type()}}

    def _description(self) -> dict[str, Any] | None:
        return adf.from_wiki(self.description) if self.description else None

    def _security(self, base: str) -> dict[str, Any] | None:
        if self.security is None:
            return None
        return {"self": f"{base}/rest/api/3/securitylevel/10021", "id": "10021", "name": self.security}

    @staticmethod
    def _status(issue: JiraIssue) -> dict[str, Any]:
        category = issue.category
        return {
            "id": "10001",
            "name": issue.status,
            "statusCategory": {"id": 2, "key": category, "name": _CATEGORY_NAMES[category]},
        }

    def _link(self, number: int, relation: str, other: JiraIssue) -> dict[str, Any]:
        return {
            "id": str(20000 + number),
            "type": {"id": "10000", "name": "Link", "inward": relation, "outward": relation},
            "inwardIssue": other._named(),
        }


def stamp(at: datetime) -> str:
    """Jira's way with times: milliseconds, and an offset without a colon that is rarely UTC's."""
    local = at.astimezone(_ZONE)
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{local.microsecond // 1000:03d}" + local.strftime("%z")


def now() -> datetime:
    """Now, in the whole milliseconds that Jira keeps."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def people() -> dict[str, Account]:
    """The people of the stand-in by handle. `agent` is the service account, `robot` another app."""
    found = (
        Account("ana", "5c5f880629be9642ba529341", "Ana Ruiz"),
        Account("ben", "5c5f880629be9642ba529342", "Ben Okafor"),
        Account("chen", "557058:2a6349dc-4346-4805-bd84-3abdd0812d17", "Chen Wei"),
        Account("dana", "5c5f880629be9642ba529344", "Dana Petrova"),
        Account("elif", "5c5f880629be9642ba529340", "Elif Kaya"),
        Account("mira", "qm:1fd1f8a5-0d4c-4d1e-9b5a-0b7d5a2e0c11:7", "Mira Lang", "customer"),
        Account("robot", "712020:99999999-2222-3333-4444-555555555555", "Build Robot", "app"),
        Account("agent", "712020:11111111-2222-3333-4444-555555555555", "PM Agent", "app"),
    )
    return {account.handle: account for account in found}
