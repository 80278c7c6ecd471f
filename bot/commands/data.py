"""The commands over the data: figures, exports, the audit trail, backups, erasure.

They need to know where the data are (`PMAGENT_DATA_DIR` or `PMAGENT_DATABASE_URL`) and nothing else of the settings.
Those that read work while the bot runs and hold nobody up. Each `run_…` gives back the exit code; what goes to standard
output is for other programs, everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.commands.exporting import EXPORTED, run_export
from bot.commands.progress import ProgressLines
from bot.commands.verify import run_verify

if TYPE_CHECKING:
    pass

MAX_LISTED = 20
"""Records that `erase` names at most."""

CommandRun = Callable[[argparse.Namespace], int]


def add_parsers(commands: Any) -> None:
    """Register the commands on `ArgumentParser.add_subparsers()`; each sets `run`."""

    def add(to: Any, name: str, run: CommandRun, text: str, more: str = "") -> Any:
        parser = to.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {more}".strip())
        parser.set_defaults(run=run)
        return parser

    stats = add(commands, "stats", run_stats, "show the figures that /pmagent stats shows", "Works while the bot runs.")
    stats.add_argument("--json", action="store_true", help="one JSON object, for programs")
    stats.add_argument("--days", type=_days, metavar="N", help="today and the N-1 days before (default: everything)")

    export = add(
        commands, "export", for_people(run_export), "print the records of a table, oldest first",
        "Works while the bot runs. Nested values are JSON in a CSV cell; a cell that a spreadsheet would take for a "
        "formula begins with an apostrophe.",
    )  # fmt: skip
    export.add_argument("table", choices=EXPORTED, metavar="TABLE", help=", ".join(EXPORTED))
    _add_export_options(export)

    audit = commands.add_parser("audit", help="export or verify the audit trail", description="The audit trail.")
    actions = audit.add_subparsers(title="actions", metavar="ACTION", required=True)
    trail = add(
        actions, "export", for_people(run_export), "print the audit trail, oldest first", "The same as: export audit"
    )
    trail.set_defaults(table="audit")
    _add_export_options(trail)
    verify = add(
        actions, "verify", for_people(run_verify), "recompute the audit trail's hash chain, name the first bad record",
        "Also compares the texts that are still there with their hashes, and lists erasures. Standard output has the "
        "verdict, standard error what it proves and what it does not. Exit code 0: intact, 1: broken.",
    )  # fmt: skip
    verify.add_argument(
        "--head", metavar="HASH", help="a head that was published earlier: also that all before it is as it was then"
    )
    verify.add_argument(
        "--slack", action="store_true", help="the same against every head in the channels that standups went to"
    )

    saving = add(
        commands, "backup", run_backup, "write all data, as they are at one moment, into one archive file",
        "Works while the bot runs. An existing file is never overwritten. The file's path is the last line printed.",
    )  # fmt: skip
    saving.add_argument(
        "destination", metavar="DEST", help="a file; or a folder (made when DEST ends in /), which gets a dated file"
    )

    restoring = add(
        commands, "restore", run_restore, "put the data of a backup into the store that the settings name",
        "The bot must not run. Nothing is replaced before all of the backup was checked. At its next start the bot "
        "looks in Jira for each open draft whether it was posted since the backup.",
    )  # fmt: skip
    restoring.add_argument("source", type=Path, metavar="SRC", help="a file that backup wrote")
    restoring.add_argument("--force", action="store_true", help="replace the data that is there, for good")

    erase = add(
        commands, "erase", run_erase, "remove every text of and about a person from all records",
        "Works while the bot runs. The audit chain holds hashes and no text, and still verifies. Backups made earlier, "
        "Slack and Jira are not touched.",
    )  # fmt: skip
    erase.add_argument("account", metavar="ACCOUNT", help="a Slack user id (U…) or a Jira account id")
    erase.add_argument(
        "--also", metavar="TEXT", action="append", default=[],
        help="a nickname, an earlier name or an e-mail address of the same person; may be given several times",
    )  # fmt: skip


def _add_export_options(parser: Any) -> None:
    parser.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default: jsonl, one record a line")
    parser.add_argument("--since", type=since, metavar="DATE", help="only records from this ISO date or time on (UTC)")


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= 36500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days such as 7")
    return days


def since(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-01-31 or 2026-01-31T09:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def for_people(run: CommandRun) -> CommandRun:
    """Turn the errors that carry a sentence into that sentence and exit code 1."""

    @wraps(run)
    def guarded(args: argparse.Namespace) -> int:
        from bot.errors import UserError
        from bot.store import StoreUnavailable

        try:
            return run(args)
        except (UserError, StoreUnavailable) as error:
            print(error, file=sys.stderr)
        return 1

    return guarded


@for_people
def run_stats(args: argparse.Namespace) -> int:
    """`stats [--json] [--days N]`."""
    import asyncio
    import json
    from zoneinfo import ZoneInfo

    from bot.clock import SystemClock
    from bot.environment import read_variables
    from bot.reports.metrics import as_text, figures
    from bot.store.data import AsyncSnapshot
    from bot.store.opening import data

    values = read_variables(("PMAGENT_TIMEZONE", "PMAGENT_MODE"))
    zone = values.get("PMAGENT_TIMEZONE", "").strip() or "UTC"
    try:
        timezone = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # a wrong zone is for `check` to say; figures can be had without it
        timezone = ZoneInfo("UTC")
    mode = "production" if values.get("PMAGENT_MODE", "").strip() == "production" else "simulation"
    with data().snapshot() as snapshot:
        store = AsyncSnapshot(snapshot)
        found = asyncio.run(figures(store, SystemClock(), args.days, timezone=timezone, default_mode=mode))
    print(json.dumps(found, ensure_ascii=False) if args.json else as_text(found))
    return 0


@for_people
def run_backup(args: argparse.Namespace) -> int:
    """`backup DEST`."""
    from bot.store.backup import backup
    from bot.store.opening import data

    path, made = backup(data(), args.destination, ProgressLines())
    trail = made.audit.broken or f"ok {made.audit.records} records, head {made.audit.head}"
    print(f"Audit trail: {trail}", file=sys.stderr)
    print(path)
    return 0


@for_people
def run_restore(args: argparse.Namespace) -> int:
    """`restore SRC [--force]`."""
    from bot.store.backup import restore
    from bot.store.opening import data

    target = data()
    verdict = restore(args.source, target, ProgressLines(), force=args.force)
    print(f"Restored {args.source} into {target.place}.")
    print(f"Audit trail: {verdict}", file=sys.stdout if verdict.broken_at is None else sys.stderr)
    return 0


@for_people
def run_erase(args: argparse.Namespace) -> int:
    """`erase ACCOUNT`."""
    from bot.store.erasure.erase import account_id, other_names
    from bot.store.opening import data

    account, found = account_id(args.account), data()
    erased = found.erase(account, other_names(args.also))
    if erased is None:
        print(f"There is nothing to erase: {found.place} has no data.")
        return 0
    what = ", ".join(f"{count} in {table}" for table, count in sorted(erased.records.items())) or "none"
    print(f"Erased. Records changed: {what}.")
    known = f"{erased.names} name{'s' if erased.names != 1 else ''}" if erased.names else "no name, only the id"
    print(
        f"Known by {known}. For a nickname, or an e-mail address that is not made of the name: --also", file=sys.stderr
    )
    for left, what in (
        (erased.parts, "a part of the name alone"),
        (erased.words, "six or more of their words in a row"),
    ):
        if left:
            more = f" and {len(left) - MAX_LISTED:,} more" if len(left) > MAX_LISTED else ""
            where = "where nothing else says that it is theirs"
            print(f"Left for you to look at, {what}, {where}: {', '.join(left[:MAX_LISTED])}{more}", file=sys.stderr)
    print(f"Not touched, and yours to see to: {found.beyond_reach}.", file=sys.stderr)
    return 0
