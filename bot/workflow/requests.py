"""What people ask for by /pmagent and Retry: a draft, why, what waits, another try, health."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bot.access.origin import Spot
from bot.cards import failure_message
from bot.domain.drafts import Draft
from bot.domain.events import EVENT, DraftRequested
from bot.domain.health import HealthLine
from bot.errors import Gone, PMAgentError, RetryLater, UserError
from bot.failpoints import failpoint
from bot.intake.silence import Silence
from bot.reactions import jobs_for
from bot.rules.policy import MOVED, out_of_bounds
from bot.store import Audit, Conflict, Expect, Put
from bot.store.audit import SHORT_HEAD
from bot.workflow.modes import mode
from bot.workflow.pausing import paused
from bot.workflow.presenting.announcing import is_message, revise
from bot.workflow.presenting.redrawing import count_under_other_mode
from bot.workflow.reconciling.health import reconciled
from bot.workflow.records import open_drafts
from bot.workflow.trail import trail_health

if TYPE_CHECKING:
    from bot.context import Context
    from bot.workflow.actor import Actor


JIRA_TIMEOUT = 4.0
"""Seconds that `why` gives Jira."""
MAX_LISTED = 20
"""Drafts that wait for a decision, in a list for people."""
LAST_EVENTS = 10
"""Events of an issue that `why` tells of."""


@dataclass(frozen=True)
class WhyLine:
    """One event's outcome, for `/pmagent why`."""

    at: datetime
    event: str
    outcome: str
    reason: str
    draft_id: str | None


async def request_draft(ctx: Context, key: str, by: Actor) -> str:
    """Ask for a draft on this issue. Returns a sentence; raises `UserError` when the issue is not there for us."""
    from bot.intake.accept import Delivery, Ended, accept

    try:
        issue = await ctx.jira.fields(key)
    except Gone:
        raise UserError(f"Jira has no issue {key} that the bot's account can see.") from None
    except RetryLater as error:
        raise UserError(f"Jira cannot be asked right now ({error.reason}). Please try again in a moment.") from None
    beyond = out_of_bounds(issue, ctx.settings)
    if beyond == MOVED:
        raise UserError(f"{key} {beyond.says}.")
    now = ctx.clock.now()
    event = DraftRequested(issues=(issue.key,), by=by.account, at=now)
    ended = Ended(Silence(beyond.reason)) if beyond else None
    await accept(ctx, Delivery("slack", f"draft:{by.id}:{now.isoformat()}", None, now), event, ended=ended)
    if beyond:
        return f"{key} {beyond.says}."
    if await paused(ctx):
        return f"Noted: a draft for {issue.key} will be written when drafting goes on (/pmagent resume)."
    return f"A draft for {issue.key} is being written; it will appear in the approvals channel."


async def why(ctx: Context, key: str, limit: int = LAST_EVENTS) -> list[WhyLine]:
    """What became of the last events of this issue, newest first.

    What Claude said of them tells of the issue, and so is left out where that is not for the channel, or not known.
    """
    told = await _may_be_told_of(ctx, key)
    lines = []
    for event in await ctx.store.find("webhook_events", issue=key, newest_first=True, limit=limit):
        cycles = await ctx.store.find("agent_cycles", event_id=event["id"])
        at = datetime.fromisoformat(event["at"])
        kind = event["kind"] + (" (reconcile)" if event["source"] == "reconcile" else "")
        if cycles:
            cycle = cycles[-1]
            said = cycle.get("reasoning") if told or not cycle["calls"] else ""
            reason = ": ".join(filter(None, (cycle["reason"], said)))  # a draft has no reason but Claude's
            draft = await ctx.store.get("drafts", cycle["draft_id"]) if cycle.get("draft_id") else None
            outcome = f"draft, {draft['state']}" if draft else cycle["outcome"]
            lines.append(WhyLine(at, kind, outcome, reason, cycle.get("draft_id")))
        else:
            waiting = ctx.queue.waits_for(event["id"]) or await _waits(ctx)
            reason = waiting if event["state"] == "received" else (event["reason"] or "")
            lines.append(WhyLine(at, kind, event["state"], reason, None))
    return lines


async def _waits(ctx: Context) -> str:
    """Why events wait, as far as every process knows it."""
    if await paused(ctx):
        return "drafting is paused"
    away = [f"{name.title()} is {said}" for name, said in ctx.outages.away.items()]
    return "; ".join(away) or "waits to be worked on"


async def _may_be_told_of(ctx: Context, key: str) -> bool:
    """Whether Jira says now that this issue is for the channel. Who asks does not wait long for it."""
    try:
        async with asyncio.timeout(JIRA_TIMEOUT):
            return out_of_bounds(await ctx.jira.fields(key), ctx.settings) is None
    except (PMAgentError, TimeoutError):
        return False


@dataclass(frozen=True)
class Pending:
    """The drafts on which a person can decide: the oldest `MAX_LISTED`, and how many there are in all."""

    oldest: list[Draft]
    count: int


async def pending(ctx: Context) -> Pending:
    """What waits for a decision."""
    return Pending(*await open_drafts(ctx, MAX_LISTED))


async def retry_event(ctx: Context, event_id: str, by: Actor) -> str:
    """Put a failed event back to work. Returns a sentence; raises `UserError` when there is nothing to retry."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None:
        raise UserError("This is so old that it was deleted. Ask for a draft instead: /pmagent draft KEY")
    if record["state"] != "failed":
        raise UserError("This was already tried again, or it has been answered meanwhile.")
    try:
        await ctx.store.commit(
            Put("webhook_events", {**record, "state": "received", "reason": None, "due": None}),
            expect=(Expect("webhook_events", event_id, {"state": "failed", "attempts": record["attempts"]}),),
            audit=(Audit(by.account, "event.retried", event_id, None, record["issue"]),),
            jobs=jobs_for(event_id, EVENT.validate_python(record["event"])),
        )
    except Conflict:
        raise UserError("Somebody else has just asked for the same.") from None
    failpoint("retry.stored")
    told = failure_message(event_id, record["issue"], ctx.settings.site, record["reason"], retried=by.name)
    await revise(ctx, f"failed:{event_id}:{record['attempts']}", told)
    return "It is being tried again."


async def is_failure(ctx: Context, event_id: str, spot: Spot | None) -> bool:
    """Whether this message tells of the event's last failure. An event that is gone: `retry_event` has the words."""
    record = await ctx.store.get("webhook_events", event_id)
    return record is None or await is_message(ctx, f"failed:{event_id}:{record['attempts']}", spot)


async def health(ctx: Context) -> list[HealthLine]:
    """How the parts of the program are, without asking anybody for long."""
    now = await mode(ctx)
    lines = [HealthLine("mode", True, f"{now.mode}, set by {now.by}")]
    halted = await paused(ctx)
    if halted:
        text = (
            "until somebody resumes"
            if halted is True
            else f"until {halted.astimezone(ctx.settings.timezone):%Y-%m-%d %H:%M}"
        )
        lines.append(HealthLine("drafting", True, f"paused {text}"))
    count, head = await ctx.store.audit_head()
    lines.append(HealthLine("store", True, f"{count} audit records, head {head[:SHORT_HEAD] or 'none'}"))
    lines.append(await trail_health(ctx))
    lines += ctx.queue.health()
    away = ctx.outages.away
    try:
        me = await ctx.jira.myself()
        lines.append(HealthLine("jira", "jira" not in away, away.get("jira", f"signed in as {me.name}")))
    except PMAgentError as error:
        lines.append(HealthLine("jira", False, away.get("jira", str(error))))
    lines.append(HealthLine("claude", "claude" not in away, away.get("claude", "answering")))
    lines += [HealthLine(*line) for line in await reconciled(ctx)]
    _, waiting = await open_drafts(ctx, 0)
    behind = await count_under_other_mode(ctx)
    more = f"; {behind} of their cards show the other mode still, and decide nothing until they are redrawn"
    lines.append(HealthLine("drafts", True, f"{waiting} wait for a decision{more if behind else ''}"))
    return lines
