"""What all stand-ins share: an HTTP surface, a record of every exchange, and faults that can be ordered.

A stand-in is an object with state and routes on one asyncio loop. Tests and the demo page run on that same loop, call
its methods directly, and wait for what happens with `until`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from aiohttp import web

T = TypeVar("T")
PATIENCE = 3.0
"""By how much `until` waits longer than told: a busy machine is slow, and a wait that ends well costs nothing."""


@dataclass
class Exchange:
    """One HTTP exchange as it went over the wire. Bodies are parsed JSON where they were JSON, else text."""

    service: str
    method: str
    path: str
    request: Any
    headers: dict[str, str]
    status: int = 0
    response: Any = None
    ms: float = 0.0
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Fault:
    """What happens to a request instead of, or after, its ordinary handling.

    `answer`: this status, headers and body (a text is an HTML page), nothing is done. `hang`: wait `seconds`, or until
    `over` is set, and then handle. `drop`: close the connection, nothing is done. `swallow`: do it, and close the
    connection without an answer. `met`: whether a request has met it.
    """

    kind: Literal["answer", "hang", "drop", "swallow"]
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 60.0
    over: asyncio.Event | None = None
    met: bool = False


class StandIn:
    """Base of the four. Subclasses give `service`, `routes()` and their own verbs."""

    service = "?"

    def __init__(self) -> None:
        self.exchanges: deque[Exchange] = deque(maxlen=5000)
        self.listeners: list[Callable[[Exchange], None]] = []
        self._faults: list[tuple[re.Pattern[str], deque[Fault]]] = []
        self._changed = asyncio.Condition()

    def routes(self) -> list[web.RouteDef]:
        """The routes below this stand-in's prefix."""
        raise NotImplementedError

    def application(self) -> web.Application:
        """An aiohttp application with the routes, the record of exchanges and the ordered faults."""
        app = web.Application(middlewares=[self._middleware], client_max_size=32 * 2**20)
        app.add_routes(self.routes())
        return app

    def fail(self, pattern: str, *faults: Fault) -> None:
        """The next requests whose "METHOD /path" matches `pattern` (searched) meet these faults, one each, in order."""
        self._faults.append((re.compile(pattern), deque(faults)))

    def mend(self) -> None:
        """Forget every ordered fault."""
        self._faults.clear()

    def calls(self, pattern: str) -> list[Exchange]:
        """The exchanges so far whose "METHOD /path" matches `pattern`."""
        return [e for e in self.exchanges if re.search(pattern, f"{e.method} {e.path}")]

    async def close(self) -> None:
        """Let go of connections that the stand-in opened."""

    async def changed(self) -> None:
        """Say that something happened: wakes everybody in `until`."""
        async with self._changed:
            self._changed.notify_all()

    async def next_change(self) -> None:
        """Wait until something happens."""
        async with self._changed:
            await self._changed.wait()

    async def until(self, look: Callable[[], T | None], seconds: float = 10.0, what: str | Callable[[], str] = "") -> T:
        """Wait until `look()` is truthy and return it; AssertionError after `seconds` times `PATIENCE`.

        `what` is said then; a function is asked then, so that it can tell how things stand at the end.
        """
        end = time.monotonic() + seconds * PATIENCE
        while True:
            found = look()
            if found:
                return found
            left = end - time.monotonic()
            if left <= 0:
                told = what if isinstance(what, str) else what()
                raise AssertionError(f"{self.service}: waited {seconds * PATIENCE:g} s in vain {told}")
            try:
                async with self._changed:
                    await asyncio.wait_for(self._changed.wait(), min(left, 0.25))
            except TimeoutError:
                continue

    def _next_fault(self, line: str) -> Fault | None:
        for pattern, queue in self._faults:
            if queue and pattern.search(line):
                return queue.popleft()
        return None

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await handler(request)
        raw = await request.read()
        exchange = Exchange(
            self.service, request.method, request.rel_url.raw_path_qs, _parsed(raw), dict(request.headers)
        )
        started = time.monotonic()
        self.exchanges.append(exchange)
        fault = self._next_fault(f"{request.method} {request.rel_url.raw_path_qs}")
        try:
            if fault:
                fault.met = True
            if fault and fault.kind == "hang":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for((fault.over or asyncio.Event()).wait(), fault.seconds)
            if fault and fault.kind == "drop":
                _close(request)
                raise web.HTTPBadRequest  # never reaches the client: its connection is gone
            if fault and fault.kind == "answer":
                response: web.StreamResponse = _ordered(fault)
            else:
                response = await handler(request)
            if fault and fault.kind == "swallow":
                _close(request)
            exchange.status = response.status
            if isinstance(response, web.Response) and isinstance(response.body, bytes):
                exchange.response = _parsed(response.body)
            return response
        except web.HTTPException as error:
            exchange.status = error.status
            raise
        finally:
            exchange.ms = (time.monotonic() - started) * 1000
            for listener in self.listeners:
                listener(exchange)
            await self.changed()


def _ordered(fault: Fault) -> web.Response:
    if isinstance(fault.body, str):
        return web.Response(text=fault.body, content_type="text/html", status=fault.status, headers=fault.headers)
    return web.json_response(fault.body if fault.body is not None else {}, status=fault.status, headers=fault.headers)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode("utf-8", "replace")


def _close(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


class Server:
    """Serves several aiohttp applications, one per path prefix, on one port of 127.0.0.1."""

    def __init__(self) -> None:
        self.root = web.Application()
        self._runner: web.AppRunner | None = None
        self.port = 0

    def mount(self, prefix: str, app: web.Application) -> None:
        self.root.add_subapp(prefix, app)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 takes a free one. Raises OSError when the port is taken."""
        self._runner = web.AppRunner(self.root, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
