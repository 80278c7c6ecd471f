"""`python -m bot check`: the doctor. Tries for real everything that the settings name; one line each.

It changes nothing anywhere: no message, no comment, no record, no paid call. It works while the bot runs and while it
does not. Each line says ok, or what is wrong and how to mend it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.commands.check.lines import CheckLine, doubtful, good, later, show, wrong

if TYPE_CHECKING:
    from bot.settings import Settings
    from bot.store.data import Data


def add_parsers(subparsers: Any) -> None:
    """Add `check` to the commands."""
    parser = subparsers.add_parser(
        "check",
        help="try every setting, token, scope, channel, approver, project and model for real",
        description="Try everything that the settings name, for real, and change nothing. Works with the bot running "
        "or not. Exit code 0: all ok; 1: something is not.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object: ok, checks")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the lines; 0 when all are ok, else 1."""
    from bot.log import configure
    from bot.settings import SettingsError, load

    configure(level=logging.CRITICAL)  # an error that nobody foresaw is no traceback with the settings in it
    try:
        settings = load()
    except SettingsError as error:
        mend = "mend {}: .env.example explains it"
        lines = [wrong(p.variable, p.what, p.mend or mend.format(p.variable)) for p in error.problems]
        lines += doubtful(error.doubts)
        lines += [good(name, "is readable") for name in sorted(error.good)]
        lines.append(later("the rest", "is tried once the settings are whole", "mend the lines above"))
    else:
        count = len(settings.model_fields_set)
        lines = [good("settings", f"{count} are set and readable, the others have their defaults")]
        lines += doubtful(settings.doubts)
        # What a client logs about a failure, the lines say in words.
        redactor = configure(settings, level=logging.CRITICAL)
        tried = asyncio.run(_tried(settings))
        lines += [replace(line, text=redactor.text(line.text), mend=redactor.text(line.mend)) for line in tried]
    show(lines, as_json=args.json)
    return 0 if all(line.ok for line in lines) else 1


async def _tried(settings: Settings) -> list[CheckLine]:
    from bot.commands.check import services
    from bot.commands.check.slack import slack

    if settings.database_url:
        import bot.store.postgres.data  # noqa: F401 - loaded here, not on a thread, side by side with other libraries
    groups = await asyncio.gather(
        _guarded("Slack", slack(settings)),
        _guarded("Jira", services.jira(settings)),
        _guarded("Bitbucket", services.bitbucket(settings)),
        _guarded("Claude", services.claude(settings)),
        _guarded("bot", services.sidecar(settings)),
        _guarded("store", asyncio.to_thread(store, settings)),
    )
    return [line for group in groups for line in group]


async def _guarded(name: str, tries: Awaitable[list[CheckLine]]) -> list[CheckLine]:
    """A doctor does not faint: what nobody foresaw is a line too, and the other lines still come."""
    try:
        return await tries
    except Exception as error:
        return [unforeseen(name, error)]


def store(settings: Settings) -> list[CheckLine]:
    """The data: they can be opened, the audit trail is whole, and when something last came in. Read only."""
    from bot.commands.check.database import database
    from bot.store.opening import data_at

    folder = settings.pmagent_data_dir.absolute()
    if url := settings.database_url:
        lines, text = database(url)
        mend = "restore a backup: python -m bot restore FILE --force"
        if text:
            lines += _content(data_at(folder, url), lambda found: good("store", f"{text}; {found}"), mend)
        return lines
    if not folder.is_dir():
        return [_new_folder(folder)]
    mend = "restore a backup: python -m bot restore FILE, or let PMAGENT_DATA_DIR name another folder"
    return _content(data_at(folder, None), lambda found: _writable(folder, f"{folder} opens; {found}"), mend)


def _content(data: Data, opened: Callable[[str], CheckLine], mend: str) -> list[CheckLine]:
    """The store's line, which `opened` makes of what was found in it, and that about the newest event."""
    from bot.commands.check.trail import trail
    from bot.errors import UserError
    from bot.store.data import DataAway

    try:
        with data.snapshot() as snapshot:
            last = next(snapshot.find("audit", newest_first=True, limit=1), None)
            event = next(snapshot.find("webhook_events", newest_first=True, limit=1), None)
            verified = [trail(snapshot)] if last else []
    except DataAway as error:
        return [later("store", str(error))]
    except UserError as error:
        return [wrong("store", str(error), mend)]
    found = f"{last['seq']} audit records, head {last['hash']}" if last else "0 audit records"
    when = f"the newest event came {_ago(str(event['at']))}" if event else "no event has come yet"
    return [opened(found), *verified, good("events", when)]


def _new_folder(folder: Path) -> CheckLine:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if there != folder and there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return good("store", f"{folder} is made at the first start")
    why = "this user may not write there" if there.is_dir() else f"{there} is not a folder"
    mend = "set PMAGENT_DATA_DIR to a folder that this user may write to"
    return wrong("store", f"{folder} cannot be made: {why}", mend)


def _writable(folder: Path, text: str) -> CheckLine:
    if os.access(folder, os.W_OK | os.X_OK):
        return good("store", text)
    mend = f"let this user write to the folder of PMAGENT_DATA_DIR, or run as its owner: {folder}"
    return wrong("store", f"{text}; this user may not write to it", mend)


def _ago(at: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {name}{'s' if number != 1 else ''} ago"
    return "less than a minute ago"


def unforeseen(name: str, error: Exception) -> CheckLine:
    """Its kind and its place, so that a report of it is of use; not its words, which may hold addresses and tokens."""
    text = f"failed ({type(error).__name__} in {_place(error)})"
    return wrong(name, text, "this is a fault of PM Agent and of no setting: please report it")


def _place(error: Exception) -> str:
    """Where it was raised, and where we called what raised it: the ends of two paths, with line numbers."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(Path(__file__).parents[1])]
    shown = dict.fromkeys("/".join([*Path(f.filename).parts[-2:]]) + f":{f.lineno}" for f in frames[-1:] + ours[-1:])
    return ", from ".join(shown) or "no known place"
