"""A search by JQL: the issues as Jira gives them, and the comments and changes that it leaves out."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from bot.clients.jira import comments as thread
from bot.clients.jira import read
from bot.clients.jira.wire import Wire, searching
from bot.clients.values import listing, mapping
from bot.domain.issues import Change
from bot.errors import Gone

MOST_SINGLE_READS = 50
"""Issues of one search that are read one by one because the search gave too few of their comments."""


async def found_by(wire: Wire, jql: str, limit: int) -> list[dict[str, Any]]:
    """The issues that a bounded JQL finds, as Jira gave them."""
    found: list[dict[str, Any]] = []
    token: str | None = None
    while len(found) < limit:
        body: dict[str, Any] = {
            "jql": jql,
            "maxResults": min(100, limit - len(found)),
            "fields": [*read.FIELDS, "comment"],
            "expand": "changelog",
        }
        if token:
            body["nextPageToken"] = token
        page = mapping(await wire.read(searching(body), "search", has=("issues",)))
        issues = [i for i in listing(page.get("issues")) if isinstance(i.get("key"), str)]
        found += issues
        following = page.get("nextPageToken")
        if not issues or page.get("isLast") is True or not isinstance(following, str) or following == token:
            break
        token = following
    return found[:limit]


class MissingParts:
    """The comments and changes of found issues; those that the search did not give are read singly, a few at a time."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._gate = asyncio.Semaphore(4)
        self._left = MOST_SINGLE_READS

    async def of(self, item: dict[str, Any]) -> tuple[dict[str, Any] | None, tuple[Change, ...]]:
        """The comments, or None where the search gave all of them, and the changes."""
        page = mapping(mapping(item.get("fields")).get("comment"))
        log = item.get("changelog")
        has = len(listing(page.get("comments")))
        comments: dict[str, Any] | None = None
        history = read.changes(mapping(log).get("histories"))
        # A search gives at most 20 comments and 40 changes of an issue.
        if (not page or has < read.number(page.get("total"), has) or not isinstance(log, dict)) and self._left > 0:
            self._left -= 1
            path = quote(item["key"], safe="")
            async with self._gate:
                try:
                    comments = await thread.newest_comments(self._wire, path)
                    history = history if isinstance(log, dict) else await thread.history(self._wire, path)
                except Gone:
                    pass  # it went away since the search: what the search gave is all there is
        return comments, history
