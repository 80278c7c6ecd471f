"""What changed in Jira since a time: the issues that a search finds, and the comments written or edited since then.

A search gives at most 20 comments of an issue, the oldest; a longer thread is read page by page, newest first. Jira
orders comments by their creation alone, so an edit of an old one is found only by reading on: that is bounded, while
new comments are read to the last one. Bodies are turned into Markdown only for what is wanted: it is the dear part.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

from bot.clients.jira import read
from bot.clients.jira.comments import comment_page
from bot.clients.jira.wire import Wire, searching
from bot.clients.values import listing, mapping, moment, one_line
from bot.domain.issues import Comment, Frozen, Person
from bot.markup import from_body
from bot.offload import offload
from bot.rules.questions import added, newly_asks

PAGE_SIZE = 50
"""Issues of one answer."""
COMMENT_PAGE = 100
EDITED_WITHIN = 1000
"""Edits are noticed among so many newest comments of an issue."""
FIELDS = (
    "summary", "description", "project", "created", "updated", "reporter", "creator", "security", "comment",
)  # fmt: skip


class NewQuestion(Frozen):
    """A description that asks something since a change. `text`: as it is after it; `added`: what is new in it."""

    text: str
    added: str = ""
    by: Person | None
    at: datetime


class ChangedIssue(Frozen):
    """An issue that changed. `comments`: those since then, None where the search did not give the whole thread.

    `text`: summary and description of an issue that was created since then, else empty. `asked`: who wrote a question
    into the description since then, and when, as far as Jira tells of its changes in a search; None: nobody.
    """

    key: str
    project: str
    summary: str
    text: str = ""
    created: datetime
    updated: datetime
    reporter: Person | None = None
    service_desk: bool = False
    has_security_level: bool = False
    comments: tuple[Comment, ...] | None = None
    asked: NewQuestion | None = None


class ChangedPage(Frozen):
    """One answer of a search. `following`: the token of the next one, None after the last."""

    issues: tuple[ChangedIssue, ...]
    following: str | None = None


async def changed(wire: Wire, jql: str, since: datetime, own: str | None, token: str | None) -> ChangedPage:
    """One page of what a bounded JQL finds, in its order."""
    body: dict[str, Any] = {"jql": jql, "maxResults": PAGE_SIZE, "fields": list(FIELDS), "expand": "changelog"}
    if token:
        body["nextPageToken"] = token
    page = mapping(await wire.read(searching(body), "search", has=("issues",)))
    raw = [issue for issue in listing(page.get("issues")) if isinstance(issue.get("key"), str)]
    found = tuple([await _issue(issue, since, own) for issue in raw])
    following = page.get("nextPageToken")
    last = not found or page.get("isLast") is True or not isinstance(following, str) or following == token
    return ChangedPage(issues=found, following=None if last else following)


async def comments_since(wire: Wire, path: str, since: datetime, own: str | None, desk: bool) -> tuple[Comment, ...]:
    """The comments of an issue that were written or edited since then. `path`: its key, ready for an address."""
    found: dict[str, Comment] = {}
    start = 0
    while True:
        page = await comment_page(wire, path, start, COMMENT_PAGE)
        raw = listing(page.get("comments"))
        found |= {comment.id: comment for comment in await _since(raw, since, own, desk)}
        start += len(raw)
        times = [moment(item.get("created")) or read.EPOCH for item in raw]
        newest_first = bool(times) and times[0] >= times[-1]
        past = newest_first and times[-1] < since and start >= EDITED_WITHIN
        if not raw or past or start >= read.number(page.get("total"), 0):
            return tuple(found.values())


async def _issue(item: dict[str, Any], since: datetime, own: str | None) -> ChangedIssue:
    fields = mapping(item.get("fields"))
    thread = mapping(fields.get("comment"))
    raw, key = listing(thread.get("comments")), str(item["key"])
    whole = bool(thread) and len(raw) >= read.number(thread.get("total"), len(raw) + 1)
    project = mapping(fields.get("project")).get("key")
    created = moment(fields.get("created")) or read.EPOCH
    summary = one_line(fields.get("summary"))
    described = await offload(lambda: from_body(read.body(fields.get("description")))) if created >= since else ""
    return ChangedIssue(
        key=key,
        project=project if isinstance(project, str) else key.rpartition("-")[0],
        summary=summary,
        text=f"{summary}\n\n{described}".strip() if created >= since else "",
        created=created,
        updated=moment(fields.get("updated")) or created,
        reporter=read.person(fields.get("reporter")) or read.person(fields.get("creator")),
        service_desk=read.is_desk(item),
        has_security_level=read.has_security_level(item),
        comments=tuple(await _since(raw, since, own, read.is_desk(item))) if whole else None,
        asked=await offload(partial(_asked, mapping(item.get("changelog")).get("histories"), since)),
    )


def _asked(histories: Any, since: datetime) -> NewQuestion | None:
    """The newest change since then that wrote a question into the description."""
    found: list[NewQuestion] = []
    for history in listing(histories):
        at = moment(history.get("created"))
        for item in listing(history.get("items")) if at is not None and at >= since else ():
            if str(item.get("field")).casefold() != "description":
                continue
            before, after = (from_body(read.body(item.get(side)) or "") for side in ("fromString", "toString"))
            if at is not None and newly_asks(before, after):
                found.append(
                    NewQuestion(text=after, added=added(before, after), by=read.person(history.get("author")), at=at)
                )
    return max(found, key=lambda asked: asked.at, default=None)


async def _since(raw: Iterable[dict[str, Any]], since: datetime, own: str | None, desk: bool) -> list[Comment]:
    """Those of Jira's comments that were written or edited since then. One whose times cannot be read counts."""
    wanted = []
    for item in raw:
        at = moment(item.get("updated")) or moment(item.get("created"))
        if at is None or at >= since:
            wanted.append(await offload(partial(read.comment, item, own, desk=desk)))
    return wanted
