"""The figures of `/pmagent stats`, `python -m bot stats` and `/metrics`.

What happened, and how long it took, is counted in `rollup`, which the store keeps in the commits that are counted: a
draft that was edited twice counts once, on the day of the first time. What stands where is counted in `drafts`, and
money in the budget's own records, one per local day, so that the standup's calls count too. So the figures cost the
same however much has happened. A period of N days is today and the N-1 days before it, in the given time zone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from bot.clock import Clock
from bot.domain.draft_states import DraftState
from bot.reports.by_prompt import by_prompt, sentences, span
from bot.store import Record, StoreReader
from bot.store.rollup import EVER, median, spread

if TYPE_CHECKING:
    from bot.context import Context

LINE_ACTIONS = {
    "events": "event.accepted", "duplicates": "event.duplicate", "ignored": "event.ignored", "invalid": "event.invalid",
    "silences": "cycle.silence", "failures": "cycle.failure", "refused": "decision.refused",
}  # fmt: skip
DRAFT_ACTIONS = {name: f"draft.{name}" for name in ("posted", "simulated", "edited", "skipped", "undone")}
CREATED = "draft.created"
NOBODY_DECIDED = frozenset({"waiting", "held"})


async def local_figures(ctx: Context, days: float | None) -> dict[str, Any]:
    """`figures` as the running program sees them: its store, its time zone, its mode."""
    zone, mode = ctx.settings.timezone, ctx.settings.pmagent_mode
    return await figures(ctx.store, ctx.clock, days, timezone=zone, default_mode=mode)


async def figures(
    store: StoreReader, clock: Clock, days: float | None, *, timezone: tzinfo = UTC, default_mode: str = "simulation"
) -> dict[str, Any]:
    """The figures by name, for the last `days` days (None: everything there is). Other programs read them: names stay.

    `default_mode` is said when none is stored (a new data folder). Times are seconds, None where there is nothing to
    measure: `seconds_to_card` from the event to its draft, `seconds_to_decision` from there to the first decision,
    both medians. `by_prompt`: as `bot.reports.by_prompt` has them.
    """
    now = clock.now().astimezone(timezone)
    first = (now - timedelta(days=math.ceil(days) - 1)).date() if days else None
    since = datetime.combine(first, time(), timezone).astimezone(UTC) if first else None
    counted = [r for r in await store.find("rollup", since=since) if r["day"] != EVER] if since else await _ever(store)
    states = await _states(store, since)
    mode = await store.get("state", "mode")
    decided = [record for record in counted if record["action"] != CREATED]
    return {
        "mode": mode["mode"] if mode else default_mode,
        "days": _covered(counted, now) if days is None else int(days) if days == int(days) else days,
        "since": since.isoformat() if since else None,
        **_counts(counted),
        "drafts": states,
        "waiting": sum(states.get(name, 0) for name in NOBODY_DECIDED),
        **await _spent(store, first),
        "seconds_to_card": median(spread(record for record in counted if record["action"] == CREATED)),
        "seconds_to_decision": median(spread(decided)),
        "by_prompt": by_prompt(counted),
    }


async def counters(store: StoreReader) -> dict[str, Any]:
    """The figures of `/metrics`: those of `figures` over everything that only grow, and drafts by state."""
    return {**_counts(await _ever(store)), "drafts": await _states(store, None), **await _spent(store, None)}


async def _ever(store: StoreReader) -> list[Record]:
    return await store.find("rollup", day=EVER)


async def _states(store: StoreReader, since: datetime | None) -> dict[str, int]:
    """Drafts by state, of those that were made since then."""
    states = sorted(state.value for state in DraftState)
    found = {state: await store.count("drafts", state=state, since=since) for state in states}
    return {name: count for name, count in found.items() if count}


async def _spent(store: StoreReader, first: date | None) -> dict[str, Any]:
    """What Claude has cost since that local day."""
    spend = [
        record
        for record in await store.find("state")
        if record["id"].startswith("spend:") and (first is None or record["id"][6:] >= first.isoformat())
    ]
    return {
        "claude_calls": sum(record.get("calls", 0) for record in spend),
        "cost_usd": round(math.fsum(record.get("usd", 0.0) for record in spend), 6),
    }


def _counts(counted: Iterable[Record]) -> dict[str, int]:
    lines: Counter[str] = Counter()
    drafts: Counter[str] = Counter()
    for record in counted:
        lines[record["action"]] += record["count"]
        drafts[record["action"]] += record["drafts"]
    return {
        **{name: lines[action] for name, action in LINE_ACTIONS.items()},
        **{name: drafts[action] for name, action in DRAFT_ACTIONS.items()},
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
        rows.append(("Event to draft", span(found["seconds_to_card"]), "median"))
    if found["seconds_to_decision"] is not None:
        rows.append(("Draft to decision", span(found["seconds_to_decision"]), "median"))
    if found["refused"]:
        rows.append(("Refused", found["refused"], "clicks by people who may not decide"))
    width = max(len(name) for name, _, _ in rows)
    number = max(len(str(value)) for _, value, _ in rows)
    head = f"PM Agent, {period}, mode {found['mode']}"
    lines = [head, "", *(f"  {name:<{width}}  {value!s:>{number}}  {note}".rstrip() for name, value, note in rows)]
    for row in found["by_prompt"]:
        became, took = sentences(row)
        lines += ["", f"  {row['project']}  {row['prompt']}", f"    {became}", f"    {took}"]
    return "\n".join(lines)


def _beside(found: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(f"{found[name]} {name}" for name in names if found[name])


def _covered(ever: Iterable[Record], now: datetime) -> int:
    """Local days from the first audit record to today, both counted; 1 for an empty trail."""
    first = min((datetime.fromisoformat(record["at"]) for record in ever), default=now)
    return max(1, (now.date() - first.astimezone(now.tzinfo).date()).days + 1)
