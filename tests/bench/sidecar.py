"""How many deliveries a second are accepted for good, beside what the same server can do at most with FastAPI.

    python -m tests.bench.sidecar [--events 12000] [--rounds 3] [--only bare|held|free]

Three servers take turns, each started anew in each round, on the same `bot.http.server.make_server` with the same
settings and no rate limit:

- **bare**: a FastAPI endpoint that reads the body and answers. It checks nothing and keeps nothing.
- **held**: the real program (`python -m bot`, against the stand-ins of `bot.demo` in this process), after
  `/pmagent pause`: what it takes to verify, parse, clean, de-duplicate and store an event on stable storage.
- **free**: the same with the worker at work on what arrives (Jira, Claude and Slack are the stand-ins).

The sender is a process of its own (`tests.bench.sender`) with 32 keep-alive connections; every body is another comment
of 4 kB, signed, with its own delivery id. After each round the program is killed with -9 and its folder is asked how
many events it holds: a 202 that was not durable would show.

How to read it: the ratios count, and they are each round's own (against `bare` of the same round), their median. What
else the machine does moves the absolute numbers, and all rows alike. `CPU µs` is the processor time of the server's
process per event, over all its threads (Linux); one core's worth is 1,000,000 a second, and the interpreter uses one.
The bar: at least a third (0.33) of the events a second, and at most 3 times the p99, of the bare endpoint. That is some
hundred times what a large team's Jira sends; more would cost a second way beside the one endpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.http.server import listen, make_server
from tests.bench.sender import Order, Result, send_apart

LEAST_RATE, MOST_P99 = 0.33, 3.0
WARM_UP = 500
NAMES = {"bare": "FastAPI, reads the body", "held": "PM Agent, worker held", "free": "PM Agent, worker at work"}


@dataclass(frozen=True)
class Round:
    """One server's turn: events a second, milliseconds, and µs of processor time per event."""

    rate: float
    median: float
    p99: float
    cpu: float


async def bare() -> None:
    """The endpoint that everything is compared with."""
    app = FastAPI()

    @app.post("/webhooks/jira")
    async def read(request: Request) -> dict[str, bool]:
        await request.body()
        return {"ok": True}

    listening = listen("127.0.0.1", 0)
    print(listening.getsockname()[1], flush=True)
    await make_server(app, drain_seconds=1).serve(sockets=[listening])


@asynccontextmanager
async def bare_server() -> AsyncIterator[tuple[int, str, int]]:
    """Port, secret and process id of a bare endpoint."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.sidecar", "--serve-bare", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.readline()), "no matter", process.pid
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def program(*, held: bool, events: int) -> AsyncIterator[tuple[int, str, int]]:
    """Port, secret and process id of the real program; afterwards it must hold that many events."""
    async with Stage() as stage:
        await stage.start_bot(PMAGENT_RATE_LIMIT="")
        assert stage.bot is not None
        if held:
            await stage.slack.command(DANA, text="pause")
        yield stage.bot_port, stage.env["JIRA_WEBHOOK_SECRET"], stage.bot.pid
        await stage.stop_bot(signal.SIGKILL)
        code, out = await stage.run("stats", "--json")
        stored = json.loads(out)["events"] if code == 0 else out
        if stored != events:
            raise SystemExit(f"{events} events were accepted, and {stored} are stored")


async def take(name: str, events: int) -> Round:
    """One server's turn."""
    serving = bare_server() if name == "bare" else program(held=name == "held", events=events + WARM_UP)
    async with serving as (port, secret, pid):
        await _at_rest(pid)
        await _sent(Order(port, secret, WARM_UP, first=0))
        before = _cpu(pid)
        found = await _sent(Order(port, secret, events, first=WARM_UP))
        cpu = (_cpu(pid) - before) / events * 1e6
    return Round(events / found.seconds, found.quantile(0.5), found.quantile(0.99), cpu)


async def _sent(order: Order) -> Result:
    found = await send_apart(order)
    if found.statuses not in ({"202": order.events}, {"200": order.events}):
        raise SystemExit(f"not all were accepted: {found.statuses}")
    return found


async def _at_rest(pid: int) -> None:
    """Wait until the process has done what it does after its start: the program loads Anthropic's SDK meanwhile."""
    for _ in range(40):
        before = _cpu(pid)
        await asyncio.sleep(0.5)
        if _cpu(pid) - before < 0.02:
            return


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used; 0 where that is not told."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def table(found: dict[str, list[Round]]) -> str:
    """The report. Ratios are medians of each round's own ratio."""
    lines = [f"{'':28}{'events/s':>10}{'median ms':>11}{'p99 ms':>9}{'CPU µs':>8}{'× rate':>9}{'× p99':>8}"]
    for name, rounds in found.items():
        rate, median, p99, cpu = (
            statistics.median(getattr(one, field) for one in rounds) for field in ("rate", "median", "p99", "cpu")
        )
        line = f"{NAMES[name]:28}{rate:10,.0f}{median:11.2f}{p99:9.2f}{cpu:8.0f}"
        if name != "bare" and "bare" in found:
            pairs = list(zip(rounds, found["bare"], strict=True))
            faster = statistics.median(one.rate / other.rate for one, other in pairs)
            slower = statistics.median(one.p99 / other.p99 for one, other in pairs)
            met = faster >= LEAST_RATE and slower <= MOST_P99
            line += f"{faster:9.2f}{slower:8.2f}  bar {'met' if met else 'not met'}"
        lines.append(line)
    return "\n".join([*lines, f"{'bar':66}{f'≥ {LEAST_RATE}':>9}{f'≤ {MOST_P99:g}':>8}"])


async def measure(events: int, rounds: int, names: list[str]) -> dict[str, list[Round]]:
    """All rounds, the servers taking turns."""
    found: dict[str, list[Round]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(await take(name, events))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=12_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(NAMES), action="append", help="any number of times")
    parser.add_argument("--serve-bare", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve_bare:
        asyncio.run(bare())
        return
    found = asyncio.run(measure(asked.events, asked.rounds, asked.only or list(NAMES)))
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores,", end=" ")
    print(f"{asked.rounds} rounds of {asked.events:,} deliveries over 32 connections")
    print(table(found))


if __name__ == "__main__":
    main()
