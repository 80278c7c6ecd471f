"""A data folder with records past the retention, and the real program: they are deleted, where somebody wants it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from bot.demo.stage import Stage
from bot.store import Audit, Put
from bot.store.embedded.store import TinyStore
from bot.store.text_hashes import text_sha256

OLD = datetime.now(UTC) - timedelta(days=400)
TABLES = ("webhook_events", "agent_cycles", "drafts")


async def fill(stage: Stage) -> None:
    """A closed story from long ago, and what a day long ago has cost."""
    store = TinyStore.open(stage.data)
    about = {"at": OLD.isoformat(), "event_id": "evt_1", "issue": "ECD-1"}
    wording = {"text": "In review.", "by": "claude", "at": OLD.isoformat()}
    draft = {
        **about, "id": "drf_1", "state": "posted", "open": False, "decision": None, "decided": [], "posted": None,
        "revisions": [wording],
    }  # fmt: skip
    sha256 = {"sha256": text_sha256(wording["text"])}
    await store.commit(
        Put("webhook_events", {**about, "id": "evt_1", "state": "done", "kind": "issue_commented"}),
        Put("agent_cycles", {**about, "id": "cyc_1", "outcome": "draft"}),
        Put("drafts", draft),
        Put("state", {"id": f"spend:{OLD:%Y-%m-%d}", "at": OLD.isoformat(), "calls": 3, "usd": 0.25}),
        audit=[
            Audit("system", "event.accepted", "evt_1"),
            Audit("system", "draft.created", "evt_1", "drf_1", details=sha256),
            Audit("system", "draft.posted", "evt_1", "drf_1", details=sha256),
        ],
    )
    await store.close()


async def exported(stage: Stage) -> dict[str, list[str]]:
    found = {}
    for table in TABLES:
        code, out = await stage.run("export", table)
        assert code == 0, out
        found[table] = [json.loads(line)["id"] for line in out.splitlines()]
    return found


@pytest.mark.parametrize("days", ["", "365"])
async def test_closed_records_go_only_where_a_retention_is_set(stage: Stage, days: str) -> None:
    await fill(stage)
    before = await exported(stage)
    await stage.start_bot(**({"PMAGENT_RETENTION_DAYS": days} if days else {}))
    for _ in range(150 if days else 20):
        if "retention.deleted" in stage.log:
            break
        await asyncio.sleep(0.1)
    assert ("retention.deleted" in stage.log) == bool(days)
    assert await exported(stage) == ({table: [] for table in TABLES} if days else before)
    figures = json.loads((await stage.run("stats", "--json"))[1])
    assert (figures["events"], figures["posted"], figures["claude_calls"]) == (1, 1, 3), (
        "what happened is still counted"
    )
    trail = (await stage.run("audit", "export"))[1]
    assert trail.count("retention.deleted") == bool(days)
    assert (await stage.run("audit", "verify"))[1].startswith("ok")
    assert await stage.stop_bot() == 0
