"""An issue's comments and changes, which Jira gives page by page: the newest ones, and what was changed since a time.

Jira is asked for the newest comments first; changes come oldest first, whatever one asks for, so they are read from the
end. An endpoint that a Jira does not have gives nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.clients.jira import read
from bot.clients.jira.wire import Wire
from bot.clients.values import listing, mapping, moment
from bot.domain.issues import Change

NEWEST_COMMENTS = 50
HISTORY_PAGE = 100
CHANGELOG = ("values", "histories")


async def comment_page(wire: Wire, path: str, start: int, most: int) -> dict[str, Any]:
    """One page of an issue's comments, newest first. `path`: the issue's key, ready for an address."""
    first = start or None
    return mapping(
        await wire.read(
            lambda c: c.get_comments(path, start_at=first, max_results=most, order_by="-created"), has=("comments",)
        )
    )


async def newest_comments(wire: Wire, path: str) -> dict[str, Any] | None:
    """The newest comments as Jira gave them; None where Jira offers no list of them."""
    page = await wire.where_offered("comments", comment_page(wire, path, 0, NEWEST_COMMENTS))
    if page is None:
        return None
    raw, total = listing(page.get("comments")), read.number(page.get("total"), 0)
    times = [moment(item.get("created")) or read.EPOCH for item in raw]
    if total > len(raw) > 0 and times[0] < times[-1]:  # oldest first, whatever was asked: the newest are at the end
        page = await comment_page(wire, path, max(total - NEWEST_COMMENTS, 1), NEWEST_COMMENTS)
    return page


async def history(wire: Wire, path: str, since: datetime | None = None) -> tuple[Change, ...]:
    """The newest changes, and all since then, oldest first."""
    newer: list[dict[str, Any]] = []
    oldest, start = await wire.where_offered("changelog", _histories(wire, path, 0)) or ([], 0)
    while oldest and start > len(oldest) and (not newer or _goes_on(newer, since)):
        end, start = start, max(start - HISTORY_PAGE, len(oldest))
        page, _ = await _histories(wire, path, start)
        newer = [*page[: end - start], *newer]
    return read.changes(newer if start > len(oldest) else [*oldest, *newer], since)


def _goes_on(newer: list[dict[str, Any]], since: datetime | None) -> bool:
    """Whether what was read from the end does not reach back to this time yet."""
    return since is not None and (moment(newer[0].get("created")) or read.EPOCH) >= since


async def _histories(wire: Wire, path: str, start: int) -> tuple[list[dict[str, Any]], int]:
    """One page of an issue's histories, and how many there are."""
    first = start or None
    page = mapping(
        await wire.read(lambda c: c.get_change_logs(path, start_at=first, max_results=HISTORY_PAGE), has=CHANGELOG)
    )
    return listing(page.get("values") or page.get("histories")), read.number(page.get("total"), 0)
