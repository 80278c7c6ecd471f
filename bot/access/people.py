"""Who may do what, asked at the moment it matters.

Whether an account is deactivated, a guest, a bot or from elsewhere is asked of Slack at every call. Membership of
groups and channels may be up to 60 s old. What cannot be found out is a no, with "try again": nobody decides by guess.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import Gone, PMAgentError
from bot.log import get_logger
from bot.rules.policy import SlackUser, may_decide, standing

if TYPE_CHECKING:
    from bot.clients.slack.client import Slack
    from bot.clock import Clock
    from bot.settings import Settings

log = get_logger(__name__)

FRESH = 60.0
"""Seconds for which a membership may be believed."""
TIMEOUT = 2.0
"""Seconds that one question may take: an interaction has to be acknowledged within 3."""
TRY_AGAIN = "Slack could not check who you are just now. Please try again in a moment."
UNKNOWN = "This account is not a member of this workspace."


PUBLIC = (
    "Nobody may decide: PMAGENT_APPROVERS is the word channel, and the approvals channel is public. "
    "Make it private, or name people."
)


class ChannelIsPublic(PMAgentError):
    """Everybody could join it, so its members are nobody in particular."""


@dataclass(frozen=True)
class Permission:
    """Whether they may, the sentence why not (else empty), and the name to show."""

    allowed: bool
    reason: str
    name: str


class People:
    """Answers from Slack, by the settings `PMAGENT_APPROVERS` and `PMAGENT_ADMINS`. Never raises."""

    def __init__(self, slack: Slack, settings: Settings, clock: Clock) -> None:
        self._slack = slack
        self._settings = settings
        self._clock = clock
        self._memberships: dict[str, tuple[float, frozenset[str]]] = {}

    async def may_decide(self, user_id: str, *, seconds: float = TIMEOUT) -> Permission:
        """Whether they may approve, edit, skip, undo, and ask for drafts."""
        settings = self._settings
        return await self._asked(user_id, seconds, lambda: self._members(settings.pmagent_approvers, user_id), None)

    async def may_administer(self, user_id: str, *, seconds: float = TIMEOUT) -> Permission:
        """Whether they may switch the mode."""
        reason = "Only admins may do this. The setting PMAGENT_ADMINS says who they are."
        return await self._asked(user_id, seconds, lambda: self._members(self._settings.admins, user_id), reason)

    async def is_member(self, user_id: str, *, seconds: float = TIMEOUT) -> Permission:
        """Whether they are a full member of the workspace and in the approvals channel."""
        reason = "This is for members of the approvals channel. Join it, or ask somebody there."
        channel = self._settings.slack_channel_approvals
        return await self._asked(user_id, seconds, lambda: self._channel(channel), reason)

    async def _asked(
        self,
        user_id: str,
        seconds: float,
        members: Callable[[], Awaitable[frozenset[str]]],
        otherwise: str | None,
    ) -> Permission:
        name = "somebody"
        if not self._slack.team_id:
            # Slack could not be reached since the start, so there is no home workspace to compare with yet.
            return Permission(False, TRY_AGAIN, name)
        try:
            async with asyncio.timeout(seconds):
                user, allowed = await asyncio.gather(
                    self._slack.user(user_id), members(), return_exceptions=True
                )  # together: an interaction waits for both
        except TimeoutError:
            return Permission(False, TRY_AGAIN, name)
        if isinstance(user, Gone):
            return Permission(False, UNKNOWN, name)
        if isinstance(user, SlackUser):
            name = user.name
            if reason := standing(user, self._slack.team_id):
                return Permission(False, reason, name)
        if isinstance(allowed, ChannelIsPublic):
            return Permission(False, PUBLIC, name)
        for failed in (user, allowed):
            if isinstance(failed, PMAgentError):
                log.warning("people.lookup_failed", user=user_id, reason=str(failed))
                return Permission(False, TRY_AGAIN, name)
            if isinstance(failed, BaseException):
                raise failed
        if not isinstance(user, SlackUser) or isinstance(allowed, BaseException) or user.id != user_id:
            return Permission(False, TRY_AGAIN, name)
        reason = may_decide(user, self._slack.team_id, allowed)
        return Permission(reason is None, (otherwise or reason) if reason else "", name)

    async def _members(self, who: tuple[str, ...], user_id: str) -> frozenset[str]:
        """The ids behind user ids, groups and the word `channel`. A person who is named is found without a look-up.

        Raises the first failed look-up's error when the person is in none of the others.
        """
        found = frozenset(one for one in who if one[0] in "UW")
        if user_id in found:
            return found
        failed: PMAgentError | None = None
        for one in who:
            try:
                if one == "channel":
                    found |= await self._private_channel(self._settings.slack_channel_approvals)
                elif one[0] == "S":
                    found |= await self._remembered(one, self._slack.group_members)
            except PMAgentError as error:
                failed = error
        if failed and user_id not in found:
            raise failed
        return found

    async def _channel(self, channel: str) -> frozenset[str]:
        return await self._remembered(channel, self._slack.channel_members)

    async def _private_channel(self, channel: str) -> frozenset[str]:
        """The members of the channel while it is private; nobody when it is public: everybody could join it."""

        async def look(channel_id: str) -> frozenset[str]:
            if not (await self._slack.channel(channel_id)).is_private:
                log.error("people.channel_is_public", channel=channel_id)
                raise ChannelIsPublic
            return await self._slack.channel_members(channel_id)

        return await self._remembered(channel, look, key=f"private:{channel}")

    async def _remembered(
        self, what: str, look: Callable[[str], Awaitable[frozenset[str]]], *, key: str = ""
    ) -> frozenset[str]:
        now = self._clock.monotonic()
        at, members = self._memberships.get(key or what, (float("-inf"), frozenset()))
        if now - at <= FRESH:
            return members
        members = await look(what)
        # Its age counts from before the question: an answer under way may already be old.
        self._memberships[key or what] = (now, members)
        return members
