"""The other issues around an issue, read in one search beside it: its children, and whom it names.

An issue of Jira's answers tells the summary and status of those that it names, and not whom they are for: only what a
search finds in watched projects and without a security level is told of. Where Jira refuses the search, because an
issue that is named is not there any more, its halves are asked for by themselves; what is refused then is not told of,
and no reply waits for it. While Jira is away everything waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from bot.clients.jira import read
from bot.clients.jira.issue import Related, named_keys
from bot.clients.jira.wire import Wire, searching
from bot.clients.values import listing, mapping
from bot.errors import Permanent, RetryLater

MOST_AT_A_TIME = 100
"""Issues of one search."""
FIELDS = ("summary", "status", "issuetype", "assignee", "parent", "project", "security")
SPRINT = "com.pyxis.greenhopper.jira:gh-sprint"
"""The type of Jira Software's field of sprints, whose id is another one on each site."""

Watches = Callable[[str], bool]
Raw = dict[str, Any]


class Around(NamedTuple):
    """Issues that may be told of, as a search gave them, by key. `related`: as in `Issue`."""

    told: dict[str, Raw]
    related: Related


async def around(wire: Wire, raw: Any, watches: Watches) -> Around:
    """The children of an issue of Jira's answers, and those that it names."""
    key, names = str(mapping(raw).get("key")), _watched(named_keys(raw), watches)
    below = f'parent = "{key}"'
    page = await _page(wire, f"{below} OR {_among(names)}" if names else below)
    found, more = page or ([], False)
    related: Related = "some" if more else "all"
    if page is None and names:
        page = await _page(wire, below)
        found, more = page or ([], False)
        rest = await _named(wire, names)
        related = "unread" if page is None or rest is None else "some" if more else "all"
        found += rest or []
    elif page is None:
        related = "unread"
    elif more and (missing := sorted(set(names) - {str(item.get("key")) for item in found})):
        found += await _named(wire, missing) or []
    return Around(_told(found, watches), related)


async def told_of(wire: Wire, keys: Iterable[str], watches: Watches) -> dict[str, Raw]:
    """Those of these issues that may be told of, as a search gave them, by key."""
    names = _watched(keys, watches)
    found: list[Raw] = []
    for start in range(0, len(names), MOST_AT_A_TIME):
        found += await _named(wire, names[start : start + MOST_AT_A_TIME]) or []
    return _told(found, watches)


async def sprint_fields(wire: Wire) -> tuple[str, ...] | None:
    """The ids of the fields that hold sprints; none where Jira refuses to say. None: ask again; no reply waits."""
    try:
        found = await wire.where_offered("fields", wire.read(lambda c: c.get_fields(), "list of fields"))
    except Permanent:
        return ()
    except RetryLater:  # also for a token without the scope, which the gateway calls 401
        return None
    fields = [(item.get("id"), mapping(item.get("schema")).get("custom")) for item in listing(found)]
    return tuple(name for name, kind in fields if isinstance(name, str) and kind == SPRINT)


def _told(found: Iterable[Raw], watches: Watches) -> dict[str, Raw]:
    return {
        key: item
        for item in found
        if isinstance(key := item.get("key"), str) and _watched([key], watches) and not read.has_security_level(item)
    }


def _watched(keys: Iterable[str], watches: Watches) -> list[str]:
    return sorted(key for key in set(keys) if watches(key.rpartition("-")[0]))


def _among(keys: Iterable[str]) -> str:
    names = ", ".join(f'"{key}"' for key in keys)
    return f"key in ({names})"


async def _named(wire: Wire, keys: list[str]) -> list[Raw] | None:
    page = await _page(wire, _among(keys))
    return page and page[0]


async def _page(wire: Wire, jql: str) -> tuple[list[Raw], bool] | None:
    """What a search finds, and whether there is more; None where Jira refuses it in its own words."""
    body = {"jql": f"{jql} ORDER BY updated DESC", "maxResults": MOST_AT_A_TIME, "fields": list(FIELDS)}
    try:
        page = mapping(await wire.read(searching(body), "search", has=("issues",)))
    except Permanent:
        return None
    return listing(page.get("issues")), isinstance(page.get("nextPageToken"), str)
