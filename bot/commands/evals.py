"""`python -m bot evals`: the repository's situations through the program, with the real model, scored."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.evals.report import EvalRun
    from bot.evals.situation import Situation

ROOT = Path(__file__).resolve().parents[2]
SITUATIONS = ROOT / "tests" / "evals" / "situations"
MODEL = "https://api.anthropic.com"


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `evals` with `run(args) -> exit code`."""
    parser = subparsers.add_parser(
        "evals",
        help="score the prompts: invented situations through the program, with the real model",
        description="Puts the repository's invented situations through the real program, on stand-ins of Slack, Jira "
        "and Bitbucket, with the model at ANTHROPIC_BASE_URL, and scores what comes out. Costs about a dollar.",
    )
    parser.add_argument(
        "--only", metavar="ID", action="append", default=[], help="a situation or a category; any number of times"
    )
    parser.add_argument(
        "--prompts", metavar="DIR", type=Path, help="another folder of prompts, compared with the project's"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with every request and answer")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when enough situations passed; 1 under the bar; 2 when it cannot run."""
    import asyncio

    from bot.environment import all_variables
    from bot.errors import UserError
    from bot.evals.situation import load_situations
    from bot.prompting.files import FOLDER, load_prompts

    variables = {**all_variables(), **os.environ}
    key = variables.get("ANTHROPIC_API_KEY", "")
    if not key:
        print("evals ask the real model: set ANTHROPIC_API_KEY (environment or .env).", file=sys.stderr)
        return 2
    try:
        folders = [FOLDER, *([args.prompts.resolve()] if args.prompts else [])]
        for folder in folders:
            load_prompts(folder)
        situations = _chosen(load_situations(SITUATIONS), args.only)
        upstream = variables.get("ANTHROPIC_BASE_URL") or MODEL
        models: dict[str, str] = {n: variables[n] for n in ("PMAGENT_MODEL", "PMAGENT_TRIAGE_MODEL") if n in variables}
        runs = [asyncio.run(_run(situations, folder, upstream, key, models)) for folder in folders]
        if args.html:
            from bot.evals.page import page

            args.html.write_text(page(runs), encoding="utf-8")
    except (UserError, OSError) as error:
        print(str(error), file=sys.stderr)
        return 2
    from bot.evals.report import LEAST, table

    print(table(runs))
    if args.html:
        print(f"\nThe page: {args.html}")
    if (share := runs[-1].share) < LEAST:
        print(f"\n{share:.0%} passed; the bar is {LEAST:.0%}.", file=sys.stderr)
        return 1
    return 0


def _chosen(situations: list[Situation], only: list[str]) -> list[Situation]:
    """Those of these ids or categories; all without any. Raises `UserError`."""
    from bot.errors import UserError

    categories = sorted({s.category for s in situations})
    known = {*categories, *(s.id for s in situations)}
    if strange := [name for name in only if name not in known]:
        raise UserError(f"There is no situation and no category {strange[0]}. Categories: {', '.join(categories)}.")
    return [s for s in situations if not only or s.id in only or s.category in only]


async def _run(situations: list[Situation], folder: Path, upstream: str, key: str, models: dict[str, str]) -> EvalRun:
    from bot.commands.progress import ProgressBar
    from bot.evals.report import EvalRun, Scored
    from bot.evals.running import run_situations
    from bot.evals.scoring import score

    bar = ProgressBar(f"{folder.name}: ", len(situations))
    outcomes = await run_situations(
        situations, upstream=upstream, key=key, prompts=folder, told=lambda _: bar.step(), settings=models
    )
    bar.end()
    return EvalRun(
        str(folder),
        tuple(Scored(o, tuple(score(o.situation, o.decided, o.text, o.unsupported, o.reason))) for o in outcomes),
    )
