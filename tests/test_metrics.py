"""The figures: counted from records, by local days, and printed for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.reports.metrics import as_text, figures
from bot.store import Audit, Put
from bot.store.tiny import TinyStore

PROMISED = {  # other programs read these
    "mode", "events", "duplicates", "ignored", "silences", "failures", "drafts", "posted", "edited", "skipped",
    "undone", "claude_calls", "cost_usd", "days",
}  # fmt: skip


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[TinyStore]:
    opened = TinyStore.open(tmp_path, clock=clock)
    yield opened
    await opened.close()


async def a_day(store: TinyStore, clock: Clock, name: str) -> None:
    """What one day leaves behind: an event with a draft that is edited twice and posted, and one of each other kind."""
    at = clock.now().isoformat()
    later = (clock.now() + timedelta(seconds=90)).isoformat()
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
    steps = ["draft.edited", "draft.edited", "draft.posted", "draft.undone", "draft.posted"]
    await store.commit(
        Put("agent_cycles", {"id": f"c1{name}", "at": at, "ended": later, "outcome": "draft"}),
        Put("agent_cycles", {"id": f"c2{name}", "at": at, "ended": at, "outcome": "silence"}),
        Put("agent_cycles", {"id": f"c3{name}", "at": at, "ended": at, "outcome": "failure"}),
        Put(
            "drafts",
            {
                "id": name,
                "at": at,
                "created": at,
                "cycle_id": f"c1{name}",
                "state": "posted",
                "decided": [{"at": later}],
                "decision": {"at": later},
            },
        ),
        Put("drafts", {"id": f"{name}w", "at": at, "created": at, "state": "waiting", "decided": [], "decision": None}),
        Put("state", {"id": f"spend:{clock.now().date()}", "at": at, "usd": 0.1, "calls": 3, "reserved": {"x": 1.0}}),
        audit=[*(Audit("system", line) for line in lines), *(Audit("slack:U1", step, draft_id=name) for step in steps)],
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
    assert (everything["seconds_to_card"], everything["seconds_to_decision"]) == (90.0, 90.0)
    two = await figures(store, clock, 2)
    assert (two["days"], two["events"], two["drafts"], two["claude_calls"]) == (2, 4, {"posted": 2, "waiting": 2}, 6)
    today = await figures(store, clock, 0.5)
    assert (today["days"], today["events"], today["claude_calls"]) == (0.5, 2, 3)


async def test_days_are_local_days(store: TinyStore, clock: Clock) -> None:
    clock.at = datetime(2026, 1, 10, 22, 30, tzinfo=UTC)  # 23:30 in Berlin
    await store.commit(audit=[Audit("system", "event.accepted")])
    clock.at += timedelta(hours=1)
    await store.commit(audit=[Audit("system", "event.accepted")])
    assert (await figures(store, clock, 1))["events"] == 2
    assert (await figures(store, clock, 1, timezone=ZoneInfo("Europe/Berlin")))["events"] == 1
    assert (await figures(store, clock, 2, timezone=ZoneInfo("Europe/Berlin")))["events"] == 2


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
        "  Draft to decision  90.0 s  median",
        "  Refused                 1  clicks by people who may not decide",
    ]
