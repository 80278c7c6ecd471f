"""`python -m bot export` and `audit export`: a table's records to standard output, as JSON Lines or CSV."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.store import Record

EXPORTED = ("webhook_events", "agent_cycles", "drafts", "audit")
COLUMNS: dict[str, tuple[str, ...]] = {
    "webhook_events": (
        "id", "event_id", "at", "source", "kind", "issue", "state", "reason", "delivery_id", "body_sha256", "event",
    ),
    "agent_cycles": (
        "id", "event_id", "at", "ended", "issue", "outcome", "reason", "reasoning", "confidence", "cost_usd",
        "draft_id", "calls",
    ),
    "drafts": (
        "id", "event_id", "at", "issue_key", "state", "mode", "version", "audience", "revisions", "decision", "posted",
    ),
    "audit": ("seq", "at", "actor", "action", "event_id", "draft_id", "issue", "details", "prev", "hash"),
}  # fmt: skip
"""The first columns of a CSV export, also of an empty table; other fields of the records follow."""


def run_export(args: argparse.Namespace) -> int:
    """`export TABLE` and `audit export`."""
    from bot.store.opening import data

    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]  # a TextIOWrapper in a command
    with data().snapshot() as snapshot:
        if args.format == "csv":
            _write_csv(COLUMNS[args.table], lambda: snapshot.find(args.table, since=args.since))
        else:
            _write_lines(snapshot.find(args.table, since=args.since))
    return 0


def _write_lines(records: Iterable[Record]) -> None:
    import json

    for record in records:
        print(json.dumps(record, ensure_ascii=False, separators=(",", ":")))


def _write_csv(columns: tuple[str, ...], records: Callable[[], Iterator[Record]]) -> None:
    """Read twice: the first time for the names of all columns."""
    import csv

    more = dict.fromkeys(name for record in records() for name in record if name not in columns)
    names = [*columns, *more]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for record in records():
        writer.writerow([_cell(record.get(name)) for name in names])


def _cell(value: object) -> str:
    """A value as a cell: nested ones as JSON, nothing for None, and no text that a spreadsheet would run."""
    import json

    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
