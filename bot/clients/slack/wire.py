"""One request to Slack and its answer: the two Web API clients, the session, the pace, the deadline, the errors.

The SDK repeats reads, where that is harmless, and never writes: a repeated `chat.postMessage` is a second message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any
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

from bot.clients.slack.errors import explained
from bot.clients.slack.pace import MAX_WAIT, SharedWritePace, WritePace
from bot.errors import RetryLater

if TYPE_CHECKING:
    from bot.cards import Message
    from bot.clock import Clock
    from bot.domain.leases import Begin, Deadline
    from bot.settings import Settings
    from bot.store import Store

PACES: dict[str, tuple[int, float]] = {"chat.postMessage": (5, 1.0), "chat.update": (30, 50 / 60)}
"""Writes at once, and then a second, that are sent to a channel: Slack's own limits, and a little below its bursts."""
CALL_SECONDS = 15.0
"""How long one call may take."""
FAILED = (SlackClientError, aiohttp.ClientError, TimeoutError, OSError)
MAX_PAGES = 50
_send_by: ContextVar[Deadline | None] = ContextVar("_send_by", default=None)
"""By when the request that is under way has to leave."""


class SlackWire:
    """Requests to one workspace with one token. `open` first."""

    def __init__(self, settings: Settings, shared: tuple[Store, Clock] | None) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._shared = shared
        self._paces: dict[tuple[str, str], WritePace] = {}
        token, base = settings.slack_bot_token.get_secret_value(), settings.slack_api_url
        self.client = AsyncWebClient(token, base_url=base, retry_handlers=[])
        self.reads = AsyncWebClient(
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
            self.client.proxy = self.reads.proxy = None

    async def open(self) -> None:
        """Open the session that both clients share."""
        if self._session is None or self._session.closed:
            limits = aiohttp.ClientTimeout(total=CALL_SECONDS, connect=5.0)
            self._session = aiohttp.ClientSession(timeout=limits, trace_configs=[_deadline_check()])
            self.client.session = self.reads.session = self._session

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def read(self, method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """What the call of a read method gives; its errors become ours."""
        try:
            return await call()
        except FAILED as error:
            raise explained(error, method, write=False) from error

    async def pages(
        self, method: str, call: Callable[..., Awaitable[Any]], pages: int = MAX_PAGES
    ) -> AsyncIterator[Any]:
        """The pages of a read method that answers with a cursor."""
        cursor = ""
        for _ in range(pages):
            page = await self.read(method, partial(call, cursor=cursor) if cursor else call)
            yield page
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break

    async def call(self, method: str, body: dict[str, Any], *, write: bool, by: Deadline | None = None) -> Any:
        """One call that is not repeated. `write`: doing it twice would show. `by`: by when it has to be done."""
        if self._session is None or self._session.closed:
            raise RetryLater("the connection to Slack is closed")
        if by:
            by.check()
        token = _send_by.set(by)
        try:
            async with asyncio.timeout(max(by.left(), 0.0) if by else None):
                return await self.client.api_call(method, json=body)
        except FAILED as error:
            raise explained(error, method, write=write) from error
        finally:
            _send_by.reset(token)

    async def write(self, method: str, body: dict[str, Any], begin: Begin | None, *, patient: bool = False) -> Any:
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
                    return await self.call(method, body, write=method == "chat.postMessage", by=by)
                except RetryLater as error:
                    if error.after is None:
                        raise
                    await pace.wait(error.after)
                    if time.monotonic() + error.after > end:
                        raise

    def is_slacks(self, url: str) -> bool:
        """Whether an address in a payload is one at which Slack listens: an answer may hold what is not for others."""
        found = urlsplit(url)
        if found.hostname == urlsplit(self.client.base_url).hostname:
            return True
        return found.scheme == "https" and (found.hostname or "").endswith((".slack.com", ".slack-gov.com"))

    async def respond(self, url: str, message: Message, *, replace: bool = False) -> None:
        """Answer one person at an interaction's `response_url`."""
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


def _deadline_check() -> aiohttp.TraceConfig:
    """Checks a request's deadline on the open connection, before its first byte leaves."""

    async def look(*_: object) -> None:
        if by := _send_by.get():
            by.check()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(look)
    return config


def message_body(channel: str, message: Message) -> dict[str, Any]:
    """The arguments of `chat.postMessage`. Nothing in it unfurls."""
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
