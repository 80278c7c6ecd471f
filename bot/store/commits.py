"""A commit made ready for a transaction: its records are JSON, and what is no record was refused to its caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from bot.store import TABLES, Audit, Condition, Delete, Job, Put, Record, Table
from bot.store.audit import check_audit
from bot.store.encoding import to_json

RecordKey = tuple[Table, str]
"""A record that is written: its table and id."""
ReadTable = Callable[[Table], Iterable[Record]]
"""Reads a table, in order of arrival."""
KEPT_BY_THE_STORE: frozenset[Table] = frozenset({"audit", "rollup"})


class Commit(NamedTuple):
    """What is to be written together. `changes`: the JSON of each record, None where it is deleted."""

    changes: Mapping[RecordKey, str | None]
    expect: Sequence[Condition] = ()
    audit: Sequence[Audit] = ()
    jobs: Sequence[Job] = ()


def prepared(
    changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit], jobs: Sequence[Job] = ()
) -> Commit:
    """A commit of these changes; of several to one record, the last wins.

    Raises ValueError, TypeError for what is no record.
    """
    found: dict[RecordKey, str | None] = {}
    for change in changes:
        table = change.table
        if table not in TABLES:
            raise ValueError(f"no table {table}")
        if table in KEPT_BY_THE_STORE:
            raise ValueError(f"the store itself keeps {table}: the audit trail only grows, through commit(audit=…)")
        if isinstance(change, Delete):
            found[table, change.id] = None
            continue
        if table == "jobs":
            raise ValueError("jobs are stored through commit(jobs=…)")
        record_id = change.record.get("id")
        if not isinstance(record_id, str) or not record_id:
            raise ValueError(f"a record of {table} has no id")
        found[table, record_id] = record_json(change.record)
    for line in audit:
        check_audit(line)
    return Commit(found, expect, audit, jobs)


def record_json(record: Mapping[str, object]) -> str:
    """A record as JSON, without `arrived`: that is the store's own number, and is set again."""
    if "arrived" in record:
        record = {name: value for name, value in record.items() if name != "arrived"}
    return to_json(record)
