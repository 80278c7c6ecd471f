"""Sends prepared requests over keep-alive connections, one after another on each, and measures the answers.

A process of its own, so that it shares no interpreter with what it measures: `python -m tests.bench.sender`, told what
to do in one line of JSON on standard input (`Order`), answering with one on standard output (`Result`). Requests are
made before the clock starts.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.load_generator import at_full_speed, quantile, request, signed

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
        return quantile(self.latencies, part)


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
        headers = {
            "User-Agent": "Atlassian Webhook HTTP Client",
            "Content-Type": "application/json; charset=UTF-8",
            "X-Hub-Signature": signed(body, order.secret),
            "X-Atlassian-Webhook-Identifier": f"bench-{number}",
        }
        yield request("/webhooks/jira", body, headers)


def _words(number: int, room: int) -> str:
    """A comment of so many bytes in JSON, as people write them: a greeting with a mention, then lines of prose."""
    text = f"Hi [~accountid:712020:a0a0a0a0-1111-4111-8111-aaaaaaaaaaaa], about *report {number}*:"
    parts = [SENTENCES[(number + index) % len(SENTENCES)] for index in range(room // 80 + 1)]
    long = text + "".join(("\n" if index % 3 == 0 else " ") + part for index, part in enumerate(parts))
    cut = long[:room]
    return cut[: room - cut.count("\n")]  # a line end takes two bytes in JSON


async def send(order: Order) -> Result:
    """Carry out an order in this process."""
    sent = await at_full_speed(order.port, list(requests(order)), order.connections)
    statuses = {str(status): count for status, count in sent.statuses.items()}
    return Result(sent.took, sorted(1000 * seconds for seconds in sent.seconds), statuses)


async def send_apart(order: Order) -> Result:
    """Carry out an order in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.sender", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate(json.dumps(asdict(order)).encode())
    return Result(**json.loads(out))


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(send(Order(**json.load(sys.stdin)))))))
