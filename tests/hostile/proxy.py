"""A small TCP proxy that does to one service's traffic what networks do, and says of each request what became of it.

::

    wire.jira.swallow("POST", "/comment$")     # it is done, the answer is lost
    wire.slack.refuse()                        # nobody listens
    wire.slack.silence()                       # sockets stay open and carry nothing

A verb counts for the next `times` requests whose method and path (with the query) fit, the path as a regular expression
that is searched. Verbs that were ordered first come first. HTTP/1.1 as the program and the stand-ins speak it: bodies
with a length, answers with a length, one upgrade (WebSocket) per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Self

Kind = Literal[
    "delay", "drip", "cut_request", "cut_answer", "reset", "reset_answer", "swallow", "swallow_and_hang", "never_answer"
]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of nothing: closing sends RST


@dataclass
class Rule:
    """What happens to the next `times` requests that fit."""

    kind: Kind
    method: str
    path: re.Pattern[str]
    times: int
    seconds: float = 0.0

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method in ("*", method) and bool(self.path.search(path))


@dataclass
class Call:
    """One request as the proxy saw it. `fate`: the verb that it met, or `passed`."""

    method: str
    path: str
    fate: str = "passed"


@dataclass(eq=False)
class _Line:
    """One connection of the program's, and the one to the service behind it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    up_reader: asyncio.StreamReader
    up_writer: asyncio.StreamWriter
    carrying: asyncio.Event = field(default_factory=asyncio.Event)

    def close(self, *, hard: bool = False) -> None:
        for writer in (self.writer, self.up_writer):
            if hard and writer is self.writer and (sock := writer.get_extra_info("socket")) is not None:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort() if hard else writer.close()


@dataclass
class Proxy:
    """Between the program and one service, which listens on `port` of this machine."""

    upstream: int
    port: int = 0
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rules: list[Rule] = []
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> Self:
        """Listen, on the port of the last time if there was one."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closed transports let go of their sockets in the loop's next turn

    # Verbs for requests

    def delay(self, method: str, path: str, seconds: float, times: int = 1) -> None:
        """The request waits so long before it goes on."""
        self._order("delay", method, path, times, seconds)

    def drip(self, method: str, path: str, every: float = 1.0, times: int = 1) -> None:
        """The answer comes a byte at a time."""
        self._order("drip", method, path, times, every)

    def cut_request(self, method: str, path: str, times: int = 1) -> None:
        """Half of the request arrives, then both sides are closed: it was not done."""
        self._order("cut_request", method, path, times)

    def cut_answer(self, method: str, path: str, times: int = 1) -> None:
        """It is done; half of the answer's body comes back, then the connection is closed."""
        self._order("cut_answer", method, path, times)

    def reset(self, method: str, path: str, times: int = 1) -> None:
        """Nothing is passed on; the connection is reset."""
        self._order("reset", method, path, times)

    def reset_answer(self, method: str, path: str, times: int = 1) -> None:
        """It is done; the connection is reset instead of the answer."""
        self._order("reset_answer", method, path, times)

    def swallow(self, method: str, path: str, times: int = 1, *, hang: bool = False) -> None:
        """It is done; the answer is lost: the connection is closed, or (`hang`) stays open without a word."""
        self._order("swallow_and_hang" if hang else "swallow", method, path, times)

    def never_answer(self, method: str, path: str, times: int = 1) -> None:
        """Nothing is passed on and nothing comes back; the connection stays open."""
        self._order("never_answer", method, path, times)

    def mend(self) -> None:
        """Forget every ordered fault."""
        self._rules.clear()

    # Verbs for connections

    def refuse(self) -> None:
        """Nobody listens any more: new connections are refused, those that are open are reset."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self, *, hard: bool = True) -> None:
        """Reset every open connection, or close it (not `hard`)."""
        for line in list(self._lines):
            line.close(hard=hard)

    def silence(self) -> None:
        """The WebSockets of now stay open and carry nothing any more, either way; new ones do."""
        for line in self._lines:
            line.carrying.clear()

    def seen(self, method: str, path: str) -> list[Call]:
        """The requests so far that fit."""
        return [c for c in self.calls if method in ("*", c.method) and re.search(path, c.path)]

    # How

    def _order(self, kind: Kind, method: str, path: str, times: int, seconds: float = 0.0) -> None:
        self._rules.append(Rule(kind, method, re.compile(path), times, seconds))

    def _next(self, method: str, path: str) -> Rule | None:
        rule = next((rule for rule in self._rules if rule.fits(method, path)), None)
        if rule is not None:
            rule.times -= 1
        return rule

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            line = _Line(reader, writer, *await asyncio.open_connection("127.0.0.1", self.upstream))
        except OSError:
            writer.transport.abort()
            return
        self._lines.add(line)
        try:
            while await self._exchange(line):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._lines.discard(line)
            line.close()

    async def _exchange(self, line: _Line) -> bool:
        """One request and its answer. False: the connection is over."""
        head = await line.reader.readuntil(b"\r\n\r\n")
        method, path, _ = head.split(b" ", 2)
        call = Call(method.decode(), path.decode())
        self.calls.append(call)
        rule = self._next(call.method, call.path)
        call.fate = rule.kind if rule else "passed"
        body = await line.reader.readexactly(_length(head))
        match rule.kind if rule else "":
            case "reset":
                line.close(hard=True)
                return False
            case "never_answer":
                await line.reader.read()  # until the program gives up
                return False
            case "cut_request":
                request = head + body
                line.up_writer.write(request[: (len(request) + len(head)) // 2 if body else len(head) // 2])
                await line.up_writer.drain()
                return False
            case "delay" if rule:
                await asyncio.sleep(rule.seconds)
        line.up_writer.write(head + body)
        return await self._answer(line, rule)

    async def _answer(self, line: _Line, rule: Rule | None) -> bool:
        head = await line.up_reader.readuntil(b"\r\n\r\n")
        if head.split(b" ", 2)[1] == b"101":
            line.writer.write(head)
            await self._tunnel(line)
            return False
        body = await line.up_reader.readexactly(_length(head))
        match rule.kind if rule else "":
            case "swallow":
                return False
            case "swallow_and_hang":
                await line.reader.read()
                return False
            case "reset_answer":
                line.close(hard=True)
                return False
            case "cut_answer":
                line.writer.write(head + body[: len(body) // 2])
                await line.writer.drain()
                return False
            case "drip" if rule:
                for byte in head + body:
                    line.writer.write(bytes([byte]))
                    await line.writer.drain()
                    await asyncio.sleep(rule.seconds)
                return True
        line.writer.write(head + body)
        await line.writer.drain()
        return True

    async def _tunnel(self, line: _Line) -> None:
        line.carrying.set()
        ways = (self._carry(line, line.reader, line.up_writer), self._carry(line, line.up_reader, line.writer))
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await line.carrying.wait()
            writer.write(data)
            await writer.drain()


def _length(head: bytes) -> int:
    found = re.search(rb"\r\ncontent-length: *(\d+)\r\n", head, re.IGNORECASE)
    if found is None and re.search(rb"\r\ntransfer-encoding:", head, re.IGNORECASE):
        raise NotImplementedError("the proxy carries bodies with a length only")
    return int(found[1]) if found else 0


@dataclass
class Wire:
    """The four proxies of one stage."""

    slack: Proxy
    jira: Proxy
    bitbucket: Proxy
    claude: Proxy

    async def each(self, do: Callable[[Proxy], Awaitable[object]]) -> None:
        for proxy in (self.slack, self.jira, self.bitbucket, self.claude):
            await do(proxy)
