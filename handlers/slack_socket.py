"""How Slack reaches us, as one handle: a Socket Mode connection that comes back by itself, or the HTTP door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import ClientSession, ClientTimeout

if TYPE_CHECKING:
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
    from slack_bolt.async_app import AsyncApp

PING_SECONDS = 5.0
CONNECT_SECONDS = 6.0
"""For the socket's handshake. aiohttp's own five minutes would be five minutes in which every click fails."""
HANG_UP_SECONDS = 1.5
"""For Slack to say goodbye too: a socket that is silent would never."""
CLOSE_SECONDS = 3.0
"""For listeners at SIGTERM: what they decided is in the store already, only a private answer may be lost."""
Drain = Callable[[float], Awaitable[None]]
"""Waits at most so many seconds for the listeners that are at work."""


class Socket:
    """The running Socket Mode connection. It comes back by itself, whatever happens to it."""

    def __init__(self, handler: AsyncSocketModeHandler, drain: Drain) -> None:
        self._handler = handler
        self._drain = drain
        self._tasks = (asyncio.create_task(self._connect()), asyncio.create_task(self._watch()))

    @property
    def connected(self) -> bool:
        """Whether a socket is open now: what `/ready` says."""
        client = self._handler.client
        return not client.closed and not client.stale and client.current_session is not None and (
            not client.current_session.closed
        )  # fmt: skip

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Let what is being acknowledged get out, hang up, and wait for the listeners that are still at work."""
        end = asyncio.get_running_loop().time() + seconds
        await self._drain(min(2.5, seconds))
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_SECONDS):
                await _typed(self._handler.close_async)
        await self._handler.client.aiohttp_client_session.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._drain(max(0.0, end - asyncio.get_running_loop().time()))

    async def _connect(self) -> None:
        client = self._handler.client
        await client.aiohttp_client_session.close()
        client.aiohttp_client_session = ClientSession(timeout=ClientTimeout(total=CONNECT_SECONDS))
        await _typed(self._handler.connect_async)

    async def _watch(self) -> None:
        """Have a fresh address asked for when connecting fails: the SDK would go on with the old one, whose ticket
        serves once."""
        client, down = self._handler.client, 0
        while True:
            await asyncio.sleep(PING_SECONDS)
            down = 0 if self.connected else down + 1
            if down >= 2:
                client.wss_uri = None


class Door:
    """HTTP mode: nothing to hold open. Slack comes to us as long as the sidecar serves."""

    def __init__(self, drain: Drain, known: Callable[[], bool]) -> None:
        self._drain = drain
        self._known = known

    @property
    def connected(self) -> bool:
        """Whether Slack has told us who we are: only then can we answer."""
        return self._known()

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Wait for the listeners that are still at work."""
        await self._drain(seconds)


def open_socket(bolt: AsyncApp, app_token: str, proxy: str | None, drain: Drain) -> Socket:
    """Start connecting. `proxy`: the one for Slack, with NO_PROXY already honoured (the SDK does not)."""
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

    logger = logging.getLogger("slack_sdk")
    handler = AsyncSocketModeHandler(bolt, app_token, ping_interval=PING_SECONDS, logger=logger)
    handler.client.proxy = proxy
    return Socket(handler, drain)


async def _typed(call: Callable[..., Awaitable[None]]) -> None:
    # The SDK leaves these methods unannotated.
    await call()
