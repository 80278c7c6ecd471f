"""Reconciling: asks Jira, at start and hourly, for what no webhook brought. Jira gives up on one after five tries.

::

    last checkpoint ──────── overlap ──────── now
         │  ask Jira      which watched issues changed since then, the longest ago first
         │  compare       with what is known, by the comment's id and version
         │  take in       what is unknown, oldest first: as its webhook would have been, with source `reconcile`
         │  or list       what is older than a day: too late to answer unasked, so people are told once
         ▼  finish        one write: the message, the next checkpoint, the audit record

A run is a record before it begins, and each late comment is written together with it; so a crash in between repeats the
run from where it was, doubles nothing and forgets nothing. A new data folder only records where it begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.cards import missed_message
from bot.clients.jira.changes import ChangedIssue
from bot.domain.events import EVENT, IssueChanged, IssueCommented, IssueCreated
from bot.errors import Down, Gone, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.intake.accept import Delivery, Ended, accept
from bot.intake.silence import Silence, by_its_words
from bot.log import get_logger
from bot.rules.policy import OutOfBounds, out_of_bounds
from bot.store import Audit, Conflict, Expect, Job, Put, Record
from bot.workflow.presenting.announcing import message_record
from bot.workflow.reconciling.checkpoint import Checkpoint, KnownEvents, Missed, jql, missed_events
from bot.workflow.withholding import withhold

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
ANSWERED = timedelta(hours=24)
"""How old something missed may be and still be answered unasked."""
TOO_LATE = Silence(
    "missed while the bot was away, older than 24 hours", "the channel was told; /pmagent draft makes one all the same"
)
STUCK = timedelta(hours=1)
"""How long an issue whose comments alone cannot be read is tried before the others go on without it."""
BREATH = 0.1
"""Seconds between two pages: Jira has others to answer."""


class Overtaken(RetryLater):
    """The position is not what it was any more: another run has it."""


async def reconcile(ctx: Context, _run: object = None) -> None:
    """One run. Raises `RetryLater` when Jira has to be asked again; what was found until then is kept."""
    checkpoint = await last_checkpoint(ctx)
    if checkpoint is None:
        begin = ctx.clock.now()
        await _save(
            ctx, Checkpoint(since=begin, floor=begin)
        )  # nothing is owed for the time before there was a program
        return
    try:
        checkpoint = await _read(ctx, await _save(ctx, checkpoint.begun(ctx.clock.now())))
    except Overtaken:
        raise
    except (RetryLater, Permanent) as error:
        now = await last_checkpoint(ctx) or checkpoint
        if now.trouble != error.reason:
            await _save(ctx, now.model_copy(update={"trouble": error.reason}))
            log.warning("reconcile.waits", reason=error.reason)
        if isinstance(error, RetryLater):
            raise
        return  # refused for good: again in an hour, and `health` says why
    await _finish(ctx, checkpoint)


async def last_checkpoint(ctx: Context) -> Checkpoint | None:
    """How far Jira is known; None before the first start."""
    record = await ctx.store.get("state", "reconcile")
    return (
        None
        if record is None
        else Checkpoint.model_validate({k: v for k, v in record.items() if k not in ("id", "at")})
    )


async def _read(ctx: Context, checkpoint: Checkpoint) -> Checkpoint:
    """Ask Jira, page by page, and take in what is unknown. How far it came is kept after each page."""
    projects, trouble, token = ctx.settings.jira_projects, "", None
    since, until = checkpoint.owed, ctx.clock.now()
    search = jql(checkpoint, until, projects)
    while True:
        try:
            page = await ctx.jira.changed(search, since, token)
        except RetryLater as error:
            await ctx.outages.jira.down(error)
            raise
        except Permanent as error:
            visible = await _visible(ctx, projects) if error.status == 400 and not trouble else projects
            if not visible or visible == projects:
                raise
            search, trouble = jql(checkpoint, until, visible), error.reason
            continue
        for issue in page.issues:
            checkpoint = await _take_in(ctx, checkpoint, issue, since, until)
        if page.issues:
            checkpoint = await _save(ctx, checkpoint.came_to(page.issues))
            failpoint("reconcile.after_page")
        token = page.following
        if token is None:
            return checkpoint.model_copy(update={"trouble": trouble})
        await asyncio.sleep(BREATH)


async def _visible(ctx: Context, projects: Sequence[str]) -> tuple[str, ...]:
    """The projects that are there for our account: one that is not makes Jira refuse the search for all."""
    seen = []
    for key in projects:
        try:
            await ctx.jira.project(key)
        except Gone:
            continue
        seen.append(key)
    return tuple(seen)


async def _take_in(
    ctx: Context, checkpoint: Checkpoint, issue: ChangedIssue, since: datetime, until: datetime
) -> Checkpoint:
    """What was said in one issue between these times and is not known yet."""
    if not ctx.settings.watches(issue.project):
        return checkpoint  # found without a project's name in the search
    beyond = out_of_bounds(issue, ctx.settings)
    if beyond:
        await withhold(ctx, issue.key, beyond)
    comments = issue.comments
    if comments is None:
        try:
            comments = await ctx.jira.comments_since(issue.key, since, desk=issue.service_desk)
        except (Permanent, RetryLater) as error:
            # It went away, or is not for us; or it alone does not answer, and must not keep all others waiting.
            if isinstance(error, Down):
                await ctx.outages.jira.down(error)
                raise
            now = ctx.clock.now()
            if isinstance(error, RetryLater):
                checkpoint = checkpoint.kept_up(issue.key, now)
                if now - checkpoint.stuck[issue.key] < STUCK:
                    # What was passed on this page is passed, and counted, again; what was taken in is not.
                    before = await last_checkpoint(ctx) or checkpoint
                    once = {name: checkpoint.counts[name] for name in ("found", "late") if name in checkpoint.counts}
                    await _save(ctx, checkpoint.model_copy(update={"counts": before.counts | once}))
                    raise
            log.warning("reconcile.unreadable", issue=issue.key, reason=error.reason)
            return checkpoint.counted(**{"gone" if isinstance(error, Gone) else "unreadable": 1})
    events = missed_events(issue, comments, ctx.jira.account_id, since=since, until=until)
    if not events:
        return checkpoint
    known = KnownEvents(await ctx.store.find("webhook_events", issue=issue.key))
    unknown = [event for event in events if event not in known]
    if any(isinstance(event, IssueCreated) for event in unknown):  # it has the description as it is now
        unknown = [event for event in unknown if not isinstance(event, IssueChanged)]
    marked = await _marked(ctx, unknown)
    for event in unknown:
        if not isinstance(event, IssueCommented) or event.comment.id not in marked:
            checkpoint = await _take_up(ctx, checkpoint, event, beyond)
    return checkpoint.counted(known=len(events) - len(unknown))


async def _marked(ctx: Context, events: Sequence[Missed]) -> frozenset[str]:
    """The ids of the comments that carry our marker, under whatever account they were posted."""
    try:
        return await ctx.jira.marked([event.comment.id for event in events if isinstance(event, IssueCommented)])
    except Permanent:
        return frozenset()  # gone since; it is looked at again before anything is answered


async def _take_up(ctx: Context, checkpoint: Checkpoint, event: Missed, beyond: OutOfBounds | None) -> Checkpoint:
    """Take in one missed event; one that is too old ends here, together with its place in the list.

    `beyond`: why its issue is not for the channel, where it is not.
    """
    now = ctx.clock.now()
    delivery = Delivery("reconcile", None, None, now)
    if now - event.at <= ANSWERED:
        accepted = await accept(ctx, delivery, event)
        failpoint("reconcile.after_event")
        return checkpoint.counted(found=accepted.status == "accepted")
    silence = by_its_words(event, ctx.jira.account_id)  # a bot's words are no news for anybody
    if beyond:
        silence = Silence(beyond.reason)
    after = checkpoint

    def also(event_id: str) -> list[Put]:
        nonlocal after
        after = _next(checkpoint if silence else checkpoint.with_late(event, event_id))
        return [Put("state", _record(ctx, after))]

    with _not_overtaken():
        accepted = await accept(ctx, delivery, event, ended=Ended(silence or TOO_LATE, also, [_expect(checkpoint)]))
    failpoint("reconcile.after_event")
    return after if accepted.status == "accepted" else checkpoint


async def _finish(ctx: Context, checkpoint: Checkpoint) -> None:
    """The end of a run in one write: what people are told, where the next one begins, and the audit record."""
    after = _next(checkpoint.ended())
    puts, key = [Put("state", _record(ctx, after))], f"reconcile:{after.since.isoformat()}"
    if checkpoint.late:
        records = [await ctx.store.get("webhook_events", event_id) for _, event_id in checkpoint.late]
        events = [EVENT.validate_python(record["event"]) for record in records if record]
        message = missed_message(
            [event for event in events if isinstance(event, IssueCommented | IssueCreated | IssueChanged)],
            checkpoint.counts["late"],
            site=ctx.settings.site,
            now=ctx.clock.now(),
            timezone=ctx.settings.timezone,
        )
        puts.append(Put("messages", message_record(ctx, key, ctx.settings.slack_channel_approvals, message)))
    window = {"since": checkpoint.since.isoformat(), "until": after.since.isoformat()}
    details = {"service": "jira", **window, **after.done_counts}
    failpoint("reconcile.before_done")
    jobs = [Job("message", key)] if checkpoint.late else []
    told = Audit("system", "reconcile.done", details=details)
    with _not_overtaken():
        await ctx.store.commit(*puts, expect=(_expect(checkpoint),), audit=(told,), jobs=jobs)
    failpoint("reconcile.after_done")
    log.info("reconcile.done", **details)


async def _save(ctx: Context, checkpoint: Checkpoint) -> Checkpoint:
    after = _next(checkpoint)
    with _not_overtaken():
        await ctx.store.commit(Put("state", _record(ctx, after)), expect=(_expect(checkpoint),))
    return after


def _next(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint.model_copy(update={"version": checkpoint.version + 1})


def _expect(checkpoint: Checkpoint) -> Expect:
    return Expect("state", "reconcile", {"version": checkpoint.version} if checkpoint.version else None)


@contextmanager
def _not_overtaken() -> Iterator[None]:
    try:
        yield
    except Conflict:
        raise Overtaken("somebody else asks Jira for what was missed just now") from None


def _record(ctx: Context, checkpoint: Checkpoint) -> Record:
    return {"id": "reconcile", "at": ctx.clock.now().isoformat(), **checkpoint.model_dump(mode="json")}
