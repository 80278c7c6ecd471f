"""The buttons of a card, and the window behind Edit.

Every click is acknowledged before anything else happens. Then: who is this, may they, and one call of the workflow,
which decides by compare and set. The card follows from the store; here people are only told what concerns them alone.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bot.access.people import TRY_AGAIN, Permission
from bot.cards import ACTIONS, TEXT_BLOCK, edit_modal, skip_question
from bot.domain.draft_states import DraftState
from bot.domain.drafts import MAX_DRAFT_LENGTH
from bot.errors import PMAgentError, UserError
from bot.log import get_logger
from bot.store import StoreUnavailable
from bot.workflow import (
    Actor,
    decide,
    is_card,
    is_failure,
    is_window,
    load_draft,
    not_as_shown,
    remember_window,
    retry_event,
    who_was_first,
)
from handlers.slack.interactions import Ack, Click, ReplyTo, Submission
from handlers.slack.private_answers import refuse, tell

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)

NOT_STORED = "This could not be recorded just now, so nothing was done. Please try again in a moment."
ELSEWHERE = (
    "Nothing was done: this button is not on the message that it belongs to. "
    "Please use the card in the approvals channel."
)
NO_WINDOW = (
    "Nothing was done: this window was not opened for you and this draft by PM Agent. Please copy your text, close the "
    "window and press Edit on the card."
)
TIMEOUT = 8.0
"""Seconds for a look-up after the click is acknowledged."""
BEFORE_MODAL = 0.8
"""Seconds for the look-up before a modal is opened: its trigger lives for 3. A slower answer counts at submission."""
IN_ACK = 1.6
"""Seconds for the look-up inside a modal's acknowledgement, which must be out within 3."""
ACK_BY = 2.2
"""Seconds after which a modal is acknowledged whatever is still under way."""
ANEW = 0.4
"""Seconds for what a modal that stays needs of the store."""


async def press(ctx: Context, ack: Ack, click: Click) -> None:
    """A button that decides: Approve, Skip, Undo, Retry, Look again, Post again, Post anyway, Draft anew."""
    await ack()
    verdict = await ctx.people.may_decide(click.place.user, seconds=TIMEOUT)
    if not verdict.allowed:
        await refuse(ctx, click, verdict.reason)
        return
    draft_id, action = click.value.get("draft", ""), ACTIONS[click.action_id]
    try:
        async with asyncio.timeout(TIMEOUT):
            on_its_card = await is_card(ctx, await load_draft(ctx, draft_id), click.spot)
        if not on_its_card:
            await refuse(ctx, click, ELSEWHERE)
            return
        after = await decide(ctx, draft_id, action, by=_actor(click.place, verdict), seen=click.value.get("seen"))
        if action == "skip":
            await tell(ctx, click.place, skip_question(after.id, after.issue.key))
    except UserError as error:
        await tell(ctx, click.place, str(error))
    except StoreUnavailable:
        await tell(ctx, click.place, NOT_STORED)
    except (PMAgentError, TimeoutError) as error:
        log.warning("click.not_placed", draft_id=draft_id, reason=str(error))
        await tell(ctx, click.place, TRY_AGAIN)


async def edit(ctx: Context, ack: Ack, click: Click) -> None:
    """Edit: open the modal at once. Who may not decide does not get it, unless the look-up is slow; then it is refused
    at submission."""
    await ack()
    asked = asyncio.create_task(ctx.people.may_decide(click.place.user, seconds=TIMEOUT))
    try:
        draft = await load_draft(ctx, click.value.get("draft", ""))
        done, _ = await asyncio.wait({asked}, timeout=BEFORE_MODAL)
        if done and not asked.result().allowed:
            await refuse(ctx, click, asked.result().reason)
            return
        if not await is_card(ctx, draft, click.spot):
            await refuse(ctx, click, ELSEWHERE)
            return
        if draft.state != DraftState.WAITING:
            await tell(ctx, click.place, who_was_first(ctx, draft, click.place.user))
            return
        if refusal := await not_as_shown(ctx, draft, click.value.get("seen")):
            await tell(ctx, click.place, refusal)
            return
        view_id = await ctx.slack.open_modal(click.trigger_id, edit_modal(draft))
        await remember_window(ctx, view_id, click.place.user, draft)
    except UserError as error:
        await tell(ctx, click.place, str(error))
    except StoreUnavailable:
        await tell(ctx, click.place, NOT_STORED)
    except PMAgentError as error:
        log.warning("edit.not_opened", draft_id=click.value.get("draft"), reason=str(error))
        await tell(ctx, click.place, "Slack did not open the window in time. Please press Edit once more.")
    finally:
        asked.cancel()


async def edited(ctx: Context, ack: Ack, sent: Submission) -> None:
    """The modal was sent: approve the edited text. What cannot be done is said in the modal, which keeps the text."""
    started = time.monotonic()
    if not await is_window(ctx, sent.view.id, sent.user.id, sent.draft, sent.seen):
        await ack(response_action="errors", errors={TEXT_BLOCK: NO_WINDOW})
        await refuse(ctx, sent, NO_WINDOW, told=True)
        return
    words = sent.text.replace("\r\n", "\n").strip()
    if not words:
        await ack(
            response_action="errors", errors={TEXT_BLOCK: "The reply is empty. Write something, or press Cancel."}
        )
        return
    if len(words) > MAX_DRAFT_LENGTH:
        sentence = f"This has {len(words):,} characters; at most {MAX_DRAFT_LENGTH:,} fit. Please shorten it."
        await ack(response_action="errors", errors={TEXT_BLOCK: sentence})
        return
    task = asyncio.create_task(_approve_edit(ctx, sent))
    done, _ = await asyncio.wait({task}, timeout=ACK_BY - (time.monotonic() - started))
    if not done:
        # The disk or Slack is slow. The text stays on the screen until it is known what became of it.
        await _keep_open(ctx, ack, sent, "This takes longer than usual. The card will show what became of it.")
        problem = await task
        if problem:
            await tell(ctx, sent.place, problem)
        return
    problem = task.result()
    if problem:
        await _keep_open(ctx, ack, sent, problem)
    else:
        await ack()


async def retry(ctx: Context, ack: Ack, click: Click) -> None:
    """Retry on an event that Claude could not answer."""
    await ack()
    verdict = await ctx.people.may_decide(click.place.user, seconds=TIMEOUT)
    if not verdict.allowed:
        await refuse(ctx, click, verdict.reason)
        return
    event_id = click.value.get("event", "")
    try:
        async with asyncio.timeout(TIMEOUT):
            on_its_message = await is_failure(ctx, event_id, click.spot)
        if not on_its_message:
            await refuse(ctx, click, ELSEWHERE)
            return
        sentence = await retry_event(ctx, event_id, _actor(click.place, verdict))
    except UserError as error:
        sentence = str(error)
    except StoreUnavailable:
        sentence = NOT_STORED
    except (PMAgentError, TimeoutError) as error:
        log.warning("click.not_placed", event_id=event_id, reason=str(error))
        sentence = TRY_AGAIN
    await tell(ctx, click.place, sentence)


async def _approve_edit(ctx: Context, sent: Submission) -> str | None:
    """None when the edit was approved; else the sentence that says why not."""
    verdict = await ctx.people.may_decide(sent.place.user, seconds=IN_ACK)
    try:
        if not verdict.allowed:
            await refuse(ctx, sent, verdict.reason, told=True)
            return verdict.reason
        await decide(ctx, sent.draft, "edit", by=_actor(sent.place, verdict), seen=sent.seen, text=sent.text)
    except UserError as error:
        return str(error)
    except StoreUnavailable:
        return NOT_STORED
    return None


async def _keep_open(ctx: Context, ack: Ack, sent: Submission, reason: str) -> None:
    """Acknowledge with the same modal: what the person typed, the reason, and the draft's present fingerprint."""
    try:
        async with asyncio.timeout(ANEW):
            draft = await load_draft(ctx, sent.draft)
            await remember_window(ctx, sent.view.id, sent.user.id, draft)
    except (UserError, StoreUnavailable, TimeoutError):
        await ack(response_action="errors", errors={TEXT_BLOCK: reason[:1000]})
        return
    await ack(response_action="update", view=edit_modal(draft, text=sent.text, problem=reason))


def _actor(place: ReplyTo, verdict: Permission) -> Actor:
    return Actor(place.user, verdict.name)
