"""What people say about learning: why they skipped, what is to be forgotten, whether a proposal is taken.

The same as for every click: acknowledge, who is this, may they, and one call of the workflow. The first two stand in
messages that only one person sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bot.access.people import TRY_AGAIN
from bot.cards import ACCEPT_CHANGE, REASONS, Message, learned_page, whisper
from bot.errors import PMAgentError, UserError
from bot.log import get_logger
from bot.store import StoreUnavailable
from bot.workflow import Actor, corrections, forget, give_reason, is_proposal, settle
from handlers.slack.approvals import ELSEWHERE, NOT_STORED, TIMEOUT
from handlers.slack.interactions import Ack, Click
from handlers.slack.private_answers import refuse, tell

if TYPE_CHECKING:
    from bot.access.people import Permission
    from bot.context import Context

log = get_logger(__name__)


async def reason(ctx: Context, ack: Ack, click: Click) -> None:
    """One of the five buttons after Skip."""
    await ack()

    async def answer(by: Actor) -> Message:
        await give_reason(ctx, click.value.get("draft", ""), REASONS[click.action_id], by)
        return whisper("Thanks.")

    await _carry_out(ctx, click, await ctx.people.may_decide(click.place.user, seconds=TIMEOUT), click.private, answer)


async def forget_one(ctx: Context, ack: Ack, click: Click) -> None:
    """`Forget` in the answer to `/pmagent learned`."""
    await ack()
    project = click.value.get("project")

    async def answer(by: Actor) -> Message:
        await forget(ctx, click.value.get("correction", ""), by)
        return await learned(ctx, project, admin=True)

    verdict = await ctx.people.may_administer(click.place.user, seconds=TIMEOUT)
    await _carry_out(ctx, click, verdict, click.private, answer)


async def proposal(ctx: Context, ack: Ack, click: Click) -> None:
    """`Accept` and `Not now` on a proposed change of the prompts."""
    await ack()
    said = click.value.get("proposal", "")
    number = int(said) if said.isdecimal() and len(said) < 10 else 0
    verdict = await ctx.people.may_administer(click.place.user, seconds=TIMEOUT)

    async def answer(by: Actor) -> str:
        return await settle(ctx, number, by, accept=click.action_id == ACCEPT_CHANGE)

    try:
        async with asyncio.timeout(TIMEOUT):
            on_its_message = verdict.allowed and await is_proposal(ctx, number, click.spot)
    except (PMAgentError, StoreUnavailable, TimeoutError):
        await tell(ctx, click.place, TRY_AGAIN)
        return
    await _carry_out(ctx, click, verdict, on_its_message, answer)


async def learned(ctx: Context, project: str | None, *, admin: bool) -> Message:
    """The corrections in use, as a page."""
    found = await corrections(ctx, project)
    return learned_page(
        found, project, admin=admin, site=ctx.settings.site, now=ctx.clock.now(), timezone=ctx.settings.timezone
    )


async def _carry_out(
    ctx: Context,
    click: Click,
    verdict: Permission,
    in_its_place: bool,
    answer: Callable[[Actor], Awaitable[Message | str]],
) -> None:
    """Do it, if they may. A message that only they see is replaced by the answer, so its buttons are gone."""
    if not verdict.allowed:
        await refuse(ctx, click, verdict.reason)
        return
    if not in_its_place:
        await refuse(ctx, click, ELSEWHERE)
        return
    try:
        told = await answer(Actor(click.place.user, verdict.name))
    except UserError as error:
        await tell(ctx, click.place, str(error))
        return
    except StoreUnavailable:
        await tell(ctx, click.place, NOT_STORED)
        return
    await tell(ctx, click.place, told, replace=click.private)
