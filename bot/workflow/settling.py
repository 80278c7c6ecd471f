"""Silence that needs no model: what the rules can settle about an event before Jira or Claude is asked.

A later event on the issue is answered with all that came before it in view, so an earlier one gives way to it when many
wait, or when it was held up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bot.drafts import DraftState
from bot.events import EVENT, DraftRequested, Event, IssueCommented, IssueCreated
from bot.policy import asks_something, words_changed
from bot.store import Record
from bot.workflow.records import read_draft

if TYPE_CHECKING:
    from bot.context import Context

CONTEXT = "context"
"""The reason that every handled event gets which is context only."""
CROWD = 3
"""Later comments on an issue that may wait beside one; with more of them it is left to the later ones."""
DRAFTS_PER_ISSUE = 12
DRAFTS_WITHIN = timedelta(hours=1)
"""More drafts than this on one issue in that time means that something is talking to itself."""


class Silence(Exception):
    """The event is not answered. `reason` is short and countable, `detail` a sentence for `/pmagent why`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


async def settle_by_rule(ctx: Context, event: Event, record: Record) -> None:
    """Raise `Silence` for what needs no model."""
    if isinstance(event, IssueCreated) and not asks_something(event.text):
        raise Silence(CONTEXT, "a new issue that asks nothing")
    if isinstance(event, IssueCommented):
        comment = event.comment
        if comment.author.account_id == ctx.jira.account_id:
            raise Silence("our own comment")
        if comment.author.kind == "app":
            raise Silence("written by an app", f"{comment.author.name} is a bot")
        if not comment.text.strip():
            raise Silence("no words", "the comment holds no text")
        await _settle_by_versions(ctx, event, record)
    if isinstance(event, DraftRequested):
        return
    recent = await ctx.store.find("drafts", issue_key=event.issues[0])
    if not record["attempts"]:  # else somebody asked for this very one
        await _settle_by_later(ctx, record, recent)
    since = (ctx.clock.now() - DRAFTS_WITHIN).isoformat()
    if sum(r["at"] >= since for r in recent) >= DRAFTS_PER_ISSUE:
        raise Silence(
            "too many drafts", f"{DRAFTS_PER_ISSUE} drafts on this issue within an hour; ask with /pmagent draft"
        )


async def _settle_by_later(ctx: Context, record: Record, drafts: list[Record]) -> None:
    """Later means stored later: the clock may have been set back in between."""
    newest = await ctx.store.find(
        "webhook_events", issue=record["issue"], state="received", kind="issue_commented", newest_first=True,
        limit=CROWD + 1,
    )  # fmt: skip
    if len(newest) > CROWD and record["id"] not in {r["id"] for r in newest}:
        raise Silence("newer comments wait", "many came at once; the newest are answered with this one in view")
    if drafts:
        events = [r["id"] for r in await ctx.store.find("webhook_events", issue=record["issue"])]
        later = set(events[events.index(record["id"]) + 1 :])
        if any(draft["event_id"] in later for draft in drafts):
            raise Silence("a newer comment has a draft", "it was written with this one in view")


async def _settle_by_versions(ctx: Context, event: IssueCommented, record: Record) -> None:
    """One comment comes as it was written and again with each edit, in no promised order: each is answered once."""
    drafts = [read_draft(r) for r in await ctx.store.find("drafts", issue_key=event.issues[0])]
    replied = {DraftState.POSTED, DraftState.POSTING, DraftState.APPROVED, DraftState.UNKNOWN, DraftState.LOOKING}
    if any(d.answered == event.comment.id and d.state in replied | {DraftState.UNDOING} for d in drafts):
        raise Silence(CONTEXT, "the comment has a reply of ours")
    versions = [
        EVENT.validate_python(r["event"])
        for r in await ctx.store.find("webhook_events", issue=event.issues[0], kind=event.kind)
        if r["id"] != record["id"] and r["event"] and r["event"]["comment"]["id"] == event.comment.id
    ]
    known = [v.comment for v in versions if isinstance(v, IssueCommented)]
    if any(other.updated > event.comment.updated for other in known):
        raise Silence(CONTEXT, "a later version of this comment came before it")
    earlier = sorted((c for c in known if c.updated < event.comment.updated), key=lambda c: c.updated)
    if event.edited and earlier and not words_changed(earlier[-1].text, event.comment.text):
        raise Silence(CONTEXT, "an edit that changed no words")
