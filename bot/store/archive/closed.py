"""What may leave the journal. Pure: records in, yes or no out. Times are compared as seconds since 1970.

A *story* is an event with its cycles and its drafts; it leaves as a whole, when all of it is closed and older than the
retention. Of the rest:

- the audit trail leaves from its beginning on, up to the first record that is too young;
- `messages` that were posted and say what they should;
- `development`: pull requests that are merged or declined, and branches nobody pushed to;
- the budget's record of a day (`state`, `spend:…`);
- `keys` are no records of anything, only claims, so they are dropped without an archive when nobody can ask for them
  any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from bot.drafts import BUSY, OPEN
from bot.store import Record
from bot.store.index import moment

SHORTEST = timedelta(days=4)
"""Nothing younger leaves, whatever the setting: an event is known again for 72 h, by its record."""
DELIVERY_KEYS_KEPT = timedelta(days=4)
"""An earlier version kept deliveries' keys in a table of their own."""
CLAIMS_KEPT = timedelta(days=120)
"""A schedule looks back at ten dates at most: of a weekly entry, ten weeks."""
_OPEN_STATES = frozenset(str(state) for state in OPEN | BUSY)


def story_closed(event: Record | None, cycles: Iterable[Record], drafts: Iterable[Record], until: float) -> bool:
    """Whether a story is over, all of it before `until`. `event` None: its record has gone, the others have not."""
    if event is not None and event.get("state") == "received":
        return False
    drafts = list(drafts)
    if any(draft.get("state") in _OPEN_STATES or draft.get("open") for draft in drafts):
        return False
    moments = [moment(item.get("at")) for item in (event, *cycles, *drafts) if item is not None]
    moments += [moment(text) for draft in drafts for text in _times(draft)]
    return all(at < until for at in moments)


def _times(draft: Record) -> Iterator[Any]:
    for item in (draft.get("decision"), draft.get("posted"), *(draft.get("decided") or ())):
        if isinstance(item, dict) and "at" in item:
            yield item["at"]


def message_closed(record: Record, until: float) -> bool:
    """Posted, or refused by Slack for good, and nothing to be changed in it."""
    return not record.get("pending") and moment(record.get("at")) < until


def development_closed(record: Record, until: float) -> bool:
    """A pull request that has ended, or a branch without a push since."""
    return record.get("state") != "OPEN" and moment(record.get("at")) < until


def spend_closed(record: Record, until: float) -> bool:
    """What a day long gone has cost."""
    return str(record["id"]).startswith("spend:") and moment(record.get("at")) < until


def key_dead(record: Record, now: float, until: float) -> bool:
    """A claim that nobody looks up any more."""
    at = moment(record.get("at"))
    if "event_id" in record:
        return at < now - DELIVERY_KEYS_KEPT.total_seconds()
    if str(record["id"]).startswith("schedule:"):
        return at < now - CLAIMS_KEPT.total_seconds()
    return at < min(until, now - CLAIMS_KEPT.total_seconds())
