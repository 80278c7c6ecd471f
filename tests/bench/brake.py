"""The brake with thousands of drafts that wait: is it in force at once, and does everything else go on?

    python -m tests.bench.brake [--drafts 10000] [--store tinydb|postgres] [--questions 10]

The drafts and their cards are put into the store and the stand-in before the real program starts, as a process, on one
store after the other (or the one that is named). Then somebody switches to simulation, and while the cards are redrawn
at Slack's pace: questions are asked, cards that still show production are clicked on, every command that tells of
drafts is typed, and `/health` is asked fifty times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp

from bot.demo.slack.people import DANA, Message
from bot.demo.stage import Stage
from tests.bench.load_generator import quantile
from tests.bench.report import Row, table
from tests.stores import STORES
from tests.waiting import waiting

REPLY = {"should_respond": True, "reasoning": "A question.", "response_text": "Ana has it.", "confidence": 0.9}
COMMANDS = ("pending", "stats", "health", "standup", "why WAIT-1", "pause", "resume", "mode")
CLICKS = 5
EVERY = 3.0
"""Seconds between two questions."""
LONGEST = 60.0


class Health:
    """Asks `/health` all the time. `took`: seconds of each; `simulation`: when it first told that mode."""

    def __init__(self, url: str) -> None:
        self.took: list[float] = []
        self.simulation = 0.0
        self._url = url

    async def ask(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                begun = time.perf_counter()
                async with session.get(f"{self._url}/health", timeout=aiohttp.ClientTimeout(LONGEST)) as answer:
                    mode = (await answer.json())["mode"]
                self.took.append(time.perf_counter() - begun)
                if mode == "simulation" and not self.simulation:
                    self.simulation = time.perf_counter()
                await asyncio.sleep(0.02)


def highest_memory(pid: int) -> float:
    """The most that a process had in memory so far, in MiB. Linux."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


async def seconds(work: Awaitable[object], until: Callable[[], object]) -> float:
    """Until this is done, and then true."""
    begun = time.perf_counter()
    await work
    while not until():
        if time.perf_counter() - begun > LONGEST:
            return LONGEST
        await asyncio.sleep(0.01)
    return time.perf_counter() - begun


class Run:
    """One store. `messages`: the cards of the drafts that wait, oldest first."""

    def __init__(self, stage: Stage, messages: list[Message]) -> None:
        self._slack = stage.slack
        self._stage = stage
        self._messages = messages

    @property
    def redrawn(self) -> int:
        """How many of those cards were changed so far."""
        return sum(bool(message.versions) for message in self._messages)

    async def command(self, words: str) -> tuple[float, float]:
        """Seconds until it is acknowledged, and until it is answered."""
        known, begun = len(self._slack.private), time.perf_counter()
        ack = await self._slack.command(DANA, text=words)
        assert ack.acked, words
        acked = time.perf_counter() - begun
        return acked, acked + await seconds(asyncio.sleep(0), lambda: len(self._slack.private) > known)

    async def questions(self, count: int) -> list[float]:
        """Seconds from each question to its card."""
        took = []
        for number in range(count):
            key, known = f"ECD-{number + 1}", len(self._slack.log)
            self._stage.claude.script(REPLY)
            self._stage.jira.issue(key, status="In Progress", assignee="ana")

            def shown(known: int = known) -> bool:
                return any("Approve" in message.buttons for message in self._slack.log[known:])

            took.append(await seconds(self._stage.jira.comment(key, "ben", "Is anybody looking at this?"), shown))
            await asyncio.sleep(max(0.0, EVERY - took[-1]))
        return took

    async def clicks(self) -> tuple[list[float], list[float]]:
        """Seconds until who clicks on a card of the other mode is told, and until it is redrawn."""
        told, drawn = [], []
        for card in self._messages[:CLICKS]:
            assert not card.versions
            known = len(self._slack.private)
            told.append(
                await seconds(
                    self._slack.click(DANA, card, "Approve"), lambda known=known: len(self._slack.private) > known
                )
            )
            drawn.append(told[-1] + await seconds(asyncio.sleep(0), lambda card=card: card.versions))
            await asyncio.sleep(1.0)
        return told, drawn

    async def metrics(self) -> float:
        async with aiohttp.ClientSession() as session:
            begun = time.perf_counter()
            async with session.get(f"{self._stage.bot_url}/metrics") as answer:
                assert "pmagent_drafts" in await answer.text()
            return time.perf_counter() - begun

    async def home(self) -> float:
        self._slack.homes.clear()
        return await seconds(self._slack.home(DANA), lambda: self._slack.homes)


async def measure(drafts: int, store: str, questions: int) -> list[Row]:
    async with Stage() as stage:
        if store == "postgres":
            from tests.bench.scale import server
            from tests.postgres import store_database

            stage.env["PMAGENT_DATABASE_URL"] = await store_database(server())
        stage.env["PMAGENT_APPROVERS"] = DANA
        run = Run(stage, await waiting(stage, drafts))
        begun = time.perf_counter()
        await stage.start_bot()
        ready = time.perf_counter() - begun
        assert stage.bot is not None
        health = Health(stage.bot_url)
        asking = asyncio.create_task(health.ask())
        await asyncio.sleep(5.0)  # what a start loads beside its work
        health.took.clear()
        switched = time.perf_counter()
        acked, answered = await run.command("mode simulation")
        cards, (told, drawn) = await asyncio.gather(run.questions(questions), run.clicks())
        commands = {words: (await run.command(words))[1] for words in COMMANDS}
        slowest = max(commands, key=lambda words: commands[words])
        scrape, home = await run.metrics(), await run.home()
        took, redrawn = time.perf_counter() - switched, run.redrawn
        memory = highest_memory(stage.bot.pid)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        assert stage.jira.posted() == []
        begun = time.perf_counter()
        await stage.stop_bot()
        return [
            Row("started and ready", ready, "s"),
            Row("mode: acknowledged", acked, "s", 1.0),
            Row("mode: in force, by /health", health.simulation - switched, "s", 1.0),
            Row("mode: answered", answered, "s"),
            Row("question → card, slowest", max(cards), "s", 5.0),
            Row("click on a card of the other mode: told", max(told), "s"),
            Row("  and redrawn", max(drawn), "s"),
            Row(f"slowest command ({slowest})", commands[slowest], "s"),
            Row("/metrics", scrape * 1000, "ms"),
            Row("Home tab", home * 1000, "ms"),
            Row("/health, median", quantile(health.took, 0.5) * 1000, "ms"),
            Row("/health, slowest", max(health.took) * 1000, "ms", 100.0),
            Row(f"cards redrawn in {took:.0f} s", redrawn, ""),
            Row("memory, at most", memory, "MiB", 300.0),
            Row("stopped", time.perf_counter() - begun, "s"),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drafts", type=int, default=10_000)
    parser.add_argument("--store", choices=STORES)
    parser.add_argument("--questions", type=int, default=10)
    given = parser.parse_args()
    met = [
        table(f"{given.drafts:,} drafts wait, {store}", asyncio.run(measure(given.drafts, store, given.questions)))
        for store in ([given.store] if given.store else STORES)
    ]
    raise SystemExit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
