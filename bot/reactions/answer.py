"""From an event to a draft, or to a recorded reason for silence, or to a recorded failure: exactly one of the three.

The order is from cheap to dear: rules that need nothing, then Jira, then the cheap model, then the strong one.
Whatever is raised as `RetryLater` leaves the event where it is, and the queue comes back to it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.clients.claude import CallRecord
from bot.clients.claude_errors import Unanswerable
from bot.domain.corrections import Correction
from bot.domain.drafts import BUSY, SUPERSEDABLE, Card, Draft, DraftState, Revision
from bot.domain.events import EVENT, DraftRequested, Event, IssueChanged, IssueCommented
from bot.domain.issues import Comment, Issue, PullRequest
from bot.domain.outages import OnHold
from bot.errors import Gone, Permanent
from bot.failpoints import failpoint
from bot.intake.silence import CONTEXT, Silence, cycle, sets_security_level
from bot.log import get_logger
from bot.markup import addresses_in
from bot.offload import offload
from bot.prompting import Material
from bot.reactions import ANSWER, done
from bot.rules.policy import audience, is_confidential, known, out_of_bounds, rendered, shown_to
from bot.rules.questions import asks_something, still_in
from bot.settings import settings_for
from bot.store import Conflict, Expect, Job, Put, Record
from bot.workflow.asking import AskedClaude, ask_claude
from bot.workflow.development import pull_requests, pull_requests_around
from bot.workflow.ending import end_in_silence, fail_event, spent
from bot.workflow.learning import lessons
from bot.workflow.pausing import paused
from bot.workflow.records import audit, draft_record, read_draft
from bot.workflow.restoring import marked_if_restored
from bot.workflow.rule_skips import skip_by_rule
from bot.workflow.supporting import of_draft
from bot.workflow.withholding import withhold

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
MAX_CHANGES = 20
"""Changes of an issue that are looked through for a new security level: those of the minute in which Claude writes."""


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
        subject = await _read(ctx, event)
        asked = await _ask(ctx, subject)
        calls += asked.calls
        await _still_for_the_channel(ctx, subject, started, calls)
        if not asked.decision.should_respond:
            raise Silence("no answer is due", asked.decision.reasoning)
        failpoint("answer.before_draft")
        await _draft(ctx, record, subject, asked, started)
    except Silence as silence:
        await end_in_silence(ctx, record, silence, calls, started=started)
    except Unanswerable as error:
        # Claude cannot answer this one: recorded, shown in the channel with Retry, and nothing else waits for it.
        await ctx.outages.claude.up()
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
    links: tuple[str, ...]
    learned: tuple[Correction, ...]


async def _read(ctx: Context, event: Event) -> Subject:
    """What is to be answered, as it is now. Whatever Jira says of it, in its own words, ends an outage of Jira's."""
    try:
        subject = await _subject(ctx, event)
    except Silence:
        await ctx.outages.jira.up()
        raise
    await ctx.outages.jira.up()
    return subject


async def _subject(ctx: Context, event: Event) -> Subject:
    """The issue's real state now. Raises `Silence` when it or the comment is gone or not to be answered.

    An issue that was moved has a new key, and is answered under it.
    """
    key = event.issues[0]
    try:
        issue = await ctx.jira.issue(key)
    except Gone as error:
        raise Silence("the issue is gone or forbidden", error.reason) from None
    if beyond := out_of_bounds(issue, ctx.settings):
        for known_as in dict.fromkeys((key, issue.key)):  # two where it was moved
            await withhold(ctx, known_as, beyond)
    _for_the_channel(ctx, key, issue)
    if isinstance(event, IssueChanged) and not asks_something(issue.description):
        raise Silence(CONTEXT, "the description asks nothing any more")
    comment_id = event.comment.id if isinstance(event, IssueCommented) else None
    if isinstance(event, DraftRequested):
        people = [
            c.id for c in issue.comments if not c.by_us and c.author.kind != "app" and not is_confidential(c, issue)
        ]
        comment_id = event.comment_id or next(iter(people[::-1]), None)
    answered = await _answered(ctx, issue, comment_id) if comment_id else None
    if answered and is_confidential(answered, issue):
        raise Silence(
            "not everybody may see the comment", "it is for a role or group, whose members the channel's need not be"
        )
    if answered:
        issue = issue.with_comments(answered)  # it may be older than what was read of the thread
        answered = next(c for c in issue.comments if c.id == comment_id)  # with the names that the issue knows
    asked_for = isinstance(event, DraftRequested)
    seen_by = audience(issue, answered, ctx.settings)
    requests: tuple[PullRequest, ...] = ()
    others: tuple[PullRequest, ...] = ()
    shown = shown_to(seen_by, issue)
    if not seen_by.customer:
        requests = await pull_requests(ctx, key, issue.key)
        others = await pull_requests_around(ctx, shown, requests)
    changed = event if isinstance(event, IssueChanged) else None
    asked = answered.text if answered else shown.description or shown.summary
    learned = await lessons(ctx, issue.project, seen_by, asked)
    material = Material(
        issue=shown,
        kind="comment_edited" if isinstance(event, IssueCommented) and event.edited else event.kind,
        answered=answered,
        by=changed and changed.by,
        at=changed and changed.at,
        added=still_in(shown.description, changed.added) if changed else "",
        asked_for=asked_for,
        pull_requests=requests,
        other_pull_requests=others,
        audience=seen_by.audience,
        customer=seen_by.customer,
        learned=tuple(one.lesson for one in learned),
        now=ctx.clock.now(),
        timezone=ctx.settings.pmagent_timezone,
    )
    texts = [shown.description, *(c.text for c in shown.comments)]
    links = {p.url for p in requests}
    for text in texts:
        links |= await offload(partial(addresses_in, text))
    return Subject(event, issue, answered, material, seen_by, asked_for, tuple(sorted(links)), learned)


async def _answered(ctx: Context, issue: Issue, comment_id: str) -> Comment:
    async def read() -> Comment:
        found = next((c for c in issue.comments if c.id == comment_id), None)
        return found or await ctx.jira.comment(issue.key, comment_id, desk=issue.service_desk)

    try:
        comment, carries_marker = await asyncio.gather(read(), ctx.jira.has_marker(comment_id))
    except Gone as error:
        raise Silence("the comment is gone or forbidden", error.reason) from None
    if comment.by_us or carries_marker:
        raise Silence("our own comment", "the comment carries the bot's marker" if carries_marker else "")
    if comment.author.kind == "app":
        raise Silence("written by an app", f"{comment.author.name} is a bot")
    return comment


async def _ask(ctx: Context, subject: Subject) -> AskedClaude:
    """Is an answer due, and which? Raises `Silence`, `Unanswerable` or `RetryLater`."""
    ctx.outages.claude.turn()
    allowed = known(subject.issue, subject.links, ctx.settings.site)
    asked = await ask_claude(ctx.claude, ctx.settings, ctx.prompts, subject.material, allowed)
    await ctx.outages.claude.up()
    return asked


async def _still_for_the_channel(ctx: Context, subject: Subject, started: datetime, calls: list[CallRecord]) -> None:
    """Raise `Silence` when the issue got a security level while Claude wrote: there was no draft yet that could end.

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
        _for_the_channel(ctx, key, issue)


def _for_the_channel(ctx: Context, key: str, issue: Issue) -> None:
    if beyond := out_of_bounds(issue, ctx.settings):
        raise Silence(beyond.reason, f"{key} {beyond.says}")


async def _draft(ctx: Context, record: Record, subject: Subject, asked: AskedClaude, started: datetime) -> None:
    """The draft, its cycle, the event's end and the superseded drafts, in one write."""
    now = ctx.clock.now()
    suffix = str(record["id"]).removeprefix("evt_")
    issue = subject.issue
    keys = dict.fromkeys((issue.key, subject.event.issues[0]))  # two where the issue was moved
    answered, decision = subject.answered, asked.decision
    changed = subject.event if isinstance(subject.event, IssueChanged) else None
    author = answered.author if answered else changed.by if changed else issue.reporter
    draft = Draft(
        id=f"drf_{suffix}{record['attempts'] or ''}",
        event_id=record["id"],
        cycle_id=f"cyc_{suffix}{record['attempts'] or ''}",
        issue=issue,
        mode=ctx.settings.pmagent_mode,
        revisions=(Revision(text=decision.response_text, by="claude", at=now),),
        answered=answered.id if answered else None,
        answered_text=answered.text if answered else issue.description or issue.summary,
        answered_author=author.name if author else "",
        answered_at=answered.created if answered else changed.at if changed else issue.created,
        described=changed is not None,
        look_alikes=tuple(found.sentence for found in subject.material.look_alikes),
        audience=subject.audience.audience,
        customer=subject.audience.customer,
        visibility=subject.audience.visibility,
        why=decision.reasoning,
        confidence=decision.confidence,
        sources=decision.sources,
        look_twice=decision.look_twice,
        **of_draft(asked, subject.material),
        links=subject.links,
        model=asked.request.model,
        prompt=asked.request.prompt,
        created=now,
        expires=now + timedelta(days=ctx.settings.pmagent_draft_days),
        card=Card(channel=settings_for(ctx.settings, issue.project).approvals_channel),
    )
    draft = draft.model_copy(update={"rendering": rendered(draft, ctx.settings.site).digest})
    draft = await marked_if_restored(ctx, draft, record)
    told = cycle(
        record, "draft", "", decision.reasoning, started=started, ended=now, confidence=decision.confidence,
        draft_id=draft.id, **spent(asked.calls),
    )  # fmt: skip
    while True:
        stored_mode = await ctx.store.get("state", "mode")
        draft = draft.model_copy(update={"mode": stored_mode["mode"] if stored_mode else ctx.settings.pmagent_mode})
        others = [read_draft(r) for key in keys for r in await ctx.store.find("drafts", issue_key=key, open=True)]
        older = [d for d in others if d.state in SUPERSEDABLE]
        superseded = [d.moved(DraftState.SUPERSEDED, superseded_by=draft.id, note="", due=None) for d in older]
        # One that the program works on just now may come back to be decided: it gives way when it is looked at again.
        jobs = [Job("card", d.id) for d in (draft, *superseded)] + [
            Job("draft", d.id) for d in others if d.state in BUSY
        ]
        jobs += [Job("search", draft.id)] if draft.needs_search else []
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
                Put("agent_cycles", told),
                *(Put("drafts", draft_record(d)) for d in superseded),
                *done(ANSWER, record["id"]),
                expect=expect,
                jobs=jobs,
                audit=(
                    audit(
                        draft,
                        "draft.created",
                        "system",
                        model=draft.model,
                        prompt=draft.prompt,
                        learned=[one.id for one in subject.learned] or None,
                        seconds=(now - started).total_seconds(),
                        usd=told["cost_usd"],
                    ),
                    *(audit(d, "draft.superseded", "system", by=draft.id) for d in superseded),
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
