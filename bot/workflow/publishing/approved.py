"""From `approved` to a comment in Jira, once: is it still fresh and true, may it be posted, and then the POST.

::

    from a restored backup → the marker is looked for before anything else: found → posted, else a person decides
    sent before, perhaps → the marker is looked for: found → posted
    the mode was switched, or it would be posted otherwise than its card showed it → waiting
    read the issue again ─ changed, or who will see it → held · unreadable → waiting · gone → failed
                         ─ it is not for the channel any more → expired, and its card shows nothing of it
    check what the reply states ─ it is not so → held (and where that took its time, read the issue once more)
    simulation → simulated
    post (`posting`)     → posted, approved and due later, failed, or unknown

What was going on beside it is made up for at the end: a draft that people can decide again stands under the mode in
force, and gives way to a newer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.cards.parts import audience_words
from bot.domain.draft_states import BUSY, SUPERSEDABLE, DraftState
from bot.domain.drafts import Draft
from bot.domain.issues import Issue
from bot.errors import Down, Permanent, RetryLater
from bot.log import get_logger
from bot.rules.freshness import freshness
from bot.rules.policy import Audience, audience_now, is_confidential, out_of_bounds, rendered
from bot.workflow.deciding.decision import ask_again
from bot.workflow.modes import mode
from bot.workflow.publishing.claims import Checked, check_claims
from bot.workflow.publishing.posting import again_later, find_outcome, post, record_posted, since
from bot.workflow.publishing.undoing import close_undo, undo
from bot.workflow.records import lease_draft, load_draft, move, seconds_left
from bot.workflow.withholding import withhold, without_content

if TYPE_CHECKING:
    from bot.context import Context

S = DraftState
log = get_logger(__name__)

LEASE = 60.0
"""Seconds for one request to Jira and the record of its answer; the client gives up on Jira after 15."""
JUST_READ = 1.0
"""Seconds for which an issue that was read counts as it is now. The check between that and the POST may take longer."""
ANOTHER_RENDERING = (
    "Nothing was posted: PM Agent or its JIRA_URL changed since this card was drawn, and the reply would not look as "
    "it did there. Please look at it again."
)
DECIDE_AGAIN = "It was approved before a backup was restored, and it is not in Jira. Please decide on it again."


async def search(ctx: Context, draft_id: str) -> float | None:
    """`advance` for one of the many drafts that a restored backup left open: its card waits for its turn."""
    return await advance(ctx, draft_id, together=True)


async def advance(ctx: Context, draft_id: str, *, together: bool = False) -> float | None:
    """Do what this draft's state asks of the program. Raises `RetryLater` when it has to be done again later.

    Returns the seconds until the draft has to be looked at again, where it has to.
    """
    draft = await load_draft(ctx, draft_id)
    if draft.needs_search:
        draft = await _search(ctx, draft, together)
    if draft.state == S.APPROVED:
        if (left := seconds_left(ctx, draft)) > 0:
            return left
        await _publish(ctx, draft)
    elif draft.state in (S.POSTING, S.UNDOING):
        with ctx.leases.take(LEASE) as own:
            if (left := own.left(draft.lease)) > 0:
                return left  # somebody is at it
            taken = await lease_draft(ctx, draft, own)
            if taken is None:
                return 0.0  # somebody was faster
            if taken.state == S.UNDOING:
                await undo(ctx, taken, own)
            else:  # whoever was sending it is gone: look, never send blindly
                await find_outcome(ctx, taken)
    elif draft.state == S.LOOKING:
        await find_outcome(ctx, draft)
    elif draft.state == S.HELD:
        await ask_again(ctx, draft)
    draft = await load_draft(ctx, draft_id)
    if draft.state in SUPERSEDABLE:
        await _catch_up(ctx, draft)
    elif draft.state == S.APPROVED:
        return seconds_left(ctx, draft)
    elif draft.state in BUSY:  # it was changed under way, its texts erased, say: what is left is done the next time
        return max(ctx.leases.left(draft.lease), 1.0)
    elif draft.state == S.POSTED and draft.due:
        return await close_undo(ctx, draft)
    return None


async def _search(ctx: Context, draft: Draft, together: bool) -> Draft:
    """A draft from a restored backup: posted since, or as it was. Raises `RetryLater` until Jira has said."""
    intent = draft.intent_at
    try:
        found = await ctx.jira.find_marked(draft.issue.key, draft.id, since(draft))
    except Down as error:
        await ctx.outages.jira.down(error)
        raise
    except Permanent:  # the issue is gone for us, and should it come back, the marker is looked for before a POST
        found, intent = None, intent or draft.restored
    absent: dict[str, Any] = {"restored": None, "intent_at": intent, "together": together}
    if found is not None:
        await record_posted(ctx, draft, found, together=together)
    elif draft.state == S.APPROVED:  # long ago, perhaps, and what it led to may have been undone in the meantime
        await _back_to_waiting(ctx, draft, DECIDE_AGAIN, **absent)
    else:
        await move(ctx, draft, draft.state, "draft.restored", **absent)
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
            found = await ctx.jira.find_marked(draft.issue.key, draft.id, since(draft))
            if found is not None:
                await record_posted(ctx, draft, found)
                return
        if (await mode(ctx)).mode != draft.mode:
            await _back_to_waiting(ctx, draft, "The mode was switched after the click, so nothing was posted.")
            return
        reply = rendered(draft, ctx.settings.site)
        if reply.problem or reply.digest != draft.rendering:
            await _back_to_waiting(ctx, draft, ANOTHER_RENDERING)
            return
        issue, checked = await _looked_at(ctx, draft)
    except RetryLater as error:
        if isinstance(error, Down):  # a click may be the first to notice
            await ctx.outages.jira.down(error)
        if draft.intent_at:
            await again_later(ctx, draft, error)
            return
        await _back_to_waiting(ctx, draft, f"Jira cannot be read, so nothing was posted: {error.reason}")
        return
    except Permanent as error:
        await move(ctx, draft, S.FAILED, "draft.failed", note=error.reason)
        return
    if beyond := out_of_bounds(issue, ctx.settings):
        await move(ctx, draft, S.EXPIRED, "draft.expired", reason=beyond.reason, **without_content(draft, beyond))
        await withhold(ctx, draft.issue.key, beyond)  # whatever else waits on it
        return
    changes = freshness(draft.issue, issue, draft.answered)
    if issue.key != draft.issue.key:
        changes = (f"The issue was moved: {draft.issue.key} is {issue.key} now.", *changes)
    seen_by = audience_now(_shown(draft), issue, draft.answered, ctx.settings)
    # What a person posted anyway (only that leads from a held draft with claims to here) does not hold it again.
    untrue = [c for c in checked.contradictions if c.key not in draft.claims]
    if changes or untrue or seen_by != _shown(draft):
        await _hold(ctx, draft, issue, changes, seen_by, checked)
        return
    if draft.mode == "simulation":
        await move(ctx, draft, S.SIMULATED, "draft.simulated", **checked.changes)
        return
    with ctx.leases.take(LEASE) as own:
        await post(ctx, draft, checked.changes, own)


async def _looked_at(ctx: Context, draft: Draft) -> tuple[Issue, Checked]:
    """The issue as it is now, and what came of the check of what the reply states."""
    issue = await ctx.jira.again(draft.issue, draft.answered)
    if out_of_bounds(issue, ctx.settings):
        return issue, Checked()
    read = ctx.clock.monotonic()
    checked = await check_claims(ctx, draft, issue)
    if ctx.clock.monotonic() - read > JUST_READ:  # Claude, or another service, took its time
        issue = await ctx.jira.again(draft.issue, draft.answered)
    return issue, checked


async def _hold(
    ctx: Context, draft: Draft, issue: Issue, changes: tuple[str, ...], seen_by: Audience, checked: Checked
) -> None:
    shown: dict[str, Any] = seen_by.model_dump() | {"visibility": seen_by.visibility}
    if seen_by != _shown(draft):
        words = audience_words(draft.model_copy(update=shown))
        changes = (f"Who will see the reply changed. Now: {words}.", *changes)
    answered = next((c for c in issue.comments if c.id == draft.answered), None)
    if answered and is_confidential(answered, issue):
        shown["answered_text"] = ""  # it was for everybody when this was drafted; it is not shown any longer
    untrue = checked.contradictions
    shown["rendering"] = rendered(draft.model_copy(update={"issue": issue}), ctx.settings.site).digest
    await move(
        ctx, draft, S.HELD, "draft.held", changed=len(changes), contradicted=len(untrue), issue=issue, note="",
        changes=(*changes, *(c.sentence for c in untrue)), claims=tuple(c.key for c in untrue),
        **checked.changes, **shown,
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
