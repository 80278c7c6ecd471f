"""The HTTP server: uvicorn, whose owner handles the signals and whose connections have deadlines and a cap.

It owns no signals: uvicorn's `serve` catches SIGTERM, drains, and raises it again, so that a clean stop ends in exit
143. Here `bot.app` owns them. It calls `stop_intake` at the signal, and sets `should_exit` when the work is done: in
between the door stays open and says 503 to a delivery, which its sender brings again, instead of refusing connections.

How long a request may take to arrive is in `bot.http.protocol`. And there are never more connections than the process
has files for (`bot.http.connections`): uvicorn's own limit refuses the newest, and then whoever came first and sends
nothing keeps everybody else out.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.errors import UserError
from bot.http.connections import BACKLOG, MAX_CONNECTIONS, ConnectionLimit
from bot.http.limits import RequestRefused
from bot.http.protocol import RETRY_STOPPED, SECONDS, Protocol

WAITING = 2048
"""Connections that wait in the kernel until they are accepted: an early one waits instead of being refused."""


class Draining:
    """The application while the program stops: deliveries are refused, everything else is served once more.

    A click over HTTP is served: it is one write to the store, and Slack does not bring it again.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.startswith("/webhooks/") and path != "/webhooks/slack":
            while (message := await receive()).get("more_body"):
                pass  # who is answered before they have sent all may never read it
            if message["type"] != "http.disconnect":
                answer = RequestRefused(503, "the program is stopping", RETRY_STOPPED).answer(close=True)
                await answer(scope, receive, send)
            return

        async def last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, last)


class Server(uvicorn.Server):
    """A server whose owner handles the signals: `stop_intake`, then set `should_exit`."""

    def stop_intake(self) -> None:
        """From now on deliveries are answered 503, on open connections and on new ones. Requests under way go on."""
        if not self.config.loaded:  # it has not begun to serve
            self.should_exit = True
            return
        draining = Draining(cast(ASGIApp, self.config.loaded_app))
        self.config.loaded_app = draining  # what uvicorn gives each new connection
        for connection in self.server_state.connections:
            connection.app = draining  # type: ignore[union-attr]  # all are `Protocol`

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(WAITING)  # asyncio set it to what is accepted at once

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, *, seconds: float = SECONDS, drain_seconds: int, most: int = MAX_CONNECTIONS) -> Server:
    """A server for `app`. Start it with `serve(sockets=[listen(host, port)])`.

    `seconds`: for a request to arrive; `drain_seconds`: for open requests when it stops; `most`: connections.
    """
    protocol = type("Protocol", (Protocol,), {"seconds": seconds, "room": ConnectionLimit(most)})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # bot.http.limits decides whom to believe
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=drain_seconds,
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to this address; port 0 takes a free one. Raises `UserError` when that is not possible."""
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, number)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(WAITING)
            bound.setblocking(False)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise UserError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            "Set PMAGENT_HOST and PMAGENT_PORT to an address that is free."
        ) from error
    return bound
