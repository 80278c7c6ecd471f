"""`/pmagent`: every word it knows, who may say it, and what it does. Answers are private.

`COMMANDS` is the table of contents. The command is acknowledged at once; the answer goes to its `response_url`, which
works in channels that the bot is not in.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bot.access.people import Permission
from bot.cards import Message
from bot.errors import PMAgentError, UserError
from bot.log import get_logger
from bot.store import StoreUnavailable
from bot.workflow import (
    Actor,
    health,
    mode,
    pause,
    paused,
    pending,
    refused,
    request_draft,
    resume,
    switch_mode,
    why,
)
from handlers import pages as answers
from handlers.command_arguments import read_days, read_duration, read_key, read_project
from handlers.interactions import Ack, Command
from handlers.learning import learned
from handlers.private_answers import tell

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
TIMEOUT = 8.0
ONE_MOMENT = 6.0
"""Seconds after which somebody who waits for an answer is told that it is on its way."""


class Who(Enum):
    """Who may say a word: `bot.access.people` has the rules."""

    EVERYBODY = "everybody"
    MEMBER = "full members of the approvals channel"
    APPROVER = "approvers and admins"
    ADMIN = "admins"


@dataclass(frozen=True)
class CommandCall:
    """A command with the person who may say it."""

    ctx: Context
    words: tuple[str, ...]
    by: Actor


WordHandler = Callable[[CommandCall], Awaitable[Message | str]]


@dataclass(frozen=True)
class Word:
    """One word of `/pmagent`. `who_with_words`: who may say it with words after it, where that differs."""

    name: str
    usage: str
    does: str
    who: Who
    run: WordHandler
    max_words: int = 0
    who_with_words: Who | None = None

    def asks_for(self, words: tuple[str, ...]) -> Who:
        return self.who_with_words if words and self.who_with_words else self.who


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
        return answers.help_page(_usages(), unknown=words[0], nearest=nearest_word(words[0]))
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


# What was typed


def nearest_word(word: str) -> str | None:
    """The known word that is most like this one, if any is."""
    found = difflib.get_close_matches(word.lower(), list(COMMANDS), n=1, cutoff=0.5)
    return found[0] if found else None


def _key(asked: CommandCall, example: str) -> str:
    if not asked.words:
        raise UserError(f"Which issue? For example: {example}")
    return read_key(asked.words[0], asked.ctx.settings.watches)


# What the words do


async def _help(asked: CommandCall) -> Message:
    return answers.help_page(_usages())


async def _stats(asked: CommandCall) -> Message:
    from bot.reports.metrics import local_figures

    days = read_days(asked.words[0]) if asked.words else None
    return answers.stats_page(await local_figures(asked.ctx, days), days)


async def _mode(asked: CommandCall) -> Message | str:
    if not asked.words:
        setting = await mode(asked.ctx)
        return answers.mode_page(setting, asked.ctx.clock.now(), asked.ctx.settings.timezone)
    wanted = asked.words[0].lower()
    if wanted == "simulation":
        return await switch_mode(asked.ctx, "simulation", asked.by)
    if wanted == "production":
        return await switch_mode(asked.ctx, "production", asked.by)
    raise UserError(f"There is no mode “{wanted[:60]}”: it is simulation or production.")


async def _pending(asked: CommandCall) -> Message:
    ctx, found = asked.ctx, await pending(asked.ctx)
    return answers.pending_page(
        found.oldest,
        found.count,
        site=ctx.settings.site,
        team_url=ctx.slack.team_url,
        now=ctx.clock.now(),
        timezone=ctx.settings.timezone,
    )


async def _standup(asked: CommandCall) -> Message | str:
    from bot.reports.standup import standup_now

    if not asked.words:
        return await standup_now(asked.ctx, share=False, by=asked.by.id)
    if asked.words[0].lower() != "share":
        raise UserError("It is used like this: /pmagent standup, or /pmagent standup share for the whole channel.")
    await standup_now(asked.ctx, share=True, by=asked.by.id)
    return "The standup was posted to the standup channel."


async def _draft(asked: CommandCall) -> str:
    return await request_draft(asked.ctx, _key(asked, "/pmagent draft ECD-142"), asked.by)


async def _why(asked: CommandCall) -> Message:
    ctx, key = asked.ctx, _key(asked, "/pmagent why ECD-142")
    lines = await why(ctx, key)
    return answers.why_page(
        key,
        lines,
        site=ctx.settings.site,
        now=ctx.clock.now(),
        timezone=ctx.settings.timezone,
    )


async def _pause(asked: CommandCall) -> str:
    ctx = asked.ctx
    until = ctx.clock.now() + read_duration("".join(asked.words)) if asked.words else None
    await pause(ctx, until, asked.by)
    when = f"until {answers.stamp(until, ctx.settings.timezone)}" if until else "until somebody says /pmagent resume"
    return f"Drafting is paused {when}. Webhooks are still taken in, and nothing is lost."


async def _resume(asked: CommandCall) -> str:
    if await paused(asked.ctx) is None:
        return "Drafting is not paused."
    await resume(asked.ctx, asked.by)
    return "Drafting goes on, with what has waited first."


async def _learned(asked: CommandCall) -> Message:
    project = read_project(asked.words[0], asked.ctx.settings.watches) if asked.words else None
    admin = await asked.ctx.people.may_administer(asked.by.id, seconds=TIMEOUT)
    return await learned(asked.ctx, project, admin=admin.allowed)


async def _health(asked: CommandCall) -> Message:
    return answers.health_page(await health(asked.ctx))


_WORDS = (
    Word("help", "/pmagent help", "shows this", Who.EVERYBODY, _help, max_words=9),
    Word("stats", "/pmagent stats [days]", "figures, of all time or of the last days", Who.MEMBER, _stats, 1),
    Word(
        "mode", "/pmagent mode [simulation|production]", "shows the mode, or switches it (admins)",
        Who.EVERYBODY, _mode, 1, Who.ADMIN,
    ),
    Word("pending", "/pmagent pending", "the drafts that wait for a decision", Who.MEMBER, _pending),
    Word(
        "standup", "/pmagent standup [share]", "the standup now, for you alone or for the channel (approvers)",
        Who.MEMBER, _standup, 1, Who.APPROVER,
    ),
    Word("draft", "/pmagent draft KEY", "asks for a draft on an issue (approvers)", Who.APPROVER, _draft, 1),
    Word("why", "/pmagent why KEY", "what became of an issue's events, and why", Who.MEMBER, _why, 1),
    Word("pause", "/pmagent pause [30m|2h|1d]", "drafting waits; webhooks are taken in (approvers)",
         Who.APPROVER, _pause, 3),
    Word("resume", "/pmagent resume", "drafting goes on (approvers)", Who.APPROVER, _resume),
    Word(
        "learned", "/pmagent learned [PROJECT]", "what Claude learns from edited drafts (approvers); admins forget it",
        Who.APPROVER, _learned, 1,
    ),
    Word("health", "/pmagent health", "how each part of the program is", Who.EVERYBODY, _health),
)  # fmt: skip
COMMANDS: dict[str, Word] = {word.name: word for word in _WORDS}
"""Every word that `/pmagent` knows."""


def _usages() -> list[tuple[str, str]]:
    return [(word.usage, word.does) for word in _WORDS]
