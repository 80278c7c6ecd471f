"""The Slack listeners: all of them in one table, and Bolt's app around them.

A payload is parsed (`interactions`), Bolt calls its listener, and the listener calls a handler if the payload is from
our own app in our own workspace (`bot.access.origin`). Whatever Slack sends is acknowledged, known or not: an
interaction without an acknowledgement shows the person a warning triangle. How Slack reaches us is in `http` and
`connection`. Facts about Bolt stand beside their lines.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from starlette.routing import Route

from bot import cards
from bot.access.origin import foreign
from bot.log import get_logger
from handlers.slack import approvals, home, learning
from handlers.slack.connection import Admit, HttpMode, Socket, open_socket
from handlers.slack.decoding import MalformedInteraction, parse_payload
from handlers.slack.http import route
from handlers.slack.interactions import Ack, Interaction, SlackEvent, Submission
from handlers.slack.private_answers import record, refuse, tell
from handlers.slash_command import dispatch

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp
    from slack_bolt.response import BoltResponse

    from bot.context import Context

log = get_logger(__name__)

COMMAND = "/pmagent"
HOME_OPENED = "app_home_opened"
PARSED = "parsed"
"""Where a listener finds in Bolt's context what was parsed."""
SORRY = "Something went wrong here, and it is in the log. Please try again."

Handle = Callable[["Context", Ack, Any], Awaitable[None]]
"""A handler of ours, given what its listener is for: it acknowledges first, and only then does what may take time."""


async def _unknown(ctx: Context, ack: Ack, seen: Interaction) -> None:
    """Whatever we have no listener for: acknowledged, so that nobody sees a warning triangle."""
    await ack()
    log.info("slack.unhandled", what=seen.attempt[0])


ACTION_LISTENERS: dict[str, Handle] = {
    **dict.fromkeys(cards.ACTIONS, approvals.press),
    cards.EDIT: approvals.edit,
    cards.RETRY_EVENT: approvals.retry,
    **dict.fromkeys(cards.REASONS, learning.reason),
    cards.FORGET: learning.forget_one,
    **dict.fromkeys((cards.ACCEPT_CHANGE, cards.DECLINE_CHANGE), learning.proposal),
}
VIEW_LISTENERS: dict[str, Handle] = {cards.EDIT_MODAL: approvals.edited}
COMMAND_LISTENERS: dict[str, Handle] = {COMMAND: dispatch.command}
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

        async def listen(ack: Ack, context: dict[str, Any]) -> None:
            seen: Interaction = context[PARSED]
            task = asyncio.current_task()
            if task:
                self._tasks.add(task)
            try:
                if reason := foreign(seen.origin, self._ctx.slack.home):
                    await self._turn_away(ack, seen, reason)
                else:
                    await handle(self._ctx, ack, seen)
            except Exception:
                log.exception("slack.listener_failed", what=seen.attempt[0])
                await self._apologise(ack, seen)
            finally:
                if task:
                    self._tasks.discard(task)

        return listen

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have this done beside the answer, which does not wait for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Wait for the listeners that are at work, at most so long."""
        waiting = {task for task in self._tasks if task is not asyncio.current_task()}
        if waiting:
            await asyncio.wait(waiting, timeout=seconds)

    async def _turn_away(self, ack: Ack, seen: Interaction, reason: str) -> None:
        await _acknowledge(ack, seen, reason)
        await refuse(self._ctx, seen, reason, told=isinstance(seen, Submission | SlackEvent))

    async def _apologise(self, ack: Ack, seen: Interaction) -> None:
        """Acknowledge what was not (twice is harmless), and say so."""
        await _acknowledge(ack, seen, SORRY)
        if seen.place.user and not isinstance(seen, Submission | SlackEvent):
            with suppress(Exception):  # the person hears of it if Slack lets us; the log has it either way
                await tell(self._ctx, seen.place, SORRY)


async def _acknowledge(ack: Ack, seen: Interaction, reason: str) -> None:
    """Acknowledge what is not carried out. A modal stays open, with the reason under what was typed."""
    if isinstance(seen, Submission):
        await ack(response_action="errors", errors={cards.TEXT_BLOCK: reason})
    else:
        await ack()


def build_bolt(ctx: Context) -> AsyncApp:
    """The Bolt app with every listener registered. Needs no network; `ctx.slack` must be started before it serves."""
    from slack_bolt.async_app import AsyncApp
    from slack_bolt.authorization import AuthorizeResult

    running = Running(ctx)

    async def authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
        # Bolt would ask auth.test at the first click; who we are is known since the start.
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id or ctx.slack.team_id,
            bot_token=ctx.settings.slack_bot_token.get_secret_value(),
            bot_id=ctx.slack.bot_id,
            bot_user_id=ctx.slack.bot_user_id,
        )

    bolt = AsyncApp(
        name="pm-agent",
        client=ctx.slack.client,
        request_verification_enabled=False,  # `http.verify` has done it
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


def admission(ctx: Context, bolt: AsyncApp) -> Admit:
    """What takes every payload, from the socket and over HTTP: parse it, have Bolt call its listener, give the answer.

    Bolt is given what was parsed and nothing else, so that nothing in a payload can surprise it. `socket_mode` is its
    name for a request that is parsed, and known to be Slack's, already.
    """

    async def admit(payload: object) -> BoltResponse:
        from slack_bolt.request.async_request import AsyncBoltRequest

        try:
            parsed = parse_payload(payload)
        except MalformedInteraction as error:
            if error.user:
                _RUNNING[bolt].begin(record(ctx, None, "malformed", error.user, "The payload was malformed."))
            raise
        body = parsed.model_dump(exclude_none=True)
        return await bolt.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode", context={PARSED: parsed}))

    return admit


def http_route(ctx: Context, bolt: AsyncApp) -> Route:
    """`POST /webhooks/slack`, for HTTP mode."""
    secret = ctx.settings.slack_signing_secret
    return route(admission(ctx, bolt), secret.get_secret_value() if secret else "")


async def connect(ctx: Context, bolt: AsyncApp) -> Socket | HttpMode:
    """Socket Mode: start connecting in the background and return at once; it never gives up, so look at `connected`.

    Must run in the loop that serves. HTTP mode: nothing to connect.
    """
    token, running = ctx.settings.slack_app_token, _RUNNING[bolt]
    if token is None:
        return HttpMode(running.drain, lambda: ctx.slack.home is not None)
    return open_socket(
        admission(ctx, bolt), ctx.slack.know_app, token.get_secret_value(), ctx.slack.client, running.drain
    )


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
