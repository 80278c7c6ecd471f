"""Slack's door: every listener in one table, and Bolt's app around them.

Whatever Slack sends is acknowledged, known or not: an interaction without an acknowledgement shows the person a warning
triangle. How Slack reaches us is in `slack_http` and `slack_socket`. Facts about Bolt stand beside their lines.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from starlette.routing import Route

from bot import cards
from bot.log import get_logger
from handlers import approvals, commands, home
from handlers.interactions import Ack, Body, Click, Command, Handle, tell
from handlers.slack_http import route
from handlers.slack_socket import Door, Socket, open_socket

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

    from bot.context import Context

log = get_logger(__name__)

COMMAND = "/pmagent"
HOME_OPENED = "app_home_opened"
SORRY = "Something went wrong here, and it is in the log. Please try again."


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
    """Listeners at work: held (asyncio holds tasks weakly), and waited for at the end."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._tasks: set[asyncio.Task[Any]] = set()

    def listener(self, handle: Handle) -> Callable[..., Awaitable[None]]:
        """Bolt's listener around a handler of ours.

        The same interaction may be delivered twice and then runs twice: what a handler does is compare and set.
        """

        async def listen(ack: Ack, body: Body) -> None:
            task = asyncio.current_task()
            if task:
                self._tasks.add(task)
            try:
                await handle(self._ctx, ack, body)
            except Exception:
                log.exception("slack.listener_failed", kind=body.get("type") or body.get("command"))
                await self._apologise(ack, body)
            finally:
                if task:
                    self._tasks.discard(task)

        return listen

    async def drain(self, seconds: float) -> None:
        """Wait for the listeners that are at work, at most so long."""
        waiting = {task for task in self._tasks if task is not asyncio.current_task()}
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    async def _apologise(self, ack: Ack, body: Body) -> None:
        """Acknowledge what was not (twice is harmless), without closing a modal over what was typed; and say so."""
        if body.get("type") == "view_submission":
            await ack(response_action="errors", errors={cards.TEXT_BLOCK: SORRY})
            return
        await ack()
        place = Command.of(body).place if body.get("command") else Click.of(body).place
        if place.user:
            with suppress(Exception):  # the person hears of it if Slack lets us; the log has it either way
                await tell(self._ctx, place, SORRY)


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
    _RUNNING[bolt] = running
    for action_id, handle in ACTION_LISTENERS.items():
        bolt.action(action_id)(running.listener(handle))
    for callback_id, handle in VIEW_LISTENERS.items():
        bolt.view(callback_id)(running.listener(handle))
    for name, handle in COMMAND_LISTENERS.items():
        bolt.command(name)(running.listener(handle))
    for event, handle in EVENT_LISTENERS.items():
        bolt.event(event)(running.listener(handle))
    anything = re.compile(r".*", re.DOTALL)
    rest = running.listener(_unknown)
    for register in (bolt.action, bolt.view, bolt.command, bolt.shortcut, bolt.options, bolt.event):
        register(anything)(rest)
    bolt.view_closed(anything)(rest)
    return bolt


def http_route(ctx: Context, bolt: AsyncApp) -> Route:
    """`POST /webhooks/slack`, for HTTP mode."""
    secret = ctx.settings.slack_signing_secret
    return route(bolt, secret.get_secret_value() if secret else "")


async def connect(ctx: Context, bolt: AsyncApp) -> Socket | Door:
    """Socket Mode: start connecting in the background and return at once; it never gives up, so look at `connected`.

    Must run in the loop that serves: the handler's constructor opens an aiohttp session. HTTP mode: nothing to connect.
    """
    token, running = ctx.settings.slack_app_token, _RUNNING[bolt]
    if token is None:
        return Door(running.drain, lambda: bool(ctx.slack.team_id))
    return open_socket(bolt, token.get_secret_value(), ctx.slack.client.proxy, running.drain)


_RUNNING: WeakKeyDictionary[AsyncApp, Running] = WeakKeyDictionary()


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
