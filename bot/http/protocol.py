"""One connection: uvicorn's protocol, with a deadline for each request and a last word for whoever is hung up on.

uvicorn has a timeout for idle connections after an answer and none for a sender who drips. From the first byte (for a
new connection: from its opening) to the last byte of the body a request may take `SECONDS`; then the connection is
closed, with 408, which Jira tries again.

And whoever is hung up on gets the reason first. Closing a socket on bytes that nobody read makes TCP reset it, and then
the answer that was under way is lost too: so our side is closed, and theirs is read on for a moment (`_part`).
"""

from __future__ import annotations

import contextlib
from asyncio import BaseTransport, TimerHandle

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bot.http.connections import MAX_CONNECTIONS, ConnectionLimit
from bot.log import get_logger

log = get_logger(__name__)

SECONDS = 12.0
"""For a request to arrive whole. Slow senders are to be gone within 15."""
LINGER = 1.0
"""Seconds in which a sender we hang up on may still read why."""
RETRY_STOPPED = 15
"""Seconds: about what a restart takes. Jira waits for minutes of its own."""
MOST_HEAD = 64 * 2**10
"""Bytes of a request's first line and headers: twenty times what any of our senders needs."""
_END = b"content-length: 0\r\nconnection: close\r\n\r\n"
_TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\n" + _END
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n" + _END
_STOPPING = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: %d\r\n" % RETRY_STOPPED + _END


class Protocol(HttpToolsProtocol):
    """One connection, with a deadline for each request to arrive in."""

    seconds = SECONDS
    room = ConnectionLimit(MAX_CONNECTIONS)
    _deadline: TimerHandle | None = None
    _aborting: TimerHandle | None = None
    _parting = False
    _head = _unparsed = 0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the type that asyncio declares
        self._arm()
        self.room.make()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._aborting:
            self._aborting.cancel()
        super().connection_lost(exc)
        self.room.leave(self)

    def give_way(self) -> None:
        """There is no room for this connection any more."""
        log.warning("http.full", connections=self.room.most)
        if self._deadline is not None or self._aborting is not None:
            self._part(_FULL)
        else:  # idle: an answer that nobody asked for would be misread
            self.room.parting(self)
            self.transport.close()

    def end(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._parting:  # we have said our last word
            return
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MOST_HEAD and not self.transport.is_closing():  # one header that does not end
            self.send_400_response("Invalid HTTP request received.")

    def on_url(self, url: bytes) -> None:
        self._counted(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._counted(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        super().on_body(body)

    def _counted(self, size: int) -> None:
        self._unparsed = 0
        self._head += size
        if self._head > MOST_HEAD:
            raise ValueError("too many headers")  # for the parser: the request is not one, 400

    def pause_writing(self) -> None:
        """The other side does not read our answers: it has as long for that as for a request."""
        super().pause_writing()
        if self._aborting is None:
            self._aborting = self.loop.call_later(self.seconds, self.transport.abort)
            self.room.awaited(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._aborting is not None and not self._parting:
            self._aborting.cancel()
            self._aborting = None
            self._placed()

    def shutdown(self) -> None:
        """uvicorn's word that the server ends: a request that is still arriving is answered, not waited for."""
        if self._deadline is not None and not self.pipeline and not self._parting:
            self._part(_STOPPING)
        else:
            super().shutdown()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = self._unparsed = 0
        # The request before it may have been answered by what came in the same packet, which began the idle time.
        self._unset_keepalive_if_required()
        if self._deadline is None:
            self._arm()

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._disarm()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete and not self.pipeline:
            # We answered before the body was in (413, 429): uvicorn's idle timer was stopped by the bytes since.
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            # uvicorn reads on after each answer, whatever waits: who reads none of them would fill our memory.
            self.flow.pause_reading()
        self._placed()

    def _arm(self) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(self.seconds, self._too_slow)
        self._placed()

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._placed()

    def _placed(self) -> None:
        """Tell the room what this connection is doing."""
        if self._aborting is not None:
            return
        if self._deadline is not None:
            self.room.awaited(self)
        elif self.cycle is None or (self.cycle.response_complete and not self.pipeline):
            self.room.idle(self)
        else:
            self.room.working(self)

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.pipeline:  # this request waits for the one before it, which is our doing
            self._arm()
            return
        self._part(_TIMED_OUT)

    def _part(self, last_word: bytes) -> None:
        """Say why and hang up, unless an answer to this very request is under way already."""
        self._disarm()
        self._parting = True
        self.room.parting(self)
        if self._aborting is not None:
            self._aborting.cancel()
        # Not only `close`: a peer that does not read keeps a closing transport open for ever.
        self._aborting = self.loop.call_later(LINGER, self.transport.abort)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and (cycle.response_started or not cycle.more_body):
            self.transport.close()
            return
        if cycle is not None:  # for the application its sender is gone
            cycle.disconnected = True
            cycle.message_event.set()
        self.flow.resume_reading()  # what still comes is read and dropped
        with contextlib.suppress(OSError, RuntimeError):  # the other side may be gone by now
            self.transport.write(last_word)
            self.transport.write_eof()
