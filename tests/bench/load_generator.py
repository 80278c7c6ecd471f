"""Signed webhooks as bytes, and two ways to send them: as fast as answers come, or so many a second whatever comes.

One request at a time on a connection that is kept open. Latencies of `steady` count from the moment at which a request
was due, so that a server that is late does not slow down what measures it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Sent:
    """What came of it: seconds for each answer, answers by status, and how long all of it took."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    took: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.took if self.took else 0.0


def quantile(seconds: Iterable[float], share: float) -> float:
    """The value below which this share of them lies; 0 for none."""
    values = sorted(seconds)
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A POST as it goes over the wire."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def signed(body: bytes, secret: str) -> str:
    """The value of X-Hub-Signature."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def jira(payload: Any, secret: str, identifier: str) -> bytes:
    """A delivery of Jira's. `payload`: an object, or the body's bytes; `identifier`: the delivery's."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {"X-Hub-Signature": signed(body, secret), "X-Atlassian-Webhook-Identifier": identifier}
    return request("/webhooks/jira", body, headers)


def bitbucket(event_key: str, payload: Any, secret: str, identifier: str) -> bytes:
    """A delivery of Bitbucket's."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {"X-Hub-Signature": signed(body, secret), "X-Request-UUID": identifier, "X-Event-Key": event_key}
    return request("/webhooks/bitbucket", body, headers)


class _Answers(asyncio.Protocol):
    """One connection, one request at a time: `answered` is told the status of each answer, 0 for a lost connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def answered(self, status: int) -> None:
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        lower = self._buffer[:head].lower()
        start = lower.find(b"content-length: ")
        length = int(lower[start + 16 :].partition(b"\r\n")[0]) if start >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        status, self._buffer = int(self._buffer[9:12]), self._buffer[head + 4 + length :]
        self.answered(status)

    def connection_lost(self, error: Exception | None) -> None:
        self.answered(0)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Connection(_Answers):
    """Sends what it is given, when it is given it."""

    def __init__(self) -> None:
        super().__init__()
        self._answer: asyncio.Future[int] | None = None

    @property
    def closed(self) -> bool:
        """Whether the server has hung up (it does so with idle connections)."""
        return self._transport is None or self._transport.is_closing()

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def answered(self, status: int) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(status)

    async def send(self, request: bytes) -> int:
        """The answer's status; 0 when the connection was lost."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer


class _Hurried(_Answers):
    """Sends the next request as soon as the last one is answered: callbacks alone, about 20 µs a request."""

    def __init__(self, left: Iterator[bytes], sent: Sent) -> None:
        super().__init__()
        self._left = left
        self._sent = sent
        self._at: float | None = None
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._next()

    def answered(self, status: int) -> None:
        if self._at is not None:
            self._sent.seconds.append(time.perf_counter() - self._at)
            self._sent.statuses[status] += 1
            self._at = None
        if status:
            self._next()
        elif not self.done.done():
            self.done.set_result(None)

    def _next(self) -> None:
        assert self._transport is not None
        request = next(self._left, None)
        if request is None:
            self._transport.close()
            return
        self._at = time.perf_counter()
        self._transport.write(request)


async def at_full_speed(port: int, requests: Iterable[bytes], connections: int = 32) -> Sent:
    """Each connection sends its next request when its last one is answered; one that is lost sends no more."""
    sent, left, loop = Sent(), iter(requests), asyncio.get_running_loop()
    started = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: _Hurried(left, sent), "127.0.0.1", port))[1] for _ in range(connections)
    ]
    await asyncio.gather(*(connection.done for connection in opened))
    sent.took = time.perf_counter() - started
    return sent


async def steady(port: int, requests: Iterator[bytes], per_second: float, seconds: float) -> Sent:
    """So many a second for so long, on as many connections as that takes."""
    sent, idle, tasks = Sent(), list[Connection](), set[asyncio.Task[None]]()
    started = time.perf_counter()

    async def one(payload: bytes, due: float) -> None:
        connection = idle.pop() if idle else None
        if connection is None or connection.closed:
            connection = await Connection.open(port)
        sent.statuses[await connection.send(payload)] += 1
        sent.seconds.append(time.perf_counter() - due)
        idle.append(connection)

    for number in range(int(per_second * seconds)):
        due = started + number / per_second
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        task = asyncio.create_task(one(next(requests), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    sent.took = time.perf_counter() - started
    for connection in idle:
        connection.close()
    return sent
