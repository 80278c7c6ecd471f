"""Slack's side of Socket Mode, and of the same payloads over HTTP: envelopes out, acknowledgements in, on the clock.

An interaction that is not acknowledged within three seconds shows its user a warning and never comes again; an event
comes again up to three times under a new envelope (https://docs.slack.dev/apis/events-api/using-socket-mode).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import random
import secrets
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

ACK_SECONDS = 3.0
Kind = Literal["events_api", "slash_commands", "interactive"]


@dataclass
class Ack:
    """What became of one delivery to the program.

    `acked`: acknowledged within three seconds; `ms`: after how long (3,000 when not). `payload`: what the
    acknowledgement carried. `error`: what the user's screen would say otherwise. `kind`, `sent`: the delivery itself.
    """

    acked: bool
    ms: float
    payload: Any = None
    error: str = ""
    kind: Kind = "interactive"
    sent: dict[str, Any] = field(default_factory=dict, repr=False)
    envelope_id: str = ""
    status: int = 0


@dataclass
class _Waiting:
    future: asyncio.Future[Any]
    started: float


class Connections:
    """The program's open sockets, and what was sent over them and still waits for its acknowledgement."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._tickets: set[str] = set()
        self._waiting: dict[str, _Waiting] = {}
        self.sockets: list[web.WebSocketResponse] = []
        self.opened = 0

    def ticket(self) -> str:
        """A ticket that opens one socket, once."""
        ticket = secrets.token_urlsafe(18)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One socket's life: hello, then acknowledgements until it closes. Pings are answered with their own bytes."""
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            raise web.HTTPForbidden(text="invalid ticket")
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse(autoping=True, max_msg_size=2**20)
        await socket.prepare(request)
        self.sockets.append(socket)
        self.opened += 1
        await socket.send_json({
            "type": "hello",
            "num_connections": len(self.sockets),
            "debug_info": {"host": "applink-demo", "build_number": 1, "approximate_connection_time": 18060},
            "connection_info": {"app_id": self._app_id},
        })  # fmt: skip
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._acknowledged(message.data)
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
        return socket

    def _acknowledged(self, text: str) -> None:
        try:
            answer = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.pop(answer.get("envelope_id", ""), None) if isinstance(answer, dict) else None
        if waiting and not waiting.future.done():
            waiting.future.set_result((answer.get("payload"), time.monotonic() - waiting.started))

    async def send(
        self, kind: Kind, payload: dict[str, Any], *, attempt: int = 0, reason: str = "", seconds: float = ACK_SECONDS
    ) -> Ack:
        """Deliver one envelope to any one of the open sockets and wait for its acknowledgement."""
        envelope_id = str(uuid.uuid4())
        envelope: dict[str, Any] = {
            "envelope_id": envelope_id,
            "type": kind,
            "payload": payload,
            "accepts_response_payload": kind != "events_api",
        }
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        live = [s for s in self.sockets if not s.closed]
        if not live:
            return Ack(False, 0.0, error="not connected", kind=kind, sent=payload, envelope_id=envelope_id)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), time.monotonic())
        self._waiting[envelope_id] = waiting
        try:
            await random.choice(live).send_json(envelope)  # noqa: S311  Slack promises no pattern; nothing is secret here
            answer, took = await asyncio.wait_for(waiting.future, seconds)
        except (TimeoutError, ConnectionError):
            self._waiting.pop(envelope_id, None)
            return Ack(False, seconds * 1000, error="timeout", kind=kind, sent=payload, envelope_id=envelope_id)
        return Ack(True, took * 1000, answer, kind=kind, sent=payload, envelope_id=envelope_id, status=200)

    async def disconnect(self, reason: str) -> None:
        """Tell every socket to go. All reasons but `warning` close it too; the program is expected to come back."""
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-demo"}})
                if reason != "warning":
                    await socket.close()

    async def cut(self) -> None:
        """Close every socket without a word, as a lost network does."""
        for socket in list(self.sockets):
            if socket._req is not None and socket._req.transport is not None:  # aiohttp has no public abort
                socket._req.transport.abort()

    async def close(self) -> None:
        for socket in list(self.sockets):
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(socket.close(), 1.0)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 request signature (https://docs.slack.dev/authentication/verifying-requests-from-slack)."""
    base = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


async def post_signed(
    url: str, secret: str, body: bytes, content_type: str, headers: dict[str, str] | None = None
) -> tuple[int, Any, float]:
    """One signed request in HTTP mode: status, parsed answer and seconds. `headers` replace our own, for forgeries."""
    now = str(int(time.time()))
    sent = {
        "Content-Type": content_type,
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": signature(secret, now, body),
        **(headers or {}),
    }
    started = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=ACK_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=body, headers=sent) as answer:
        text = await answer.text()
        try:
            parsed: Any = json.loads(text) if text.strip() else None
        except ValueError:
            parsed = text
        return answer.status, parsed, time.monotonic() - started


def http_body(kind: Kind, payload: dict[str, Any]) -> tuple[bytes, str]:
    """The same payload as Slack sends it over HTTP: events as JSON, commands and interactions as forms."""
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    form = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"
