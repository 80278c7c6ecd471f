"""The app's home tab: drawn when somebody opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.cards import home_view
from bot.cards.parts import clock
from bot.errors import PMAgentError
from bot.log import get_logger
from bot.workflow import mode, paused, pending
from handlers.slack.interactions import Ack, HomeOpened

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


async def opened(ctx: Context, ack: Ack, seen: HomeOpened) -> None:
    """`app_home_opened`: the mode for everybody; what waits and the figures for members of the approvals channel."""
    await ack()
    user = seen.event.user
    if seen.event.tab != "home":
        return
    from bot.reports.metrics import local_figures

    now, setting, halted = ctx.clock.now(), await mode(ctx), await paused(ctx)
    member = (await ctx.people.is_member(user, seconds=8.0)).allowed
    waiting = await pending(ctx) if member else None
    until = "until somebody resumes" if halted is True else ""
    if halted and halted is not True:
        until = "until " + clock(halted, now, ctx.settings.timezone).removeprefix("at ").removeprefix("on ")
    view = home_view(
        mode=setting.mode,
        by=setting.by,
        paused=until or None,
        pending=waiting.oldest if waiting else None,
        count=waiting.count if waiting else 0,
        figures=await local_figures(ctx, 7) if member else None,
        site=ctx.settings.site,
        now=now,
        timezone=ctx.settings.timezone,
    )
    try:
        await ctx.slack.publish_home(user, view)
    except PMAgentError as error:
        log.warning("home.not_shown", user=user, reason=str(error))
