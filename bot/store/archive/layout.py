"""The backup archive: a `.tar.gz` with a manifest and one JSON Lines file for each table.

::

    manifest.json          format, program, created, audit (records, head, broken), tables (records, sha256)
    webhook_events.jsonl   {"seq": 1, "record": {…}}     one record a line, in order of arrival
    …

It holds records and nothing of the database they came from, so it can be read with `tar` and `jq`, and put into any
backend that offers a `Target`. It has every table that the version which wrote it knows: a later version may know more.
A tar file names a member's size before its content, so what is written is read twice, from the same snapshot. Both
directions hold one record at a time, whatever the size of the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple, Protocol

from bot.store import Record, Table
from bot.store.audit import ChainCheck

FORMAT = 1
KIND = "pm-agent backup"
MANIFEST = "manifest.json"
ReportProgress = Callable[[str, int, int], None]
"""Told after each record: what is done with which table, how many of its records are done, how many there are."""


class StoredRecord(NamedTuple):
    """A record as a store holds it: its number in the order of arrival, and its JSON."""

    seq: int
    json: str


class Target(Protocol):
    """What a backend offers for a restore: an empty store that takes the old one's place when all went well."""

    def put(self, table: Table, rows: list[tuple[int | None, str, str]]) -> None:
        """Store these records, given as their number (None: the next one), id and JSON."""
        ...

    def trail(self) -> Iterator[Record]:
        """The audit records that were stored, in order of arrival."""
        ...


@dataclass(frozen=True)
class Trail:
    """The audit trail of a backup. `broken`: what is wrong with its chain, empty when it is whole."""

    records: int
    head: str
    broken: str = ""

    @classmethod
    def of(cls, verdict: ChainCheck) -> Trail:
        return cls(verdict.records, verdict.head, "" if verdict.broken_at is None else str(verdict))


@dataclass(frozen=True)
class Content:
    """One table of a backup: how many records it has, and the SHA-256 of its file."""

    records: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup says of itself. `program`: the version of PM Agent that wrote it; `created`: ISO-8601 UTC."""

    program: str
    created: str
    audit: Trail
    tables: dict[Table, Content]

    def to_json(self) -> str:
        return json.dumps({"kind": KIND, "format": FORMAT, **asdict(self)}, indent=2)


def file_name(table: Table) -> str:
    """The name of a table's file."""
    return f"{table}.jsonl"
