"""The HTTP server: uvicorn with two things changed.

It owns no signals: uvicorn's `serve` catches SIGTERM, drains, and raises it again, so that a clean stop ends in exit
143. Here `bot.app` owns them and sets `should_exit`.

And a request has a deadline: uvicorn has a timeout for idle connections after an answer and none for a sender who
drips. From the first byte (for a new connection: from its opening) to the last byte of the body a request may take
`SECONDS`; then the connection is closed, with 408, which Jira tries again.
"""

from __future__ import annotations

import contextlib
import socket
from asyncio import BaseTransport, TimerHandle
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bot.errors import UserError

SECONDS = 12.0
"""For a request to arrive whole. Slow senders are to be gone within 15."""
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """One connection, with a deadline for each request to arrive in."""

    seconds = SECONDS
    _deadline: TimerHandle | None = None
    _aborting: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the type that asyncio declares
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._aborting:
            self._aborting.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._arm()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and not self.pipeline:
            # We answered before the body was in (413, 429): uvicorn's idle timer was stopped by the bytes since.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(self.seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.pipeline:  # this request waits for the one before it, which is our doing
            self._arm()
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        if not (busy and (self.cycle.response_started or not self.cycle.more_body)):
            self.transport.write(_TIMED_OUT)
        self.transport.close()
        # A peer that does not read keeps a closing transport open for ever.
        self._aborting = self.loop.call_later(2.0, self.transport.abort)


class Server(uvicorn.Server):
    """A server whose owner handles the signals: set `should_exit` to stop it, `force_exit` to stop waiting."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, *, seconds: float = SECONDS, drain_seconds: int) -> Server:
    """A server for `app`. Start it with `serve(sockets=[listen(host, port)])`.

    `seconds`: for a request to arrive; `drain_seconds`: for open requests when it stops.
    """
    protocol = type("Protocol", (Protocol,), {"seconds": seconds})
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # bot.limits decides whom to believe
        server_header=False,
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
            bound.listen(2048)  # an early connection waits instead of being refused
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
