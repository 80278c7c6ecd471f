"""What Bitbucket Cloud tells us, in our own words. All of it is context for the issues that it names; nothing here
is ever answered.

Handled: pull request events, pushes of branches, commit statuses. Issue keys are looked for (`bot.issue_keys`) in the
branch, the title and the commit messages. Everything else is ignored by its name. No clock, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bot.events import BranchPushed, BuildReported, Event, Ignored, Malformed, PullRequestChanged
from bot.issue_keys import MAX_KEYS, find_keys
from bot.issues import Person, PullRequest
from handlers.fields import Fields, address, kind_of, one_line

MAX_COMMITS = 10
NO_KEY = "no issue key of a watched project in branch, title or commits"
PULL_REQUEST_ACTIONS = frozenset({
    "created", "updated", "approved", "unapproved", "changes_request_created", "changes_request_removed", "fulfilled",
    "rejected", "comment_created", "comment_updated", "comment_deleted", "comment_resolved", "comment_reopened",
})  # fmt: skip
_REPOSITORY = re.compile(r"(?!\.\.?/)[A-Za-z0-9_.{}-]{1,128}/(?!\.\.?$)[A-Za-z0-9_.{}-]{1,128}")

Keys = Callable[..., tuple[str, ...]]


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
        return _pull_request(action, Fields(payload), keys)
    if event_key == "repo:push":
        return _push(Fields(payload), keys, received)
    if event_key in ("repo:commit_status_created", "repo:commit_status_updated"):
        return _build(event_key, Fields(payload), keys)
    named = kind_of(event_key)
    if named == "diagnostics:ping":
        return Ignored(reason="a test of the connection", kind=named)
    if kind == "pr":
        return Ignored(reason=f"{named} comes from Bitbucket Data Center, which is not handled", kind=named)
    return Ignored(reason=f"{named} is a kind of event that is not handled", kind=named)


def _pull_request(action: str, root: Fields, keys: Keys) -> Event | Ignored:
    found = root.object("pullrequest")
    repository = _repository(root)
    number = found.number("id")
    title = found.line("title")
    source, target = found.object("source").object("branch"), found.object("destination").object("branch")
    branch = source.text("name")
    author = found.maybe_object("author")
    approved, objecting = _opinions(action, root, found)
    issues = keys(branch, title)
    pull_request = PullRequest(
        id=f"{repository}#{number}",
        repository=repository,
        number=number,
        title=title,
        url=_html(found),
        state=found.text("state").upper()[:20],
        draft=found.flag("draft", default=False),
        author=_name(author) if author else "",
        author_id=_id(author) if author else "",
        reviewers=tuple(_name(user) for user in found.maybe_objects("reviewers")),
        approved_by=approved,
        changes_requested_by=objecting,
        branch=one_line(branch, 250),
        target=target.line("name", 250),
        keys=issues,
        updated=_newest(root, found),
        closed=found.time("updated_on") if action in ("fulfilled", "rejected") else None,
    )
    by = root.maybe_object("actor")
    actor = _person(by) if by else None
    if not issues:
        return Ignored(reason=NO_KEY, kind=f"pullrequest:{action}")
    return PullRequestChanged(
        issues=issues, action=action, pull_request=pull_request, by=actor, at=pull_request.updated
    )


def _opinions(action: str, root: Fields, found: Fields) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who approves, and who asks for changes: as the participants say, corrected by what just happened."""
    approved: dict[str, str] = {}
    objecting: dict[str, str] = {}
    for participant in found.maybe_objects("participants"):
        user = participant.maybe_object("user")
        if user is None:
            continue
        if participant.flag("approved", default=False):
            approved[_id(user)] = _name(user)
        if participant.maybe_text("state") == "changes_requested":
            objecting[_id(user)] = _name(user)
    if action in ("approved", "unapproved"):
        user = root.object("approval").object("user")
        approved.pop(_id(user), None)
        if action == "approved":
            approved[_id(user)] = _name(user)
            objecting.pop(_id(user), None)
    elif action in ("changes_request_created", "changes_request_removed"):
        user = root.object("changes_request").object("user")
        objecting.pop(_id(user), None)
        if action == "changes_request_created":
            objecting[_id(user)] = _name(user)
            approved.pop(_id(user), None)
    return tuple(approved.values()), tuple(objecting.values())


def _newest(root: Fields, found: Fields) -> datetime:
    """When this happened. An approval or a comment does not always move the pull request's own `updated_on`."""
    times = [found.time("updated_on")]
    for name, field in (("approval", "date"), ("changes_request", "date"), ("comment", "updated_on")):
        part = root.maybe_object(name)
        if part is not None and part.data.get(field) is not None:
            times.append(part.time(field))
    return max(times)


def _push(root: Fields, keys: Keys, received: datetime) -> Event | Ignored:
    changes = root.object("push").objects("changes")
    repository = _repository(root)
    by = root.maybe_object("actor")
    actor = _person(by) if by else None
    branches = [change for change in (_branch_change(c) for c in changes) if change]
    if not branches:
        return Ignored(reason="a push of tags only" if changes else "an empty push", kind="repo:push")
    hits = [(change, found) for change in branches if (found := keys(change[0], *change[1]))]
    if not hits:
        return Ignored(reason=NO_KEY, kind="repo:push")
    # One push may move several branches: the first with a key names the event, all keys are in it.
    (branch, messages, deleted), _ = hits[0]
    return BranchPushed(
        issues=tuple(dict.fromkeys(key for _, found in hits for key in found))[:MAX_KEYS],
        repository=repository,
        branch=one_line(branch, 250),
        commits=() if deleted else tuple(_first_line(m) for m in messages[:MAX_COMMITS]),
        by=actor,
        deleted=deleted,
        at=received,
    )


def _branch_change(change: Fields) -> tuple[str, list[str], bool] | None:
    """(branch, commit messages newest first, whether it was deleted); None for a tag."""
    new, old = change.maybe_object("new"), change.maybe_object("old")
    ref = new or old
    if ref is None:
        raise Malformed(f"{change.at('new')} and {change.at('old')} are both missing")
    if ref.text("type") == "tag":
        return None
    messages = [commit.maybe_text("message") for commit in change.maybe_objects("commits")]
    tip = ref.maybe_object("target") if new else None
    if tip is not None and not messages:
        messages = [tip.maybe_text("message")]
    return ref.text("name"), [m for m in messages if m.strip()], new is None


def _build(event_key: str, root: Fields, keys: Keys) -> Event | Ignored:
    status = root.object("commit_status")
    commit = status.object("commit")
    branch, message = status.maybe_text("refname"), commit.maybe_text("message")
    event = BuildReported(
        issues=keys(branch, message),
        repository=_repository(root),
        branch=one_line(branch, 250),
        commit=commit.identifier("hash"),
        name=status.maybe_line("name") or status.line("key"),
        state=status.text("state").upper()[:20],
        url=address(status.maybe_text("url")),
        at=status.time("updated_on"),
    )
    return event if event.issues else Ignored(reason=NO_KEY, kind=event_key)


def _repository(root: Fields) -> str:
    name = root.object("repository").text("full_name")
    if not _REPOSITORY.fullmatch(name):
        raise Malformed("repository.full_name is not workspace/repository")
    return name


def _html(found: Fields) -> str:
    links = found.maybe_object("links")
    html = links.maybe_object("html") if links else None
    return address(html.maybe_text("href")) if html else ""


def _id(user: Fields) -> str:
    account = next((n for n in ("account_id", "uuid", "username", "nickname") if user.data.get(n) is not None), "uuid")
    return user.account(account)


def _name(user: Fields) -> str:
    return (
        user.maybe_line("display_name", 100)
        or user.maybe_line("nickname", 100)
        or user.maybe_line("username", 100)
        or "somebody"
    )


def _person(user: Fields) -> Person:
    kind = "app" if user.maybe_text("type") in ("app_user", "AppUser") else "atlassian"
    return Person(account_id=_id(user), name=_name(user), kind=kind)


def _first_line(message: str) -> str:
    return one_line(message.strip().partition("\n")[0], 200)
