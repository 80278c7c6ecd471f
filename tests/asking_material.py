"""Issues, settings and a clock for the tests about Claude."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.clients.claude.client import Claude
from bot.demo.claude.stand_in import ClaudeStandIn
from bot.demo.wire import Server
from bot.domain.issues import Change, Comment, Issue, LinkedIssue, Person, PullRequest, Sprint, Version
from bot.prompting import Material, Request, load_prompts, reply_request
from bot.settings import Settings, load
from bot.store.embedded.store import TinyStore

NOW = datetime(2026, 11, 23, 9, 42, tzinfo=UTC)
ANA = Person(account_id="557058:ana", name="Ana Ruiz")
BEN = Person(account_id="557058:ben", name="Ben Okafor")
CHEN = Person(account_id="557058:chen", name="Chen Wei")


def comment(text: str, *, id: str = "10019", author: Person = BEN, minutes_ago: float = 3, **more: Any) -> Comment:
    at = NOW - timedelta(minutes=minutes_ago)
    return Comment(id=id, author=author, text=text, created=at, updated=at, **more)


def issue(*comments: Comment, **more: Any) -> Issue:
    fields: dict[str, Any] = {
        "key": "ECD-142", "project": "ECD", "summary": "Export fails for large reports", "status": "In Progress",
        "url": "https://example.atlassian.net/browse/ECD-142", "issue_type": "Bug", "assignee": ANA, "reporter": BEN,
        "priority": "High", "comments": comments, "comment_total": len(comments), "related": "all",
    }  # fmt: skip
    return Issue(**{**fields, **more})


def link(key: str, **more: Any) -> LinkedIssue:
    fields: dict[str, Any] = {
        "key": key, "relation": "child", "summary": f"Part {key}", "status": "To Do", "status_category": "new",
        "issue_type": "Story",
    }  # fmt: skip
    return LinkedIssue(**{**fields, **more})


def pull_request(**more: Any) -> PullRequest:
    fields: dict[str, Any] = {
        "id": "acme/app#12", "repository": "acme/app", "number": 12, "title": "ECD-142 stream the export",
        "url": "https://bitbucket.org/acme/app/pull-requests/12", "state": "OPEN", "author": "Ana Ruiz",
        "reviewers": ("Dana Li", "Chen Wei"), "approved_by": ("Dana Li",), "branch": "feature/ECD-142",
        "target": "main", "updated": NOW - timedelta(hours=5),
    }  # fmt: skip
    return PullRequest(**{**fields, **more})


QUESTION = comment("Is anybody looking at this? The customer demo is on Thursday.")


def material(asked: Comment | None = QUESTION, **more: Any) -> Material:
    fields: dict[str, Any] = {
        "issue": issue(*([asked] if asked else [])), "kind": "issue_commented", "answered": asked,
        "pull_requests": (pull_request(),), "now": NOW,
    }  # fmt: skip
    return Material(**{**fields, **more})


def full_issue() -> Issue:
    """An issue with something in every field."""
    return issue(
        comment("Works on my machine.", id="10017", author=CHEN, minutes_ago=90),
        QUESTION,
        description="The export stops at 2 GB.", due=date(2026, 11, 26), labels=("export",),
        created=NOW - timedelta(days=9),
        links=(link("ECD-88", relation="is blocked by", summary="New parser"),),
        parent=link("ECD-100", relation="parent", summary="Exports"),
        children=(link("ECD-143", assignee=CHEN), link("ECD-144", status="Done", status_category="done")),
        more_children={"Done": 3}, components=("Exporter",), resolution="Fixed",
        fix_versions=(Version(name="4.2.1", released=True, on=date(2026, 11, 20)), Version(name="4.3")),
        sprints=(Sprint(name="Sprint 12", state="active", end=date(2026, 12, 4)),),
        changes=(Change(field="status", before="To Do", after="In Progress", at=NOW - timedelta(days=1), by=ANA.name),),
        comment_total=2,
    )  # fmt: skip


def settings(standin: ClaudeStandIn | None = None, base: str = "http://127.0.0.1:9", **more: str) -> Settings:
    return load({
        "ANTHROPIC_API_KEY": standin.api_key if standin else "sk-ant-test", "ANTHROPIC_BASE_URL": base,
        "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "bot@example.com", "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "token",
        "JIRA_URL": "https://example.atlassian.net", "JIRA_WEBHOOK_SECRET": "a-secret-of-jiras",
        "SLACK_BOT_TOKEN": "xoxb-1",
        "SLACK_APP_TOKEN": "xapp-1", "SLACK_CHANNEL_APPROVALS": "C0123ABCD", "PMAGENT_APPROVERS": "U0123ABCD", **more,
    })  # fmt: skip


def request(asked: Comment | None = QUESTION, **more: str) -> Request:
    return reply_request(load_prompts(), settings(**more), material(asked))


class SetClock:
    """A clock that a test sets; durations pass as they do."""

    def __init__(self, now: datetime = NOW) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Line:
    """A stand-in, served, and the real client pointed at it over HTTP."""

    standin: ClaudeStandIn
    server: Server
    settings: Settings
    store: TinyStore
    clock: SetClock
    claude: Claude


@asynccontextmanager
async def line(folder: Path, *, deadline: float = 10.0, **more: str) -> AsyncIterator[Line]:
    standin, server, clock = ClaudeStandIn(), Server(), SetClock()
    server.mount("/claude/", standin.application())
    await server.start()
    chosen = settings(standin, f"{server.url}/claude", **more)
    store = TinyStore.open(folder)
    claude = Claude(chosen, store, clock, deadline=deadline)
    try:
        yield Line(standin, server, chosen, store, clock, claude)
    finally:
        await claude.close()
        await store.close()
        await server.stop()
