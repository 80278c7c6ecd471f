"""Retention: closed events, with their cycles and drafts, that are older than the settings say are deleted for good.

An event leaves with all of its story, when all of it is closed. The audit trail stays whole, and says how much was
deleted: each batch carries a record of it, so that whatever else is gone is found. Works on any `Store`.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime

from bot.domain.draft_states import BUSY, OPEN
from bot.store import DELIVERY_KEYS_KEPT, Audit, Conflict, Delete, Expect, Record, Store
from bot.store.paging import each

BATCH = 200
"""Events that are deleted in one commit."""
_OPEN_STATES = frozenset(str(state) for state in OPEN | BUSY)


async def delete_old(store: Store, now: datetime, older_than: datetime) -> dict[str, int]:
    """Delete the stories that ended before `older_than`; how many records of each table.

    Nothing leaves while its delivery is remembered, whatever the setting. Raises `StoreUnavailable`.
    """
    until = min(older_than, now - DELIVERY_KEYS_KEPT)
    deleted: Counter[str] = Counter()
    changes: list[Delete] = []
    expect: list[Expect] = []

    async def delete() -> None:
        batch: Counter[str] = Counter(change.table for change in changes)
        line = Audit("system", "retention.deleted", details={"before": until.isoformat(), **batch})
        await store.commit(*changes, expect=expect, audit=(line,))
        deleted.update(batch)
        changes.clear()
        expect.clear()

    with suppress(Conflict):  # somebody asks for one of them again right now: the rest goes tomorrow
        async for event in each(store, "webhook_events", by="at", until=until, page=BATCH):
            if story := await _closed_story(store, event, until):
                changes += story
                expect.append(Expect("webhook_events", event["id"], {"state": event["state"]}))
            if len(expect) == BATCH:
                await delete()
        if expect:
            await delete()
    return dict(deleted)


async def _closed_story(store: Store, event: Record, until: datetime) -> list[Delete]:
    """What is deleted with this event; nothing when any of it is open, or too young."""
    if event["state"] == "received":
        return []
    drafts = await store.find("drafts", event_id=event["id"])
    if any(d["state"] in _OPEN_STATES or d["open"] or datetime.fromisoformat(_ended(d)) >= until for d in drafts):
        return []
    cycles = await store.find("agent_cycles", event_id=event["id"])
    return [
        Delete("webhook_events", event["id"]),
        *(Delete("agent_cycles", cycle["id"]) for cycle in cycles),
        *(Delete("drafts", draft["id"]) for draft in drafts),
        *[Delete("corrections", d["id"]) for d in drafts if await store.get("corrections", d["id"])],
    ]


def _ended(draft: Record) -> str:
    """When it was last decided about, or made."""
    return str((draft.get("decision") or {}).get("at") or draft["at"])
