"""What one process does on the embedded store, and one and two do on PostgreSQL, in one run.

    python -m tests.bench.scale [--events 6000] [--questions 120] [--seconds 40]

Three setups take turns, each with new data: TinyDB with one process, PostgreSQL with one, and with two. PostgreSQL is
the tests' own (or `PMAGENT_TEST_DATABASE_URL`), on this machine like everything else: the processes, what sends, and
the stand-ins share its cores. For each:

- **deliveries a second**: 4 kB, signed, 32 connections to each process, drafting paused, so that nothing but
  accepting is measured.
- **questions to drafts a second**: so many questions on as many issues, told at once; Claude answers at once. Cards
  come at Slack's pace, about one a second for each channel, however many processes there are.
- **question to card, p95**: while 50 deliveries a second arrive, and a question every two seconds.

Before them, what the audit chain's head bounds: transactions a second of four connections that do nothing but lock its
row, change it and commit. A process stores up to 500 deliveries in one.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import platform
import time
from dataclasses import dataclass

from psycopg import AsyncConnection

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from tests.bench.load import REPLY, Run
from tests.bench.load_generator import quantile, steady
from tests.bench.material import context
from tests.bench.report import cpu_seconds
from tests.bench.sender import Order, send_apart
from tests.postgres import private_server, store_database

RATE = 50.0
WARM_UP = 300


@dataclass(frozen=True)
class Setup:
    """`processes`: how many; with more than one the store is PostgreSQL."""

    name: str
    processes: int
    postgres: bool = True


SETUPS = (
    Setup("TinyDB, 1 process", 1, postgres=False),
    Setup("PostgreSQL, 1 process", 1),
    Setup("PostgreSQL, 2 processes", 2),
)


@functools.cache
def server() -> str:
    """The URI of a server whose data are on a disk."""
    return os.environ.get("PMAGENT_TEST_DATABASE_URL") or private_server(in_memory=False).get_uri()


async def started(stage: Stage, setup: Setup) -> None:
    stage.env |= {"PMAGENT_RATE_LIMIT": "", "PMAGENT_DAILY_BUDGET_USD": "100000", "PMAGENT_APPROVERS": DANA}
    if setup.postgres:
        stage.env["PMAGENT_DATABASE_URL"] = await store_database(server())
    await stage.start_bot()
    for _ in range(setup.processes - 1):
        await stage.start_other()


def ports(stage: Stage) -> list[int]:
    assert stage.bot is not None
    return [stage.bot.port, *(other.port for other in stage.others)]


def cpu(stage: Stage) -> float:
    assert stage.bot is not None
    return sum(cpu_seconds(bot.pid) for bot in (stage.bot, *stage.others))


async def heads(seconds: float = 5.0) -> float:
    """Transactions a second that only move the head."""
    url = await store_database(server())
    end = time.perf_counter() + seconds

    async def moving() -> int:
        done = 0
        async with await AsyncConnection.connect(url, autocommit=True) as connection:
            while time.perf_counter() < end:
                async with connection.transaction():
                    await connection.execute("SELECT seq FROM head FOR UPDATE")
                    await connection.execute("UPDATE head SET seq = seq + 1")
                done += 1
        return done

    return sum(await asyncio.gather(*(moving() for _ in range(4)))) / seconds


async def deliveries(setup: Setup, events: int) -> tuple[float, float, float]:
    """Events a second, p99 in ms, and µs of the processes' processor time for each."""
    async with Stage() as stage:
        await started(stage, setup)
        await stage.slack.command(DANA, text="pause")
        share, secret = events // setup.processes, stage.jira.secret
        orders = [(port, place * (share + WARM_UP)) for place, port in enumerate(ports(stage))]
        await asyncio.gather(*(send_apart(Order(port, secret, WARM_UP, first)) for port, first in orders))
        before = cpu(stage)
        found = await asyncio.gather(
            *(send_apart(Order(port, secret, share, first + WARM_UP)) for port, first in orders)
        )
        used = (cpu(stage) - before) / events * 1e6
        assert all(result.statuses == {"202": share} for result in found), [r.statuses for r in found]
        return events / max(r.seconds for r in found), max(r.quantile(0.99) for r in found), used


async def drafts(setup: Setup, questions: int) -> float:
    """Drafts a second, of so many questions at once."""
    async with Stage() as stage:
        await started(stage, setup)
        await Run(stage).question(0)
        stage.claude.script(*[REPLY] * (questions + 10))
        payloads = []
        for number in range(questions):
            key = f"ECD-{number + 1}"
            stage.jira.issue(key, status="In Progress", assignee="ana")
            written = stage.jira.write(key, "ben", "Is anybody looking at this?")
            payloads.append(stage.jira.comment_payload("comment_created", stage.jira.issues[key], written))
        known, begun = stage.log.count('"draft.created"'), time.perf_counter()
        for place, payload in enumerate(payloads):
            stage.jira.target = f"http://127.0.0.1:{ports(stage)[place % setup.processes]}/webhooks/jira"
            assert (await stage.jira.deliver(payload)).status == 202
        while stage.log.count('"draft.created"') - known < questions:
            assert time.perf_counter() - begun < 300, stage.log[-2000:]
            await asyncio.sleep(0.02)
        return questions / (time.perf_counter() - begun)


async def cards(setup: Setup, seconds: float) -> tuple[float, float]:
    """The median and p95 of seconds from a question to its card, under load."""
    async with Stage() as stage:
        await started(stage, setup)
        run = Run(stage)
        stage.claude.script(*[REPLY] * 1000)
        await run.question(0)
        run.cards.clear()
        secrets = {"jira": stage.jira.secret, "bitbucket": stage.bitbucket.secret}
        streams = [
            steady(port, context(secrets, start=place * 1_000_000), RATE / setup.processes, seconds)
            for place, port in enumerate(ports(stage))
        ]
        await asyncio.gather(*streams, run.ask(seconds - 2, 2.0))
        return quantile(run.cards, 0.5), quantile(run.cards, 0.95)


async def measure(events: int, questions: int, seconds: float) -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"the chain's head: {await heads():,.0f} transactions a second")
    head = f"{'':26}{'deliveries/s':>13}{'p99 ms':>9}{'CPU µs':>9}{'drafts/s':>10}{'card p50 s':>12}{'p95 s':>8}"
    print(head, flush=True)
    for setup in SETUPS:
        rate, slowest, used = await deliveries(setup, events)
        made = await drafts(setup, questions)
        median, late = await cards(setup, seconds)
        print(
            f"{setup.name:26}{rate:13,.0f}{slowest:9.0f}{used:9,.0f}{made:10.1f}{median:12.2f}{late:8.2f}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=40)
    given = parser.parse_args()
    asyncio.run(measure(given.events, given.questions, given.seconds))


if __name__ == "__main__":
    main()
