"""`python -m bot demo`: the real program against stand-ins, with one page, or (`--play`) a story in the terminal."""

from __future__ import annotations

import argparse
import sys


def add_parsers(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `demo` with `run(args) -> exit code`."""
    parser = subparsers.add_parser(
        "demo",
        help="try everything without any account, in the browser or (--play) in the terminal",
        description="The real program against stand-ins of Slack, Jira, Bitbucket and Claude on this machine. "
        "Needs no account, no network and no .env; its data is in a temporary folder that is deleted at the end.",
    )
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="the page's port (default: 8000)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--play", action="store_true", help="no page: one story plays itself here, and the command ends"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="with --play: show what goes over the wire")
    parser.add_argument(
        "--claude", action="store_true", help="the real model writes (ANTHROPIC_API_KEY; costs a little money)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 when the demo was ended, or every step of the story held; 1 when one did not; 2 when it cannot start."""
    import asyncio
    import os

    key = os.environ.get("ANTHROPIC_API_KEY", "") if args.claude else ""
    if args.claude and not key:
        print("--claude needs ANTHROPIC_API_KEY in the environment.", file=sys.stderr)
        return 2
    if not 0 <= args.port <= 65535:
        print(f"--port {args.port}: a port is a number from 0 to 65535.", file=sys.stderr)
        return 2
    if args.play:
        from bot.demo.play import play

        return asyncio.run(play(verbose=args.verbose, claude_key=key))
    from bot.demo.show import show

    return asyncio.run(show(port=args.port, browser=not args.no_browser, claude_key=key))
