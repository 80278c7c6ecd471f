"""From an event to a draft, or to a recorded reason for silence, or to a recorded failure: exactly one of the three.

The order is from cheap to dear: rules that need nothing, then Jira, then the cheap model, then the strong one.
Whatever is raised as `RetryLater` leaves the event where it is, and the worker comes back to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.asking import Asked, decide
from bot.cards import failed_event, text, whisper
from bot.clients.claude import CallRecord
from bot.clients.claude_errors import Unanswerable
from bot.drafts import RETIRABLE, Card, Draft, DraftState, Revision
from bot.errors import Gone, Permanent
from bot.events import EVENT, DraftRequested, Event, IssueCommented, IssueCreated
from bot.failpoints import failpoint
from bot.issues import Comment, Issue, PullRequest
from bot.log import get_logger
from bot.policy import audience, for_customer, visible_to
from bot.prompting import Decision, Material
from bot.store import Audit, Conflict, Expect, Put, Record
from bot.workflow.development import pull_requests, remember
from bot.workflow.messages import message_record
from bot.workflow.records import audit, draft_record, read_draft
from bot.workflow.settling import CONTEXT, Silence, settle_by_rule

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


def may_lead_to_draft(event: Event) -> bool:
    """Whether this kind of event can be answered at all; the others are context."""
    return isinstance(event, IssueCommented | IssueCreated | DraftRequested)


async def answer(ctx: Context, event_id: str) -> None:
    """Bring one received event to its end. Raises `RetryLater` when it has to wait."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return
    event = EVENT.validate_python(record["event"])
    started = ctx.clock.now()
    calls: list[CallRecord] = []
    try:
        await remember(ctx, event)
        if not may_lead_to_draft(event):
            raise Silence(CONTEXT)
        await settle_by_rule(ctx, event, record)
        ctx.worker.outage.hold()
        subject = await _read(ctx, event)
        asked = await _ask(ctx, subject)
        calls += asked.calls
        if not asked.decision.should_respond:
            raise Silence("no answer is due", asked.decision.reasoning)
        failpoint("answer.before_draft")
        await _draft(ctx, record, subject, asked, started)
    except Silence as silence:
        await _finish(ctx, record, started, "silence", silence.reason, silence.detail, calls)
    except Unanswerable as error:
        # Claude cannot answer this one: recorded, shown in the channel with Retry, and nothing else waits for it.
        await ctx.worker.outage.up()
        await fail_event(ctx, record, started, error.reason, [*calls, *error.calls])
    except Permanent as error:
        await fail_event(ctx, record, started, error.reason, calls)


@dataclass(frozen=True)
class Subject:
    """What is to be answered: the issue as Claude may see it, and what the card and the freshness check need."""

    event: Event
    issue: Issue
    answered: Comment | None
    material: Material
    audience: Any
    asked_for: bool


async def _read(ctx: Context, event: Event) -> Subject:
    """The issue's real state now. Raises `Silence` when it or the comment is gone or not to be answered."""
    key = event.issues[0]
    try:
        issue = await ctx.jira.issue(key)
    except Gone as error:
        raise Silence("the issue is gone or forbidden", error.reason) from None
    comment_id = event.comment.id if isinstance(event, IssueCommented) else None
    if isinstance(event, DraftRequested):
        people = [c.id for c in issue.comments if not c.by_us and c.author.kind != "app"]
        comment_id = event.comment_id or next(iter(people[::-1]), None)
    answered = await _answered(ctx, issue, comment_id) if comment_id else None
    asked_for = isinstance(event, DraftRequested)
    seen_by = audience(issue, answered, ctx.settings)
    requests: tuple[PullRequest, ...] = ()
    shown = issue.model_copy(update={"comments": visible_to(seen_by, issue.comments)})
    if seen_by.customer:
        shown = for_customer(shown)
    else:
        requests = await pull_requests(ctx, key)
    material = Material(
        issue=shown,
        kind=event.kind,
        answered=answered,
        asked_for=asked_for,
        pull_requests=requests,
        audience=seen_by.audience,
        customer=seen_by.customer,
        now=ctx.clock.now(),
        timezone=ctx.settings.pmagent_timezone,
    )
    return Subject(event, issue, answered, material, seen_by, asked_for)


async def _answered(ctx: Context, issue: Issue, comment_id: str) -> Comment:
    async def read() -> Comment:
        found = next((c for c in issue.comments if c.id == comment_id), None)
        return found or await ctx.jira.comment(issue.key, comment_id)

    try:
        comment, carries_marker = await asyncio.gather(read(), ctx.jira.has_marker(comment_id))
    except Gone as error:
        raise Silence("the comment is gone or forbidden", error.reason) from None
    if comment.by_us or carries_marker:
        raise Silence("our own comment", "the comment carries the bot's marker" if carries_marker else "")
    if comment.author.kind == "app":
        raise Silence("written by an app", f"{comment.author.name} is a bot")
    return comment


async def _ask(ctx: Context, subject: Subject) -> Asked:
    """Is an answer due, and which? Raises `Silence`, `Unanswerable` or `RetryLater`."""
    ctx.worker.outage.turn()
    asked = await decide(ctx.claude, ctx.settings, ctx.prompts, subject.material)
    await ctx.worker.outage.up()
    return asked


async def _draft(ctx: Context, record: Record, subject: Subject, asked: Asked, started: Any) -> None:
    """The draft, its cycle, the event's end and the retirement of older drafts, in one write."""
    from bot.markup import addresses_in

    now = ctx.clock.now()
    suffix = str(record["id"]).removeprefix("evt_")
    issue = subject.issue
    material = subject.material
    texts = [material.issue.description, *(c.text for c in material.issue.comments)]
    links = {address for text in texts for address in addresses_in(text)} | {p.url for p in material.pull_requests}
    answered, decision = subject.answered, asked.decision
    draft = Draft(
        id=f"drf_{suffix}{record['attempts'] or ''}",
        event_id=record["id"],
        cycle_id=f"cyc_{suffix}{record['attempts'] or ''}",
        issue=issue,
        mode=ctx.settings.pmagent_mode,
        revisions=(Revision(text=decision.response_text, by="claude", at=now),),
        answered=answered.id if answered else None,
        answered_text=answered.text if answered else issue.description or issue.summary,
        answered_author=answered.author.name if answered else (issue.reporter.name if issue.reporter else ""),
        answered_at=answered.created if answered else issue.created,
        audience=subject.audience.audience,
        customer=subject.audience.customer,
        visibility=subject.audience.visibility,
        why=decision.reasoning,
        confidence=decision.confidence,
        sources=decision.sources,
        links=tuple(sorted(links)),
        model=asked.request.model,
        prompt=asked.request.prompt,
        created=now,
        expires=now + timedelta(days=ctx.settings.pmagent_draft_days),
        card=Card(channel=ctx.settings.slack_channel_approvals),
    )
    while True:
        stored_mode = await ctx.store.get("state", "mode")
        draft = draft.model_copy(update={"mode": stored_mode["mode"] if stored_mode else ctx.settings.pmagent_mode})
        older = [
            read_draft(r)
            for state in RETIRABLE
            for r in await ctx.store.find("drafts", issue_key=issue.key, state=str(state))
        ]
        retired = [d.moved(DraftState.SUPERSEDED, superseded_by=draft.id, note="", due=None) for d in older]
        expect = [
            Expect("webhook_events", record["id"], {"state": "received"}),
            Expect("drafts", draft.id),
            # The mode that the card shows is the mode in force at this very write.
            Expect("state", "mode", {"at": stored_mode["at"]} if stored_mode else None),
        ]
        for d in older:
            old = draft_record(d)
            expect.append(Expect("drafts", d.id, {"version": old["version"], "card": old["card"]}))
        try:
            await ctx.store.commit(
                Put("drafts", draft_record(draft)),
                Put("webhook_events", {**record, "state": "done", "reason": "draft"}),
                Put("agent_cycles", _cycle(ctx, record, started, "draft", "", decision, asked.calls, draft.id)),
                *(Put("drafts", draft_record(d)) for d in retired),
                expect=expect,
                audit=(
                    audit(draft, "draft.created", "system", model=draft.model, prompt=draft.prompt),
                    *(audit(d, "draft.superseded", "system", by=draft.id) for d in retired),
                ),
            )
        except Conflict as conflict:
            failed = conflict.expect
            if isinstance(failed, Expect) and (failed.table == "webhook_events" or failed.id == draft.id):
                return  # this event has its story already
            continue
        break
    failpoint("answer.after_draft")
    log.info("draft.created", event_id=record["id"], draft_id=draft.id, issue=issue.key)
    ctx.worker.wake_draft(draft.id)
    for d in retired:
        ctx.worker.wake_draft(d.id)


def _cycle(
    ctx: Context, record: Record, started: Any, outcome: str, reason: str, decision: Decision | str,
    calls: Sequence[CallRecord], draft_id: str | None = None,
) -> Record:  # fmt: skip
    return {
        "id": f"cyc_{str(record['id']).removeprefix('evt_')}{record['attempts'] or ''}",
        "event_id": record["id"],
        "at": started.isoformat(),
        "ended": ctx.clock.now().isoformat(),
        "issue": record["issue"],
        "outcome": outcome,
        "reason": reason,
        "reasoning": decision.reasoning if isinstance(decision, Decision) else decision,
        "confidence": decision.confidence if isinstance(decision, Decision) else None,
        "calls": [call.model_dump(mode="json") for call in calls],
        "cost_usd": round(sum(call.cost_usd for call in calls), 8),
        "draft_id": draft_id,
    }


async def _finish(
    ctx: Context, record: Record, started: Any, outcome: str, reason: str, detail: str, calls: list[CallRecord]
) -> None:
    """The event ends without a draft, and says why."""
    cycle = _cycle(ctx, record, started, outcome, reason, detail, calls)
    try:
        await ctx.store.commit(
            Put("webhook_events", {**record, "state": "done", "reason": reason}),
            Put("agent_cycles", cycle),
            expect=(Expect("webhook_events", record["id"], {"state": "received"}),),
            audit=(Audit("system", "cycle.silence", record["id"], None, record["issue"], {"reason": reason}),),
        )
    except Conflict:
        return
    log.info("event.silence", event_id=record["id"], issue=record["issue"], reason=reason)
    await _tell_who_asked(ctx, record, reason, detail)


async def _tell_who_asked(ctx: Context, record: Record, reason: str, detail: str) -> None:
    """Whoever asked for a draft with /pmagent and gets none hears why, privately; `why` has it in any case."""
    by = (record["event"] or {}).get("by")
    if record["kind"] != "draft_requested" or not isinstance(by, str) or not by.startswith("slack:"):
        return
    told = whisper(f"There is no draft for {record['issue']}: {reason}. ", text(detail or " "))
    await ctx.slack.whisper(ctx.settings.slack_channel_approvals, by.removeprefix("slack:"), told)


async def fail_event(ctx: Context, record: Record, started: Any, reason: str, calls: list[CallRecord]) -> None:
    """End an event as a failure that a person can retry, with its message in the channel, in one write."""
    event = record["event"] or {}
    number = record["attempts"] + 1
    key = f"failed:{record['id']}:{number}"
    message = failed_event(record["id"], record["issue"] or "", event.get("summary", ""), ctx.settings.site, reason)
    posted = message_record(ctx, key, ctx.settings.slack_channel_approvals, message)
    try:
        await ctx.store.commit(
            Put("webhook_events", {**record, "state": "failed", "reason": reason, "attempts": number}),
            Put("agent_cycles", _cycle(ctx, record, started, "failure", reason, "", calls)),
            Put("messages", posted),
            expect=(Expect("webhook_events", record["id"], {"state": "received"}),),
            audit=(Audit("system", "cycle.failure", record["id"], None, record["issue"], {"reason": reason}),),
        )
    except Conflict:
        return
    ctx.worker.wake_message(key)
