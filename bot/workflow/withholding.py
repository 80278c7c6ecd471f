"""Withholding: ends what waits on an issue that got a security level or was moved out of the watched projects.

Its cards are redrawn with the key and without a word of the issue, of the comment or of the reply; what lists drafts
has nothing of it to show. What Claude was shown of it is not kept either: `replay` would send it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bot.domain.draft_states import BUSY, OPEN, DraftState
from bot.domain.drafts import Draft
from bot.domain.issues import Issue
from bot.intake.silence import CONTEXT
from bot.log import get_logger
from bot.rules.policy import OutOfBounds
from bot.store import Conflict, Expect, Put, Record
from bot.workflow.learning.corrections import forget_issue
from bot.workflow.records import audit, load_draft, nothing_learned, read_draft, save_draft

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
BARE = (
    "key", "project", "url", "created", "updated", "comment_total", "comments_from", "service_desk",
    "has_security_level",
)  # fmt: skip
"""All that is left of an issue: where it is, and what the freshness check counts with."""


def without_content(draft: Draft, beyond: OutOfBounds) -> dict[str, Any]:
    """The changes that leave nothing of the issue on a draft's card. `beyond`: why.

    The reply's own wording stays in the record, because its hash is in the audit trail; the card does not show it.
    """
    bare = Issue(summary="", status="", **{name: getattr(draft.issue, name) for name in BARE})
    return {
        "withheld": True, "issue": bare, "note": f"The issue {beyond.says}.", "answered_text": "",
        "answered_author": "", "why": "", "sources": (), "links": (), "changes": (), "claims": (), "look_alikes": (),
        "unchecked": (), "given": None, "stated": (), "unsupported": (), "doubts": (), "look_twice": "", "due": None,
    }  # fmt: skip


async def withhold(ctx: Context, key: str, beyond: OutOfBounds) -> None:
    """End the drafts that wait on this issue. One whose answer was lost stays, to be looked for, without its content.

    What the program itself is working on finds out when it reads the issue again. What was learned on it is forgotten,
    as is what Claude was shown for its events, however they ended.
    """
    keys = [key]
    for known_as in keys:
        events = await ctx.store.find("webhook_events", issue=known_as)
        await _end(ctx, known_as, beyond, events)
        keys += _former_keys(events) - set(keys)


def _former_keys(events: Sequence[Record]) -> set[str]:
    """The keys that the issue had before it was moved: what is stored from then stands under them."""
    changes = [change for event in events for change in (event["event"] or {}).get("changes") or ()]
    return {str(change["before"]) for change in changes if change["field"].casefold() == "key" and change["before"]}


async def _end(ctx: Context, key: str, beyond: OutOfBounds, events: Sequence[Record]) -> None:
    await _learn_nothing(ctx, key)
    await forget_issue(ctx, key, beyond.reason)
    await _forget_requests(ctx, events)
    for record in await ctx.store.find("drafts", issue_key=key, open=True):
        draft = read_draft(record)
        while draft.state in OPEN and not draft.withheld:
            to = draft.state if draft.state is DraftState.UNKNOWN else DraftState.EXPIRED
            after = draft.moved(to, **without_content(draft, beyond))
            told = "draft.expired" if to != draft.state else "draft.withheld"
            try:
                await save_draft(ctx, draft, after, audit(after, told, "system", reason=beyond.reason))
            except Conflict:
                draft = await load_draft(ctx, draft.id)
                continue
            log.info("draft.withheld", draft_id=draft.id, issue=key, reason=beyond.reason)
            break


async def _learn_nothing(ctx: Context, key: str) -> None:
    """Take no lesson from what is being posted right now: it ends by itself, with the issue as it was read before."""
    found = [read_draft(record) for record in await ctx.store.find("drafts", issue_key=key, open=True)]
    marks = [nothing_learned(draft.id) for draft in found if draft.state in BUSY]
    if marks:
        await ctx.store.commit(*(Put("keys", {"id": mark, "at": ctx.clock.now().isoformat()}) for mark in marks))


async def _forget_requests(ctx: Context, events: Sequence[Record]) -> None:
    """Empty what was sent to Claude for these events; that it was sent, and what it cost, stays."""
    for event in events:
        if event["reason"] == CONTEXT:  # no call was made for it, and these are nearly all
            continue
        for cycle in await ctx.store.find("agent_cycles", event_id=event["id"]):
            if any(call.get("shown") for call in cycle["calls"]):
                await ctx.store.commit(
                    Put("agent_cycles", {**cycle, "calls": [{**call, "shown": ""} for call in cycle["calls"]]}),
                    expect=(Expect("agent_cycles", cycle["id"], cycle),),
                )
