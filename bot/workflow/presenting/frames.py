"""Which frame a card draws around its reply: whether this Slack takes containers, tried and remembered for a month.

Slack rolls a new block out workspace by workspace, and says `invalid_blocks` until then. The card goes out with bars
instead at once; the record spares every later card the refused call, in all processes and after a restart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.errors import Permanent
from bot.log import get_logger
from bot.store import Put

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
TRY_AGAIN_AFTER = timedelta(days=30)
REFUSALS = ("invalid_blocks", "invalid_arguments")
"""Slack's codes for a block that it does not know or does not take here."""


async def takes_boxes(ctx: Context) -> bool:
    """Whether a card may be tried with a box."""
    record = await ctx.store.get("state", _key(ctx))
    return record is None or ctx.clock.now() >= datetime.fromisoformat(record["at"]) + TRY_AGAIN_AFTER


def is_refusal(error: Permanent) -> bool:
    """Whether Slack refused a message for its blocks."""
    return any(code in error.reason for code in REFUSALS)


async def no_boxes(ctx: Context) -> None:
    """Remember that the same card was taken without a box, and not with one."""
    log.info("card.no_boxes", team=ctx.slack.team_id, until=(ctx.clock.now() + TRY_AGAIN_AFTER).isoformat())
    await ctx.store.commit(Put("state", {"id": _key(ctx), "at": ctx.clock.now().isoformat()}))


def _key(ctx: Context) -> str:
    return f"no_boxes:{ctx.slack.team_id}"
