"""`python -m bot check`: the doctor. Tries for real everything that the settings name; one line each.

It changes nothing anywhere: no message, no comment, no record, no paid call. It works while the bot runs and while it
does not. Each line says ok, or what is wrong and how to mend it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot.settings import Settings
    from bot.store.archive.listing import Listed


@dataclass(frozen=True)
class Line:
    """One thing that was tried. `mend`: what to do about it, for a line that is not ok."""

    name: str
    ok: bool
    text: str
    mend: str = ""


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
    from bot.settings import SettingsError, load, read_environment

    try:
        settings = load()
    except SettingsError as error:
        lines = [
            Line(problem.variable, False, problem.what, problem.mend or f"mend {problem.variable}: see .env.example")
            for problem in error.problems
        ]
        wrong = {problem.variable for problem in error.problems}
        if ".env" not in wrong:
            lines += [Line(name, True, "is readable") for name in sorted(read_environment()) if name not in wrong]
        lines.append(Line("the rest", False, "is tried once the settings are whole", "mend the lines above"))
    else:
        count = len(read_environment())
        lines = [Line("settings", True, f"{count} are set and readable, the others have their defaults")]
        # What a client logs about a failure, the lines say in words.
        redactor = configure(settings, level=logging.CRITICAL)
        tried = asyncio.run(_tried(settings))
        lines += [replace(line, text=redactor.text(line.text)) for line in tried]
    _print(lines, as_json=args.json)
    return 0 if all(line.ok for line in lines) else 1


async def _tried(settings: Settings) -> list[Line]:
    from bot.commands import check_services as services

    groups = await asyncio.gather(
        _guarded("Slack", services.slack(settings)),
        _guarded("Jira", services.jira(settings)),
        _guarded("Bitbucket", services.bitbucket(settings)),
        _guarded("Claude", services.claude(settings)),
        _guarded("bot", services.sidecar(settings)),
        _guarded("store", asyncio.to_thread(store, settings)),
    )
    return [line for group in groups for line in group]


async def _guarded(name: str, tries: Awaitable[list[Line]]) -> list[Line]:
    """A doctor does not faint: what nobody foresaw is a line too, and the other lines still come."""
    try:
        return await tries
    except Exception as error:
        return [explain(name, "this is a fault of PM Agent: please report it", error)]


def store(settings: Settings) -> list[Line]:
    """The data folder: it opens, its audit trail has a head, and when something last came in. Read only."""
    from bot.errors import UserError
    from bot.store.tiny import TinyStore

    folder = settings.pmagent_data_dir.absolute()
    if not folder.is_dir():
        return [_new_folder(folder)]
    try:
        opened = TinyStore.open(folder, read_only=True)
        try:
            count, head = opened.audit_head_now()
            lines = [_writable(folder, f"{folder} opens; {count} audit records" + (f", head {head}" if head else ""))]
            newest = next((str(r["at"]) for r in opened.newest("webhook_events")), None)
            lines += _archives(opened.engine.archives, folder)
        finally:
            opened.close_now()
    except UserError as error:
        mend = "restore a backup: python -m bot restore FILE, or let PMAGENT_DATA_DIR name another folder"
        return [Line("store", False, str(error), mend)]
    when = f"the newest event came {_ago(newest)}" if newest else "no event has come yet"
    return [*lines, Line("events", True, when)]


def _archives(archives: Sequence[Listed], folder: Path) -> list[Line]:
    """Whether each archive is there and is the file that was closed."""
    wrong = [text for one in archives if (text := one.wrong(folder))]
    if wrong:
        mend = "put it back from a backup: tar xzf BACKUP archive/NAME in the data folder"
        return [Line("archive", False, text, mend) for text in wrong]
    return [Line("archive", True, f"{len(archives)} whole, up to {archives[-1].until[:10]}")] if archives else []


def _new_folder(folder: Path) -> Line:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if there != folder and there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Line("store", True, f"{folder} is made at the first start")
    why = "this user may not write there" if there.is_dir() else f"{there} is not a folder"
    mend = "set PMAGENT_DATA_DIR to a folder that this user may write to"
    return Line("store", False, f"{folder} cannot be made: {why}", mend)


def _writable(folder: Path, text: str) -> Line:
    if os.access(folder, os.W_OK | os.X_OK):
        return Line("store", True, text)
    mend = f"let this user write to the folder of PMAGENT_DATA_DIR, or run as its owner: {folder}"
    return Line("store", False, f"{text}; this user may not write to it", mend)


def _ago(at: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds()
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {name}{'s' if number != 1 else ''} ago"
    return "less than a minute ago"


def explain(name: str, mend: str, error: Exception) -> Line:
    """A line about something that failed. Only our own errors' sentences are shown: others' may hold addresses.

    Of what nobody foresaw the kind is told and the place, so that a report of it is of use.
    """
    from bot.errors import PMAgentError

    said = getattr(error, "reason", None) or str(error)
    text = said if isinstance(error, PMAgentError) else f"failed ({type(error).__name__} in {_place(error)})"
    return Line(name, False, text, mend)


def _place(error: Exception) -> str:
    """Where it was raised, and where we called what raised it: the ends of two paths, with line numbers."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(Path(__file__).parents[1])]
    shown = dict.fromkeys("/".join([*Path(f.filename).parts[-2:]]) + f":{f.lineno}" for f in frames[-1:] + ours[-1:])
    return ", from ".join(shown) or "no known place"


def line_for(name: str, values: Iterable[str], ok: Callable[[str], bool], text: str, mend: str) -> list[Line]:
    """A failing line for each of `values` that is not `ok`; one good line when all are."""
    bad = [value for value in values if not ok(value)]
    return [Line(name, False, f"{value} is missing", mend.format(value)) for value in bad] or [Line(name, True, text)]


def _print(lines: list[Line], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"ok": all(line.ok for line in lines), "checks": [asdict(line) for line in lines]}, indent=2))
        return
    width = max(len(line.name) for line in lines)
    for line in lines:
        mend = f" → {line.mend}" if line.mend and not line.ok else ""
        print(f"{'ok   ' if line.ok else 'WRONG'}  {line.name:<{width}}  {line.text}{mend}")
