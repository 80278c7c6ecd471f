"""A command's way through: acknowledge it, find its word, ask who says it, run it, answer.

It is acknowledged at once; the answer goes to its `response_url`, which works in channels that the bot is not in.
"""

from __future__ import annotations

import asyncio
import difflib
from typing import TYPE_CHECKING

from bot.access.people import Permission
from bot.cards import Message
from bot.errors import PMAgentError, UserError
from bot.log import get_logger
from bot.store import StoreUnavailable
from bot.workflow import Actor, refused
from handlers.slack.interactions import Ack, Command
from handlers.slack.private_answers import tell
from handlers.slash_command import pages
from handlers.slash_command.words import COMMANDS, TIMEOUT, CommandCall, Who, usages

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
ONE_MOMENT = 6.0
"""Seconds after which somebody who waits for an answer is told that it is on its way."""


async def command(ctx: Context, ack: Ack, said: Command) -> None:
    """`/pmagent …`: acknowledge, find the word, ask who it is, run it, answer."""
    await ack()
    asked = asyncio.create_task(_answer(ctx, said))
    await asyncio.wait({asked}, timeout=ONE_MOMENT)
    if not asked.done():
        await tell(ctx, said.place, "One moment: this takes a little longer.", url_first=True)
    try:
        answer = await asked
    except UserError as error:
        answer = str(error)
    except StoreUnavailable:
        answer = "This could not be recorded just now, so nothing was done. Please try again in a moment."
    except PMAgentError as error:
        log.warning("command.failed", text=said.said[:100], reason=str(error))
        answer = f"That did not work: {error}. Please try again in a moment."
    await tell(ctx, said.place, answer, url_first=True)


async def _answer(ctx: Context, said: Command) -> Message | str:
    words = tuple(said.said.split())
    word = COMMANDS.get(words[0].lower()) if words else COMMANDS["help"]
    if word is None:
        return pages.help_page(usages(), unknown=words[0], nearest=nearest_word(words[0]))
    rest = words[1:]
    if len(rest) > word.max_words:
        extra = " ".join(rest[word.max_words :])
        raise UserError(f"/pmagent {word.name} takes no “{extra[:60]}”. It is used like this: {word.usage}")
    verdict = await _may(ctx, word.asks_for(rest), said.place.user)
    if not verdict.allowed:
        await refused(ctx, None, word.name, said.place.user, verdict.reason)
        return verdict.reason
    return await word.run(CommandCall(ctx, rest, Actor(said.place.user, verdict.name)))


async def _may(ctx: Context, who: Who, user: str) -> Permission:
    people = ctx.people
    if who is Who.EVERYBODY:
        return Permission(True, "", "somebody")
    if who is Who.MEMBER:
        return await people.is_member(user, seconds=TIMEOUT)
    if who is Who.ADMIN:
        return await people.may_administer(user, seconds=TIMEOUT)
    approver = await people.may_decide(user, seconds=TIMEOUT)
    if approver.allowed:
        return approver
    admin = await people.may_administer(user, seconds=TIMEOUT)
    return admin if admin.allowed else approver


def nearest_word(word: str) -> str | None:
    """The known word that is most like this one, if any is."""
    found = difflib.get_close_matches(word.lower(), list(COMMANDS), n=1, cutoff=0.5)
    return found[0] if found else None
