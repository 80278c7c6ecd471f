"""A data folder of the version before the compact index: it opens, verifies, knows its deliveries, and goes on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.store import REMEMBERED, Audit, Conflict, Expect, Put, Unseen
from bot.store.audit import verify
from bot.store.salvage import audit_trail
from bot.store.tiny import TinyStore

AT = datetime(2026, 11, 20, 9, tzinfo=UTC)


def as_text(value: Any, **how: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), **how).encode()


def sealed(text: bytes) -> bytes:
    return b'%s,"sum":"%08x"}\n' % (text, zlib.crc32(text))


def audit_record(seq: int, prev: str, event_id: str, details: dict[str, Any]) -> dict[str, Any]:
    """As that version sealed it: each leaf through its own salt, the whole as canonical JSON."""
    record: dict[str, Any] = {
        "id": str(seq), "seq": seq, "at": "2026-11-20T09:00:00.000Z", "actor": "jira:712020:ana",
        "action": "event.accepted", "event_id": event_id, "draft_id": None, "issue": "ECD-1", "details": details,
        "prev": prev, "salt": f"{seq:032x}",
    }  # fmt: skip
    leaves = {"actor": record["actor"], **{f"details.{name}": value for name, value in details.items()}}
    hashes = {
        name: hashlib.sha256(
            hashlib.sha256(f"{record['salt']}:{name}".encode()).hexdigest()[:32].encode()
            + b":" + as_text(value, sort_keys=True)
        ).hexdigest()
        for name, value in leaves.items()
    }  # fmt: skip
    covered = {name: record[name] for name in ("seq", "at", "action", "event_id", "draft_id", "issue", "prev")}
    record["hash"] = hashlib.sha256(as_text({**covered, "sealed": hashes}, sort_keys=True)).hexdigest()
    return record


def old_event(number: int, state: str) -> dict[str, Any]:
    return {
        "id": f"evt_{number}", "event_id": f"evt_{number}", "at": (AT + timedelta(minutes=number)).isoformat(),
        "source": "jira", "kind": "issue_commented", "delivery_id": f"d-{number}", "body_sha256": "ab",
        "issue": "ECD-1", "issues": ["ECD-1"], "state": state, "reason": "",
        "event": {"comment": {"id": "1", "text": "ä\u2028\U0001f600"}}, "attempts": 0, "due": None,
    }  # fmt: skip


def write_old_folder(folder: Path, events: int = 20) -> None:
    """Each event accepted with its keys in table `keys`, every second one settled; some claims deleted again."""
    lines = [sealed(as_text({"pmagent": "journal", "version": 1, "created": "2026-11-20T08:00:00+00:00"})[:-1])]
    prev, number = "0" * 64, 0

    def add(puts: list[list[Any]], deletes: list[list[str]], group: int) -> None:
        nonlocal number
        number += 1
        text = b'{"n":%d,"g":%d,"put":[%s]' % (number, group or number, b",".join(as_text(put) for put in puts))
        lines.append(sealed(text + (b',"del":' + as_text(deletes) if deletes else b"")))

    for n in range(events):
        details = {"source": "jira", "kind": "issue_commented", "n": n, "cost": 1e22, "list": [1, {"a": None}]}
        record = audit_record(n + 1, prev, f"evt_{n}", details)
        prev = record["hash"]
        event = old_event(n, "received")
        about = {"at": event["at"], "event_id": event["id"]}
        keys = [["keys", {"id": f"jira:{kind}:{n}", **about}] for kind in ("delivery", "body")]
        claim = {"id": f"schedule:{n}", "at": event["at"], "state": "done"}
        first = number + 1
        add([["webhook_events", event], *keys, ["audit", record]], [], first)
        add([["keys", claim]], [["keys", f"schedule:{n - 1}"]], first)
        if n % 2:
            cycle = {
                "id": f"cyc_{n}",
                "event_id": f"evt_{n}",
                "at": event["at"],
                "issue": "ECD-1",
                "outcome": "silence",
            }
            add([["webhook_events", old_event(n, "done")], ["agent_cycles", cycle]], [], 0)
    folder.mkdir()
    (folder / "journal.jsonl").write_bytes(b"".join(lines))


async def test_it_opens_verifies_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_old_folder(folder)
    before = (folder / "journal.jsonl").read_bytes()
    store = TinyStore.open(folder)
    try:
        assert (folder / "journal.jsonl").read_bytes() == before, "opening changes nothing"
        assert store.kept_aside is None
        assert await store.count("webhook_events") == 20
        assert await store.count("webhook_events", state="received") == 10
        assert await store.get("webhook_events", "evt_7") == old_event(7, "done")
        newest = await store.find("webhook_events", issue="ECD-1", state="received", newest_first=True, limit=2)
        assert [record["id"] for record in newest] == ["evt_18", "evt_16"]
        assert [record["id"] for record in await store.find("keys", state="done")] == ["schedule:19"]
        head = await store.audit_head()
        assert str(verify(audit_trail(folder, pytest.fail))) == f"ok 20 records, head {head[1]}"
        for again in range(2):
            at = AT + timedelta(hours=1)
            with pytest.raises(Conflict) as conflict:
                await store.commit(expect=[Unseen((f"jira:body:{again}",), at - REMEMBERED)])
            assert (conflict.value.found or {})["event_id"] == f"evt_{again}"
            await store.commit(
                Put("webhook_events", {**old_event(18, "done"), "keys": [f"jira:body:new{again}"]}),
                expect=[Unseen((f"jira:body:new{again}",), at - REMEMBERED), Expect("webhook_events", "evt_18", {})],
                audit=[Audit("system", "cycle.silence", "evt_18", details={"n": 1})],
            )
            assert (await store.audit_head())[0] == 21 + again
            await store.close()
            store = TinyStore.open(folder)
        await asyncio.to_thread(store.engine.compact)
        assert str(verify(audit_trail(folder, pytest.fail))).startswith("ok 22 records")
        assert [record["id"] for record in await store.find("webhook_events")] == [f"evt_{n}" for n in range(20)]
    finally:
        await store.close()
