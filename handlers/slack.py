"""Slack's door: every listener, Socket Mode or HTTP, and the check that it is Slack who is knocking.

`LISTENERS` is the table of contents. Whatever Slack sends is acknowledged, known or not: an interaction without an
acknowledgement shows the person a warning triangle. Facts about Bolt that shaped this are beside their lines.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot import cards
from bot.log import get_logger
from handlers import approvals, commands, home
from handlers.interactions import Ack, Body, Click, Command, Handle, Place, tell

if TYPE_CHECKING:
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
    from slack_bolt.async_app import AsyncApp

    from bot.context import Context

log = get_logger(__name__)

COMMAND = "/pmagent"
HOME_OPENED = "app_home_opened"
MAX_BODY = 2**20
MAX_AGE = 300
"""Seconds: older signatures are refused, as Slack's guide asks."""
PING_SECONDS = 5.0


async def _unknown(ctx: Context, ack: Ack, body: Body) -> None:
    """Whatever we have no listener for: acknowledged, so that nobody sees a warning triangle."""
    await ack()
    log.info("slack.unhandled", kind=body.get("type") or body.get("command"))


ACTION_LISTENERS: dict[str, Handle] = {
    **dict.fromkeys(cards.ACTIONS, approvals.button),
    cards.EDIT: approvals.edit,
    cards.RETRY_EVENT: approvals.retry,
}
VIEW_LISTENERS: dict[str, Handle] = {cards.EDIT_MODAL: approvals.edited}
COMMAND_LISTENERS: dict[str, Handle] = {COMMAND: commands.command}
EVENT_LISTENERS: dict[str, Handle] = {HOME_OPENED: home.opened}


class Running:
    """Listeners at work: held (asyncio holds tasks weakly), waited for at the end, and each interaction run once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seen: OrderedDict[str, None] = OrderedDict()

    def listener(self, handle: Handle, *, once: bool = False) -> Callable[..., Awaitable[None]]:
        """Bolt's listener around a handler of ours. `once`: a second delivery of the same interaction is only acked."""

        async def listen(ack: Ack, body: Body) -> None:
            if once and self._again(str(body.get("trigger_id") or "")):
                await ack()
                return
            task = asyncio.current_task()
            if task:
                self._tasks.add(task)
            try:
                await handle(self._ctx, ack, body)
            except Exception:
                log.exception("slack.listener_failed", kind=body.get("type") or body.get("command"))
                await ack()  # harmless when it was acknowledged already
                await self._apologise(body)
            finally:
                self._tasks.discard(task) if task else None

        return listen

    async def drain(self, seconds: float) -> None:
        """Wait for the listeners that are at work, at most so long."""
        waiting = {task for task in self._tasks if task is not asyncio.current_task()}
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    def _again(self, trigger_id: str) -> bool:
        if not trigger_id or trigger_id not in self._seen:
            self._seen[trigger_id] = None
            while len(self._seen) > 2000:
                self._seen.popitem(last=False)
            return False
        return bool(trigger_id)

    async def _apologise(self, body: Body) -> None:
        place: Place = Command.of(body).place if body.get("command") else Click.of(body).place
        if place.user:
            with suppress(Exception):  # the person hears of it if Slack lets us; the log has it either way
                await tell(self._ctx, place, "Something went wrong here, and it is in the log. Please try again.")


def build_bolt(ctx: Context) -> AsyncApp:
    """The Bolt app with every listener registered. Needs no network; `ctx.slack` must be started before it serves."""
    from slack_bolt.async_app import AsyncApp
    from slack_bolt.authorization import AuthorizeResult

    settings = ctx.settings
    running = Running(ctx)

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        # Bolt would ask auth.test at the first click; who we are is known since the start.
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id or ctx.slack.team_id,
            bot_token=settings.slack_bot_token.get_secret_value(),
            bot_id=ctx.slack.bot_id,
            bot_user_id=ctx.slack.bot_user_id,
        )

    secret = settings.slack_signing_secret
    bolt = AsyncApp(
        name="pm-agent",
        client=ctx.slack.client,
        signing_secret=secret.get_secret_value() if secret else "",
        authorize=authorize,
        logger=_bolt_logger(),
    )
    bolt._pmagent_running = running  # type: ignore[attr-defined]  # found again by `connect`
    for action_id, handle in ACTION_LISTENERS.items():
        bolt.action(action_id)(running.listener(handle, once=True))
    for callback_id, handle in VIEW_LISTENERS.items():
        bolt.view(callback_id)(running.listener(handle))
    for name, handle in COMMAND_LISTENERS.items():
        bolt.command(name)(running.listener(handle, once=True))
    for event, handle in EVENT_LISTENERS.items():
        bolt.event(event)(running.listener(handle))
    anything = re.compile(r".*", re.DOTALL)
    rest = running.listener(_unknown)
    for register in (bolt.action, bolt.view, bolt.command, bolt.shortcut, bolt.options, bolt.event):
        register(anything)(rest)
    bolt.view_closed(anything)(rest)
    return bolt


# HTTP mode


def verify(secret: str, timestamps: Sequence[str], signatures: Sequence[str], body: bytes, now: float) -> bool:
    """Whether Slack signed this body within the last five minutes. Never raises.

    Bolt's own verifier raises on a timestamp that is no number, a signature that is not ASCII and a body that is not
    UTF-8, which would be a 500; so this comes first.
    """
    if not secret or len(timestamps) != 1 or len(signatures) != 1:
        return False
    timestamp, signature = timestamps[0], signatures[0]
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not re.fullmatch(r"v0=[0-9a-f]{64}", signature):
        return False
    if abs(now - int(timestamp)) > MAX_AGE:
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    wanted = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest("v0=" + wanted, signature)


def http_route(ctx: Context, bolt: AsyncApp) -> Route:
    """`POST /webhooks/slack`: events, buttons, modals and commands over HTTP."""
    secret = ctx.settings.slack_signing_secret
    key = secret.get_secret_value() if secret else ""

    async def receive(request: Request) -> Response:
        from slack_bolt.adapter.starlette.async_handler import to_async_bolt_request, to_starlette_response

        body = await _bounded(request)
        if body is None:
            return JSONResponse({"error": "the body is too large"}, status_code=413)
        timestamps = request.headers.getlist("x-slack-request-timestamp")
        signatures = request.headers.getlist("x-slack-signature")
        # The wall clock: the timestamp is Slack's wall clock too.
        if not verify(key, timestamps, signatures, body, time.time()):
            return JSONResponse({"error": "the signature is absent, wrong or too old"}, status_code=401)
        try:
            bolt_request = to_async_bolt_request(request, body)
        except ValueError:
            return JSONResponse({"error": "not a payload of Slack's"}, status_code=400)
        return to_starlette_response(await bolt.async_dispatch(bolt_request))

    return Route("/webhooks/slack", receive, methods=["POST"], name="slack")


async def _bounded(request: Request) -> bytes | None:
    """The raw body, or None when it is over `MAX_BODY`, declared or not."""
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY:
        return None
    body = bytearray()
    with suppress(ClientDisconnect):
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return None
    return bytes(body)


# Socket Mode


class Socket:
    """The running Socket Mode connection. It comes back by itself, whatever happens to it."""

    def __init__(self, handler: AsyncSocketModeHandler, running: Running) -> None:
        self._handler = handler
        self._running = running
        self._tasks = (asyncio.create_task(_typed(handler.connect_async)), asyncio.create_task(self._watch()))

    @property
    def connected(self) -> bool:
        """Whether a socket is open now: what `/ready` says."""
        client = self._handler.client
        return not client.closed and not client.stale and client.current_session is not None and (
            not client.current_session.closed
        )  # fmt: skip

    async def close(self, seconds: float = 10.0) -> None:
        """Let what is being acknowledged get out, hang up, and wait for the listeners that are still at work."""
        await self._running.drain(min(2.5, seconds))
        for task in self._tasks:
            task.cancel()
        await _typed(self._handler.close_async)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._running.drain(seconds)

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

    def __init__(self, ctx: Context, running: Running) -> None:
        self._ctx = ctx
        self._running = running

    @property
    def connected(self) -> bool:
        """Whether Slack has told us who we are: only then can we answer."""
        return bool(self._ctx.slack.team_id)

    async def close(self, seconds: float = 10.0) -> None:
        """Wait for the listeners that are still at work."""
        await self._running.drain(seconds)


async def connect(ctx: Context, bolt: AsyncApp) -> Socket | Door:
    """Socket Mode: start connecting in the background and return at once; it never gives up, so look at `connected`.

    Must run in the loop that serves: the handler's constructor opens an aiohttp session. HTTP mode: nothing to connect.
    """
    if not ctx.settings.socket_mode:
        return Door(ctx, _running(bolt))
    from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler

    token = ctx.settings.slack_app_token
    handler = AsyncSocketModeHandler(
        bolt,
        token.get_secret_value() if token else "",
        ping_interval=PING_SECONDS,
        logger=logging.getLogger("slack_sdk"),
    )
    handler.client.proxy = ctx.slack.client.proxy  # it honours HTTPS_PROXY and not NO_PROXY; ours does
    return Socket(handler, _running(bolt))


async def _typed(call: Callable[..., Awaitable[None]]) -> None:
    # The SDK leaves these methods unannotated.
    await call()


def _running(bolt: AsyncApp) -> Running:
    found: Running = bolt._pmagent_running  # type: ignore[attr-defined]  # set by `build_bolt`
    return found


def _bolt_logger() -> logging.Logger:
    """Bolt's logger without its warnings about settings that we mean (a client with a token, and `authorize`)."""
    from slack_bolt.logger import messages

    meant = (messages.warning_client_prioritized_and_token_skipped(), messages.warning_token_skipped())

    class NotMeant(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            return record.getMessage() not in meant

    logger = logging.getLogger("slack_bolt")
    if not logger.filters:
        logger.addFilter(NotMeant())
    return logger
