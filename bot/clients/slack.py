"""The Slack client: post, update, find, answer one person, open a modal, look up who somebody is.

Two Web API clients share one session: reads are repeated by the SDK where that is harmless; writes never are, because a
repeated `chat.postMessage` is a second message. A write whose answer was lost raises `OutcomeUnknown`, and `find` tells
by the message's metadata whether it happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
from slack_sdk.errors import SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.web.async_client import AsyncWebClient

from bot.access.origin import Workspace
from bot.clients.slack_answers import TokenRefused, explained
from bot.clients.slack_pace import MAX_WAIT, SharedWritePace, WritePace
from bot.domain.issues import Frozen
from bot.errors import Permanent, PMAgentError, RetryLater
from bot.log import get_logger
from bot.rules.policy import SlackUser
from bot.safety import tidy

if TYPE_CHECKING:
    from bot.cards import Message
    from bot.clock import Clock
    from bot.domain.leases import Begin, Deadline
    from bot.settings import Settings
    from bot.store import Store

log = get_logger(__name__)

PACES: dict[str, tuple[int, float]] = {"chat.postMessage": (5, 1.0), "chat.update": (30, 50 / 60)}
"""Writes at once, and then a second, that are sent to a channel: Slack's own limits, and a little below its bursts."""
CALL_SECONDS = 15.0
"""How long one call may take."""
FAILED = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)
MAX_PAGES = 50
SKEW = 3600.0
"""Seconds by which our clock and Slack's may differ when a message is looked for by time."""
_send_by: ContextVar[Deadline | None] = ContextVar("_send_by", default=None)
"""By when the request that is under way has to leave."""


class ChannelInfo(Frozen):
    """What `conversations.info` says. `is_shared`: with another organisation (Slack Connect)."""

    id: str
    name: str
    is_private: bool
    is_member: bool
    is_shared: bool
    is_archived: bool


class SlackConnection(Protocol):
    """How Slack reaches us, as `handlers.slack.connect` gives it: set by `bot.app`, asked by `/ready`."""

    @property
    def connected(self) -> bool: ...

    async def close(self, seconds: float = 3.0) -> None: ...


class Slack:
    """See the module's docstring. `start()` first: it opens the session and learns who we are (`home` last of all).

    All verbs raise `RetryLater` (with `after` where Slack said so), `Permanent` (the request is wrong in itself;
    Slack's code stands in `reason`), and `Gone` (no such user or group); `post` raises `OutcomeUnknown` as well.
    """

    def __init__(self, settings: Settings, shared: tuple[Store, Clock] | None = None) -> None:
        """`shared`: where the pace is kept over all processes; None: this one is alone."""
        self._session: aiohttp.ClientSession | None = None
        self._shared = shared
        self._paces: dict[tuple[str, str], WritePace] = {}
        self.bot_user_id = ""
        self.bot_id = ""
        self.team_id = ""
        self.home: Workspace | None = None
        self._settings = settings
        self._app: str | None = None
        self.team_url = ""
        self.scopes: frozenset[str] = frozenset()
        self.connection: SlackConnection | None = None
        token, base = settings.slack_bot_token.get_secret_value(), settings.slack_api_url
        self.client = AsyncWebClient(token, base_url=base, retry_handlers=[])
        self._reads = AsyncWebClient(
            token,
            base_url=base,
            retry_handlers=[
                AsyncConnectionErrorRetryHandler(max_retry_count=1),
                AsyncRateLimitErrorRetryHandler(max_retry_count=1),
                AsyncServerErrorRetryHandler(max_retry_count=1),
            ],
        )
        if proxy_bypass(urlsplit(base).hostname or ""):
            # The SDK honours HTTPS_PROXY and not NO_PROXY.
            self.client.proxy = self._reads.proxy = None

    async def start(self) -> None:
        """Open the session and ask Slack who we are.

        Raises `Permanent` for a token that is refused or not a bot's, else `RetryLater`.
        """
        if self._session is None or self._session.closed:
            limits = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5.0)
            self._session = aiohttp.ClientSession(timeout=limits, trace_configs=[_watching_the_clock()])
            self.client.session = self._reads.session = self._session
        try:
            me = await self._read("auth.test", self.client.auth_test)
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
            answer = await self._read("bots.info", lambda: self._reads.bots_info(bot=self.bot_id))
        except PMAgentError as error:
            log.warning("slack.app_unknown", reason=str(error))
            return None
        return str((answer.get("bot") or {}).get("app_id") or "") or None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    # Messages

    async def post(self, channel: str, message: Message, begin: Begin | None = None) -> str:
        """Post a message, return its `ts`. Nothing in it unfurls. Raises `OutcomeUnknown` when the answer was lost.

        `begin` is called when its turn has come.
        """
        answer = await self._write("chat.postMessage", _body(channel, message), begin)
        return str(answer["ts"])

    async def update(
        self, channel: str, ts: str, message: Message, begin: Begin | None = None, *, patient: bool = False
    ) -> None:
        """Replace a message of ours. Doing it twice is harmless, so a lost answer is `RetryLater`.

        `patient`: it leaves room for those of others that are wanted at once.
        """
        await self._write("chat.update", {"ts": ts, **_body(channel, message)}, begin, patient=patient)

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
        call = partial(self._reads.conversations_history, channel=channel, include_all_metadata=True, limit=200)
        async for page in self._pages("conversations.history", call, pages):
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
            if by_url and not (response_url and self._is_slacks(response_url)):
                continue
            try:
                if by_url:
                    await self._respond(str(response_url), message, replace=replace)
                else:
                    body = _body(channel, message)
                    for name in ("metadata", "unfurl_links", "unfurl_media"):
                        body.pop(name, None)
                    await self._call("chat.postEphemeral", self.client, {"user": user, **body}, write=True)
            except PMAgentError as error:
                log.warning("slack.whisper_failed", by="response_url" if by_url else "ephemeral", reason=str(error))
            else:
                return True
        return False

    async def open_modal(self, trigger_id: str, view: dict[str, Any]) -> str:
        """Open a modal (within 3 s of the click) and return the view's id."""
        answer = await self._call("views.open", self.client, {"trigger_id": trigger_id, "view": view}, write=True)
        return str((answer.get("view") or {}).get("id") or "")

    async def publish_home(self, user: str, view: dict[str, Any]) -> None:
        """Show the home tab to this person."""
        await self._call("views.publish", self.client, {"user_id": user, "view": view}, write=False)

    # People and places

    async def user(self, user_id: str) -> SlackUser:
        """The account as Slack knows it now. Raises `Gone` for an id that this workspace does not know."""
        answer = await self._read("users.info", lambda: self._reads.users_info(user=user_id))
        found = answer.get("user") or {}
        profile = found.get("profile") or {}
        # The full name: a record of who decided should still say who that was in a year.
        name = profile.get("real_name") or found.get("real_name") or profile.get("display_name") or found.get("name")
        teams = (found.get("enterprise_user") or {}).get("teams") or []
        team = str(found.get("team_id") or "")
        return SlackUser(
            id=str(found.get("id") or ""),
            name=tidy(str(name or "somebody"))[:80] or "somebody",
            # On an Enterprise Grid an account has a home of its own and is a member of several workspaces.
            team_id=self.team_id if self.team_id in teams else team,
            deleted=bool(found.get("deleted")),
            is_bot=bool(found.get("is_bot") or found.get("is_workflow_bot")) or found.get("id") == "USLACKBOT",
            is_guest=bool(found.get("is_restricted") or found.get("is_ultra_restricted")),
            is_stranger=bool(found.get("is_stranger")),
        )

    async def group_members(self, group_id: str) -> frozenset[str]:
        """The members of a user group (paid plans only)."""
        answer = await self._read(
            "usergroups.users.list", lambda: self._reads.usergroups_users_list(usergroup=group_id)
        )
        return frozenset(str(user) for user in answer.get("users") or [])

    async def channel_members(self, channel_id: str) -> frozenset[str]:
        """Everybody in a channel, bots too."""
        call = partial(self._reads.conversations_members, channel=channel_id, limit=1000)
        return frozenset(
            [
                str(user)
                async for page in self._pages("conversations.members", call)
                for user in page.get("members") or []
            ]
        )

    async def own_channels(self) -> list[str]:
        """The channels that the bot is in, also archived ones."""
        call = partial(self._reads.users_conversations, types="public_channel,private_channel", limit=200)
        pages = self._pages("users.conversations", call)
        return [str(found["id"]) async for page in pages for found in page.get("channels") or []]

    async def channel(self, channel_id: str) -> ChannelInfo:
        """A channel's kind, and whether the bot is in it."""
        answer = await self._read("conversations.info", lambda: self._reads.conversations_info(channel=channel_id))
        found = answer.get("channel") or {}
        return ChannelInfo(
            id=channel_id,
            name=str(found.get("name") or ""),
            is_private=bool(found.get("is_private")),
            is_member=bool(found.get("is_member")),
            is_shared=bool(found.get("is_ext_shared") or found.get("is_pending_ext_shared")),
            is_archived=bool(found.get("is_archived")),
        )

    # How

    async def _read(self, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await call()
        except FAILED as error:
            raise explained(error, method, write=False) from error

    async def _pages(
        self, method: str, call: Callable[..., Awaitable[Any]], pages: int = MAX_PAGES
    ) -> AsyncIterator[Any]:
        cursor = ""
        for _ in range(pages):
            page = await self._read(method, partial(call, cursor=cursor) if cursor else call)
            yield page
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break

    async def _call(
        self, method: str, client: AsyncWebClient, body: dict[str, Any], *, write: bool, by: Deadline | None = None
    ) -> Any:
        if self._session is None or self._session.closed:
            raise RetryLater("the connection to Slack is closed")
        if by:
            by.check()
        token = _send_by.set(by)
        try:
            async with asyncio.timeout(max(by.left(), 0.0) if by else None):
                return await client.api_call(method, json=body)
        except FAILED as error:
            raise explained(error, method, write=write) from error
        finally:
            _send_by.reset(token)

    async def _write(self, method: str, body: dict[str, Any], begin: Begin | None, *, patient: bool = False) -> Any:
        """One write in its pace. A 429 is waited out in place, so that what comes after stays after."""
        pace = self._paces.get((method, body["channel"]))
        if pace is None:
            name, (burst, rate) = f"pace:{method}:{body['channel']}", PACES[method]
            pace = SharedWritePace(burst, name, *self._shared, rate) if self._shared else WritePace(burst, rate)
            self._paces[method, body["channel"]] = pace
        if patient:
            await pace.room()
        async with pace.lock:
            end = time.monotonic() + MAX_WAIT
            while True:
                await pace.turn()
                by = await begin() if begin else None
                try:
                    return await self._call(method, self.client, body, write=method == "chat.postMessage", by=by)
                except RetryLater as error:
                    if error.after is None:
                        raise
                    await pace.wait(error.after)
                    if time.monotonic() + error.after > end:
                        raise

    def _is_slacks(self, url: str) -> bool:
        """Whether an address in a payload is one at which Slack listens: an answer may hold what is not for others."""
        found = urlsplit(url)
        if found.hostname == urlsplit(self.client.base_url).hostname:
            return True
        return found.scheme == "https" and (found.hostname or "").endswith((".slack.com", ".slack-gov.com"))

    async def _respond(self, url: str, message: Message, *, replace: bool = False) -> None:
        body = {
            "response_type": "ephemeral",
            "replace_original": replace,
            "text": message.text,
            "blocks": message.blocks,
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if self._session is None or self._session.closed:
            raise RetryLater("the connection to Slack is closed")
        try:
            async with self._session.post(url, json=body, proxy=self.client.proxy) as answer:
                if answer.status >= 400:
                    raise RetryLater(f"Slack's response_url answered {answer.status}", nothing_sent=False)
                with suppress(aiohttp.ClientError):
                    await answer.read()
        except FAILED as error:
            raise explained(error, "response_url", write=False) from error


def _watching_the_clock() -> aiohttp.TraceConfig:
    """Looks at a request's deadline on the open connection, before its first byte leaves."""

    async def look(*_: object) -> None:
        if by := _send_by.get():
            by.check()

    watching = aiohttp.TraceConfig()
    watching.on_request_headers_sent.append(look)
    return watching


def _body(channel: str, message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {
        "channel": channel,
        "text": message.text,
        "blocks": message.blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if message.metadata:
        body["metadata"] = message.metadata
    return body
