"""The workspace: what there is in it, and the questions a test or the page asks about it. It does nothing by itself."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field

from bot.demo.slack.limits import DOCUMENTED
from bot.demo.slack.people import (
    APP_ID,
    APPROVALS,
    DANA,
    HOME_TEAM,
    PM_GROUP,
    SAM,
    STANDUP,
    Member,
    Message,
    Modal,
    Whisper,
    channels,
    everybody,
)  # fmt: skip
from bot.demo.slack.rules import ApiError, Json
from bot.demo.slack.socket_mode import Connections
from bot.demo.wire import StandIn

TRIGGER_SECONDS = 3.0


@dataclass
class Bucket:
    """A rate of Slack's: so many a second, short bursts allowed."""

    rate: float = 1.0
    burst: float = 20.0
    left: float = 20.0
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass
class ResponseUrl:
    """An address that answers one interaction: five uses in thirty minutes."""

    user: str
    channel: str
    message: Message | None
    made: float
    used: int = 0


class Workspace(StandIn):
    """State and questions. Ids of people and channels are constants in `bot.demo.slack.people`."""

    service = "slack"

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.bot_token = f"xoxb-demo-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-demo-{secrets.token_hex(12)}"
        self.signing_secret = secrets.token_hex(16)
        self.scopes = ["chat:write", "commands", "users:read", "usergroups:read", "channels:read", "groups:read",
                       "channels:history", "groups:history"]  # fmt: skip
        self.approvals_channel, self.standup_channel = APPROVALS, STANDUP
        self.approvers: list[str] = [DANA, SAM]
        self.people: dict[str, Member] = everybody()
        self.channels = channels()
        self.groups: dict[str, list[str]] = {PM_GROUP: [DANA, SAM]}
        self.log: list[Message] = []
        self.private: list[Whisper] = []
        self.modals: dict[str, Modal] = {}
        self.homes: dict[str, Json] = {}
        self.buckets: dict[str, Bucket] = {}
        self.connections = Connections(APP_ID)
        self.http_target: str | None = None
        """Set to the program's /webhooks/slack: interactions go there, signed, instead of over the socket."""
        self.contained: frozenset[str] | None = DOCUMENTED
        """What this workspace takes in a `container` block: `REPORTED` is a stricter one, None an older one."""
        self.redelivery: tuple[float, ...] = (1.0, 60.0, 300.0)
        """Seconds before an unacknowledged event comes again."""
        self._triggers: dict[str, tuple[str, float]] = {}
        self._spent: set[str] = set()
        self._urls: dict[str, ResponseUrl] = {}
        self._last_ts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def messages(self, channel: str | None = None) -> list[Message]:
        """The messages in a channel (default: approvals), oldest first, without deleted ones."""
        return [m for m in self.log if m.channel == (channel or self.approvals_channel) and not m.deleted]

    async def cards(self) -> list[Message]:
        """The messages in the approvals channel that are draft cards, in whatever state, oldest first."""
        return self.drafts()

    def drafts(self, issue_key: str = "") -> list[Message]:
        """As `cards`, at once, and only those that name the issue."""
        return [
            m for m in self.messages()
            if (m.metadata.get("event_type") == "pmagent_draft" or "Approve" in m.buttons)
            and (not issue_key or issue_key in m.words)
        ]  # fmt: skip

    async def card(
        self, issue_key: str, seconds: float = 15.0, *, shows: str = "", button: str = "", number: int = -1
    ) -> Message:
        """The newest card that names the issue (or the `number`th), once its words hold `shows` and it has `button`."""

        def look() -> Message | None:
            found = self.drafts(issue_key)
            if not found or (number >= 0 and len(found) <= number):
                return None
            card = found[number]
            fits = shows in card.words and (not button or button in card.buttons)
            return card if fits else None

        return await self.until(look, seconds, f"for a card of {issue_key} {shows!r} {button!r}")

    async def changes(self, message: Message, shows: str, seconds: float = 10.0) -> Message:
        """Wait until the message's words hold `shows`."""
        return await self.until(
            lambda: message if shows in message.words else None,
            seconds,
            lambda: f"for {shows!r} in:\n{message.words}",
        )

    async def notice(self, shows: str, seconds: float = 10.0, channel: str | None = None) -> Message:
        """Wait for any message in a channel (default: approvals) whose words hold `shows`."""
        return await self.until(
            lambda: next((m for m in reversed(self.messages(channel)) if shows in m.words), None),
            seconds,
            lambda: f"for {shows!r} among {[m.words for m in self.messages(channel)]}",
        )

    def whispers(self, user: str) -> list[Whisper]:
        """What was said to this person alone, oldest first."""
        return [w for w in self.private if w.user == user and not w.deleted]

    async def whispered(self, user: str, shows: str = "", seconds: float = 10.0, *, after: int = 0) -> Whisper:
        """Wait for a private message to this person whose words hold `shows`, past the first `after` ones."""

        def look() -> Whisper | None:
            return next((w for w in self.whispers(user)[after:] if shows in w.words), None)

        return await self.until(
            look, seconds, lambda: f"for {shows!r} to {user}: {[w.words for w in self.whispers(user)]}"
        )

    def modal(self, user: str) -> Modal | None:
        """The modal on this person's screen."""
        return self.modals.get(user)

    async def opened(self, user: str, seconds: float = 3.0) -> Modal:
        """Wait until a modal is on this person's screen."""
        return await self.until(lambda: self.modals.get(user), seconds, f"for a modal for {user}")

    async def connected(self, seconds: float = 15.0) -> None:
        """Wait until the program holds a socket."""
        await self.until(lambda: [s for s in self.connections.sockets if not s.closed], seconds, "for a socket")

    def trigger(self, user: str) -> str:
        """A trigger id: good for three seconds, once."""
        trigger = f"{int(time.time() * 1000)}.{HOME_TEAM}.{secrets.token_hex(8)}"
        self._triggers[trigger] = (user, time.monotonic())
        return trigger

    def spend_trigger(self, trigger: str) -> str:
        """The user behind a trigger id, which is spent by this."""
        if trigger in self._spent:
            raise ApiError("exchanged_trigger_id")
        if trigger not in self._triggers:
            raise ApiError("invalid_trigger_id")
        user, made = self._triggers.pop(trigger)
        self._spent.add(trigger)
        if time.monotonic() - made > TRIGGER_SECONDS:
            raise ApiError("expired_trigger_id")
        return user

    def next_ts(self) -> str:
        """A message's id: the time in microseconds, never twice."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def message(self, channel: str, ts: str) -> Message | None:
        """The message with this id."""
        return next((m for m in reversed(self.log) if (m.channel, m.ts) == (channel, ts) and not m.deleted), None)

    def _response_url(self, user: str, channel: str, message: Message | None) -> str:
        token = secrets.token_urlsafe(16)
        self._urls[token] = ResponseUrl(user, channel, message, time.monotonic())
        return f"{self.base}/response/{token}"
