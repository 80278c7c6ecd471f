"""Rules that end an event without a draft, by looking at the store, before Jira or Claude is asked.

A later event on the issue is answered with all that came before it in view, so an earlier one gives way to it when many
wait, or when it was held up. Every question here is answered by an index and a handful of records, whatever the issue
has seen: a busy issue must not make its next event dearer.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bot.domain.draft_states import SUPERSEDABLE, DraftState
from bot.domain.events import EVENT, DraftRequested, Event, IssueCommented
from bot.intake.silence import CONTEXT, Silence, by_its_words
from bot.rules.policy import words_changed
from bot.store import Record
from bot.workflow.records import read_draft

if TYPE_CHECKING:
    from bot.context import Context

CROWD = 3
"""Later comments on an issue that may wait beside one; with more of them it is left to the later ones."""
DRAFTS_PER_ISSUE = 12
DRAFTS_WITHIN = timedelta(hours=1)
"""More drafts than this on one issue in that time means that something is talking to itself."""
SAME_MOMENT = timedelta(minutes=10)
"""A rule of Jira Automation and the webhook tell of one comment within seconds, or within Jira's retries."""
REPLIED = frozenset({
    DraftState.POSTED, DraftState.POSTING, DraftState.APPROVED, DraftState.UNKNOWN, DraftState.LOOKING,
    DraftState.UNDOING,
})  # fmt: skip
VERSIONS = 50
"""Versions of one comment, and drafts for it, that are compared: the newest ones."""


async def skip_by_rule(ctx: Context, event: Event, record: Record) -> None:
    """Raise `Silence` for what needs no model."""
    silence = by_its_words(event, ctx.jira.account_id)
    if silence is None and isinstance(event, IssueCommented):
        silence = await by_versions(ctx, event, record)
        if silence is None and record["source"] == "reconcile" and not record["attempts"]:
            silence = await _found_late(ctx, event)
    if silence is None and isinstance(event, DraftRequested):
        silence = await _by_its_comment(ctx, event)
        if silence is None:
            return
    if silence is not None:
        raise silence
    recent = await ctx.store.find("drafts", issue_key=record["issue"], newest_first=True, limit=DRAFTS_PER_ISSUE)
    if not record["attempts"]:  # else somebody asked for this very one
        await _skip_by_later(ctx, record, recent)
    since = (ctx.clock.now() - DRAFTS_WITHIN).isoformat()
    if sum(r["at"] >= since for r in recent) >= DRAFTS_PER_ISSUE:
        raise Silence(
            "too many drafts", f"{DRAFTS_PER_ISSUE} drafts on this issue within an hour; ask with /pmagent draft"
        )


async def _skip_by_later(ctx: Context, record: Record, recent: list[Record]) -> None:
    """Later means stored later: the clock may have been set back in between."""
    newest = await ctx.store.find(
        "webhook_events", issue=record["issue"], state="received", kind="issue_commented", newest_first=True,
        limit=CROWD + 1,
    )  # fmt: skip
    if len(newest) > CROWD and record["id"] not in {r["id"] for r in newest}:
        raise Silence("newer comments wait", "many came at once; the newest are answered with this one in view")
    if recent:
        for draft in recent:
            answered = await ctx.store.get("webhook_events", draft["event_id"])
            if answered is not None and answered["arrived"] > record["arrived"]:
                raise Silence("a newer comment has a draft", "it was written with this one in view")


async def by_versions(ctx: Context, event: IssueCommented, record: Record) -> Silence | None:
    """One comment comes as it was written and again with each edit, in no promised order: each is answered once."""
    words = event.comment.text
    drafts = await ctx.store.find("drafts", answered=event.comment.id, newest_first=True, limit=VERSIONS)
    if any(draft["state"] in REPLIED for draft in drafts):
        return Silence(CONTEXT, "the comment has a reply of ours")
    found = await ctx.store.find("webhook_events", comment=event.comment.id, newest_first=True, limit=VERSIONS)
    versions = [EVENT.validate_python(r["event"]) for r in found if r["id"] != record["id"] and r["event"]]
    known = [v.comment for v in versions if isinstance(v, IssueCommented)]
    if any(other.updated > event.comment.updated for other in known):
        return Silence(CONTEXT, "a later version of this comment came before it")
    earlier = sorted((c for c in known if c.updated < event.comment.updated), key=lambda c: c.updated)
    if event.edited and earlier and not words_changed(earlier[-1].text, words):
        return Silence(CONTEXT, "an edit that changed no words")
    if any(not event.edited or not words_changed(draft["answered_text"], words) for draft in drafts):
        return Silence("it has a draft", "a draft for this very comment was asked for and is there")
    return None


async def _by_its_comment(ctx: Context, event: DraftRequested) -> Silence | None:
    """A rule of Jira Automation asks for what the comment's own webhook has led to a moment ago."""
    if event.comment_id is None or not event.by.startswith("jira:"):
        return None
    since = (event.at - SAME_MOMENT).isoformat()
    for draft in await ctx.store.find("drafts", answered=event.comment_id, newest_first=True, limit=VERSIONS):
        if draft["at"] >= since and draft["state"] in SUPERSEDABLE:
            return Silence("it has a draft", "the comment's own webhook led to it a moment ago")
    return None


async def _found_late(ctx: Context, event: IssueCommented) -> Silence | None:
    """What was found by asking is stored late: what was done meanwhile may have had it in view."""
    mine = event.comment
    for record in await ctx.store.find("webhook_events", comment=mine.id, newest_first=True, limit=VERSIONS):
        other = EVENT.validate_python(record["event"]) if record["source"] != "reconcile" and record["event"] else None
        if isinstance(other, IssueCommented) and other.comment.updated == mine.updated:
            return Silence(CONTEXT, "its webhook came as well")
    for draft in await ctx.store.find("drafts", issue_key=event.issues[0], newest_first=True, limit=DRAFTS_PER_ISSUE):
        made = read_draft(draft)
        seen = any(c.id == mine.id and c.updated >= mine.updated for c in made.issue.comments)
        if seen and made.answered_at is not None and made.answered_at >= mine.created:
            return Silence("a newer comment has a draft", "it was written with this one in view")
    return None
