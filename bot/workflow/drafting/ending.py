"""How an event ends without a draft: in silence with its reason, or as a failure that a person can retry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot.cards import failure_message, text, whisper
from bot.clients.claude.record import CallRecord
from bot.failpoints import failpoint
from bot.intake.silence import CONTEXT, Silence, cycle, silent
from bot.log import get_logger
from bot.prompting import without_lessons
from bot.reactions import ANSWER, done
from bot.settings import settings_for
from bot.store import Audit, Conflict, Expect, Figures, Job, Put, Record
from bot.workflow.presenting.announcing import message_record

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


def spent(calls: Sequence[CallRecord]) -> dict[str, Any]:
    """What a cycle's record says of its calls."""
    return {
        "calls": [{**call.model_dump(mode="json"), "shown": without_lessons(call.shown)} for call in calls],
        "cost_usd": round(sum(call.cost_usd for call in calls), 8),
    }


async def end_in_silence(
    ctx: Context, record: Record, silence: Silence, calls: Sequence[CallRecord], *, started: datetime
) -> None:
    """The event is not answered, and says why."""
    told = cycle(
        record, "silence", silence.reason, silence.detail, started=started, ended=ctx.clock.now(), **spent(calls)
    )
    try:
        await ctx.store.commit(
            Put("webhook_events", {**record, "state": "done", "reason": silence.reason}),
            Put("agent_cycles", told),
            *done(ANSWER, record["id"]),
            expect=(Expect("webhook_events", record["id"], {"state": "received"}),),
            audit=(silent(record, silence.reason, told["cost_usd"]),),
        )
    except Conflict:
        return
    failpoint("answer.after_silence")
    # Context is most of what comes, and nobody looks for it in a log: `/pmagent why` has it.
    say = log.debug if silence.reason == CONTEXT else log.info
    say("event.silence", event_id=record["id"], issue=record["issue"], reason=silence.reason)
    await _tell_who_asked(ctx, record, silence)


async def _tell_who_asked(ctx: Context, record: Record, silence: Silence) -> None:
    """Whoever asked for a draft with /pmagent and gets none hears why, privately; `why` has it in any case."""
    by = (record["event"] or {}).get("by")
    if record["kind"] != "draft_requested" or not isinstance(by, str) or not by.startswith("slack:"):
        return
    told = whisper(f"There is no draft for {record['issue']}: {silence.reason}. ", text(silence.detail or " "))
    await ctx.slack.whisper(_channel(ctx, record), by.removeprefix("slack:"), told)


def _channel(ctx: Context, record: Record) -> str:
    """Where people are told of this event."""
    return settings_for(ctx.settings, (record["issue"] or "").rpartition("-")[0]).approvals_channel


async def fail_event(ctx: Context, record: Record, started: datetime, reason: str, calls: Sequence[CallRecord]) -> None:
    """End an event as a failure that a person can retry, with its message in the channel, in one write."""
    number = record["attempts"] + 1
    key = f"failed:{record['id']}:{number}"
    message = failure_message(record["id"], record["issue"] or "", ctx.settings.site, reason)
    posted = message_record(ctx, key, _channel(ctx, record), message)
    told = cycle(record, "failure", reason, started=started, ended=ctx.clock.now(), **spent(calls))
    try:
        await ctx.store.commit(
            Put("webhook_events", {**record, "state": "failed", "reason": reason, "attempts": number}),
            Put("agent_cycles", told),
            Put("messages", posted),
            *done(ANSWER, record["id"]),
            expect=(Expect("webhook_events", record["id"], {"state": "received"}),),
            audit=(
                Audit(
                    "system",
                    "cycle.failure",
                    record["id"],
                    None,
                    record["issue"],
                    {"reason": reason},
                    Figures(usd=told["cost_usd"]),
                ),
            ),
            jobs=[Job("message", key)],
        )
    except Conflict:
        return
    failpoint("answer.after_failure")
    log.warning("event.failed", event_id=record["id"], issue=record["issue"], reason=reason)
