"""The figures of `/pmagent stats`, `python -m bot stats` and `/metrics`.

What happened is counted in the audit trail (one line per step; a draft that was edited twice counts once), what stands
where in `drafts`, and money in the budget's own records, one per local day, so that the standup's calls count too. Of
everything there ever was the store has the counts ready (`Store.totals`), and only drafts are read, of which there are
few beside events; of a period, its records are read. A period of N days is today and the N-1 days before it, in the
given time zone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from bot.clock import Clock
from bot.store import Record, Store, Table, Totals
from bot.store.tally import Tally, median, rough, seconds_to_card, seconds_to_decision, totals

if TYPE_CHECKING:
    from bot.context import Context

LINE_ACTIONS = {
    "events": "event.accepted", "duplicates": "event.duplicate", "ignored": "event.ignored", "invalid": "event.invalid",
    "silences": "cycle.silence", "failures": "cycle.failure", "refused": "decision.refused",
}  # fmt: skip
DRAFT_ACTIONS = {name: f"draft.{name}" for name in ("posted", "simulated", "edited", "skipped", "undone")}
EVER_READ: tuple[Table, ...] = ("drafts", "agent_cycles", "state")
"""The tables that `figures` over everything looks into; the rest of what it tells is counted already."""
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
    drafts = await store.history("drafts", since=since) if since else await store.find("drafts")
    counted = await (_since(store, since) if since else _ever(store))
    state = await (store.history("state", since=since) if since else store.find("state"))
    spend = [r for r in state if r["id"].startswith("spend:") and (first is None or r["id"][6:] >= first.isoformat())]
    mode = await store.get("state", "mode")

    states = Counter(record["state"] for record in drafts)
    to_decision = Counter(rough(known) for draft in drafts if (known := seconds_to_decision(draft)) is not None)
    if since is None:
        states.update(counted.states)
        to_decision.update(counted.to_decision)
    return {
        "mode": mode["mode"] if mode else default_mode,
        "days": _covered(counted.first, now) if days is None else int(days) if days == int(days) else days,
        "since": since.isoformat() if since else None,
        **_counts(counted),
        "drafts": dict(sorted(states.items())),
        "waiting": sum(states[name] for name in NOBODY_DECIDED),
        "claude_calls": sum(record.get("calls", 0) for record in spend) + counted.calls,
        "cost_usd": round(math.fsum([counted.usd, *(record.get("usd", 0.0) for record in spend)]), 6),
        "seconds_to_card": median(await _to_card(store, drafts, counted)),
        "seconds_to_decision": median(to_decision),
    }


async def counters(store: Store) -> dict[str, Any]:
    """The figures of `/metrics`: those of `figures` over everything that only grow, and drafts by state.

    Reads no record but those of `state`, so that a scrape costs the same whatever has happened.
    """
    from bot.drafts import DraftState

    ever = await store.totals()
    live = {str(state): await store.count("drafts", state=str(state)) for state in DraftState}
    states = {name: live.get(name, 0) + ever.states.get(name, 0) for name in sorted({*live, *ever.states})}
    spend = [record for record in await store.find("state") if record["id"].startswith("spend:")]
    return {
        **_counts(ever),
        "drafts": {name: count for name, count in states.items() if count},
        "claude_calls": sum(record.get("calls", 0) for record in spend) + ever.calls,
        "cost_usd": round(math.fsum([ever.usd, *(record.get("usd", 0.0) for record in spend)]), 6),
    }


def _counts(counted: Totals) -> dict[str, int]:
    lines = counted.lines
    return {
        **{name: lines.get(action, 0) for name, action in LINE_ACTIONS.items()},
        **{name: counted.drafts.get(action, 0) for name, action in DRAFT_ACTIONS.items()},
    }


async def _ever(store: Store) -> Totals:
    return await store.totals()


async def _since(store: Store, since: datetime) -> Totals:
    """The same of the records since then, archived ones included."""
    tally = Tally()
    for record in await store.history("audit", since=since):
        tally.take(record)
    return totals(tally, ())


async def _to_card(store: Store, drafts: list[Record], counted: Totals) -> Counter[float]:
    """How long the drafts took, from the cycles that led to them."""
    found = Counter(counted.to_card)
    for draft in drafts:
        cycle = await store.get("agent_cycles", draft["cycle_id"]) if "cycle_id" in draft else None
        seconds = seconds_to_card(cycle) if cycle else None
        if seconds is not None:
            found[rough(seconds)] += 1
    return found


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


def _covered(first: str | None, now: datetime) -> int:
    """Local days from the first audit record to today, both counted; 1 for an empty trail."""
    if first is None:
        return 1
    return max(1, (now.date() - datetime.fromisoformat(first).astimezone(now.tzinfo).date()).days + 1)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
