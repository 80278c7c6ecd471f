"""What the demo's page is shown: the stand-ins' state as JSON, for one person and one channel. Reading only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.demo import story
from bot.demo.jira.world import CATEGORIES, Account, JiraComment, JiraIssue
from bot.demo.slack.people import DANA, GUS, OLGA, PRIYA, SAM, Message, Whisper

if TYPE_CHECKING:
    from bot.demo.stage import Stage
    from bot.demo.wire import Exchange

Json = dict[str, Any]
ROLES = {
    DANA: "may approve, admin", SAM: "may approve", PRIYA: "may not approve", OLGA: "admin, may not approve",
    GUS: "guest, may not approve",
}  # fmt: skip
"""Who can be played, and what they may do under the demo's settings."""
MAX_BODY = 20_000


def fixed(stage: Stage, *, model: str) -> Json:
    """What does not change while the demo runs."""
    return {
        "sidecar": stage.bot_url,
        "site": stage.jira.base,
        "model": model,
        "statuses": list(CATEGORIES),
        "players": [
            {"id": user, "name": stage.slack.people[user].name, "title": stage.slack.people[user].title, "role": role}
            for user, role in ROLES.items()
        ],
        "authors": [
            _account(a) for a in stage.jira.people.values() if a.kind != "app" and a.handle != "dana"
        ],
        "names": {user: member.name for user, member in stage.slack.people.items()},
        "channels": [
            {"id": c.id, "name": c.name, "private": c.is_private}
            for c in (stage.slack.channels[stage.slack.approvals_channel],
                      stage.slack.channels[stage.slack.standup_channel])
        ],
        "situations": [
            {"id": s.id, "label": s.label, "issue": s.issue, "watch": s.watch, "text": s.text} for s in story.SITUATIONS
        ],
    }  # fmt: skip


def state(stage: Stage, user: str, channel: str) -> Json:
    """What stands in Jira and, for this person, in this Slack channel."""
    modal = stage.slack.modal(user)
    return {
        "running": stage.bot is not None and stage.bot.returncode is None,
        "connected": any(not s.closed for s in stage.slack.connections.sockets),
        "issues": [_issue(stage, issue) for issue in stage.jira.issues.values()],
        "messages": _messages(stage, user, channel),
        "unread": {c: len(stage.slack.messages(c)) for c in stage.slack.channels},
        "modal": None if modal is None else {"id": modal.id, "view": modal.view, "errors": modal.errors},
    }


def exchange(found: Exchange) -> Json:
    """One line of the strip, with both bodies. Headers stay out: they carry tokens."""
    return {
        "at": found.at.isoformat(),
        "service": found.service,
        "method": found.method,
        "path": found.path,
        "status": found.status,
        "ms": round(found.ms, 1),
        "request": _bounded(found.request),
        "response": _bounded(found.response),
    }


def _bounded(body: Any) -> str:
    if body in (None, ""):
        return ""
    text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
    return text if len(text) <= MAX_BODY else text[:MAX_BODY] + f"\n… and {len(text) - MAX_BODY} characters more"


def _account(account: Account) -> Json:
    return {"handle": account.handle, "name": account.name, "kind": account.kind}


def _issue(stage: Stage, issue: JiraIssue) -> Json:
    pulls = [
        {"number": p.number, "title": p.title, "state": p.state, "author": p.author.name,
         "approved": len([v for v in p.verdicts.values() if v == "approved"]), "reviewers": len(p.reviewers)}
        for p in stage.bitbucket.pull_requests.values() if issue.key in p.title or issue.key in p.branch
    ]  # fmt: skip
    return {
        "key": issue.key,
        "summary": issue.summary,
        "project": issue.project.name,
        "service_desk": issue.project.kind == "service_desk",
        "type": issue.issue_type,
        "status": issue.status,
        "category": issue.category,
        "priority": issue.priority,
        "assignee": _account(issue.assignee) if issue.assignee else None,
        "reporter": _account(issue.reporter),
        "labels": issue.labels,
        "description": issue.fields(stage.jira.base)["description"],
        "pulls": pulls,
        "links": [{"relation": r, "key": o.key, "summary": o.summary, "status": o.status} for r, o in issue.links],
        "comments": [_comment(stage, c) for c in issue.comments],
    }


def _comment(stage: Stage, comment: JiraComment) -> Json:
    return {
        "id": comment.id,
        "author": _account(comment.author),
        "ours": comment.author.account_id == stage.jira.account_id,
        "body": comment.body,
        "created": comment.created.isoformat(),
        "edited": comment.updated > comment.created,
        "public": comment.public,
        "restricted": (comment.visibility or {}).get("value", ""),
        "approved_by": (comment.properties.get("pm-agent") or {}).get("approved_by", ""),
    }


def _messages(stage: Stage, user: str, channel: str) -> list[Json]:
    said: list[Message | Whisper] = list(stage.slack.messages(channel))
    said += [w for w in stage.slack.whispers(user) if w.channel == channel]
    return [_message(m) for m in sorted(said, key=lambda m: float(m.ts))]


def _message(message: Message | Whisper) -> Json:
    return {
        "ts": message.ts,
        "private": isinstance(message, Whisper),
        "text": message.text,
        "blocks": message.blocks,
        "edited": isinstance(message, Message) and "edited" in message.payload,
        "version": len(message.versions) if isinstance(message, Message) else 0,
        "at": datetime.fromtimestamp(float(message.ts), UTC).isoformat(),
    }
