"""How Slack reaches us, as one handle: a Socket Mode connection that comes back by itself, or the HTTP door."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.log import get_logger
from handlers.slack.decoding import MalformedInteraction, read_json

if TYPE_CHECKING:
    from slack_bolt.response import BoltResponse
    from slack_sdk.web.async_client import AsyncWebClient

log = get_logger(__name__)

Admit = Callable[[object], Awaitable["BoltResponse"]]
"""Takes a payload as it came, and gives the answer to it. Raises `handlers.slack.decoding.MalformedInteraction`."""
PING_SECONDS = 5.0
CONNECT_TIMEOUT = 6.0
"""For the socket's handshake. aiohttp's own five minutes would be five minutes in which every click fails."""
HANG_UP_SECONDS = 1.5
"""For Slack to say goodbye too: a socket that is silent would never."""
CLOSE_SECONDS = 3.0
"""For listeners at SIGTERM: what they decided is in the store already, only a private answer may be lost."""
Drain = Callable[[float], Awaitable[None]]
"""Waits at most so many seconds for the listeners that are at work."""


class Client(SocketModeClient):
    """The SDK's client, with a door of ours: what its own would raise on is acknowledged and is one line in the log."""

    def __init__(self, admit: Admit, know_app: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._admit = admit
        self._know_app = know_app
        self._receiving: set[asyncio.Task[None]] = set()

    async def process_message(self) -> None:
        """Take the next message from the queue. Envelopes are ours; the rest (hello, disconnect) is the SDK's."""
        raw = await self.message_queue.get()
        try:
            message = read_json(raw or "{}")
            if not isinstance(message, dict):
                raise MalformedInteraction("the message is not an object")
        except MalformedInteraction as error:
            log.warning("slack.malformed", reason=str(error))
            return
        if message.get("type") == "hello":
            self._greeted(message)
        envelope_id = message.get("envelope_id")
        work = self._receive(envelope_id, message.get("payload")) if isinstance(envelope_id, str) else (
            self.run_message_listeners(message, raw)
        )  # fmt: skip
        task = asyncio.create_task(work)
        self._receiving.add(task)
        task.add_done_callback(self._receiving.discard)

    def _greeted(self, hello: dict[str, Any]) -> None:
        told = hello.get("connection_info")
        app = told.get("app_id") if isinstance(told, dict) else None
        if isinstance(app, str) and app:
            self._know_app(app)

    async def _receive(self, envelope_id: str, payload: object) -> None:
        from slack_bolt.adapter.socket_mode.async_internals import send_async_response
        from slack_bolt.response import BoltResponse

        try:
            answer = await self._admit(payload)
        except MalformedInteraction as error:
            log.warning("slack.malformed", reason=str(error), user=error.user)
            answer = BoltResponse(status=200)
        request = SocketModeRequest(type="", envelope_id=envelope_id, payload={})
        try:
            await send_async_response(self, request, answer, time.time())
        except Exception as error:  # the socket has gone: the SDK and aiohttp raise whatever they have
            log.warning("slack.not_acknowledged", reason=type(error).__name__)


class FailureFilter(logging.Filter):
    """Keeps the SDK's reports of a connection that failed out of the log: it tells each attempt, with a traceback.

    `reason`: the last one, in words, for the one line that `Socket` writes when the connection is lost.
    """

    reason = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is worth a line of its own. The SDK reports within its `except`, with the error at hand or not."""
        from slack_sdk.errors import SlackApiError

        error = (record.exc_info[1] if record.exc_info else None) or sys.exc_info()[1]
        if isinstance(error, SlackApiError):
            self.reason = f"Slack does not open a connection ({error.response.get('error') or 'no reason given'})"
        elif isinstance(error, OSError | TimeoutError | ClientError):
            self.reason = f"no connection ({type(error).__name__})"
        return not isinstance(error, SlackApiError | OSError | TimeoutError | ClientError)


class Socket:
    """The running Socket Mode connection. It comes back by itself, whatever happens to it."""

    def __init__(self, client: Client, drain: Drain, trouble: FailureFilter) -> None:
        self._client = client
        self._drain = drain
        self._trouble = trouble
        self._tasks = (asyncio.create_task(self._connect()), asyncio.create_task(self._watch()))

    @property
    def connected(self) -> bool:
        """Whether a socket is open now: what `/ready` says."""
        client = self._client
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
                await _typed(self._client.close)
        await self._client.aiohttp_client_session.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._drain(max(0.0, end - asyncio.get_running_loop().time()))

    async def _connect(self) -> None:
        client = self._client
        await client.aiohttp_client_session.close()
        client.aiohttp_client_session = ClientSession(timeout=ClientTimeout(total=CONNECT_TIMEOUT))
        await _typed(client.connect)

    async def _watch(self) -> None:
        """Have a fresh address asked for when connecting fails: the SDK would go on with the old one, whose ticket
        serves once. And say so in the log when the connection is lost, and when it is there again."""
        client, down, lost = self._client, 0, False
        while True:
            await asyncio.sleep(PING_SECONDS)
            down = 0 if self.connected else down + 1
            if down >= 2:
                client.wss_uri = None
                if not lost:
                    lost = True
                    log.warning("slack.disconnected", reason=self._trouble.reason or "closed", next_try_in=PING_SECONDS)
            elif lost and not down:
                lost = False
                log.info("slack.connected")


class HttpMode:
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


def open_socket(
    admit: Admit, know_app: Callable[[str], None], app_token: str, web: AsyncWebClient, drain: Drain
) -> Socket:
    """Start connecting. Must run in the loop that serves: the SDK's constructor opens an aiohttp session.

    `know_app` is told the app's id at each connection.
    """
    logger, trouble = logging.getLogger("slack_sdk.socket"), FailureFilter()
    logger.filters[:] = [trouble]
    client = Client(admit, know_app, app_token=app_token, web_client=web, ping_interval=PING_SECONDS, logger=logger)
    client.proxy = web.proxy  # the SDK would take it from the environment, without NO_PROXY
    return Socket(client, drain, trouble)


async def _typed(call: Callable[..., Awaitable[None]]) -> None:
    # The SDK leaves these methods unannotated.
    await call()
