"""From `approved` to a comment in Jira, once: freshness, claims, intent, one POST with its marker, and its answer.

::

    from a restored backup → the marker is looked for before anything else: found → posted, else a person decides
    sent before, perhaps → the marker is looked for: found → posted
    the mode was switched, or it would be posted otherwise than its card showed it → waiting
    read the issue again ─ changed, or who will see it → held · unreadable → waiting · gone → failed
                         ─ it is not for the channel any more → expired, and its card shows nothing of it
    check what the reply states ─ it is not so → held
    simulation → simulated
    record the intent → POST, if the mode and our lease still are what they were
        answered                          → posted
        refused outright (429, 503, no connection) → approved, due later; looked for before it is sent again
        400, 401, 403, 404, 413           → failed, with the reason and Retry
        answer lost, or a crash           → the marker is looked for: posted, else unknown

What was going on beside it is made up for at the end: a draft that people can decide again stands under the mode in
force, and gives way to a newer one.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot import __version__
from bot.cards.parts import audience_words
from bot.claims import Examined
from bot.domain.drafts import BUSY, RETIRABLE, UNDO_FOR, Draft, DraftState, Posted
from bot.domain.issues import Issue
from bot.errors import Down, Gone, OutcomeUnknown, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.rules.freshness import freshness
from bot.rules.policy import Audience, audience_now, is_confidential, out_of_bounds, rendered
from bot.store import Expect
from bot.workflow.checking_claims import check_claims
from bot.workflow.deciding import ask_again
from bot.workflow.modes import mode
from bot.workflow.records import lease_draft, load_draft, move, seconds_left
from bot.workflow.undoing import close_undo, undo
from bot.workflow.withholding import withhold, without_content

if TYPE_CHECKING:
    from bot.clients.jira import Reply
    from bot.context import Context
    from bot.domain.leases import Held

S = DraftState
log = get_logger(__name__)

MARKER = "pm-agent"
"""The comment property that every comment of ours carries from its first moment."""
LOOK_AFTER = (0.5, 2.5, 2.5)
"""Seconds before each look for the marker: three looks over at least 5 s, counting only what Jira answered."""
LOOKING_ENDS = timedelta(minutes=2)
"""When Jira cannot even be asked for so long, a person decides."""
LEASE = 60.0
"""Seconds for one request to Jira and the record of its answer; the client gives up on Jira after 15."""
ANOTHER_RENDERING = (
    "Nothing was posted: PM Agent or its JIRA_URL changed since this card was drawn, and the reply would not look as "
    "it did there. Please look at it again."
)
DECIDE_AGAIN = "It was approved before a backup was restored, and it is not in Jira. Please decide on it again."
FOUND_AGAIN = "Found in Jira after a backup was restored: it had been posted meanwhile."
EDITED_MEANWHILE = " It had been edited before; Jira has its words."
REFUSED_ENDS = timedelta(minutes=15)
"""An approved reply that Jira refuses to take for so long becomes `failed`, with Retry: an old answer helps nobody."""


async def advance(ctx: Context, draft_id: str) -> float | None:
    """Do what this draft's state asks of the program. Raises `RetryLater` when it has to be done again later.

    Returns the seconds until the draft has to be looked at again, where it has to.
    """
    draft = await load_draft(ctx, draft_id)
    if draft.needs_search:
        draft = await _search(ctx, draft)
    if draft.state == S.APPROVED:
        if (left := seconds_left(ctx, draft)) > 0:
            return left
        await _publish(ctx, draft)
    elif draft.state in (S.POSTING, S.UNDOING):
        with ctx.leases.take(LEASE) as held:
            if (left := held.left(draft.lease)) > 0:
                return left  # somebody is at it
            taken = await lease_draft(ctx, draft, held)
            if taken is None:
                return 0.0  # somebody was faster
            if taken.state == S.UNDOING:
                await undo(ctx, taken, held)
            else:  # whoever was sending it is gone: look, never send blindly
                await _find_outcome(ctx, taken)
    elif draft.state == S.LOOKING:
        await _find_outcome(ctx, draft)
    elif draft.state == S.HELD:
        await ask_again(ctx, draft)
    draft = await load_draft(ctx, draft_id)
    if draft.state in RETIRABLE:
        await _catch_up(ctx, draft)
    elif draft.state == S.APPROVED:
        return seconds_left(ctx, draft)
    elif draft.state in BUSY:  # it was changed under way, its texts erased, say: what is left is done the next time
        return max(ctx.leases.left(draft.lease), 1.0)
    elif draft.state == S.POSTED and draft.due:
        return await close_undo(ctx, draft)
    return None


async def _search(ctx: Context, draft: Draft) -> Draft:
    """A draft from a restored backup: posted since, or as it was. Raises `RetryLater` until Jira has said."""
    intent = draft.intent_at
    try:
        found = await ctx.jira.find_marked(draft.issue.key, draft.id, _since(draft))
    except Down as error:
        await ctx.outages.jira.down(error)
        raise
    except Permanent:  # the issue is gone for us, and should it come back, the marker is looked for before a POST
        found, intent = None, intent or draft.restored
    if found is not None:
        await _record_posted(ctx, draft, found)
    elif draft.state == S.APPROVED:  # long ago, perhaps, and what it led to may have been withdrawn in the meantime
        await _back_to_waiting(ctx, draft, DECIDE_AGAIN, restored=None, intent_at=intent)
    else:
        await move(ctx, draft, draft.state, "draft.restored", restored=None, intent_at=intent)
    after = await load_draft(ctx, draft.id)
    if after.needs_search:
        raise RetryLater("the draft changed while it was looked for in Jira")
    return after


async def _catch_up(ctx: Context, draft: Draft) -> None:
    """A draft that people can decide follows what happened while the program had it: a newer draft, another mode."""
    # In the order in which they were stored: the clock may have been set back in between.
    [newest] = await ctx.store.find("drafts", issue_key=draft.issue.key, newest_first=True, limit=1)
    current = (await mode(ctx)).mode
    if newest["id"] != draft.id and draft.state in (S.WAITING, S.HELD):  # a failed one shows why, and can be retried
        await move(ctx, draft, S.SUPERSEDED, "draft.superseded", superseded_by=newest["id"], note="", due=None)
    elif draft.mode != current:
        await move(ctx, draft, draft.state, "draft.mode_changed", mode=current)


async def _publish(ctx: Context, draft: Draft) -> None:
    try:
        if draft.intent_at and draft.mode == "production":
            # It was sent before. Only what is certainly absent is sent again.
            found = await ctx.jira.find_marked(draft.issue.key, draft.id, _since(draft))
            if found is not None:
                await _record_posted(ctx, draft, found)
                return
        if (await mode(ctx)).mode != draft.mode:
            await _back_to_waiting(ctx, draft, "The mode was switched after the click, so nothing was posted.")
            return
        reply = rendered(draft, ctx.settings.site)
        if reply.problem or reply.digest != draft.rendering:
            await _back_to_waiting(ctx, draft, ANOTHER_RENDERING)
            return
        issue = await ctx.jira.again(draft.issue, draft.answered)
        beyond = out_of_bounds(issue, ctx.settings)
        examined = Examined() if beyond else await check_claims(ctx, draft, issue)
    except RetryLater as error:
        if isinstance(error, Down):  # a click may be the first to notice
            await ctx.outages.jira.down(error)
        if draft.intent_at:
            await _again_later(ctx, draft, error)
            return
        await _back_to_waiting(ctx, draft, f"Jira cannot be read, so nothing was posted: {error.reason}")
        return
    except Permanent as error:
        await move(ctx, draft, S.FAILED, "draft.failed", note=f"Nothing was posted: {error.reason}")
        return
    if beyond:
        await move(ctx, draft, S.EXPIRED, "draft.expired", reason=beyond.reason, **without_content(draft, beyond))
        await withhold(ctx, draft.issue.key, beyond)  # whatever else waits on it
        return
    changes = freshness(draft.issue, issue, draft.answered)
    if issue.key != draft.issue.key:
        changes = (f"The issue was moved: {draft.issue.key} is {issue.key} now.", *changes)
    seen_by = audience_now(_shown(draft), issue, draft.answered, ctx.settings)
    # What a person posted anyway (only that leads from a held draft with claims to here) does not hold it again.
    untrue = [c for c in examined.contradictions if c.key not in draft.claims]
    if changes or untrue or seen_by != _shown(draft):
        await _hold(ctx, draft, issue, changes, seen_by, examined)
        return
    if draft.mode == "simulation":
        await move(ctx, draft, S.SIMULATED, "draft.simulated", unchecked=examined.unchecked)
        return
    with ctx.leases.take(LEASE) as held:
        await _post(ctx, draft, examined.unchecked, held)


async def _post(ctx: Context, draft: Draft, unchecked: tuple[str, ...], held: Held) -> None:
    """Intent, POST, outcome. The draft is `approved`, fresh, and in production.

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
        unchecked=unchecked,
        lease=held.renew(),
    )
    if sending is None:
        return
    failpoint("publish.after_intent")
    ready = await _may_be_sent(ctx, sending, held)
    if ready is None:
        # Between the decision and here somebody switched: nothing was sent, the decision does not count any more.
        # Or somebody else has taken it over, and then this changes nothing.
        await move(ctx, sending, S.APPROVED, "draft.mode_changed", intent_at=draft.intent_at)
        return
    sending, by = ready, held.by
    try:
        reply = await ctx.jira.post_comment(draft.issue.key, body, properties(sending), sending.visibility, by=by)
    except RetryLater as error:
        await _again_later(ctx, sending, error)
        return
    except Permanent as error:
        # A definite no: nothing of this attempt is in Jira. What an earlier one left there is still looked for.
        note = error.reason
        await move(ctx, sending, S.FAILED, "draft.failed", status=error.status, note=note, intent_at=draft.intent_at)
        return
    except OutcomeUnknown as error:
        log.warning("publish.answer_lost", draft_id=draft.id, reason=error.reason)
        failpoint("publish.answer_lost")
        await _find_outcome(ctx, sending)
        return
    failpoint("publish.after_post")
    await _record_posted(ctx, sending, reply)
    failpoint("publish.after_record")


async def _may_be_sent(ctx: Context, sending: Draft, held: Held) -> Draft | None:
    """The draft under a lease that begins now, in the mode in which it was approved; None: it may not be sent."""
    while True:
        stored = await ctx.store.get("state", "mode")
        if (stored["mode"] if stored else ctx.settings.pmagent_mode) != sending.mode:
            return None
        ready = await lease_draft(ctx, sending, held, Expect("state", "mode", stored))
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


async def _record_posted(ctx: Context, draft: Draft, reply: Reply) -> None:
    if draft.audience == "internal" and reply.public:
        await _withdraw_public(ctx, draft, reply)
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
    while await move(ctx, draft, S.POSTED, "draft.posted", **more) is None:
        # Another process took it over meanwhile. Where it did not find the comment, this is what became of it.
        draft = await load_draft(ctx, draft.id)
        if draft.state not in (S.UNKNOWN, S.LOOKING, S.APPROVED):
            return


async def _withdraw_public(ctx: Context, draft: Draft, reply: Reply) -> None:
    """An internal reply came out public: it goes at once, and the card says so whatever came of that."""
    failpoint("publish.before_withdrawal")
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
    failpoint("publish.after_withdrawal")
    note = (
        "Jira made this internal reply public, so it was deleted at once; the customer may have been mailed. "
        "Ask a Jira administrator whether the bot's account may add internal comments in this project."
    )
    await move(ctx, draft, S.FAILED, "draft.failed", note=note, intent_at=None, public=True, restored=None)


async def _again_later(ctx: Context, draft: Draft, error: RetryLater) -> None:
    """Jira certainly did not take it: the same again at the time it named, or after a while."""
    now = ctx.clock.now()
    started = draft.decision.at if draft.decision else now
    if now - started > REFUSED_ENDS:
        await move(ctx, draft, S.FAILED, "draft.failed", note=f"Jira did not take the reply: {error.reason}")
        return
    seconds = max(error.after, 1.0) if error.after is not None else min(2.0 ** min(draft.attempts, 6), 60.0)
    note = f"Jira did not take it yet ({error.reason}); trying again in {seconds:.0f} s."
    await move(ctx, draft, S.APPROVED, "draft.deferred", note=note, due=now + timedelta(seconds=seconds))


async def _find_outcome(ctx: Context, draft: Draft) -> None:
    """A comment may or may not be there: three looks that Jira answered, then a person is asked."""
    started = ctx.clock.monotonic()
    looked = 0
    reason = ""
    while looked < len(LOOK_AFTER):
        await asyncio.sleep(LOOK_AFTER[looked])
        try:
            found = await ctx.jira.find_marked(draft.issue.key, draft.id, _since(draft))
        except Gone as error:
            reason = error.reason
            break
        except (RetryLater, Permanent, OutcomeUnknown) as error:
            reason = error.reason
            if ctx.clock.monotonic() - started > LOOKING_ENDS.total_seconds():
                break
            continue
        if found is not None:
            await _record_posted(ctx, draft, found)
            return
        looked += 1
    note = (
        f"Jira could not be asked whether the comment is there: {reason}"
        if looked < len(LOOK_AFTER)
        else "Jira's answer was lost, and the comment was not found in three looks. It may still appear."
    )
    await move(ctx, draft, S.UNKNOWN, "draft.unknown", note=note, looks=looked)


def _since(draft: Draft) -> datetime:
    """The time back to which a comment of this draft's is looked for.

    Comments carry Jira's time and the intent carries ours, which may have been a day ahead. By Jira's own clock the
    POST came after the issue as it was last read.
    """
    intent = draft.intent_at or draft.restored or draft.created
    return min(intent, draft.issue.updated or intent)


async def _hold(
    ctx: Context, draft: Draft, issue: Issue, changes: tuple[str, ...], seen_by: Audience, examined: Examined
) -> None:
    shown: dict[str, Any] = seen_by.model_dump() | {"visibility": seen_by.visibility}
    if seen_by != _shown(draft):
        words = audience_words(draft.model_copy(update=shown))
        changes = (f"Who will see the reply changed. Now: {words}.", *changes)
    answered = next((c for c in issue.comments if c.id == draft.answered), None)
    if answered and is_confidential(answered, issue):
        shown["answered_text"] = ""  # it was for everybody when this was drafted; it is not shown any longer
    untrue = examined.contradictions
    shown["rendering"] = rendered(draft.model_copy(update={"issue": issue}), ctx.settings.site).digest
    await move(
        ctx, draft, S.HELD, "draft.held", changed=len(changes), contradicted=len(untrue), issue=issue, note="",
        changes=(*changes, *(c.sentence for c in untrue)), claims=tuple(c.key for c in untrue),
        unchecked=examined.unchecked, **shown,
    )  # fmt: skip


def _shown(draft: Draft) -> Audience:
    return Audience(audience=draft.audience, customer=draft.customer, visibility=draft.visibility)


async def _back_to_waiting(ctx: Context, draft: Draft, note: str, **more: Any) -> None:
    current = (await mode(ctx)).mode
    # Its card does not show what was held against it any more, so that has to be shown again.
    await move(
        ctx, draft, S.WAITING, "draft.waiting", mode=current, note=note, due=None, claims=(), unchecked=(),
        rendering=rendered(draft, ctx.settings.site).digest, **more,
    )  # fmt: skip
