"""`/pmagent`: every word it knows, who may say it, and what it does. Answers are private.

`COMMANDS` is the table of contents; `dispatch` finds the word and asks who says it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bot.cards import Message
from bot.errors import UserError
from bot.log import get_logger
from bot.workflow import (
    Actor,
    health,
    mode,
    pause,
    paused,
    pending,
    request_draft,
    resume,
    switch_mode,
    why,
)
from handlers.slack.learning import learned
from handlers.slash_command import pages
from handlers.slash_command.arguments import read_days, read_duration, read_key, read_project

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
TIMEOUT = 8.0
"""Seconds for looking up in Slack who somebody is."""


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


def _key(asked: CommandCall, example: str) -> str:
    if not asked.words:
        raise UserError(f"Which issue? For example: {example}")
    return read_key(asked.words[0], asked.ctx.settings.watches)


async def _help(asked: CommandCall) -> Message:
    return pages.help_page(usages())


async def _stats(asked: CommandCall) -> Message:
    from bot.reports.metrics import local_figures

    days = read_days(asked.words[0]) if asked.words else None
    return pages.stats_page(await local_figures(asked.ctx, days), days)


async def _mode(asked: CommandCall) -> Message | str:
    if not asked.words:
        setting = await mode(asked.ctx)
        return pages.mode_page(setting, asked.ctx.clock.now(), asked.ctx.settings.timezone)
    wanted = asked.words[0].lower()
    if wanted == "simulation":
        return await switch_mode(asked.ctx, "simulation", asked.by)
    if wanted == "production":
        return await switch_mode(asked.ctx, "production", asked.by)
    raise UserError(f"There is no mode “{wanted[:60]}”: it is simulation or production.")


async def _pending(asked: CommandCall) -> Message:
    ctx, found = asked.ctx, await pending(asked.ctx)
    return pages.pending_page(
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
    return pages.why_page(
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
    when = f"until {pages.stamp(until, ctx.settings.timezone)}" if until else "until somebody says /pmagent resume"
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
    return pages.health_page(await health(asked.ctx))


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


def usages() -> list[tuple[str, str]]:
    """How each word is used and what it does, for the help."""
    return [(word.usage, word.does) for word in _WORDS]
