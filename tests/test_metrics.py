"""The figures: counted from records, by local days, and printed for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.reports.metrics import as_text, figures
from bot.store import Audit, Figures, Put
from bot.store.embedded.store import TinyStore
from tests.store.support import Clock

PROMISED = {  # other programs read these
    "mode", "events", "duplicates", "ignored", "silences", "failures", "drafts", "posted", "edited", "skipped",
    "undone", "claude_calls", "cost_usd", "days",
}  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 1, 10, 12, 0, tzinfo=UTC))


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[TinyStore]:
    opened = TinyStore.open(tmp_path, clock=clock)
    yield opened
    await opened.close()


async def a_day(store: TinyStore, clock: Clock, name: str) -> None:
    """What one day leaves behind: an event with a draft that is edited twice and posted, and one of each other kind."""
    at = clock.now().isoformat()
    lines = [
        "event.accepted",
        "event.accepted",
        "event.duplicate",
        "event.ignored",
        "event.invalid",
        "decision.refused",
        "cycle.silence",
        "cycle.failure",
    ]
    steps = ["draft.edited", "draft.posted", "draft.undone", "draft.posted"]
    await store.commit(
        Put("drafts", {"id": name, "at": at, "state": "posted"}),
        Put("drafts", {"id": f"{name}w", "at": at, "state": "waiting"}),
        Put("state", {"id": f"spend:{clock.now().date()}", "at": at, "usd": 0.1, "calls": 3, "reserved": {"x": 1.0}}),
        audit=[
            *(Audit("system", line) for line in lines),
            Audit("system", "draft.created", draft_id=name, figures=Figures(seconds=90.2)),
            Audit("slack:U1", "draft.edited", draft_id=name, figures=Figures(seconds=60)),
            *(Audit("slack:U1", step, draft_id=name) for step in steps),
        ],
    )


async def test_an_empty_store(store: TinyStore, clock: Clock) -> None:
    found = await figures(store, clock, None)
    assert found.keys() >= PROMISED
    assert (found["mode"], found["days"], found["drafts"], found["events"], found["cost_usd"]) == (
        "simulation",
        1,
        {},
        0,
        0.0,
    )
    assert (await figures(store, clock, None, default_mode="production"))["mode"] == "production"
    assert "mode simulation" in as_text(found)


async def test_everything_and_the_last_days(store: TinyStore, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        await a_day(store, clock, name)
        clock.at += timedelta(days=1)
    clock.at -= timedelta(days=1)
    await store.commit(Put("state", {"id": "mode", "mode": "production", "at": clock.now().isoformat()}))
    everything = await figures(store, clock, None)
    assert {key: everything[key] for key in PROMISED} == {
        "mode": "production", "events": 6, "duplicates": 3, "ignored": 3, "silences": 3, "failures": 3,
        "drafts": {"posted": 3, "waiting": 3}, "posted": 3, "edited": 3, "skipped": 0, "undone": 3, "claude_calls": 9,
        "cost_usd": 0.3, "days": 3,
    }  # fmt: skip
    assert (everything["waiting"], everything["refused"], everything["invalid"]) == (3, 3, 3)
    assert (everything["seconds_to_card"], everything["seconds_to_decision"]) == (90.0, 60.0)
    two = await figures(store, clock, 2)
    assert (two["days"], two["events"], two["drafts"], two["claude_calls"]) == (2, 4, {"posted": 2, "waiting": 2}, 6)
    today = await figures(store, clock, 0.5)
    assert (today["days"], today["events"], today["claude_calls"]) == (0.5, 2, 3)


async def test_days_are_local_days(tmp_path: Path, clock: Clock) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for zone, today in ((UTC, 2), (berlin, 1)):
        store = TinyStore.open(tmp_path / str(today), clock=clock, zone=zone)
        clock.at = datetime(2026, 1, 10, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
        await store.commit(audit=[Audit("system", "event.accepted")])
        clock.at += timedelta(hours=1)
        await store.commit(audit=[Audit("system", "event.accepted")])
        assert (await figures(store, clock, 1, timezone=zone))["events"] == today
        assert (await figures(store, clock, 2, timezone=zone))["events"] == 2
        await store.close()


async def test_the_text_for_people(store: TinyStore, clock: Clock) -> None:
    await a_day(store, clock, "a")
    text = as_text(await figures(store, clock, 7))
    assert text.splitlines() == [
        "PM Agent, 7 days, mode simulation",
        "",
        "  Events                  2  1 duplicates, 1 ignored, 1 invalid",
        "  Silences                1  with a recorded reason: /pmagent why KEY",
        "  Failures                1  that a person can retry",
        "  Drafts                  2  1 posted, 1 waiting",
        "  Posted                  1  1 undone",
        "  Edited                  1",
        "  Skipped                 0",
        "  Claude calls            3  0.10 USD",
        "  Event to draft     90.0 s  median",
        "  Draft to decision  60.0 s  median",
        "  Refused                 1  clicks by people who may not decide",
    ]
