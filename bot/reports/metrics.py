"""The figures of `/pmagent stats`, `python -m bot stats` and `/metrics`, counted from the records each time.

What happened is counted in the audit trail (one line per step; a draft that was edited twice counts once), how events
ended in `agent_cycles`, what stands where in `drafts`, and money in the budget's own records, one per local day, so
that the standup's calls count too. A period of N days is today and the N-1 days before it, in the given time zone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from bot.clock import Clock
from bot.store import Record, Store

if TYPE_CHECKING:
    from bot.context import Context

EVENT_ACTIONS = {
    "events": "event.accepted", "duplicates": "event.duplicate", "ignored": "event.ignored", "invalid": "event.invalid",
}  # fmt: skip
DRAFT_ACTIONS = {name: f"draft.{name}" for name in ("posted", "simulated", "edited", "skipped", "undone")}
NOBODY_DECIDED = frozenset({"waiting", "held"})


async def local_figures(ctx: Context, days: float | None) -> dict[str, Any]:
    """`figures` as the running program sees them: its store, its time zone, its mode."""
    zone, mode = ctx.settings.timezone, ctx.settings.pmagent_mode
    return await figures(ctx.store, ctx.clock, days, timezone=zone, default_mode=mode)


async def figures(
    store: Store, clock: Clock, days: float | None, *, timezone: tzinfo = UTC, default_mode: str = "simulation"
) -> dict[str, Any]:
    """The figures by name, for the last `days` days (None: everything there is). Other programs read them: names stay.

    `default_mode` is said when none is stored (a new data folder). Times are seconds, None where there is nothing to
    measure: `seconds_to_card` from the event to its draft, `seconds_to_decision` from there to the first decision,
    both medians.
    """
    now = clock.now().astimezone(timezone)
    first = (now - timedelta(days=math.ceil(days) - 1)).date() if days else None
    since = datetime.combine(first, time(), timezone).astimezone(UTC) if first else None
    trail = await store.find("audit", since=since)
    cycles = await store.find("agent_cycles", since=since)
    drafts = await store.find("drafts", since=since)
    state = await store.find("state")
    spend = [r for r in state if r["id"].startswith("spend:") and (first is None or r["id"][6:] >= first.isoformat())]
    mode = next((r["mode"] for r in state if r["id"] == "mode"), default_mode)

    lines = Counter(record["action"] for record in trail)
    once: dict[str, set[str]] = {action: set() for action in DRAFT_ACTIONS.values()}
    for record in trail:
        if record["action"] in once and record["draft_id"]:
            once[record["action"]].add(record["draft_id"])
    ended = Counter(record["outcome"] for record in cycles)
    states = Counter(record["state"] for record in drafts)
    return {
        "mode": mode,
        "days": _covered(trail, now) if days is None else int(days) if days == int(days) else days,
        "since": since.isoformat() if since else None,
        **{name: lines[action] for name, action in EVENT_ACTIONS.items()},
        "silences": ended["silence"],
        "failures": ended["failure"],
        "drafts": dict(sorted(states.items())),
        "waiting": sum(states[name] for name in NOBODY_DECIDED),
        **{name: len(once[action]) for name, action in DRAFT_ACTIONS.items()},
        "refused": lines["decision.refused"],
        "claude_calls": sum(record.get("calls", 0) for record in spend),
        "cost_usd": round(math.fsum(record.get("usd", 0.0) for record in spend), 6),
        "seconds_to_card": _median([_seconds(cycle, "at", "ended") for cycle in cycles if cycle["outcome"] == "draft"]),
        "seconds_to_decision": _median([_decided(draft) for draft in drafts]),
    }


def as_text(found: Mapping[str, Any]) -> str:
    """The figures for a person at a terminal."""
    period = "today" if found["days"] == 1 and found["since"] else f"{found['days']:g} days"
    if not found["since"]:
        period = f"everything, {found['days']} day{'s' if found['days'] != 1 else ''}"
    states = ", ".join(f"{count} {state}" for state, count in found["drafts"].items())
    rows: list[tuple[str, object, str]] = [
        ("Events", found["events"], _beside(found, ("duplicates", "ignored", "invalid"))),
        ("Silences", found["silences"], "with a recorded reason: /pmagent why KEY"),
        ("Failures", found["failures"], "that a person can retry" if found["failures"] else ""),
        ("Drafts", sum(found["drafts"].values()), states),
        ("Posted", found["posted"], _beside(found, ("simulated", "undone"))),
        ("Edited", found["edited"], ""),
        ("Skipped", found["skipped"], ""),
        ("Claude calls", found["claude_calls"], f"{found['cost_usd']:.2f} USD"),
    ]
    if found["seconds_to_card"] is not None:
        rows.append(("Event to draft", _span(found["seconds_to_card"]), "median"))
    if found["seconds_to_decision"] is not None:
        rows.append(("Draft to decision", _span(found["seconds_to_decision"]), "median"))
    if found["refused"]:
        rows.append(("Refused", found["refused"], "clicks by people who may not decide"))
    width = max(len(name) for name, _, _ in rows)
    number = max(len(str(value)) for _, value, _ in rows)
    head = f"PM Agent, {period}, mode {found['mode']}"
    return "\n".join(
        [head, "", *(f"  {name:<{width}}  {value!s:>{number}}  {note}".rstrip() for name, value, note in rows)]
    )


def _beside(found: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(f"{found[name]} {name}" for name in names if found[name])


def _covered(trail: list[Record], now: datetime) -> int:
    """Local days from the first audit record to today, both counted; 1 for an empty trail."""
    if not trail:
        return 1
    return max(1, (now.date() - datetime.fromisoformat(trail[0]["at"]).astimezone(now.tzinfo).date()).days + 1)


def _decided(draft: Record) -> float | None:
    """Seconds from the draft to the first decision about it."""
    decisions = [*draft.get("decided", ()), *([draft["decision"]] if draft.get("decision") else [])]
    moments = [datetime.fromisoformat(item["at"]) for item in decisions]
    return (min(moments) - datetime.fromisoformat(draft["created"])).total_seconds() if moments else None


def _seconds(record: Record, start: str, end: str) -> float | None:
    if not record.get(start) or not record.get(end):
        return None
    return (datetime.fromisoformat(record[end]) - datetime.fromisoformat(record[start])).total_seconds()


def _median(values: list[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    middle = len(known) // 2
    return round(known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2, 1)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
