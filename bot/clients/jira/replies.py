"""Our replies in Jira: a comment is posted with our marker, in one request, and is known again by it.

The marker is a comment property. Anybody can set one, so a reply is ours only where our own account wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import Field

from bot.clients.jira import read
from bot.clients.jira.comments import comment_page
from bot.clients.values import listing, mapping, moment
from bot.domain.drafts import MARKER
from bot.domain.issues import Frozen, Visibility
from bot.errors import Gone, OutcomeUnknown

if TYPE_CHECKING:
    from bot.clients.jira.wire import Wire
    from bot.domain.leases import Deadline

CLOCK_SKEW = timedelta(minutes=10)
"""Our clock and Jira's may differ by this much when a comment is looked for by time."""
MOST_AT_ONCE = 1000
"""Comments whose properties Jira gives in one answer."""


class Reply(Frozen):
    """A comment of ours in Jira. `public`: Jira's `jsdPublic`, None where it says nothing (no service desk).

    Of one that was found: `created` by Jira's clock, and what its `marker` says.
    """

    comment_id: str
    public: bool | None = None
    created: datetime | None = None
    marker: dict[str, Any] = Field(default_factory=dict)


async def post(
    wire: Wire, path: str, adf: dict[str, Any], properties: list[dict[str, Any]], visibility: Visibility | None, *,
    by: Deadline | None,
) -> Reply:  # fmt: skip
    """See `Jira.post_comment`. `path`: the issue's key, ready for an address."""
    body: dict[str, Any] = {"body": adf, "properties": properties}
    if visibility is not None:
        body["visibility"] = visibility.model_dump(exclude_none=True)
    answer = await wire.exchange(lambda c: c.add_comment(path, data=body), "issue", write=True, by=by)
    try:
        posted = mapping(answer.json())
    except (ValueError, RecursionError):
        posted = {}
    if not posted.get("id"):
        raise OutcomeUnknown("Jira's answer to the comment was not readable")
    return Reply(comment_id=str(posted["id"]), public=_public(posted))


async def find(wire: Wire, path: str, draft_id: str, since: datetime, own: str | None) -> Reply | None:
    """See `Jira.find_marked`. `own`: our account."""
    earliest, start = since - CLOCK_SKEW, 0
    while True:
        page = await comment_page(wire, path, start, 100)
        raw = listing(page.get("comments"))
        mine = {}
        for item in raw:
            found = read.comment({**item, "body": None}, own, desk=False)
            if found.by_us and found.created >= earliest:
                mine[found.id] = Reply(comment_id=found.id, public=_public(item), created=found.created)
        for comment_id, value in (await _markers(wire, list(mine), raw)).items():
            if value.get("draft_id") == draft_id:
                return mine[comment_id].model_copy(update={"marker": value})
        start += len(raw)
        times = [moment(item.get("created")) or read.EPOCH for item in raw]
        newest_first = bool(times) and times[0] >= times[-1]
        if not raw or start >= read.number(page.get("total"), 0) or (newest_first and times[-1] < earliest):
            return None


async def marked(wire: Wire, comment_ids: Sequence[str]) -> frozenset[str]:
    """Those of these comments that carry our property, whoever set it."""
    found: set[str] = set()
    for start in range(0, len(comment_ids), MOST_AT_ONCE):
        found |= (await _markers(wire, list(comment_ids[start : start + MOST_AT_ONCE]))).keys()
    return frozenset(found)


async def _markers(wire: Wire, ids: list[str], raw: list[dict[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """Comment id → our property's value, for those of `ids` that carry it. `raw`: the comments, if at hand."""
    settled = {str(i.get("id")): i["properties"] for i in raw or [] if isinstance(i.get("properties"), list)}
    ids = list(ids)
    if any(comment_id not in settled for comment_id in ids):
        settled |= await _properties_by_ids(wire, [i for i in ids if i not in settled])
    found: dict[str, dict[str, Any]] = {}
    for comment_id in ids:
        if comment_id in settled:
            values = [p.get("value") for p in listing(settled[comment_id]) if p.get("key") == MARKER]
        else:
            values = await _property(wire, comment_id)
        if values:
            found[comment_id] = mapping(values[0])
    return found


async def _properties_by_ids(wire: Wire, ids: list[str]) -> dict[str, Any]:
    """Comment id → all its properties, for those that Jira tells of in one answer."""
    wanted = [int(i) for i in ids if i.isdecimal()]
    if not wanted:
        return {}
    asked = wire.read(lambda c: c.get_comments_by_ids(expand="properties", data={"ids": wanted}), has=("values",))
    listed = listing(mapping(await wire.where_offered("comments by id", asked)).get("values"))
    return {str(i.get("id")): i["properties"] for i in listed if isinstance(i.get("properties"), list)}


async def _property(wire: Wire, comment_id: str) -> list[Any]:
    number = quote(comment_id, safe="")
    asked = wire.read(lambda c: c.get_comment_property(number, MARKER), has=("value",))
    try:
        found = await wire.where_offered("comment properties", asked)
    except Gone:  # the comment has no such property
        return []
    return [] if found is None else [mapping(found).get("value")]


def _public(comment: dict[str, Any]) -> bool | None:
    said = comment.get("jsdPublic")
    return said if isinstance(said, bool) else None
