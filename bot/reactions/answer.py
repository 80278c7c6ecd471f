"""From an event to a draft, or to a recorded reason for silence, or to a recorded failure: exactly one of the three.

The order is from cheap to dear: rules that need nothing, then Jira, then the cheap model, then the strong one.
Whatever is raised as `RetryLater` leaves the event where it is, and the queue comes back to it.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bot.clients.claude.errors import Unanswerable
from bot.clients.claude.record import CallRecord
from bot.domain.events import EVENT
from bot.domain.outages import OnHold
from bot.errors import Permanent
from bot.failpoints import failpoint
from bot.intake.silence import Silence, sets_security_level
from bot.reactions.drafting import store_draft
from bot.reactions.subject import RESTRICTED, Subject, read_subject, require_in_bounds
from bot.rules.policy import known, out_of_bounds
from bot.workflow.drafting.asking import AskedClaude, ask_claude
from bot.workflow.drafting.ending import end_in_silence, fail_event
from bot.workflow.drafting.rule_skips import skip_by_rule
from bot.workflow.pausing import paused

if TYPE_CHECKING:
    from bot.context import Context

MAX_CHANGES = 20
"""Changes of an issue, or of a comment, that are looked through: those of the minute in which Claude writes."""


async def answer_when_due(ctx: Context, event_id: str) -> None:
    """As `answer`. Raises `OnHold` while drafting is paused."""
    halted = await paused(ctx)
    if halted:
        # Until somebody resumes, which lifts the hold.
        left = 3600.0 if halted is True else (halted - ctx.clock.now()).total_seconds() + 0.05
        raise OnHold("drafting is paused", after=left)
    await answer(ctx, event_id)


async def answer(ctx: Context, event_id: str) -> None:
    """Bring one received event to its end. Raises `RetryLater` when it has to wait."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return
    event = EVENT.validate_python(record["event"])
    started = ctx.clock.now()
    calls: list[CallRecord] = []
    try:
        await skip_by_rule(ctx, event, record)
        ctx.outages.claude.hold()
        subject = await read_subject(ctx, event)
        asked = await _ask(ctx, subject)
        calls += asked.calls
        await _recheck_bounds(ctx, subject, started, calls)
        if not asked.decision.should_respond:
            raise Silence("no answer is due", asked.decision.reasoning)
        failpoint("answer.before_draft")
        await store_draft(ctx, record, subject, asked, started)
    except Silence as silence:
        await end_in_silence(ctx, record, silence, calls, started=started)
    except Unanswerable as error:
        # Claude cannot answer this one: recorded, shown in the channel with Retry, and nothing else waits for it.
        await ctx.outages.claude.up()
        await fail_event(ctx, record, started, error.reason, [*calls, *error.calls])
    except Permanent as error:
        await fail_event(ctx, record, started, error.reason, calls)


async def _ask(ctx: Context, subject: Subject) -> AskedClaude:
    """Is an answer due, and which? Raises `Silence`, `Unanswerable` or `RetryLater`."""
    ctx.outages.claude.turn()
    allowed = known(subject.issue, subject.links, ctx.settings.site)
    asked = await ask_claude(ctx.claude, ctx.settings, ctx.prompts, subject.material, allowed)
    await ctx.outages.claude.up()
    return asked


async def _recheck_bounds(ctx: Context, subject: Subject, started: datetime, calls: list[CallRecord]) -> None:
    """Raise `Silence` when the issue got a security level while Claude wrote, or what is answered was restricted: there
    was no draft yet that could end.

    What Claude was shown in these calls is not kept then.
    """
    key = subject.issue.key
    changes = await ctx.store.find(
        "webhook_events", issue=key, kind="issue_changed", newest_first=True, limit=MAX_CHANGES
    )
    recent = [record["event"] for record in changes if record["at"] >= started.isoformat() and record["event"]]
    if any(sets_security_level(EVENT.validate_python(event)) for event in recent):
        issue = await ctx.jira.fields(key)
        if out_of_bounds(issue, ctx.settings):
            calls[:] = [call.model_copy(update={"shown": ""}) for call in calls]
        require_in_bounds(ctx, key, issue)
    if subject.answered is None:
        return
    versions = await ctx.store.find("webhook_events", comment=subject.answered.id, newest_first=True, limit=MAX_CHANGES)
    told = [record["event"] for record in versions if record["at"] >= started.isoformat() and record["event"]]
    if any(event["comment"]["visibility"] for event in told):
        raise Silence(*RESTRICTED)
