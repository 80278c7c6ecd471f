"""`python -m bot replay`: decided events of this installation once more, under other prompts. Nothing is posted."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.evals.decided import Decided
    from bot.evals.replaying import Replayed
    from bot.settings import Settings
    from bot.store import Store

ASKS_ABOVE = 1.0
"""US dollars above which somebody has to agree."""


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `replay` with `run(args) -> exit code`."""
    from bot.commands.data import since

    parser = subparsers.add_parser(
        "replay",
        help="decided events once more, under other prompts",
        description="Asks Claude about this installation's decided events again: how other prompts would have decided "
        "and written, beside what people approved, edited or skipped. Nothing is posted. What it costs comes out of "
        "the day's budget, and above a dollar it asks first.",
    )
    parser.add_argument("--since", type=since, metavar="DATE", help="only events from this ISO date or time on (UTC)")
    parser.add_argument("--prompts", metavar="DIR", type=Path, help="a folder of prompts (default: the project's)")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with all wordings side by side")
    parser.add_argument("--yes", action="store_true", help="do not ask, whatever it costs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0; 2 when it cannot run, or when nobody agreed to what it costs."""
    from bot.commands.progress import ProgressBar
    from bot.errors import UserError
    from bot.evals.decided import decided
    from bot.evals.replay_page import page, table
    from bot.prompting.files import FOLDER, load_prompts
    from bot.settings import SettingsError, load
    from bot.store import StoreUnavailable
    from bot.store.opening import data

    folder = (args.prompts or FOLDER).resolve()
    try:
        settings, prompts = load(), load_prompts(folder)
        with data().snapshot() as snapshot:
            events = list(decided(snapshot, args.since))
        if not events:
            print("No decided event is on record yet of which it is known what Claude was shown.")
            return 0
        cost = sum(event.cost for event in events)
        if not args.yes and cost > ASKS_ABOVE and not _agreed(len(events), cost):
            return 2
        bar = ProgressBar("replay: ", len(events))
        found = asyncio.run(_replay(settings, prompts, events, bar))
        bar.end()
        if args.html:
            args.html.write_text(page(found, str(folder)), encoding="utf-8")
    except SettingsError as error:
        print("These settings need you: " + ", ".join(p.variable for p in error.problems), file=sys.stderr)
        return 2
    except (UserError, StoreUnavailable, OSError) as error:
        print(str(error), file=sys.stderr)
        return 2
    print(table(found, str(folder)))
    if stopped := next((r.problem for r in found if r.decision is None), ""):
        print(f"\nNot all were answered: {stopped}", file=sys.stderr)
    if args.html:
        print(f"\nThe page: {args.html}")
    return 0


def _agreed(count: int, cost: float) -> bool:
    question = (
        f"{count} events; they cost ${cost:.2f} when they were decided, and will cost about as much now. Go on? [y/N] "
    )
    if not sys.stdin.isatty():
        print(f"{question}\nNobody is here to ask: --yes goes on without asking.", file=sys.stderr)
        return False
    return input(question).strip().lower() in ("y", "yes")


async def _replay(settings: Settings, prompts: Any, events: list[Decided], bar: Any) -> list[Replayed]:
    from bot.clients.claude.client import Claude
    from bot.clock import SystemClock
    from bot.evals.replaying import replay

    async with _budget_store(settings) as store:
        claude = Claude(settings, store, SystemClock())
        try:
            return await replay(claude, settings, prompts, events, bar.step)
        finally:
            await claude.close()


@asynccontextmanager
async def _budget_store(settings: Settings) -> AsyncIterator[Store]:
    """The store, for the day's budget; beside a running bot that holds it, a copy of what it has spent today."""
    from bot.clock import SystemClock
    from bot.store import Put
    from bot.store.embedded.lock import DataFolderLocked
    from bot.store.opening import data_at, store_of

    folder, url, clock = settings.pmagent_data_dir.resolve(), settings.database_url, SystemClock()
    try:
        store: Store = await store_of(folder, url, clock=clock, zone=settings.timezone)
    except DataFolderLocked:
        print(
            "The bot is running and holds the data. This spends no more than was left of today's budget a moment ago; "
            "the bot does not count it.",
            file=sys.stderr,
        )
        day = f"spend:{clock.now().astimezone(settings.timezone).date().isoformat()}"
        with data_at(folder, url).snapshot() as snapshot:
            spent = snapshot.get("state", day)
        with TemporaryDirectory(prefix="pm-agent-replay-") as place:
            store = await store_of(Path(place), None, clock=clock, zone=settings.timezone)
            try:
                if spent:
                    await store.commit(Put("state", spent))
                yield store
            finally:
                await store.close()
        return
    try:
        yield store
    finally:
        await store.close()
