"""What Claude is told of what is around an issue: its parent, children, linked issues, and all pull requests. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain.issues import Issue, LinkedIssue, PullRequest
from bot.prompting import values
from bot.prompting.untrusted import cut_middle
from bot.rules.identity import LookAlike

LINKS = 20
PULL_REQUESTS = 8
PULL_REQUESTS_AROUND = 5
SUMMARY_LIMIT = 160
BUILDS = 6
MAX_PEOPLE = 10
UNREAD = "it could not be read in full which linked issues and children there are: there may be others"


def others_of(issue: Issue, alike: Mapping[Any, LookAlike], *, brief: bool) -> dict[str, Any]:
    """The parent, the children and the linked issues. `brief`: the children are only counted."""
    found: dict[str, Any] = {
        "parent": _other(issue.parent, "parent", alike) if issue.parent else None,
        "children_count": _count(issue),
        "children": [] if brief else [_other(child, "child", alike) for child in issue.children],
        "linked_issues": [
            {**_other(link, "link", alike), "relation": values.short(link.relation)} for link in issue.links[:LINKS]
        ],
        "linked_issues_note": f"{len(issue.links) - LINKS} more are left out here" if issue.links[LINKS:] else "",
        "related_note": UNREAD if issue.related == "unread" else "",
    }
    if found["children"] and issue.more_children:
        rest = ", ".join(f"{count} {values.short(status)}" for status, count in issue.more_children.items())
        found["children_note"] = f"{sum(issue.more_children.values())} more are left out here: {rest}"
    return found


def _count(issue: Issue) -> dict[str, int | str]:
    """How many children there are, and of which status; {} for none."""
    by_status = Counter(child.status for child in issue.children)
    by_status.update(issue.more_children)
    total = by_status.total()
    if not total:
        return {}
    found: dict[str, int | str] = {"all": total if issue.related == "all" else f"at least {total}"}
    return found | {values.short(status): count for status, count in by_status.most_common(LINKS)}


def _other(link: LinkedIssue, what: str, alike: Mapping[Any, LookAlike]) -> dict[str, Any]:
    who = link.assignee
    assignee: Any = values.short(who.name) if who else "nobody"
    if who in alike:
        assignee = values.person(who, alike)
    return values.without_empty({
        "ref": f"{what} {link.key}",
        "key": link.key,
        "type": values.short(link.issue_type),
        "summary": cut_middle(link.summary, SUMMARY_LIMIT),
        "status": values.short(link.status),
        "status_means": values.CATEGORIES.get(link.status_category),
        "assignee": assignee,
    })  # fmt: skip


def pull_requests_of(pulls: tuple[PullRequest, ...], zone: ZoneInfo) -> list[dict[str, Any]]:
    """An issue's own pull requests, the newest first."""
    return [_pull_request(pull, zone) for pull in _newest(pulls, PULL_REQUESTS)]


def pull_requests_around(issue: Issue, pulls: tuple[PullRequest, ...], zone: ZoneInfo) -> list[dict[str, Any]]:
    """Those of linked issues and children, each with whose it is. No addresses: a reply links only the issue's own."""
    others = {other.key: f"{other.key} ({values.short(other.relation)})" for other in (*issue.links, *issue.children)}
    found = []
    for pull in _newest(pulls, PULL_REQUESTS_AROUND):
        whose = [others[key] for key in pull.keys if key in others]
        data = _pull_request(pull, zone)
        data.pop("url", None)
        found.append({"ref": data.pop("ref"), "not_of_this_issue_but_of": ", ".join(whose), **data})
    return found


def _newest(pulls: tuple[PullRequest, ...], most: int) -> list[PullRequest]:
    return sorted(pulls, key=lambda p: p.updated, reverse=True)[:most]


def _pull_request(pull: PullRequest, zone: ZoneInfo) -> dict[str, Any]:
    ended = pull.state.lower() if pull.state in ("MERGED", "DECLINED") else "closed"
    closed = pull.state != "OPEN"
    found = {
        "ref": f"PR {pull.id}",
        "number": pull.number,
        "title": cut_middle(pull.title, values.LINE_LIMIT),
        "url": pull.url,
        "state": values.state(pull.state, pull.draft),
        "opened": values.time(pull.opened, zone),
        f"{ended}_at": values.time(pull.closed, zone) if closed else "",
        f"{ended}_by": values.line(pull.closed_by) if closed else "",
        "author": values.line(pull.author),
        "reviewers": [values.line(name) for name in pull.reviewers[:MAX_PEOPLE]],
        "approved_by": [
            values.without_empty({"name": values.line(name), "at": values.time(pull.approved_at.get(name), zone)})
            for name in pull.approved_by[:MAX_PEOPLE]
        ],
        "changes_requested_by": [values.line(name) for name in pull.changes_requested_by[:MAX_PEOPLE]],
        "branch": values.line(pull.branch),
        "target": values.line(pull.target),
        "builds": [
            values.without_empty({
                "name": values.line(name), "state": values.build(state), "at": values.time(pull.built.get(name), zone)
            })
            for name, state in list(pull.builds.items())[-BUILDS:]
        ],
        "updated": values.time(pull.updated, zone),
    }  # fmt: skip
    always = ("reviewers", "approved_by")  # "nobody yet" is a fact here
    return {name: value for name, value in found.items() if value or name in always}
