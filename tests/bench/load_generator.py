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


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[int] | None = None
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    @property
    def closed(self) -> bool:
        """Whether the server has hung up (it does so with idle connections)."""
        return self._transport is None or self._transport.is_closing()

    @classmethod
    async def open(cls, port: int) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

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
        if self._answer and not self._answer.done():
            self._answer.set_result(status)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(0)

    async def send(self, request: bytes) -> int:
        """The answer's status; 0 when the connection was lost."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def at_full_speed(port: int, requests: Iterable[bytes], connections: int = 32) -> Sent:
    """Each connection sends its next request when its last one is answered."""
    sent, waiting = Sent(), iter(requests)
    started = time.perf_counter()

    async def one() -> None:
        connection = await Connection.open(port)
        for payload in waiting:
            at = time.perf_counter()
            sent.statuses[await connection.send(payload)] += 1
            sent.seconds.append(time.perf_counter() - at)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
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
