"""A whole issue out of Jira's answers, with the other issues that it names as far as they may be told of. Pure.

As lenient as `read`: an issue needs only its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

from bot.clients.jira import read
from bot.clients.values import listing, mapping, moment, one_line
from bot.domain.issue_keys import ISSUE_KEY
from bot.domain.issues import Change, Comment, Issue, LinkedIssue, Sprint, Version
from bot.markup import from_body
from bot.rules.policy import about_links

Related = Literal["all", "some", "unread"]
CHILDREN = 20
"""Children of an issue that are told of one by one; the others are counted."""


def issue(
    value: Any, *, site: str, comments: tuple[Comment, ...], total: int, history: tuple[Change, ...],
    told: Mapping[str, Any], related: Related = "unread", sprint_fields: Sequence[str] = (),
) -> Issue:  # fmt: skip
    """An issue of `GET /issue/{key}` or of a search, with its newest comments and changes read beside it.

    `told`: other issues that may be told of, as a search gave them, by key; `related`: see `Issue`. `sprint_fields`:
    ids of the fields that hold sprints. Raises ValueError when it has no key.
    """
    found = mapping(value)
    key, fields = found.get("key"), mapping(found.get("fields"))
    if not isinstance(key, str) or not key:
        raise ValueError("an issue without a key")
    project = mapping(fields.get("project"))
    status = mapping(fields.get("status"))
    labels = fields.get("labels")
    below = children(value, told)
    return Issue(
        key=key,
        project=project["key"] if isinstance(project.get("key"), str) else key.rpartition("-")[0],
        summary=one_line(fields.get("summary")),
        url=f"{site}/browse/{key}",
        status=one_line(status.get("name")),
        status_category=one_line(mapping(status.get("statusCategory")).get("key")),
        description=from_body(read.body(fields.get("description"))),
        issue_type=one_line(mapping(fields.get("issuetype")).get("name")),
        assignee=read.person(fields.get("assignee")),
        reporter=read.person(fields.get("reporter")),
        priority=one_line(mapping(fields.get("priority")).get("name")),
        labels=tuple(one_line(label) for label in labels if isinstance(label, str)) if isinstance(labels, list) else (),
        due=read.day(fields.get("duedate")),
        resolution=one_line(mapping(fields.get("resolution")).get("name")),
        components=tuple(name for c in listing(fields.get("components")) if (name := one_line(c.get("name")))),
        fix_versions=versions(fields.get("fixVersions")),
        sprints=tuple(s for name in sprint_fields for s in sprints(fields.get(name))) if sprint_fields else None,
        created=moment(fields.get("created")),
        updated=moment(fields.get("updated")),
        links=links(fields.get("issuelinks"), told),
        parent=parent(fields.get("parent"), told),
        children=below[:CHILDREN],
        more_children=dict(Counter(child.status for child in below[CHILDREN:])),
        related=related,
        comments=comments,
        comment_total=max(total, len(comments)),
        comments_from=comments[0].created if total > len(comments) > 0 else None,
        changes=tuple(change for change in history if _may_be_told(change, told)),
        service_desk=read.is_desk(value),
        has_security_level=read.has_security_level(value),
    ).named()


def _may_be_told(change: Change, told: Mapping[str, Any]) -> bool:
    """Whether a change names no other issue than those that may be told of."""
    keys = [found[0] for found in ISSUE_KEY.finditer(f"{change.before} {change.after}")]
    return not about_links(change) or (bool(keys) and all(key in told for key in keys))


def named_keys(value: Any) -> frozenset[str]:
    """The keys of the issues that an issue of Jira's answers names: linked ones, its parent and its sub-tasks."""
    fields = mapping(mapping(value).get("fields"))
    found = [item.get(side) for item in listing(fields.get("issuelinks")) for side in ("inwardIssue", "outwardIssue")]
    found += [fields.get("parent"), *listing(fields.get("subtasks"))]
    return frozenset(key for other in found if isinstance(key := mapping(other).get("key"), str))


def links(value: Any, told: Mapping[str, Any]) -> tuple[LinkedIssue, ...]:
    """The linked issues among those that may be told of, each with the relation as worded from this issue's side."""
    return tuple(
        link(other, one_line(mapping(item.get("type")).get(wording)) or "relates to", told[other["key"]])
        for item in listing(value)
        for side, wording in (("inwardIssue", "inward"), ("outwardIssue", "outward"))
        if (other := mapping(item.get(side))).get("key") in told
    )


def link(value: Any, relation: str, searched: Any) -> LinkedIssue:
    """Another issue: as an issue names it, which is the newest, and what a search adds, whose index may be late."""
    fields, more = mapping(mapping(value).get("fields")), mapping(mapping(searched).get("fields"))
    status = mapping(fields.get("status") or more.get("status"))
    return LinkedIssue(
        relation=relation,
        key=mapping(value)["key"],
        summary=one_line(fields.get("summary") or more.get("summary")),
        status=one_line(status.get("name")),
        status_category=one_line(mapping(status.get("statusCategory")).get("key")),
        issue_type=one_line(mapping(more.get("issuetype")).get("name")),
        assignee=read.person(more.get("assignee")),
    )


def parent(value: Any, told: Mapping[str, Any]) -> LinkedIssue | None:
    """The parent, where it may be told of."""
    found = mapping(value)
    return link(found, "parent", told[found["key"]]) if found.get("key") in told else None


def children(value: Any, told: Mapping[str, Any]) -> tuple[LinkedIssue, ...]:
    """The children of an issue of Jira's answers among those that may be told of, unfinished ones first."""
    key, fields = mapping(value).get("key"), mapping(mapping(value).get("fields"))
    subtasks = {item["key"]: item for item in listing(fields.get("subtasks")) if item.get("key") in told}
    others = {
        k: v for k, v in told.items() if mapping(mapping(mapping(v).get("fields")).get("parent")).get("key") == key
    }
    found = [link(item, "child", told[child]) for child, item in (others | subtasks).items()]
    return tuple(sorted(found, key=lambda child: child.status_category == "done"))


def versions(value: Any) -> tuple[Version, ...]:
    """The versions in a field of them."""
    return tuple(
        Version(name=name, released=item.get("released") is True, on=read.day(item.get("releaseDate")))
        for item in listing(value)
        if (name := one_line(item.get("name")))
    )


def sprints(value: Any) -> tuple[Sprint, ...]:
    """The sprints in Jira Software's field of them."""
    return tuple(
        Sprint(
            name=name,
            state=one_line(item.get("state")).lower(),
            start=_date_of(item.get("startDate")),
            end=_date_of(item.get("completeDate")) or _date_of(item.get("endDate")),
        )
        for item in listing(value)
        if (name := one_line(item.get("name")))
    )


def _date_of(value: Any) -> date | None:
    at = moment(value)
    return at.date() if at else None
