"""One POST to Jira and what became of it: intent, marker, answer; and the look for the marker where there was none.

::

    intent → POST, if the mode and our lease still are what they were
        answered                                   → posted (an internal reply that came out public: deleted → failed)
        refused outright (429, 503, no connection) → approved, due later; looked for before it is sent again
        400, 401, 403, 404, 413                    → failed, with the reason and Retry
        answer lost, or a crash                    → the marker is looked for: posted, else unknown
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot import __version__
from bot.domain.draft_states import DraftState
from bot.domain.drafts import MARKER, UNDO_FOR, Draft, Posted
from bot.errors import Gone, OutcomeUnknown, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.rules.policy import rendered
from bot.store import Expect
from bot.workflow.records import lease_draft, load_draft, move

if TYPE_CHECKING:
    from bot.clients.jira.replies import Reply
    from bot.context import Context
    from bot.domain.leases import OwnLease

S = DraftState
log = get_logger(__name__)

LOOKUP_DELAYS = (0.5, 2.5, 2.5)
"""Seconds before each look for the marker: three looks over at least 5 s, counting only what Jira answered."""
LOOKING_ENDS = timedelta(minutes=2)
"""When Jira cannot even be asked for so long, a person decides."""
FOUND_AGAIN = "Found in Jira after a backup was restored: it had been posted meanwhile."
EDITED_MEANWHILE = " It had been edited before; Jira has its words."
REFUSED_ENDS = timedelta(minutes=15)
"""An approved reply that Jira refuses to take for so long becomes `failed`, with Retry: an old answer helps nobody."""


async def post(ctx: Context, draft: Draft, checked: dict[str, Any], own: OwnLease) -> None:
    """Intent, POST, outcome. The draft is `approved`, fresh, and in production. `checked`: what came of its check.

    The POST leaves at once after the lease was renewed, or not at all: `bot.domain.leases` says what that promises.
    """
    body = rendered(draft, ctx.settings.site).adf()
    failpoint("publish.before_intent")
    sending = await move(
        ctx,
        draft,
        S.POSTING,
        "draft.posting",
        intent_at=draft.intent_at or ctx.clock.now(),
        attempts=draft.attempts + 1,
        **checked,
        lease=own.renew(),
    )
    if sending is None:
        return
    failpoint("publish.after_intent")
    ready = await _may_be_sent(ctx, sending, own)
    if ready is None:
        # Between the decision and here somebody switched: nothing was sent, the decision does not count any more.
        # Or somebody else has taken it over, and then this changes nothing.
        await move(ctx, sending, S.APPROVED, "draft.mode_changed", intent_at=draft.intent_at)
        return
    sending, by = ready, own.by
    try:
        reply = await ctx.jira.post_comment(draft.issue.key, body, properties(sending), sending.visibility, by=by)
    except RetryLater as error:
        await again_later(ctx, sending, error)
        return
    except Permanent as error:
        # A definite no: nothing of this attempt is in Jira. What an earlier one left there is still looked for.
        note = error.reason
        await move(ctx, sending, S.FAILED, "draft.failed", status=error.status, note=note, intent_at=draft.intent_at)
        return
    except OutcomeUnknown as error:
        log.warning("publish.answer_lost", draft_id=draft.id, reason=error.reason)
        failpoint("publish.answer_lost")
        await find_outcome(ctx, sending)
        return
    failpoint("publish.after_post")
    await record_posted(ctx, sending, reply)
    failpoint("publish.after_record")


async def _may_be_sent(ctx: Context, sending: Draft, own: OwnLease) -> Draft | None:
    """The draft under a lease that begins now, in the mode in which it was approved; None: it may not be sent."""
    while True:
        stored = await ctx.store.get("state", "mode")
        if (stored["mode"] if stored else ctx.settings.pmagent_mode) != sending.mode:
            return None
        ready = await lease_draft(ctx, sending, own, Expect("state", "mode", stored))
        if ready is not None or await ctx.store.get("state", "mode") == stored:
            return ready


def properties(draft: Draft) -> list[dict[str, Any]]:
    """The marker, and for an internal reply the service desk's own property."""
    marker = {
        "draft_id": draft.id,
        "sha256": draft.revisions[-1].sha256,
        "approved_by": draft.decision.by if draft.decision else "",
        "model": draft.model,
        "prompt": draft.prompt,
        "event_id": draft.event_id,
        "version": __version__,
    }
    found: list[dict[str, Any]] = [{"key": MARKER, "value": marker}]
    if draft.audience == "internal":
        found.append({"key": "sd.public.comment", "value": {"internal": True}})
    return found


async def record_posted(ctx: Context, draft: Draft, reply: Reply, *, together: bool = False) -> None:
    """Jira has this comment of the draft's, by its answer or because its marker was found.

    `together`: many others are looked for, too.
    """
    if draft.audience == "internal" and reply.public:
        await _delete_public(ctx, draft, reply)
        return
    url = ctx.jira.comment_url(draft.issue.key, reply.comment_id)
    at, more = ctx.clock.now(), dict[str, Any](note="")
    if draft.needs_search:
        at = reply.created or at
        edited = reply.marker.get("sha256") != draft.revisions[-1].sha256
        by = reply.marker.get("approved_by")
        note = FOUND_AGAIN + EDITED_MEANWHILE * edited
        more = {"note": note, "mode": "production", "restored": None, "found_after_restore": True, "approved_by": by}
    posted = Posted(comment_id=reply.comment_id, url=url, at=at)
    more |= {"comment_id": reply.comment_id, "posted": posted, "due": at + UNDO_FOR}
    while await move(ctx, draft, S.POSTED, "draft.posted", together=together, **more) is None:
        # Another process took it over meanwhile. Where it did not find the comment, this is what became of it.
        draft = await load_draft(ctx, draft.id)
        if draft.state not in (S.UNKNOWN, S.LOOKING, S.APPROVED):
            return


async def _delete_public(ctx: Context, draft: Draft, reply: Reply) -> None:
    """An internal reply came out public: it goes at once, and the card says so whatever came of that."""
    failpoint("publish.before_delete")
    try:
        await ctx.jira.delete_comment(draft.issue.key, reply.comment_id)
    except (RetryLater, Permanent, OutcomeUnknown) as error:
        url = ctx.jira.comment_url(draft.issue.key, reply.comment_id)
        note = f"Jira made this internal reply public and did not delete it ({error.reason}). Delete it in Jira now."
        posted = Posted(comment_id=reply.comment_id, url=url, at=ctx.clock.now())
        await move(
            ctx, draft, S.POSTED, "draft.posted", posted=posted, due=ctx.clock.now() + UNDO_FOR, note=note, public=True,
            restored=None,
        )  # fmt: skip
        return
    failpoint("publish.after_delete")
    note = (
        "Jira made this internal reply public, so it was deleted at once; the customer may have been mailed. "
        "Ask a Jira administrator whether the bot's account may add internal comments in this project."
    )
    await move(ctx, draft, S.FAILED, "draft.failed", note=note, intent_at=None, public=True, restored=None)


async def again_later(ctx: Context, draft: Draft, error: RetryLater) -> None:
    """Jira certainly did not take it: the same again at the time it named, or after a while."""
    now = ctx.clock.now()
    started = draft.decision.at if draft.decision else now
    if now - started > REFUSED_ENDS:
        await move(ctx, draft, S.FAILED, "draft.failed", note=f"Jira did not take the reply: {error.reason}")
        return
    seconds = max(error.after, 1.0) if error.after is not None else min(2.0 ** min(draft.attempts, 6), 60.0)
    note = f"Jira did not take it yet ({error.reason}); trying again in {seconds:.0f} s."
    await move(ctx, draft, S.APPROVED, "draft.deferred", note=note, due=now + timedelta(seconds=seconds))


async def find_outcome(ctx: Context, draft: Draft) -> None:
    """A comment may or may not be there: three looks that Jira answered, then a person is asked."""
    started = ctx.clock.monotonic()
    looked = 0
    reason = ""
    while looked < len(LOOKUP_DELAYS):
        await asyncio.sleep(LOOKUP_DELAYS[looked])
        try:
            found = await ctx.jira.find_marked(draft.issue.key, draft.id, since(draft))
        except Gone as error:
            reason = error.reason
            break
        except (RetryLater, Permanent, OutcomeUnknown) as error:
            reason = error.reason
            if ctx.clock.monotonic() - started > LOOKING_ENDS.total_seconds():
                break
            continue
        if found is not None:
            await record_posted(ctx, draft, found)
            return
        looked += 1
    note = (
        f"Jira could not be asked whether the comment is there: {reason}"
        if looked < len(LOOKUP_DELAYS)
        else "Jira's answer was lost, and the comment was not found in three looks. It may still appear."
    )
    await move(ctx, draft, S.UNKNOWN, "draft.unknown", note=note, looks=looked)


def since(draft: Draft) -> datetime:
    """The time back to which a comment of this draft's is looked for.

    Comments carry Jira's time and the intent carries ours, which may have been a day ahead. By Jira's own clock the
    POST came after the issue as it was last read.
    """
    intent = draft.intent_at or draft.restored or draft.created
    return min(intent, draft.issue.updated or intent)
