"""Decisions: a click on a card changes its draft's state, by compare and set, in one commit. Nothing slow happens here.

What follows from the new state (reading the issue again, the POST, the card, a new draft) is a job of the same commit.
Whoever comes second hears who was first, when and with what.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bot.domain.draft_states import DraftState
from bot.domain.drafts import MAX_DRAFT_LENGTH, UNDO_FOR, Decision, Draft, Mode, Revision
from bot.domain.events import DraftRequested
from bot.errors import UserError
from bot.failpoints import failpoint
from bot.rules.learning import count_changed_words
from bot.rules.policy import rendered
from bot.store import Audit, Conflict, Job
from bot.workflow.actor import Actor
from bot.workflow.deciding.expiring import expire_one
from bot.workflow.drafting.supporting import of_edit
from bot.workflow.modes import mode
from bot.workflow.presenting.redrawing import OTHER, under_mode
from bot.workflow.records import audit, load_draft, save_draft

if TYPE_CHECKING:
    from bot.context import Context

S = DraftState
ARROWS: dict[str, tuple[frozenset[DraftState], DraftState, str]] = {
    "approve": (frozenset({S.WAITING}), S.APPROVED, "draft.approved"),
    "edit": (frozenset({S.WAITING}), S.APPROVED, "draft.edited"),
    "skip": (frozenset({S.WAITING, S.HELD, S.FAILED}), S.SKIPPED, "draft.skipped"),
    "retry": (frozenset({S.FAILED}), S.APPROVED, "draft.approved"),
    "post_anyway": (frozenset({S.HELD}), S.APPROVED, "draft.approved"),
    "draft_anew": (frozenset({S.HELD}), S.HELD, "draft.anew"),
    "look_again": (frozenset({S.UNKNOWN}), S.LOOKING, "draft.looking"),
    "post_again": (frozenset({S.UNKNOWN}), S.APPROVED, "draft.approved"),
    "undo": (frozenset({S.POSTED}), S.UNDOING, "draft.undoing"),
}
"""Action → the states it is offered in, the state it leads to, and its name in the audit trail."""

_DONE = {
    S.APPROVED: "already approved this", S.POSTING: "already approved this",
    S.POSTED: "already approved this, and it was posted", S.SIMULATED: "already approved this in simulation",
    S.SKIPPED: "already skipped this", S.UNDOING: "asked to undo this", S.UNDONE: "already undid this",
    S.HELD: "already approved this, but it is held", S.LOOKING: "asked to look for the comment",
    S.FAILED: "already approved this, but posting failed",
    S.UNKNOWN: "already approved this, and Jira's answer was lost",
}  # fmt: skip
RESTORED = (
    "A backup was restored, and Jira is being asked whether this reply was posted since. Until it answers nothing is "
    "posted or decided; please try again in a moment."
)
ANEW_WITHIN = timedelta(hours=72)
"""After this time a request for a new draft is forgotten."""
_APPROVING = frozenset({"approve", "edit", "retry", "post_anyway", "post_again"})


class LostRace(UserError):
    """Somebody or something was first; the sentence says who, when and with what."""


async def decide(
    ctx: Context, draft_id: str, action: str, *, by: Actor, seen: str | None, text: str | None = None
) -> Draft:
    """Carry out a click on a draft's card.

    `seen`: the fingerprint of the card that was clicked. `text`: the edited draft (action `edit`). Whoever calls has
    made sure that `by` may decide. Returns the draft in its new state; raises `LostRace` or `UserError` with the
    sentence for the person, and then nothing has changed.
    """
    states, target, name = ARROWS[action]
    while True:
        draft = await load_draft(ctx, draft_id)
        now = ctx.clock.now()
        if draft.needs_search:
            await ctx.queue.defer(Job("draft", draft_id))
            raise LostRace(RESTORED)
        if draft.state not in states:
            raise LostRace(who_was_first(ctx, draft, by.id))
        # The schedule comes once a minute, and a click does not get in between.
        if draft.state in (S.WAITING, S.HELD) and draft.expires <= now and await expire_one(ctx, draft):
            continue
        if refusal := await not_as_shown(ctx, draft, seen, any_mode=action == "look_again"):  # looking writes nothing
            raise LostRace(refusal)
        if action == "undo" and (not draft.posted or now > draft.posted.at + UNDO_FOR):
            raise LostRace("The ten minutes for Undo are over. You can still delete the comment in Jira.")
        decision = Decision(action=action, by=by.id, name=by.name, at=now)
        changes: dict[str, Any] = {"decision": decision, "decided": (*draft.decided, decision), "note": "", "due": None}
        action_name = name
        if action == "edit":
            revision = _revision(draft, text, by, ctx)
            if revision is None:
                action_name = "draft.approved"
            else:
                changes |= _reworded(draft, revision, ctx)
        if action == "draft_anew":
            changes["note"] = f"{by.name} asked for a new draft; it will replace this one."
        after = draft.moved(target, **changes)
        try:
            first = None if draft.decided else (now - draft.created).total_seconds()
            # Approvals of a person's own wording are counted apart from those of Claude's.
            part = "edited" if action_name == "draft.approved" and after.edited else ""
            words = count_changed_words(draft.text, after.text) if action_name == "draft.edited" else 0
            told = audit(after, action_name, by.account, action=action, seconds=first, part=part, words=words)
            await save_draft(ctx, draft, after, told, jobs=[Job("draft", draft_id)])
        except Conflict:
            continue
        failpoint("decide.stored")
        return after


async def not_as_shown(ctx: Context, draft: Draft, seen: str | None, *, any_mode: bool = False) -> str | None:
    """Why a click on a card with this fingerprint does not count, in a sentence; the card is redrawn then.

    `any_mode`: it counts under whatever mode.
    """
    current = (await mode(ctx)).mode
    if draft.mode != current and not any_mode:
        await under_mode(ctx, draft, current)
        return _other_mode(draft, current)
    if seen != draft.fingerprint:
        await ctx.queue.defer(Job("card", draft.id))
        before = draft.model_copy(update={"mode": OTHER[draft.mode]})
        return _other_mode(before, current) if seen == before.fingerprint else _what_changed(ctx, draft)
    return None


async def ask_again(ctx: Context, draft: Draft) -> None:
    """Request a new draft for what `draft` answers if that was the last decision on it, once for each such decision."""
    from bot.intake.accept import Delivery, accept

    asked, now = draft.decision, ctx.clock.now()
    if asked is None or asked.action != "draft_anew" or now - asked.at > ANEW_WITHIN:
        return
    delivery_id = f"anew:{draft.id}:{len(draft.decided)}"
    if await ctx.store.find("webhook_events", issue=draft.issue.key, delivery_id=delivery_id):
        return
    request = DraftRequested(issues=(draft.issue.key,), comment_id=draft.answered, by=f"slack:{asked.by}", at=asked.at)
    await accept(ctx, Delivery("slack", delivery_id, None, now), request)


async def refused(ctx: Context, draft_id: str | None, action: str, by: str, reason: str) -> None:
    """Record that `by` (a Slack user id) tried something that they may not do."""
    record = await ctx.store.get("drafts", draft_id) if draft_id else None
    await ctx.store.commit(
        audit=(
            Audit(
                f"slack:{by}",
                "decision.refused",
                record["event_id"] if record else None,
                draft_id if record else None,
                record["issue_key"] if record else None,
                {"action": action, "reason": reason},
            ),
        )
    )


def _revision(draft: Draft, text: str | None, by: Actor, ctx: Context) -> Revision | None:
    """The person's wording; None when they changed nothing. Raises `UserError` when it cannot be posted."""
    from bot.safety import clean

    wanted = clean((text or "").replace("\r\n", "\n")).strip()
    if not wanted:
        raise UserError("The reply is empty. Write something, or close this window and press Skip.")
    if len(wanted) > MAX_DRAFT_LENGTH:
        raise UserError(
            f"The reply has {len(wanted):,} characters; at most {MAX_DRAFT_LENGTH:,} fit. Please shorten it."
        )
    return None if wanted == draft.text else Revision(text=wanted, by=by.account, at=ctx.clock.now())


def _reworded(draft: Draft, revision: Revision, ctx: Context) -> dict[str, Any]:
    """The draft's fields with this wording. Raises `UserError` when the card could not show it whole."""
    changes: dict[str, Any] = {"revisions": (*draft.revisions, revision)}
    reply = rendered(draft.model_copy(update=changes), ctx.settings.site)
    if reply.problem:
        raise UserError(f"The reply {reply.problem}. Please write it simpler.")
    now = ctx.clock.now().astimezone(ctx.settings.timezone)
    return changes | {"rendering": reply.digest} | of_edit(draft, revision.text, now)


def _when(ctx: Context, decision: Decision) -> str:
    local = decision.at.astimezone(ctx.settings.timezone)
    today = ctx.clock.now().astimezone(ctx.settings.timezone).date()
    return f"at {local:%H:%M}" if local.date() == today else f"on {local:%Y-%m-%d} at {local:%H:%M}"


def who_was_first(ctx: Context, draft: Draft, by: str) -> str:
    """The sentence for somebody (`by`: their Slack user id) whose click on this draft comes too late."""
    if draft.state == S.SUPERSEDED:
        return "A newer draft on this issue has taken this one's place. Please decide on that one."
    if draft.state == S.EXPIRED:
        return f"This draft has expired. {draft.note or f'For a new one: /pmagent draft {draft.issue.key}'}"
    last = next(iter(draft.decided[::-1]), None)
    approval = next((d for d in draft.decided[::-1] if d.action in _APPROVING), None)
    # Who looked for the comment, or failed to undo it, came later; whose text it is approved it.
    decision = last if draft.state in (S.SKIPPED, S.UNDOING, S.UNDONE, S.LOOKING) else approval
    if decision is None or draft.state == S.WAITING:
        return "This draft waits for a decision again. Please look at the card as it is now."
    who = "You" if decision.by == by else decision.name
    edited = " with an edit" if decision.action == "edit" else ""
    return f"{who} {_DONE.get(draft.state, 'already decided this')}{edited} {_when(ctx, decision)}."


def _other_mode(draft: Draft, current: Mode) -> str:
    if draft.state in (S.POSTED, S.UNKNOWN):  # what may be in Jira stays a matter of production
        return (
            f"The mode is {current} now, in which Jira is not written to. Do it in Jira, "
            f"or have the mode switched back: /pmagent mode {draft.mode}"
        )
    return (
        f"The mode is {current} now, and this card was made for {draft.mode}, so nothing was done. It is redrawn for "
        f"{current}: please look at it again."
    )


def _what_changed(ctx: Context, draft: Draft) -> str:
    newest, last = draft.revisions[-1], draft.decision
    if last and last.action == "draft_anew":
        return f"{last.name} asked for a new draft {_when(ctx, last)}; it will replace this one."
    if draft.edited and last and not draft.withheld:
        editor = next((d for d in draft.decided[::-1] if d.action == "edit"), last)
        return (
            f"{editor.name} edited this draft {_when(ctx, editor)}; the card shows the new text. "
            f"It reads now:\n{newest.text}"
        )
    return "This draft has changed since the card was drawn. Please look at the card as it is now."
