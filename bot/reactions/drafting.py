"""The draft of an answer, stored: with its event's end, its cycle and the drafts that it supersedes, in one write."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.domain.draft_states import BUSY, SUPERSEDABLE, DraftState
from bot.domain.drafts import Card, Draft, Revision
from bot.domain.events import IssueChanged
from bot.failpoints import failpoint
from bot.intake.silence import cycle
from bot.log import get_logger
from bot.reactions import ANSWER, done
from bot.reactions.subject import Subject
from bot.rules.policy import rendered
from bot.settings import settings_for
from bot.store import Conflict, Expect, Job, Put, Record
from bot.workflow.drafting.asking import AskedClaude
from bot.workflow.drafting.ending import spent
from bot.workflow.drafting.supporting import of_draft
from bot.workflow.pausing import paused_seconds
from bot.workflow.records import audit, draft_record, read_draft
from bot.workflow.restoring import marked_if_restored

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


async def store_draft(ctx: Context, record: Record, subject: Subject, asked: AskedClaude, started: datetime) -> None:
    """The draft, its cycle, the event's end and the superseded drafts, in one write."""
    now = ctx.clock.now()
    suffix = str(record["id"]).removeprefix("evt_")
    issue = subject.issue
    own = settings_for(ctx.settings, issue.project)
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
        expires=now + timedelta(days=own.draft_days),
        paused_before=await paused_seconds(ctx),
        card=Card(channel=own.approvals_channel),
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
