"""The standup: gather the facts, let Claude write a summary that stands on them, post it once a day.

Claude is a convenience here: without it (down, refused, budget reached) the facts alone are the standup. Jira is not:
without it the standup says so and shows what is known from the store.

Once a day whatever is restarted: the run is claimed first (`bot.schedule`), then the written message is kept, then
posted with the date in its metadata, then recorded together with the settled claim. A crash at any point is found by
the next process: it looks in Slack for the date before it posts, and does not pay Claude twice.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from bot.cards import Message
from bot.domain.issues import Issue, PullRequest
from bot.errors import Gone, OutcomeUnknown, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.prompting import read_standup, standup_request
from bot.reports import facts as rules
from bot.reports.facts import Fact, StandupFacts
from bot.reports.standup_message import EVENT_TYPE, Report, standup_message
from bot.rules.policy import OutOfBounds, out_of_bounds
from bot.schedule.rules import Run
from bot.schedule.runs import ClaimedRun, claim, run_finished
from bot.store import Audit, Conflict, Delete, Put
from bot.workflow.drafting.asking import ask_for
from bot.workflow.records import open_drafts
from bot.workflow.withholding import withhold

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
MOST_ISSUES = 200
"""Issues read from Jira for one standup, newest change first: more than a message could show."""
MOST_DRAFTS = 100
"""Drafts that wait, the oldest, of which one standup tells."""
MOST_KEYS = 100
"""Issues that are read because a pull request names them."""
WRITTEN = "standup:written"


async def gather(ctx: Context, now: datetime) -> StandupFacts:
    """Everything a standup at `now` stands on. Never raises for Jira: what could not be read stands in `notes`."""
    zone = ctx.settings.timezone
    time = ctx.settings.standup_time
    since = rules.looks_back_to(now, zone, time.days if time else None)
    issues, upcoming, notes, hidden = await _from_jira(ctx)
    found: list[Fact] = []
    for issue in issues:
        found += [*rules.moved(issue, since), *rules.waits(issue, now)]
    for issue in sorted(upcoming, key=lambda i: (i.due is None, i.due, i.key)):
        found += rules.due(issue, now.astimezone(zone).date())
    recent = [pair for pair in await _pull_requests(ctx) if any(rules.pull_request(pair[1], pair[0], since, now))]
    named = {key for _, pr in recent for key in pr.keys}
    more, unread = await _hidden(ctx, named - {i.key for i in issues} - hidden.keys())
    hidden |= more
    for project, pr in recent:
        if hidden.keys().isdisjoint(pr.keys):
            told = pr if unread.isdisjoint(pr.keys) else pr.model_copy(update={"title": ""})
            found += rules.pull_request(told, project, since, now)
    for key, beyond in hidden.items():
        await withhold(ctx, key, beyond)
    waiting, count = await open_drafts(ctx, MOST_DRAFTS)
    found += [rules.draft(draft, zone) for draft in waiting if not draft.withheld]
    if count > len(waiting):
        notes = (*notes, f"Of the {count:,} drafts that wait, the {len(waiting)} oldest are listed.")
    projects = tuple(sorted({fact.project for fact in found} | set(ctx.settings.jira_projects)))
    return StandupFacts(
        now=now, since=since, timezone=ctx.settings.pmagent_timezone, projects=projects, facts=tuple(found), notes=notes
    )


async def write(ctx: Context, facts: StandupFacts) -> Report:
    """The report: Claude's sentences over the facts, or the facts alone with the reason why."""
    head = await ctx.store.audit_head()
    if not facts.facts:
        return Report(facts=facts, head=head)
    known = frozenset(facts.refs)
    request = standup_request(ctx.prompts, ctx.settings, facts.for_claude())
    try:
        lines, calls = await ask_for(ctx.claude, request, lambda text: read_standup(text, known))
    except (RetryLater, Permanent) as error:
        # One request is worth no waiting: the people who read it at half past nine are here now.
        why = f"The facts alone, without a summary: {error.reason}"
        return Report(facts=facts, why_plain=why, head=head, calls=getattr(error, "calls", ()))
    why = "" if lines else "The facts alone: Claude wrote nothing that stands on them."
    return Report(facts=facts, lines=lines, why_plain=why, head=head, calls=calls)


async def standup_now(ctx: Context, *, share: bool, by: str) -> Message:
    """A standup for the person who asked (`by`: their Slack user id); `share` posts it to the standup channel as well.

    Raises `RetryLater`, `Permanent` or `OutcomeUnknown` when it should be shared and Slack did not take it.
    """
    report = await write(ctx, await gather(ctx, ctx.clock.now()))
    message = standup_message(report)
    if share:
        channel = ctx.settings.standup_channel
        ts = await ctx.slack.post(channel, message)
        details = {"channel": channel, **_details(report, ts, "asked")}
        await ctx.store.commit(audit=[Audit(f"slack:{by}", "standup.posted", details=details)])
    return message


async def standup_due(ctx: Context, run: Run | None) -> None:
    """Post the standup of this date, or record that it was missed. Raises `RetryLater` while Slack does not take it."""
    if run is None:
        return
    async with claim(ctx, run) as claimed:
        try:
            if claimed is not None:
                await _post(ctx, run, claimed)
        except Conflict:
            log.warning("standup.overtaken", date=run.day.isoformat())


async def _post(ctx: Context, run: Run, claimed: ClaimedRun) -> None:
    """Raises `Conflict` when another process has taken the run over: then nothing more is done here."""
    channel, day = ctx.settings.standup_channel, run.day.isoformat()
    written = await ctx.store.get("state", WRITTEN)
    if written is not None and written["date"] != day:
        written = None
    # Only what was written can have been posted: without it there is nothing to look for.
    try:
        ts = await ctx.slack.find(channel, day, claimed.started, event_type=EVENT_TYPE) if written else None
    except RetryLater as error:
        if run.missed:
            await _skip(ctx, run, claimed, f"not posted within two hours, as far as is known: {error.reason}")
            return
        raise
    if ts is None and run.missed:
        await _skip(ctx, run, claimed, "not posted within two hours of its time")
        return
    if ts is None:
        written = written or await _written(ctx, run, claimed)
        message = Message(blocks=written["blocks"], text=written["text"], metadata=written["metadata"])
        failpoint("standup.before_post")
        try:
            ts = await ctx.slack.post(channel, message, claimed.begin)
        except OutcomeUnknown as error:
            raise RetryLater(error.reason, after=5.0, nothing_sent=False) from None
        except Permanent as error:
            # Asking again every half minute would change nothing: the channel's owner has to do something.
            await _skip(ctx, run, claimed, f"Slack refused it: {error.reason}")
            return
        failpoint("standup.after_post")
    details = {"date": day, "channel": channel, "ts": ts, "kind": "late" if _late(run, claimed.started) else "on time"}
    details |= written["details"] if written else {}
    await ctx.store.commit(
        *run_finished(run, "done", ctx.clock.now()),
        Delete("state", WRITTEN),
        expect=(claimed.mine,),
        audit=[Audit("system", "standup.posted", details=details)],
    )
    log.info("standup.posted", date=day, ts=ts)


async def _written(ctx: Context, run: Run, claimed: ClaimedRun) -> dict[str, Any]:
    """Write the standup and keep it, so that neither a crash nor a refusing Slack asks Claude again."""
    report = await write(ctx, await gather(ctx, ctx.clock.now()))
    message = standup_message(report, day=run.day)
    record = {
        "id": WRITTEN,
        "at": ctx.clock.now().isoformat(),
        "date": run.day.isoformat(),
        "blocks": message.blocks,
        "text": message.text,
        "metadata": message.metadata,
        "details": _details(report),
    }
    await ctx.store.commit(Put("state", record), expect=(claimed.mine,))
    return record


async def _skip(ctx: Context, run: Run, claimed: ClaimedRun, reason: str) -> None:
    details = {"date": run.day.isoformat(), "planned": run.planned.isoformat(), "reason": reason}
    await ctx.store.commit(
        *run_finished(run, "skipped", ctx.clock.now()),
        Delete("state", WRITTEN),
        expect=(claimed.mine,),
        audit=[Audit("system", "standup.skipped", details=details)],
    )
    log.warning("standup.skipped", date=run.day.isoformat(), reason=reason)


def _late(run: Run, started: datetime) -> bool:
    return started - run.planned > timedelta(minutes=1)


def _details(report: Report, ts: str | None = None, kind: str | None = None) -> dict[str, Any]:
    """Numbers and hashes for the audit trail; no texts."""
    cost = round(sum(call.cost_usd for call in report.calls), 6)
    found = {
        "ts": ts, "kind": kind, "facts": len(report.facts.facts), "sentences": len(report.lines),
        "head_seq": report.head[0], "head": report.head[1], "claude_calls": len(report.calls), "cost_usd": cost,
    }  # fmt: skip
    return {k: v for k, v in found.items() if v is not None}


async def _from_jira(
    ctx: Context,
) -> tuple[tuple[Issue, ...], tuple[Issue, ...], tuple[str, ...], dict[str, OutOfBounds]]:
    """The issues changed lately, those due soon, what could not be read, and why which others are not shown."""
    keys = ctx.settings.jira_projects
    names = ", ".join(f'"{key}"' for key in keys)  # quoted: a key may be a word of JQL, such as IN
    scope = f"project in ({names}) AND " if keys else ""
    # Relative times: an absolute one would be read in the time zone of the service account's profile.
    changed = f"{scope}updated >= -{rules.WAITING_DAYS}d ORDER BY updated DESC"
    soon = f"{scope}due <= {rules.DUE_DAYS}d AND statusCategory != Done ORDER BY due ASC"
    try:
        lately = await ctx.jira.search(changed, limit=MOST_ISSUES)
        soon_due = await ctx.jira.search(soon, limit=MOST_ISSUES)
    except (RetryLater, Permanent, OutcomeUnknown) as error:
        note = f"Jira could not be read, so what moved, waits or is due there is missing: {error.reason}"
        return (), (), (note,), {}
    hidden = {i.key: beyond for i in (*lately, *soon_due) if (beyond := out_of_bounds(i, ctx.settings))}
    # Asked for by JQL already, and held here too: nothing of a project that is not watched gets into the channel.
    issues, upcoming = (
        tuple(i for i in found if ctx.settings.watches(i.project) and i.key not in hidden)
        for found in (lately, soon_due)
    )
    notes = (f"Only the {MOST_ISSUES} issues that changed last were read.",) if len(lately) == MOST_ISSUES else ()
    return issues, upcoming, notes, hidden


async def _hidden(ctx: Context, keys: set[str]) -> tuple[dict[str, OutOfBounds], frozenset[str]]:
    """Those of these issues that are not for the channel, each with the reason; and those of which nobody knows it.

    Read one by one, the first so many: a key in a branch's name need not be an issue's, and Jira refuses a search for
    such a one. An issue that is not there for our account may be for others.
    """
    gate = asyncio.Semaphore(4)

    async def beyond(key: str) -> OutOfBounds | Literal["unread"] | None:
        async with gate:
            try:
                return out_of_bounds(await ctx.jira.fields(key), ctx.settings)
            except Gone:
                return "unread" if await _may_be_project(ctx, key.rpartition("-")[0]) else None
            except (RetryLater, Permanent):
                return "unread"

    watched = sorted(key for key in keys if ctx.settings.watches(key.rpartition("-")[0]))
    wanted = watched[:MOST_KEYS]
    found = dict(zip(wanted, await asyncio.gather(*(beyond(key) for key in wanted)), strict=True))
    unread = frozenset((*watched[MOST_KEYS:], *(key for key, reason in found.items() if reason == "unread")))
    return {key: reason for key, reason in found.items() if isinstance(reason, OutOfBounds)}, unread


async def _may_be_project(ctx: Context, key: str) -> bool:
    """Whether there may be a project of this key: UTF-8 and SHA-256 are nobody's issues."""
    try:
        await ctx.jira.project(key)
    except Gone:
        return False
    except (RetryLater, Permanent):
        return True
    return True


async def _pull_requests(ctx: Context) -> list[tuple[str, PullRequest]]:
    """The pull requests known from webhooks, each with the first watched project it mentions."""
    found: list[tuple[str, PullRequest]] = []
    for record in await ctx.store.find("development"):
        if record["type"] != "pull_request":
            continue
        pr = PullRequest.model_validate({k: v for k, v in record.items() if k in PullRequest.model_fields})
        projects = [key.rpartition("-")[0] for key in pr.keys]
        watched = [project for project in projects if ctx.settings.watches(project)]
        if watched:
            found.append((watched[0], pr))
    return sorted(found, key=lambda pair: pair[1].updated)
