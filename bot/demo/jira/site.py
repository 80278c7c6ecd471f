"""The Jira stand-in's site: what is in it, its webhooks, and verbs to play with it.

The verbs are what people do in Jira (`comment`, `move`, `assign`, …): each changes the site and delivers the signed
webhook, and returns when it was answered. What things look like is in `world`, what REST answers in `rest`.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bot.demo.hooks import Delivery, Sender, signature
from bot.demo.jira import adf, world
from bot.demo.jira.world import ABBREVIATED, Account, JiraComment, JiraIssue, JiraProject, stamp
from bot.demo.wire import StandIn

_AGAIN = (0, 408, 409, 425, 429)


class JiraSite(StandIn):
    """One site with the projects ECD (software) and SUP (service desk), and the people of `world.people`.

    `base`: the site's address. `secret`, `target`: of the one webhook. `may_delete`, `denied` (permission names): what
    the service account may not. `ignores_internal`: an internal reply comes out public. `announce_own`: its own
    comments are announced by webhook too, as Jira does. `retry_wait`: seconds between a webhook's attempts (Jira
    itself waits 5 to 15 minutes). `losing`: webhooks are not sent, as those on which Jira has given up; `redeliver`
    sends them after all. `unindexed`: keys of issues that searches do not find yet (Jira's index is a little late).
    """

    service = "jira"

    def __init__(self) -> None:
        super().__init__()
        self.email = "pm-agent@example.com"
        self.token = "ATATT-stand-in-" + secrets.token_hex(8)
        self.cloud_id = str(uuid.uuid4())
        self.base = ""
        self.secret = ""
        self.target = ""
        self.people = world.people()
        self.account_id = self.people["agent"].account_id
        self.projects: dict[str, JiraProject] = {}
        self.issues: dict[str, JiraIssue] = {}
        self.may_delete = True
        self.ignores_internal = False
        self.denied: set[str] = set()
        self.announce_own = True
        self.retry_wait = 0.1
        self.losing = False
        self.lost: list[tuple[Any, str]] = []
        self.unindexed: set[str] = set()
        self.deliveries: list[Delivery] = []
        self._ids = itertools.count(10000)
        self._sender = Sender(self)
        self.project("ECD", "Export and Connectors")
        self.project("SUP", "Support", kind="service_desk")

    async def close(self) -> None:
        await self._sender.close()

    # What is there, without any webhook

    def project(self, key: str, name: str, *, kind: str = "software") -> JiraProject:
        """Create a project. `kind`: `software` or `service_desk`."""
        self.projects[key] = JiraProject(self.next_id(), key, name, kind)
        return self.projects[key]

    def issue(
        self,
        key: str,
        summary: str = "Export fails for large reports",
        *,
        description: str = "",
        status: str = "To Do",
        assignee: str | None = None,
        reporter: str = "ben",
        priority: str = "Medium",
        issue_type: str = "Story",
        labels: Iterable[str] = (),
        due: str | None = None,
        security: str | None = None,
        links: Iterable[tuple[str, str]] = (),
        parent: str | None = None,
        at: datetime | None = None,
        **more: Any,
    ) -> JiraIssue:
        """Create an issue (and its project, if need be).

        `links`: (relation, key of an issue that is there); `parent`: such a key. `more`: other fields of `JiraIssue`.
        """
        prefix = key.rpartition("-")[0]
        created = at or world.now()
        found = JiraIssue(
            id=self.next_id(), key=key, project=self.projects.get(prefix) or self.project(prefix, prefix.title()),
            summary=summary, description=description, status=status, priority=priority, issue_type=issue_type,
            assignee=self.account(assignee) if assignee else None, reporter=self.account(reporter),
            labels=list(labels), due=due, security=security, created=created, updated=created,
            links=[(relation, self.issues[other]) for relation, other in links],
            parent=self.issues[parent] if parent else None, **more,
        )  # fmt: skip
        self.issues[key] = found
        if found.parent:
            found.parent.children.append(found)
        return found

    def write(
        self, key: str, author: str, text: str, *, public: bool | None = True, at: datetime | None = None,
        visibility: dict[str, Any] | None = None,
    ) -> JiraComment:  # fmt: skip
        """A comment that is simply there; no webhook. `text`: wiki markup."""
        body = adf.from_wiki(text, self._names())
        return self.add(self.issues[key], self.account(author), text, body, public, visibility, at=at)

    def change_project(self, key: str, to: str) -> JiraIssue:
        """Move an issue to another project, under another key; it is still served under the old one. No webhook."""
        issue = self.issues[to] = self.issues.pop(key)
        prefix = to.rpartition("-")[0]
        issue.former_keys.append(key)
        issue.key, issue.project = to, self.projects.get(prefix) or self.project(prefix, prefix.title())
        return issue

    def _names(self) -> dict[str, str]:
        return {account.account_id: account.name for account in self.people.values()}

    def account(self, who: str) -> Account:
        """By handle, account id or name. KeyError for a stranger."""
        for account in self.people.values():
            if who in (account.handle, account.account_id, account.name):
                return account
        raise KeyError(who)

    def comments(self, key: str) -> list[JiraComment]:
        """All comments of an issue, oldest first."""
        return list(self.issues[key].comments)

    def posted(self, key: str | None = None) -> list[JiraComment]:
        """The comments by the service account, on one issue or on all."""
        issues = [self.issues[key]] if key else list(self.issues.values())
        return [c for issue in issues for c in issue.comments if c.author.account_id == self.account_id]

    # What people do

    async def create(self, key: str, summary: str = "Export fails for large reports", **details: Any) -> JiraIssue:
        """Create an issue (see `issue`) and announce it."""
        found = self.issue(key, summary, **details)
        await self.announce_issue("jira:issue_created", found, found.reporter)
        return found

    async def comment(
        self, key: str, author: str, text: str, *, public: bool | None = True, visibility: dict[str, Any] | None = None,
        at: datetime | None = None, retries: int = 5, duplicates: int = 0, old_style: bool = False,
    ) -> JiraComment:  # fmt: skip
        """Write a comment (wiki markup) and deliver its webhook; the answers are in `.deliveries` of what is returned.

        `duplicates`: so many deliveries more of the same body under the same identifier, one after another.
        `old_style`: it is announced as `jira:issue_updated` too, as some sites do.
        """
        written = self.write(key, author, text, public=public, visibility=visibility, at=at)
        await self.announce(
            "comment_created", self.issues[key], written, retries=retries, duplicates=duplicates, old_style=old_style
        )
        return written

    async def edit_comment(self, key: str, comment_id: str, text: str, *, at: datetime | None = None) -> JiraComment:
        """Change a comment's words and announce it."""
        found = self.find_comment(key, comment_id)
        found.text, found.body, found.updated = text, adf.from_wiki(text, self._names()), at or world.now()
        self.issues[key].updated = max(found.updated, self.issues[key].updated)
        await self.announce("comment_updated", self.issues[key], found)
        return found

    async def remove_comment(self, key: str, comment_id: str) -> None:
        """Delete a comment, whoever wrote it, and announce it."""
        found = self.find_comment(key, comment_id)
        self.issues[key].comments.remove(found)
        await self.changed()
        await self.announce("comment_deleted", self.issues[key], found)

    async def move(self, key: str, status: str, *, by: str = "ana", announce: bool = True) -> None:
        """Change the status."""
        await self.change(key, "status", status, by=by, announce=announce)

    async def assign(self, key: str, who: str | None) -> None:
        """Change the assignee; None: nobody."""
        await self.change(key, "assignee", who)

    async def change(
        self, key: str, name: str, value: Any, *, by: str = "ana", announce: bool = True, at: datetime | None = None
    ) -> None:
        """Change a field (`status`, `assignee`, `summary`, `description`, `priority`, `duedate`, `labels`, …)."""
        issue, attribute = self.issues[key], {"duedate": "due"}.get(name, name)
        before = getattr(issue, attribute)
        setattr(issue, attribute, self.account(value) if name == "assignee" and value else value)
        item = {
            "field": name, "fieldtype": "jira", "fieldId": name,
            "from": None, "fromString": _display(before), "to": None, "toString": _display(getattr(issue, attribute)),
        }  # fmt: skip
        issue.updated = at or world.now()
        author = self.account(by)
        entry = {"id": self.next_id(), "author": author, "created": issue.updated, "items": [item]}
        issue.history.append(entry)
        await self.changed()
        if announce:
            kind = {"status": "issue_generic", "assignee": "issue_assigned"}.get(name, "issue_updated")
            await self.announce_issue(
                "jira:issue_updated", issue, author, kind, {"changelog": {"id": entry["id"], "items": [item]}}
            )

    # Webhooks

    async def deliver(
        self, payload: Any, *, identifier: str | None = None, secret: str | None = None, retries: int = 5,
        headers: dict[str, str] | None = None, raw: bytes | None = None,
    ) -> Delivery:  # fmt: skip
        """Deliver a payload (or these raw bytes) to the target, signed. `headers` replace ours."""
        body = raw if raw is not None else json.dumps(payload).encode()
        name = identifier or uuid.uuid4().hex
        if self.losing:
            self.lost.append((payload, name))
            return Delivery(name, payload)
        signed = signature(self.secret if secret is None else secret, body)

        def on_attempt(attempt: int) -> dict[str, str]:
            sent = {
                "Content-Type": "application/json",
                "User-Agent": "Atlassian Webhook HTTP Client",
                "X-Atlassian-Webhook-Identifier": name,
                "X-Hub-Signature": signed,
            }
            if attempt:
                sent["X-Atlassian-Webhook-Retry"] = str(attempt)
            return {**sent, **(headers or {})}

        delivery = await self._sender.send(
            self.target, body, on_attempt, again_on=lambda status: status in _AGAIN or status >= 500,
            retries=retries, wait=self.retry_wait, seconds=20.0, identifier=name,
        )  # fmt: skip
        self.deliveries.append(delivery)
        return delivery

    async def redeliver(self) -> list[Delivery]:
        """Send what was lost, under the identifiers that it had, in the order in which it happened."""
        self.losing, waiting, self.lost = False, self.lost, []
        return [await self.deliver(payload, identifier=identifier) for payload, identifier in waiting]

    async def announce(
        self, event: str, issue: JiraIssue, comment: JiraComment, *, retries: int = 5, duplicates: int = 0,
        old_style: bool = False,
    ) -> None:  # fmt: skip
        """Deliver a comment's webhook in today's shape: no top-level user, wiki markup, few fields of the issue."""
        payload = self.comment_payload(event, issue, comment)
        identifier = uuid.uuid4().hex
        for _ in range(duplicates + 1):
            comment.deliveries.append(await self.deliver(payload, identifier=identifier, retries=retries))
        if old_style:
            body = comment.shape(self.base, issue.id, wiki=True)
            comment.deliveries.append(
                await self.announce_issue(
                    "jira:issue_updated", issue, comment.author, "issue_commented", {"comment": body}
                )
            )

    async def announce_issue(
        self, event: str, issue: JiraIssue, user: Account, kind: str | None = None, more: dict[str, Any] | None = None
    ) -> Delivery:
        """Deliver an issue's webhook."""
        payload = {
            "timestamp": int(time.time() * 1000),
            "webhookEvent": event,
            "issue_event_type_name": kind or event.removeprefix("jira:"),
            "user": user.shape(self.base),
            "issue": self._issue_shape(issue, whole=True),
            **(more or {}),
        }
        return await self.deliver(payload)

    def comment_payload(self, event: str, issue: JiraIssue, comment: JiraComment) -> dict[str, Any]:
        """The body of a comment's webhook."""
        return {
            "timestamp": int(time.time() * 1000),
            "webhookEvent": event,
            "comment": comment.shape(self.base, issue.id, wiki=True),
            "issue": self._issue_shape(issue, whole=False),
            "eventType": "primaryAction",
        }

    async def settled(self) -> None:
        """Wait until the webhooks of the service account's own comments are delivered."""
        await self._sender.settled()

    # For `rest`

    def next_id(self) -> str:
        return str(next(self._ids))

    def number_from(self, first: int) -> None:
        """Number what is made from now on from here."""
        self._ids = itertools.count(first)

    def add(
        self, issue: JiraIssue, author: Account, text: str, body: dict[str, Any], public: bool | None,
        visibility: dict[str, Any] | None, *, at: datetime | None = None,
    ) -> JiraComment:  # fmt: skip
        """Put a comment into an issue."""
        at = at or world.now()
        comment = JiraComment(self.next_id(), author, text, body, at, at, public, visibility)
        issue.comments.append(comment)
        issue.updated = max(issue.updated, at)
        return comment

    def find_comment(self, key: str, comment_id: str) -> JiraComment:
        """KeyError when it is not there."""
        for comment in self.issues[key].comments:
            if comment.id == comment_id:
                return comment
        raise KeyError(comment_id)

    def announce_later(self, event: str, issue: JiraIssue, comment: JiraComment) -> None:
        """Deliver the webhook of what the service account did by REST, in the background."""
        if self.announce_own and self.target:
            self._sender.later([self.announce(event, issue, comment)])

    def _issue_shape(self, issue: JiraIssue, *, whole: bool) -> dict[str, Any]:
        fields = issue.fields(self.base, wiki=True)
        return {
            "id": issue.id,
            "self": f"{self.base}/rest/api/2/issue/{issue.id}",
            "key": issue.key,
            "fields": fields if whole else {name: fields[name] for name in ABBREVIATED},
        }


def _display(value: Any) -> str | None:
    if isinstance(value, Account):
        return value.name
    if isinstance(value, (list, tuple)):
        return " ".join(str(v) for v in value)
    if isinstance(value, datetime):
        return stamp(value)
    return None if value is None else str(value)
