"""Sends prepared requests over keep-alive connections, one after another on each, and measures the answers.

A process of its own, so that it shares no interpreter with what it measures: `python -m tests.bench.sender`, told what
to do in one line of JSON on standard input (`Order`), answering with one on standard output (`Result`). Requests are
made before the clock starts; a connection is a raw asyncio protocol, about 20 µs a request.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FIXTURE = Path(__file__).parents[1] / "fixtures" / "jira" / "comment_created__question.json"
SIZE = 4096
"""Bytes of a body."""
SENTENCES = (
    "The nightly export still stops at the larger reports, although the filter was changed this morning.",
    "I tried it twice, once with the new index and once without; the log says nothing about a time-out.",
    "Could somebody look at the queue? It's the third time this week, and the customer's demo is on Thursday.",
    "My guess is that the range spans more than one quarter - but that's only a guess.",
    "Ana mentioned a fix that is in review (the second one), and Chen wanted to test it on the staging system.",
    "If it isn't merged by tomorrow, I'd rather tell them now that the numbers will arrive a day late.",
)


@dataclass(frozen=True)
class Order:
    """What to send. `first`: the number of the first event; numbers are never used twice on one server."""

    port: int
    secret: str
    events: int
    first: int
    connections: int = 32


@dataclass(frozen=True)
class Result:
    """`seconds`: for all of it. `latencies`: milliseconds, sorted. `statuses`: answers by HTTP status."""

    seconds: float
    latencies: list[float]
    statuses: dict[str, int]

    def quantile(self, part: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * part))]


def requests(order: Order) -> Iterator[bytes]:
    """Signed deliveries of Jira's: distinct comments of `SIZE` bytes on a thousand issues, each with its own id."""
    found = json.loads(FIXTURE.read_text(encoding="utf-8"))
    comment = found["comment"]
    now = time.time()
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(now))
    for number in range(order.first, order.first + order.events):
        found["timestamp"] = int(now * 1000)
        found["issue"]["key"] = f"ECD-{number % 1000 + 1}"
        comment |= {"id": str(10_000_000 + number), "created": at, "updated": at, "body": ""}
        room = SIZE - len(json.dumps(found))
        comment["body"] = _words(number, room)
        body = json.dumps(found).encode()
        signature = hmac.digest(order.secret.encode(), body, "sha256").hex()
        yield (
            b"POST /webhooks/jira HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Atlassian Webhook HTTP Client\r\n"
            b"Content-Type: application/json; charset=UTF-8\r\nContent-Length: %d\r\nX-Hub-Signature: sha256=%s\r\n"
            b"X-Atlassian-Webhook-Identifier: bench-%d\r\n\r\n" % (len(body), signature.encode(), number)
        ) + body


def _words(number: int, room: int) -> str:
    """A comment of so many bytes in JSON, as people write them: a greeting with a mention, then lines of prose."""
    text = f"Hi [~accountid:712020:a0a0a0a0-1111-4111-8111-aaaaaaaaaaaa], about *report {number}*:"
    parts = [SENTENCES[(number + index) % len(SENTENCES)] for index in range(room // 80 + 1)]
    long = text + "".join(("\n" if index % 3 == 0 else " ") + part for index, part in enumerate(parts))
    cut = long[:room]
    return cut[: room - cut.count("\n")]  # a line end takes two bytes in JSON


class Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered."""

    def __init__(self, left: Iterator[bytes], latencies: list[float], statuses: Counter[str]) -> None:
        self.left = left
        self.latencies = latencies
        self.statuses = statuses
        self.done = asyncio.get_running_loop().create_future()
        self.received = b""
        self.started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.next()

    def next(self) -> None:
        request = next(self.left, None)
        if request is None:
            self.transport.close()
            return
        self.started = time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        at = head.lower().index(b"content-length:") + 15
        if len(body) < int(head[at:].partition(b"\r\n")[0]):
            return
        self.latencies.append((time.perf_counter() - self.started) * 1000)
        self.statuses[head[9:12].decode()] += 1
        self.received = b""
        self.next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def send(order: Order) -> Result:
    """Carry out an order in this process."""
    left = iter(list(requests(order)))
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections = [
        (await loop.create_connection(lambda: Connection(left, latencies, statuses), "127.0.0.1", order.port))[1]
        for _ in range(order.connections)
    ]
    await asyncio.gather(*(connection.done for connection in connections))
    return Result(time.perf_counter() - started, sorted(latencies), dict(statuses))


async def send_apart(order: Order) -> Result:
    """Carry out an order in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.sender", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(json.dumps(asdict(order)).encode())
    return Result(**json.loads(out))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(send(Order(**json.load(sys.stdin)))))))
