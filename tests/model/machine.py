"""Hypothesis chooses what happens. A failure prints the steps as the world told them, beside hypothesis's own."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.demo.wire import Fault
from tests.model import holds
from tests.model.world import COMMANDS, READ, World
from tests.postgres import store_database

ROOT = Path(__file__).parents[2]
COUNTS: Counter[str] = Counter()
"""Over all runs of this process: steps, crashes, events, comments and the like."""
FAILURES: list[BaseException] = []
"""What went wrong, first things first: hypothesis plays a failure again, and a process never runs twice alike."""


def failpoints() -> list[str]:
    """Every failpoint that stands in the program's source."""
    files = [*ROOT.glob("bot/**/*.py"), *ROOT.glob("handlers/**/*.py")]
    return sorted({name for f in files for name in re.findall(r'\bfailpoint\("([\w.]+)"\)', f.read_text("utf-8"))})


def run(machine: type[RuleBasedStateMachine], how: settings) -> None:
    """Let hypothesis run the machine. Raises the first failure as it was, not what became of it when played again."""
    FAILURES.clear()
    try:
        run_state_machine_as_test(machine, settings=how)
    except BaseException:
        if not FAILURES:
            raise
    if FAILURES:
        raise FAILURES[0]


WEIGHTS = {
    "comment": 10, "crowd": 2, "out_of_order": 4, "edit": 5, "change": 4, "ask_by_rule": 2, "push": 1, "again": 7,
    "ask_and_decide": 14, "ask_and_die": 5, "click": 12, "submit": 3, "command": 5, "at_once": 8, "fault": 5,
    "shift": 2, "kill": 3, "arm": 3, "quiet": 3,
}  # fmt: skip
"""How often each deed is tried, out of their sum. The bodies are below, in `_deed`."""
DEEDS = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
NUMBER = st.integers(0, 59)


class Machine(RuleBasedStateMachine):
    """The program's outside. One rule with weighted deeds: hypothesis would leave out whole rules for a run.

    A long run has an end: `most` steps or the time `ends`, whichever is first; after it nothing is done any more.
    `processes`: of the program, with PostgreSQL; 0: one, with TinyDB.
    """

    most, ends = 10**9, float("inf")
    processes = 0

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        url = self.runner.run(store_database()) if self.processes else ""
        self.world = World(url=url, processes=self.processes or 1)

    def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            self.runner.run(work)
        except BaseException as error:
            error.add_note("What happened:\n" + "\n".join(self.world.told[-80:]))
            FAILURES.append(error)
            raise

    @property
    def over(self) -> bool:
        return bool(FAILURES) or COUNTS["steps"] >= self.most or time.monotonic() > self.ends

    @initialize(budget=st.sampled_from([10.0, 10.0, 0.1]))
    def begin(self, budget: float) -> None:
        if self.over:
            return
        self._run(self.world.open(budget))

    @rule(deed=st.sampled_from(DEEDS), a=NUMBER, b=NUMBER, c=NUMBER, name=st.sampled_from(failpoints()))
    def step(self, deed: str, a: int, b: int, c: int, name: str) -> None:
        if self.over or not self.world.stage.server.port:
            return
        COUNTS["steps"] += 1

        async def whole_step() -> None:
            await self.world.up()
            await self._deed(deed, a, b, c, name)
            await self.world.breathe(c)

        self._run(whole_step())

    async def _deed(self, deed: str, a: int, b: int, c: int, name: str) -> None:
        world = self.world
        match deed:
            case "quiet":
                await holds.quiet(world)
            case "arm":
                await world.arm(name)
            case "ask_and_die":
                await world.arm(name)
                await world.ask_and_decide(a, b, 0)
            case "ask_and_decide" | "click":
                await getattr(world, deed)(a, b, c)
            case "at_once":
                await asyncio.gather(world.click(a, a % 3, 1), self._beside(b, c))
            case "ask_by_rule" | "push" | "shift" | "fault":
                await getattr(world, deed)(a)
            case _:
                await getattr(world, deed)(a, b)

    def _beside(self, which: int, how: int) -> Coroutine[Any, Any, Any]:
        """What happens at the very moment of a click."""
        world = self.world
        match which % 7:
            case 0:
                return world.click(how, which % 4, 1)
            case 1:
                return world.click(how, how, 0)
            case 2:
                return world.command(0, how)
            case 3:
                # Jira is slow just now, so that the switch comes between the click and the POST.
                self.world.stage.jira.fail(READ, Fault("hang", seconds=0.3))
                return world.command(0, how % 2)
            case 4:
                return world.comment(how, 0)
            case 5:
                return world.change(how, how)
            case _:
                return world.kill(1, how)

    @invariant()
    @precondition(lambda self: self.world.stage.server.port)
    def always(self) -> None:
        async def look() -> None:
            holds.always(self.world)

        self._run(look())

    def teardown(self) -> None:
        try:
            if self.world.stage.server.port and not self.failed:
                self._run(self._finish())
        finally:
            self._count()
            self.runner.run(self.world.close())
            self.runner.close()

    @property
    def failed(self) -> bool:
        """Whether a step has failed: then what the end finds would only hide it."""
        return sys.exc_info()[0] is not None

    async def _finish(self) -> None:
        """Everything that held something back goes away; then every story must end."""
        world = self.world
        world.say("-- the end")
        await world.up()
        await holds.quiet(world)
        if any(e["state"] == "received" for e in world.books["webhook_events"].values()):
            world.budget = 1000.0
            await world.kill(1, 0, all_at_once=True)
            await world.up()
            await world.command(0, COMMANDS.index("resume"))
            await holds.quiet(world, strict=True)
        await world.stop()
        holds.whole(world)
        holds.no_secrets(world)

    def _count(self) -> None:
        world = self.world
        if not world.stage.server.port:
            return
        COUNTS.update(
            runs=1, crashes=world.crashes, restarts=world.restarts, events=len(world.events),
            drafts=len(world.books["drafts"]), comments=len(world.wires.posts), clicks=len(world.wishes),
            calls=len(world.claude.requests), audit=len(world.books.trail),
        )  # fmt: skip
        for draft in world.books["drafts"].values():
            COUNTS[f"drafts {draft['state']}"] += 1
