"""Retention: what is over and old goes, with all of its story; what is open or young stays, and the trail is whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.store import Audit, Put, Store
from bot.store.audit import verify
from bot.store.retention import delete_old
from tests.store.support import NOW, Clock

YEAR = timedelta(days=365)


async def story(store: Store, clock: Clock, name: str, at: datetime, state: str, **draft: Any) -> None:
    """An event with its cycle, and a draft in this state; `received` and `silence` have none."""
    clock.at = at
    about = {"at": at.isoformat(), "event_id": f"evt_{name}"}
    changes = [Put("webhook_events", {**about, "id": f"evt_{name}", "state": "done"})]
    if state == "received":
        changes = [Put("webhook_events", {**about, "id": f"evt_{name}", "state": "received"})]
    else:
        changes.append(Put("agent_cycles", {**about, "id": f"cyc_{name}", "outcome": "silence"}))
    if state not in ("received", "silence"):
        record = {**about, "id": f"drf_{name}", "state": state, "open": False, "decision": None, **draft}
        changes.append(Put("drafts", record))
    await store.commit(*changes, audit=[Audit("system", "event.accepted", f"evt_{name}")])
    clock.at = NOW


async def left(store: Store) -> set[str]:
    return {r["id"] for table in ("webhook_events", "agent_cycles", "drafts") for r in await store.find(table)}


async def test_old_and_closed_goes_and_the_rest_stays(store: Store, clock: Clock) -> None:
    old = NOW - YEAR - timedelta(days=1)
    for name, state in (("1", "posted"), ("2", "silence"), ("3", "skipped")):
        await story(store, clock, name, old, state)
    await story(store, clock, "received", old, "received")
    await story(store, clock, "waiting", old, "waiting", open=True)
    await story(store, clock, "posting", old, "posting")
    await story(store, clock, "redrawn", old, "posted", open=True)
    await story(store, clock, "late", old, "posted", decision={"at": (NOW - timedelta(days=3)).isoformat()})
    await story(store, clock, "young", NOW - timedelta(days=30), "posted")
    before = await store.find("audit")
    assert await delete_old(store, NOW, NOW - YEAR) == {"webhook_events": 3, "agent_cycles": 3, "drafts": 2}
    names = ("waiting", "posting", "redrawn", "late", "young")
    kept = {f"{kind}_{name}" for kind in ("evt", "cyc", "drf") for name in names} | {"evt_received"}
    assert await left(store) == kept
    trail = await store.find("audit")
    assert trail[:-1] == before
    assert (trail[-1]["action"], trail[-1]["details"]) == (
        "retention.deleted",
        {"before": (NOW - YEAR).isoformat(), "webhook_events": 3, "agent_cycles": 3, "drafts": 2},
    )
    assert verify(trail).broken_at is None
    assert await delete_old(store, NOW, NOW - YEAR) == {}
    assert await store.find("audit") == trail, "nothing was deleted, and nothing is said"


async def test_what_was_learned_goes_with_its_draft(store: Store, clock: Clock) -> None:
    for name, at in (("old", NOW - 2 * YEAR), ("young", NOW)):
        await story(store, clock, name, at, "posted")
        await store.commit(Put("corrections", {"id": f"drf_{name}", "at": at.isoformat(), "place": "ECD|public"}))
    assert (await delete_old(store, NOW, NOW - YEAR))["corrections"] == 1
    assert [record["id"] for record in await store.find("corrections", place="ECD|public")] == ["drf_young"]


async def test_nothing_goes_while_its_delivery_is_remembered(store: Store, clock: Clock) -> None:
    await story(store, clock, "1", NOW - timedelta(hours=71), "silence")
    await story(store, clock, "2", NOW - timedelta(hours=73), "silence")
    assert await delete_old(store, NOW, NOW - timedelta(hours=1)) == {"webhook_events": 1, "agent_cycles": 1}
    assert await left(store) == {"evt_1", "cyc_1"}


@pytest.mark.parametrize("staying", [0, 450])
async def test_many_go_in_batches_behind_those_that_stay(store: Store, clock: Clock, staying: int) -> None:
    old = {"at": (NOW - 2 * YEAR).isoformat()}
    await store.commit(
        *(Put("webhook_events", {"id": f"open{n}", "state": "received", **old}) for n in range(staying)),
        *(Put("webhook_events", {"id": f"evt{n}", "state": "done", **old}) for n in range(500)),
    )
    assert await delete_old(store, NOW, NOW - YEAR) == {"webhook_events": 500}
    assert await store.count("webhook_events") == staying
    told = await store.find("audit")
    assert {r["action"] for r in told} == {"retention.deleted"}
    assert sum(r["details"]["webhook_events"] for r in told) == 500, "whatever else is gone can be told"
