"""Private answers to one Slack user, and refusals, which are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.cards import Message, whisper
from bot.log import get_logger
from bot.store import StoreUnavailable
from bot.workflow import refused
from handlers.slack.interactions import Interaction, ReplyTo

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


async def tell(
    ctx: Context, place: ReplyTo, answer: str | Message, *, url_first: bool = False, replace: bool = False
) -> None:
    """Answer one person privately: a sentence, or a message. `replace`: in the place of the one that they clicked."""
    message = whisper(answer) if isinstance(answer, str) else answer
    channel = place.channel or ctx.settings.slack_channel_approvals
    await ctx.slack.whisper(channel, place.user, message, place.response_url, url_first=url_first, replace=replace)


async def refuse(ctx: Context, by: Interaction, reason: str, *, told: bool = False) -> None:
    """Record an attempt that is not carried out, and tell the person privately, unless they are `told` already."""
    what, draft_id = by.attempt
    log.warning("slack.refused", what=what, draft_id=draft_id or None, user=by.place.user, reason=reason)
    await record(ctx, draft_id or None, what, by.place.user, reason)
    if not told:
        await tell(ctx, by.place, reason)


async def record(ctx: Context, draft_id: str | None, what: str, user: str, reason: str) -> None:
    """Put an attempt that is not carried out into the audit trail. A store that takes nothing now is logged."""
    try:
        await refused(ctx, draft_id, what, user, reason)
    except StoreUnavailable:
        log.exception("refusal.not_recorded", draft_id=draft_id, user=user)
