"""What a webhook of Bitbucket Cloud's means: payloads become events, or named silences.

All of it is context for the issues that it names; nothing here is ever answered.

Handled: pull request events, pushes of branches, commit statuses. Issue keys are looked for (`bot.domain.issue_keys`)
in the branch, the title and the commit messages. Everything else is ignored by its name. No clock, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bot.domain.events import BranchPushed, BuildReported, Event, Ignored, Malformed, PullRequestChanged
from bot.domain.issue_keys import MAX_KEYS, find_keys
from bot.domain.issues import PullRequest
from handlers.bitbucket.payloads import (
    ApprovalDelivery,
    BuildDelivery,
    ChangesRequestDelivery,
    PullRequestDelivery,
    PushDelivery,
    RefChange,
)
from handlers.decoding import (
    decode,
    kind_of,
    one_line,
)

MAX_COMMITS = 10
NO_KEY = "no issue key of a watched project in branch, title or commits"

Keys = Callable[..., tuple[str, ...]]


OPINIONS: dict[str, type[PullRequestDelivery]] = {
    "approved": ApprovalDelivery,
    "unapproved": ApprovalDelivery,
    "changes_request_created": ChangesRequestDelivery,
    "changes_request_removed": ChangesRequestDelivery,
}
PULL_REQUEST_ACTIONS = OPINIONS.keys() | {
    "created", "updated", "fulfilled", "rejected", "comment_created", "comment_updated", "comment_deleted",
    "comment_resolved", "comment_reopened",
}  # fmt: skip


def parse(
    event_key: str,
    payload: dict[str, Any],
    *,
    watches: Callable[[str], bool],
    received: datetime,
    projects: tuple[str, ...] = (),
) -> Event | Ignored:
    """The event in a delivery. `event_key` is the header X-Event-Key.

    `watches` tells whether a project's key is ours; `projects` are those configured by name (for lower-case branch
    names); `received` is the time of events that carry none (pushes). Raises `Malformed` when a handled kind lacks a
    field that it needs.
    """

    def keys(branch: str, *texts: str) -> tuple[str, ...]:
        return find_keys(branch, *texts, watches=watches, projects=projects)

    kind, _, action = event_key.partition(":")
    if kind == "pullrequest" and action in PULL_REQUEST_ACTIONS:
        return _pull_request(action, decode(OPINIONS.get(action, PullRequestDelivery), payload), keys)
    if event_key == "repo:push":
        return _push(decode(PushDelivery, payload), keys, received)
    if event_key in ("repo:commit_status_created", "repo:commit_status_updated"):
        return _build(event_key, decode(BuildDelivery, payload), keys)
    named = kind_of(event_key)
    if named == "diagnostics:ping":
        return Ignored(reason="a test of the connection", kind=named)
    if kind == "pr":
        return Ignored(reason=f"{named} comes from Bitbucket Data Center, which is not handled", kind=named)
    return Ignored(reason=f"{named} is a kind of event that is not handled", kind=named)


def _pull_request(action: str, delivery: PullRequestDelivery, keys: Keys) -> Event | Ignored:
    found, repository = delivery.pullrequest, delivery.repository.full_name
    branch = found.source.branch.name
    issues = keys(branch, found.title)
    if not issues:
        return Ignored(reason=NO_KEY, kind=f"pullrequest:{action}")
    approved, objecting = _opinions(action, delivery)
    # An approval or a comment does not always move the pull request's own `updated_on`.
    times = [part.date for part in (delivery.approval, delivery.changes_request) if part]
    times.append(delivery.comment.updated_on if delivery.comment else None)
    updated = max([found.updated_on, *(at for at in times if at)])
    pull_request = PullRequest(
        id=f"{repository}#{found.id}",
        repository=repository,
        number=found.id,
        title=found.title,
        url=_address(found.links.html.href) if found.links and found.links.html else "",
        state=found.state.upper()[:20],
        draft=bool(found.draft),
        author=found.author.shown if found.author else "",
        author_id=found.author.id if found.author else "",
        reviewers=tuple(user.shown for user in found.reviewers or ()),
        approved_by=approved,
        approved_at=_approved_at(action, delivery, approved),
        changes_requested_by=objecting,
        branch=one_line(branch, 250),
        target=one_line(found.destination.branch.name, 250),
        keys=issues,
        opened=found.created_on,
        updated=updated,
        closed=found.updated_on if action in ("fulfilled", "rejected") else None,
        closed_by=_closed_by(action, delivery),
    )
    return PullRequestChanged(issues=issues, action=action, pull_request=pull_request, by=delivery.by(), at=updated)


def _closed_by(action: str, delivery: PullRequestDelivery) -> str:
    """Who merged or declined it: as the pull request says, else whose doing this is."""
    who = delivery.pullrequest.closed_by or (delivery.actor if action in ("fulfilled", "rejected") else None)
    return who.shown if who else ""


def _opinions(action: str, delivery: PullRequestDelivery) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who approves, and who asks for changes: as the participants say, corrected by what just happened."""
    participants = delivery.pullrequest.participants or ()
    approved = {user.key: user.shown for p in participants if p.approved and (user := p.user)}
    objecting = {user.key: user.shown for p in participants if p.state == "changes_requested" and (user := p.user)}
    opinion, mine, other = delivery.changes_request, objecting, approved
    if action in ("approved", "unapproved"):
        opinion, mine, other = delivery.approval, approved, objecting
    if action in OPINIONS and opinion and opinion.user:
        mine.pop(opinion.user.key, None)
        if action in ("approved", "changes_request_created"):
            mine[opinion.user.key] = opinion.user.shown
            other.pop(opinion.user.key, None)
    return tuple(approved.values()), tuple(objecting.values())


def _approved_at(action: str, delivery: PullRequestDelivery, approved: tuple[str, ...]) -> dict[str, datetime]:
    """When each approval came, where it is said."""
    participants = delivery.pullrequest.participants or ()
    times = {p.user.shown: p.participated_on for p in participants if p.approved and p.user}
    now = delivery.approval
    if action == "approved" and now and now.user:
        times[now.user.shown] = now.date or times.get(now.user.shown)
    return {name: at for name, at in times.items() if at and name in approved}


def _push(delivery: PushDelivery, keys: Keys, received: datetime) -> Event | Ignored:
    changes = delivery.push.changes
    branches = [change for change in map(_branch_change, changes) if change]
    if not branches:
        return Ignored(reason="a push of tags only" if changes else "an empty push", kind="repo:push")
    hits = [(change, found) for change in branches if (found := keys(change[0], *change[1]))]
    if not hits:
        return Ignored(reason=NO_KEY, kind="repo:push")
    # One push may move several branches: the first with a key names the event, all keys are in it.
    (branch, messages, deleted), _ = hits[0]
    return BranchPushed(
        issues=tuple(dict.fromkeys(key for _, found in hits for key in found))[:MAX_KEYS],
        repository=delivery.repository.full_name,
        branch=one_line(branch, 250),
        commits=() if deleted else tuple(_first_line(m) for m in messages[:MAX_COMMITS]),
        by=delivery.by(),
        deleted=deleted,
        at=received,
    )


def _branch_change(change: RefChange) -> tuple[str, list[str], bool] | None:
    """(branch, commit messages newest first, whether it was deleted); None for a tag."""
    ref = change.new or change.old
    if ref is None:
        raise Malformed("push.changes.new and push.changes.old are both missing")
    if ref.type == "tag":
        return None
    messages = [commit.message or "" for commit in change.commits or ()]
    if not messages and change.new and change.new.target:
        messages = [change.new.target.message or ""]
    return ref.name, [m for m in messages if m.strip()], change.new is None


def _build(event_key: str, delivery: BuildDelivery, keys: Keys) -> Event | Ignored:
    status = delivery.commit_status
    name = status.name or status.key
    if not name:
        raise Malformed("commit_status.key is missing")
    branch = status.refname or ""
    issues = keys(branch, status.commit.message or "")
    if not issues:
        return Ignored(reason=NO_KEY, kind=event_key)
    return BuildReported(
        issues=issues,
        repository=delivery.repository.full_name,
        branch=one_line(branch, 250),
        commit=status.commit.hash,
        name=name,
        state=status.state.upper()[:20],
        url=_address(status.url),
        at=status.updated_on,
    )


def _address(value: str | None) -> str:
    """An http(s) address without blanks, at most 2,000 characters; else empty."""
    return value if value and re.fullmatch(r"https?://[^\s<>\"]{1,1990}", value) else ""


def _first_line(message: str) -> str:
    return one_line(message.strip().partition("\n")[0], 200)
