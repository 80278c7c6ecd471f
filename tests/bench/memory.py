"""Resident memory of the program after the first card, after 1,000 and after 100,000 events. Linux.

    python -m tests.bench.memory [--events 100000]

Run it in an environment that has `requirements.txt` alone, as users have it: some libraries load others where they find
them (structlog loads rich, which a test tool brings: 3.5 MiB).

The real program as a process, and webhooks of the kinds that rules settle, as fast as it takes them, with a question
(a card, an instant Claude) among each thousand. Memory is read when everything is settled.
"""

from __future__ import annotations

import argparse
import asyncio
from itertools import islice

from bot.demo.stage import Stage
from tests.bench.load import REPLY, Run
from tests.bench.load_generator import at_full_speed
from tests.bench.material import context
from tests.bench.report import Row, resident, table

FEW = 1000
BATCH = 5000


async def measure(events: int) -> tuple[float, float, float, float]:
    """MiB at the ready, after the first card, after a thousand events, and after all."""
    async with Stage() as stage:
        stage.env["PMAGENT_RATE_LIMIT"] = ""
        stage.env["PMAGENT_DAILY_BUDGET_USD"] = "100000"
        await stage.start_bot()
        assert stage.bot is not None
        run = Run(stage)
        stage.claude.script(*[REPLY] * (events // FEW + 10))
        ready = resident(stage.bot.pid)
        requests = context({"jira": stage.jira.secret, "bitbucket": stage.bitbucket.secret})
        await run.question(0)
        await asyncio.sleep(3)
        card = resident(stage.bot.pid)
        few, done, asked = 0.0, 0, 1
        while done < events:
            step = FEW if done < FEW else min(BATCH, events - done)
            sent = await at_full_speed(stage.bot_port, islice(requests, step), 16)
            assert sent.statuses[202] == step, sent.statuses
            done += step
            await run.question(asked)
            asked += 1
            print(f"{done:>9,} events  {resident(stage.bot.pid):8.1f} MiB  {sent.per_second:7.0f}/s", flush=True)
            if done == FEW:
                await asyncio.sleep(3)
                few = resident(stage.bot.pid)
        await asyncio.sleep(5)
        many = resident(stage.bot.pid)
        await stage.stop_bot()
        return ready, card, few, many


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    given = parser.parse_args()
    ready, card, few, many = asyncio.run(measure(given.events))
    good = table(
        f"Resident memory, {given.events:,} events",
        [
            Row("just started", ready, "MiB"),
            Row("after the first card", card, "MiB", 140),
            Row(f"after {FEW:,} events", few, "MiB"),
            Row(f"after {given.events:,} events", many, "MiB", 150),
        ],
    )
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
