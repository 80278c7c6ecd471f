"""The Slack client: post, update, find, answer one person, open a modal, look up who somebody is.

How a request is made is in `wire`, at what pace in `pace`; what Slack's failures mean is in `errors`, what its accounts
and channels look like in `read`. A write whose answer was lost raises `OutcomeUnknown`, and `find` tells by the
message's metadata whether it happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from bot.access.origin import Workspace
from bot.clients.slack.errors import TokenRefused
from bot.clients.slack.read import ChannelInfo, read_channel, read_user
from bot.clients.slack.wire import MAX_PAGES, SlackWire, message_body
from bot.errors import Permanent, PMAgentError, RetryLater
from bot.log import get_logger
from bot.rules.policy import SlackUser

if TYPE_CHECKING:
    from bot.cards import Message
    from bot.clock import Clock
    from bot.domain.leases import Begin
    from bot.settings import Settings
    from bot.store import Store

log = get_logger(__name__)

SKEW = 3600.0
"""Seconds by which our clock and Slack's may differ when a message is looked for by time."""


class SlackConnection(Protocol):
    """How Slack reaches us, as `handlers.slack.listeners.connect` gives it: set by `bot.app`, asked by `/ready`."""

    @property
    def connected(self) -> bool: ...

    async def close(self, seconds: float = 3.0) -> None: ...


class Slack:
    """The port to Slack. `start()` first: it opens the session and learns who we are (`home` last of all).

    All verbs raise `RetryLater` (with `after` where Slack said so), `Permanent` (the request is wrong in itself;
    Slack's code stands in `reason`), and `Gone` (no such user or group); `post` raises `OutcomeUnknown` as well.
    """

    def __init__(self, settings: Settings, shared: tuple[Store, Clock] | None = None) -> None:
        """`shared`: where the pace is kept over all processes; None: this one is alone."""
        self.bot_user_id = ""
        self.bot_id = ""
        self.team_id = ""
        self.home: Workspace | None = None
        self._settings = settings
        self._app: str | None = None
        self.team_url = ""
        self.scopes: frozenset[str] = frozenset()
        self.connection: SlackConnection | None = None
        self._wire = SlackWire(settings, shared)
        self.client = self._wire.client

    async def start(self) -> None:
        """Open the session and ask Slack who we are.

        Raises `Permanent` for a token that is refused or not a bot's, else `RetryLater`.
        """
        await self._wire.open()
        try:
            me = await self._wire.read("auth.test", self.client.auth_test)
        except TokenRefused as error:
            raise Permanent(error.reason) from None
        if not me.get("user_id"):
            raise RetryLater("what answers at SLACK_API_URL did not say who we are: it is not Slack")
        if not me.get("bot_id"):
            raise Permanent(
                "Slack says that this is a person's token and no bot's: replies would go out under that name"
            )
        self.bot_user_id = str(me.get("user_id") or "")
        self.bot_id = str(me.get("bot_id") or "")
        self.team_id = str(me.get("team_id") or "")
        self.team_url = str(me.get("url") or "")
        scopes = next((v for k, v in dict(me.headers).items() if k.lower() == "x-oauth-scopes"), "")
        self.scopes = frozenset(part.strip() for part in str(scopes).split(",") if part.strip())
        if not self.team_id:
            raise RetryLater("Slack did not say which workspace SLACK_BOT_TOKEN belongs to")
        if self._app is None and not self._settings.socket_mode:
            self._app = await self._own_app()
        self.home = Workspace(team=self.team_id, app=self._app, grid=bool(me.get("enterprise_id")))

    def know_app(self, app: str) -> None:
        """The socket's hello says which app it serves, before anything else comes over it."""
        self._app = app
        if self.home is not None:
            self.home = self.home.model_copy(update={"app": app})

    async def _own_app(self) -> str | None:
        """Our app's id, which `auth.test` does not name; None where Slack does not say."""
        try:
            answer = await self._wire.read("bots.info", lambda: self._wire.reads.bots_info(bot=self.bot_id))
        except PMAgentError as error:
            log.warning("slack.app_unknown", reason=str(error))
            return None
        return str((answer.get("bot") or {}).get("app_id") or "") or None

    async def close(self) -> None:
        """Let go of the connections."""
        await self._wire.close()

    # Messages

    async def post(self, channel: str, message: Message, begin: Begin | None = None) -> str:
        """Post a message, return its `ts`. Nothing in it unfurls. Raises `OutcomeUnknown` when the answer was lost.

        `begin` is called when its turn has come.
        """
        answer = await self._wire.write("chat.postMessage", message_body(channel, message), begin)
        return str(answer["ts"])

    async def update(
        self, channel: str, ts: str, message: Message, begin: Begin | None = None, *, patient: bool = False
    ) -> None:
        """Replace a message of ours. Doing it twice is harmless, so a lost answer is `RetryLater`.

        `patient`: it leaves room for those of others that are wanted at once.
        """
        await self._wire.write("chat.update", {"ts": ts, **message_body(channel, message)}, begin, patient=patient)

    async def find(self, channel: str, key: str, since: datetime, *, event_type: str = "pmagent_draft") -> str | None:
        """The `ts` of our message whose metadata is of `event_type` and carries `key` (a draft's id), or None.

        Looks through the channel's history, newest first, back to an hour before `since`; and through the newest page
        in any case: `since` is by our clock, the messages' times are by Slack's, and ours may have been a day ahead.
        Raises `RetryLater` while Slack is silent, and while it has not said who we are: none would count as ours then,
        and what is not found is posted again.
        """
        async for ts, payload in self.said(channel, event_type, since=since.timestamp() - SKEW):
            if key in payload.values():
                return ts
        return None

    async def said(
        self, channel: str, event_type: str, *, since: float = 0.0, pages: int = MAX_PAGES
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Our messages in a channel whose metadata is of `event_type`, newest first: each one's `ts` and its payload.

        At least those since then (by Slack's clock), of so many pages of 200 messages. Raises `RetryLater`, also while
        Slack has not said who we are: none would count as ours then.
        """
        if not self.bot_user_id:
            raise RetryLater("Slack has not said yet who the bot is", after=1.0)
        call = partial(self._wire.reads.conversations_history, channel=channel, include_all_metadata=True, limit=200)
        async for page in self._wire.pages("conversations.history", call, pages):
            messages = page.get("messages") or []
            for message in messages:
                metadata = message.get("metadata") or {}
                ours = message.get("bot_id") == self.bot_id or message.get("user") == self.bot_user_id
                if ours and metadata.get("event_type") == event_type:
                    yield str(message["ts"]), metadata.get("event_payload") or {}
            if messages and float(messages[-1].get("ts") or 0) < since:
                break

    async def whisper(
        self, channel: str, user: str, message: Message, response_url: str | None = None, *, url_first: bool = False,
        replace: bool = False,
    ) -> bool:  # fmt: skip
        """Tell one person something that nobody else sees; True when Slack took it.

        By `chat.postEphemeral`, and by the interaction's `response_url` where that fails (or first, for commands: they
        may come from channels that the bot is not in). `replace`: in the place of the private message whose button was
        pressed, which only its `response_url` can change. Never raises for Slack's sake: a lost whisper is logged.
        """
        for by_url in (True, False) if url_first or replace else (False, True):
            if by_url and not (response_url and self._wire.is_slacks(response_url)):
                continue
            try:
                if by_url:
                    await self._wire.respond(str(response_url), message, replace=replace)
                else:
                    body = message_body(channel, message)
                    for name in ("metadata", "unfurl_links", "unfurl_media"):
                        body.pop(name, None)
                    await self._wire.call("chat.postEphemeral", {"user": user, **body}, write=True)
            except PMAgentError as error:
                log.warning("slack.whisper_failed", by="response_url" if by_url else "ephemeral", reason=str(error))
            else:
                return True
        return False

    async def open_modal(self, trigger_id: str, view: dict[str, Any]) -> str:
        """Open a modal (within 3 s of the click) and return the view's id."""
        answer = await self._wire.call("views.open", {"trigger_id": trigger_id, "view": view}, write=True)
        return str((answer.get("view") or {}).get("id") or "")

    async def publish_home(self, user: str, view: dict[str, Any]) -> None:
        """Show the home tab to this person."""
        await self._wire.call("views.publish", {"user_id": user, "view": view}, write=False)

    # People and places

    async def user(self, user_id: str) -> SlackUser:
        """The account as Slack knows it now. Raises `Gone` for an id that this workspace does not know."""
        answer = await self._wire.read("users.info", lambda: self._wire.reads.users_info(user=user_id))
        return read_user(answer.get("user") or {}, self.team_id)

    async def group_members(self, group_id: str) -> frozenset[str]:
        """The members of a user group (paid plans only)."""
        answer = await self._wire.read(
            "usergroups.users.list", lambda: self._wire.reads.usergroups_users_list(usergroup=group_id)
        )
        return frozenset(str(user) for user in answer.get("users") or [])

    async def channel_members(self, channel_id: str) -> frozenset[str]:
        """Everybody in a channel, bots too."""
        call = partial(self._wire.reads.conversations_members, channel=channel_id, limit=1000)
        return frozenset(
            [
                str(user)
                async for page in self._wire.pages("conversations.members", call)
                for user in page.get("members") or []
            ]
        )

    async def own_channels(self) -> list[str]:
        """The channels that the bot is in, also archived ones."""
        call = partial(self._wire.reads.users_conversations, types="public_channel,private_channel", limit=200)
        pages = self._wire.pages("users.conversations", call)
        return [str(found["id"]) async for page in pages for found in page.get("channels") or []]

    async def channel(self, channel_id: str) -> ChannelInfo:
        """A channel's kind, and whether the bot is in it."""
        call = partial(self._wire.reads.conversations_info, channel=channel_id)
        answer = await self._wire.read("conversations.info", call)
        return read_channel(channel_id, answer.get("channel") or {})
