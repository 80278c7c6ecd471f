"""Write archives anew without what has to go, for an erasure: beside the running program, since nobody changes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from bot.store import Record, Table
from bot.store.archive.format import FOLDER, read, write
from bot.store.archive.listing import Listed

Change = Callable[[Table, Record], Record | None]
"""Gives back the same object where there is nothing to change, None where the record goes."""


@dataclass
class Rewritten:
    """New archives, to be listed in the old ones' place. `changed`: table → records; `audit`: the `seq` of those."""

    archives: list[Listed] = field(default_factory=list)
    changed: Counter[str] = field(default_factory=Counter)
    audit: list[int] = field(default_factory=list)


def archived(folder: Path, archives: tuple[Listed, ...]) -> Iterator[tuple[Table, Record]]:
    """All archived records but the audit trail's. Raises `ArchiveMissing`, `ArchiveDamaged`."""
    for one in archives:
        yield from (item for item in read(one.path(folder)) if item[0] != "audit")


def rewrite(folder: Path, archives: tuple[Listed, ...], now: datetime, change: Change) -> Rewritten:
    """Write a new file for each archive in which something changes.

    Raises OSError, `ArchiveMissing`, `ArchiveDamaged`; what was written then is listed nowhere.
    """
    done = Rewritten()
    for one in archives:
        if not any(change(table, record) is not record for table, record in read(one.path(folder))):
            continue
        until = datetime.fromisoformat(one.until)
        written = write(folder / FOLDER, one.number, until, now, _changed(folder, one, change, done))
        end = written.end
        done.archives.append(
            replace(
                one, at=now.isoformat(), name=written.name, bytes=written.bytes, sha256=written.sha256,
                records=end["records"], audit=end["audit"],
            )
        )  # fmt: skip
    return done


def _changed(folder: Path, one: Listed, change: Change, done: Rewritten) -> Iterator[tuple[Table, Record]]:
    for table, record in read(one.path(folder)):
        found = change(table, record)
        if found is not record:
            done.changed[table] += 1
            if table == "audit":
                done.audit.append(record["seq"])
        if found is not None:
            yield table, found
