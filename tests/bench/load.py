"""Cards and clicks while webhooks arrive: 500 a second, one in 1,000 of them deserving a card, an instant Claude.

    python -m tests.bench.load [--seconds 60] [--rate 500]

The real program as a process; the stand-ins and what sends are this one. Nine of ten webhooks are Jira's and
Bitbucket's context, which rules settle. Clicks come as they would on a busy channel: several a second, by a person who
is too late (acknowledged, then told privately), besides the Approve on every third card.
"""

from __future__ import annotations

import argparse
import asyncio
import time

from bot.demo.slack.people import DANA, SAM, Message
from bot.demo.stage import Stage
from tests.bench.load_generator import Sent, quantile, steady
from tests.bench.material import context
from tests.bench.report import Row, cpu_seconds, table

REPLY = {"should_respond": True, "reasoning": "A question.", "response_text": "Ana has it.", "confidence": 0.9}
CLICKS_A_SECOND = 4.0


class Run:
    """One run: what it does beside the load, and what it measured, in seconds."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.cards: list[float] = []
        self.acks: list[float] = []
        self.cpu = 0.0

    async def question(self, number: int) -> Message:
        """Somebody asks; the seconds until the card is there."""
        key = f"ASK-{number + 1}"
        self.stage.jira.issue(key, status="In Progress", assignee="ana")
        started = time.perf_counter()
        await self.stage.jira.comment(key, "ben", "Is anybody looking at this?")
        card = await self.stage.slack.card(key, button="Approve", seconds=30)
        self.cards.append(time.perf_counter() - started)
        return card

    async def ask(self, seconds: float, pause: float) -> None:
        end, number = time.perf_counter() + seconds, 1
        while time.perf_counter() < end:
            due = time.perf_counter() + pause
            card = await self.question(number)
            if number % 3 == 0:
                await self.click(DANA, card)
            number += 1
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def click(self, person: str, card: Message, seen: list[Message] | None = None) -> None:
        ack = await self.stage.slack.click(person, card, "Approve")
        self.acks.append(ack.ms / 1000 if ack.acked else 3.0)

    async def clicks(self, card: Message, seconds: float) -> None:
        """The same button again and again, by somebody who is no approver."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            await self.click(SAM, card)
            await asyncio.sleep(1 / CLICKS_A_SECOND)


async def measure(rate: float, seconds: float) -> tuple[Run, Sent]:
    async with Stage() as stage:
        stage.env["PMAGENT_RATE_LIMIT"] = ""
        stage.env["PMAGENT_APPROVERS"] = DANA
        stage.env["PMAGENT_DAILY_BUDGET_USD"] = "1000"
        await stage.start_bot()
        run = Run(stage)
        stage.claude.script(*[REPLY] * 5000)
        first = await run.question(0)  # the first one pays for imports: not what is measured here
        run.cards.clear()
        secrets = {"jira": stage.jira.secret, "bitbucket": stage.bitbucket.secret}
        before = cpu_seconds(stage.bot.pid) if stage.bot else 0.0
        stream = steady(stage.bot_port, context(secrets), rate, seconds)
        sent, _, _ = await asyncio.gather(stream, run.ask(seconds - 2, 1000 / rate), run.clicks(first, seconds - 1))
        run.cpu = (cpu_seconds(stage.bot.pid) if stage.bot else 0.0) - before
        await stage.stop_bot()
        return run, sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=500)
    given = parser.parse_args()
    run, sent = asyncio.run(measure(given.rate, given.seconds))
    print(f"answers by status: {dict(sent.statuses)}; {len(run.acks)} clicks, {len(run.cards)} cards")
    good = table(
        f"{given.rate:g} webhooks a second for {given.seconds:g} s",
        [
            Row("accepted a second", sent.per_second, "/s", given.rate * 0.97, at_least=True),
            Row("the program's use of a core", run.cpu / sent.took * 100, "%"),
            Row("webhook → answer, p50", quantile(sent.seconds, 0.5) * 1e3, "ms"),
            Row("webhook → answer, p99", quantile(sent.seconds, 0.99) * 1e3, "ms"),
            Row("click → acknowledged, p50", quantile(run.acks, 0.5) * 1e3, "ms"),
            Row("click → acknowledged, p99", quantile(run.acks, 0.99) * 1e3, "ms", 100),
            Row("question → card, p50", quantile(run.cards, 0.5) * 1e3, "ms"),
            Row("question → card, p95", quantile(run.cards, 0.95) * 1e3, "ms", 1000),
        ],
    )
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
