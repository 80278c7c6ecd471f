"""The commands: `python -m bot …`. Each imports what it needs when it runs, so that a small one starts fast."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.settings import Problem

LEFT_SECONDS = 1.5
"""How long a thread may outlive a clean stop."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    # The bot itself, which stays, does not load the other commands.
    args = _parser().parse_args(given) if given else argparse.Namespace(run=_run)
    try:
        code: int = args.run(args)
    except BrokenPipeError:  # `… export drafts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    from bot.commands import data, demo, evals, replay
    from bot.commands.check import doctor as check

    parser = argparse.ArgumentParser(
        prog="python -m bot",
        description="PM Agent drafts answers to Jira questions and posts them after a person's click in Slack.",
        epilog="Without a command it runs the bot. To see it work without any account: python -m bot demo",
    )
    parser.set_defaults(run=_run)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    run = commands.add_parser("run", help="start the bot (the default)", description="Start the bot, until SIGTERM.")
    run.set_defaults(run=_run)
    demo.add_parsers(commands)
    check.add_parsers(commands)
    data.add_parsers(commands)
    evals.add_parsers(commands)
    replay.add_parsers(commands)
    openapi = commands.add_parser(
        "openapi",
        help="print the sidecar's OpenAPI document",
        description="Print the sidecar's OpenAPI document (JSON).",
    )
    openapi.set_defaults(run=_openapi)
    return parser


def _run(_: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))  # nothing is open yet; from here on `bot.app` has its own
    from bot.log import configure
    from bot.settings import SettingsError, load

    configure()  # an error that nobody foresaw is no traceback with the settings in it
    try:
        settings = load()
    except SettingsError as error:
        _print_problems("PM Agent cannot start; these settings (environment or .env) need you:", error.problems)
        _print_problems("and these are probably not what you meant:", error.doubts)
        print(
            ".env.example explains every setting. To see it work without any account: python -m bot demo",
            file=sys.stderr,
        )
        return 2
    _print_problems("PM Agent starts, but these settings are probably not what you meant:", settings.doubts)
    import asyncio

    from bot.app import serve
    from bot.errors import UserError
    from bot.store import StoreUnavailable
    from bot.store.embedded.lock import DataFolderLocked

    async def served() -> int:
        code = await serve(settings)
        # All is stored and said. Python would now wait for every thread of the loop's pool, and one that asks a silent
        # name server cannot be ended.
        last = threading.Timer(LEFT_SECONDS, os._exit, (code,))
        last.daemon = True
        last.start()
        return code

    try:
        return asyncio.run(served())
    except DataFolderLocked as error:
        print(str(error), file=sys.stderr)
        return 3
    except (UserError, StoreUnavailable, OSError) as error:
        print(f"PM Agent cannot start: {error}", file=sys.stderr)
        return 2


def _print_problems(heading: str, problems: tuple[Problem, ...]) -> None:
    """For the person at the terminal, whatever the log's format is; nothing when there are none."""
    if not problems:
        return
    print(f"{heading}\n", file=sys.stderr)
    for problem in problems:
        print(f"  {problem.variable}: {problem.what}", file=sys.stderr)
        if problem.mend:
            print(f"      {problem.mend}", file=sys.stderr)
    print(file=sys.stderr)


def _openapi(_: argparse.Namespace) -> int:
    import json

    from handlers import openapi

    print(json.dumps(openapi(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
