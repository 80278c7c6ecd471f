"""The journal's list of archives: one record per archive in table `state`, and the sums that it carries.

::

    {"id": "archive:0001", "at": "…", "name": "0001-2025-11-22-9f86d081.jsonl.gz", "bytes": 81234, "sha256": "…",
     "until": "…", "records": {"webhook_events": 812, …}, "newest": {"webhook_events": "2025-11-21T…", …},
     "audit": {"first": 1, "last": 3120, "prev": "000…", "head": "5e1f…"}, "sums": {…}}

`sums` (`bot.store.tally`) are what `stats` and `/metrics` need of the archived records, so that nobody reads archives
for figures.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bot.errors import UserError
from bot.store import Record
from bot.store.archive.format import FOLDER, PART, Written, file_sha256
from bot.store.journal import NAME as JOURNAL
from bot.store.tally import Sums

PREFIX = "archive:"
_NAME = re.compile(r"[0-9]{4,}-[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9a-f]{8}\.jsonl\.gz")


@dataclass(frozen=True)
class Listed:
    """One archive as the journal lists it. `newest`: the latest `at` of each table. Times are ISO-8601."""

    number: int
    at: str
    name: str
    bytes: int
    sha256: str
    until: str
    records: Mapping[str, int]
    newest: Mapping[str, str]
    audit: Mapping[str, Any]
    sums: Sums = field(default_factory=Sums)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Listed:
        """From its record. Raises `UserError` for one that is none of this version's."""
        try:
            known = {name: record[name] for name in cls.__dataclass_fields__ if name not in ("number", "sums")}
            found = cls(number=int(record["id"].removeprefix(PREFIX)), sums=Sums.of(record["sums"]), **known)
            if not _NAME.fullmatch(found.name):
                raise ValueError(found.name)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"The journal's record {record.get('id')} of an archive cannot be read ({error!r}). "
                "Restore the last backup with `python -m bot restore BACKUP --force`."
            ) from error
        return found

    @classmethod
    def made(cls, written: Written, number: int, at: str, until: str, newest: Mapping[str, str], sums: Sums) -> Listed:
        end = written.end
        return cls(
            number, at, written.name, written.bytes, written.sha256, until, end["records"], newest, end["audit"], sums
        )

    def record(self) -> Record:
        found = {**asdict(self), "sums": self.sums.record(), "id": f"{PREFIX}{self.number:04d}"}
        del found["number"]
        return {"id": found.pop("id"), **found}

    def path(self, folder: Path) -> Path:
        """Where the file is, in the data folder `folder`."""
        return folder / FOLDER / self.name

    def wrong(self, folder: Path) -> str:
        """What is wrong with the file, for a person; empty when it is what was closed. Raises OSError."""
        path = self.path(folder)
        if not path.exists():
            return f"{path.name} is missing"
        return "" if file_sha256(path) == self.sha256 else f"{path.name} is not the file that was closed"


def listed(records: Iterable[Mapping[str, Any]]) -> tuple[Listed, ...]:
    """The archives among records of table `state`, in their order; of one number, the last."""
    found = {record["id"]: Listed.of(record) for record in records if record["id"].startswith(PREFIX)}
    return tuple(sorted(found.values(), key=lambda one: one.number))


def unlisted(folder: Path, archives: Iterable[Listed]) -> list[Path]:
    """Files in the archive folder that no record lists."""
    names = {one.name for one in archives}
    return sorted(path for path in (folder / FOLDER).glob("*") if path.name not in names)


def refuse_orphans(folder: Path) -> None:
    """Raise `UserError` when a folder without a journal has archives: it was no empty store."""
    if any(_NAME.fullmatch(path.name) for path in unlisted(folder, ())):
        raise UserError(
            f"{folder / JOURNAL} is missing, and there are archives in {folder / FOLDER}. Nothing was changed. Put the "
            "journal back, or restore the last backup with `python -m bot restore BACKUP --force`."
        )


def remove_superseded(folder: Path, archives: Iterable[Listed]) -> None:
    """Remove unfinished files, and those in whose place another file of the same number is listed.

    An unlisted file of another number stays: its records are in the journal, unless somebody has put an old journal
    here by hand.
    """
    archives = tuple(archives)
    numbers = {f"{one.number:04d}-" for one in archives}
    for path in unlisted(folder, archives):
        if path.name.endswith(PART) or path.name[:5] in numbers:
            path.unlink(missing_ok=True)
