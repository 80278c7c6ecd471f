"""The audit trail as it stands in the files, read without trust: for `audit verify`, which must also speak about files
that the store refuses to open.

The archives come first, in their order, as the journal lists them; then the journal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bot.errors import UserError
from bot.store import Record
from bot.store.archive.format import ArchiveDamaged, ArchiveMissing, examine
from bot.store.archive.listing import PREFIX, Listed, listed, refuse_orphans
from bot.store.audit import Unreadable
from bot.store.journal import NAME, Journal

_MENTION = b'["audit",'
_LISTS = b'"' + PREFIX.encode()


def audit_trail(folder: Path, note: Callable[[str], None]) -> Iterator[Record | Unreadable]:
    """Every audit record in order; `Unreadable` in place of what cannot be read.

    `note` is told, in sentences, what is wrong besides. A line without its end is being written now and is left out.
    Nothing at all for a folder without data. Raises `UserError` when the journal cannot be read, or is missing beside
    archives.
    """
    path = folder / NAME
    try:
        file = path.open("rb")
    except FileNotFoundError:
        refuse_orphans(folder)
        return
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    with file:
        archives = archives_of(file)
        for one in archives:
            yield from _archived(folder, one, note)
        file.seek(0)
        yield from _journal(file, path, note, max((one.audit["last"] or 0 for one in archives), default=0))


def archives_of(file: BinaryIO) -> tuple[Listed, ...]:
    """The archives that a journal lists, as far as it can be read. Reads the file from where it stands."""
    found: dict[str, Any] = {}
    for raw in file:
        if _LISTS in raw and raw.endswith(b"\n"):
            try:
                line = json.loads(raw)
                found |= {
                    record["id"]: Listed.of(record).record()
                    for table, record in line.get("put", ())
                    if table == "state" and record["id"].startswith(PREFIX)
                }
            except (UserError, ValueError, TypeError, AttributeError, KeyError):
                continue  # whoever reads the journal itself says what is wrong with the line
    return listed(found.values())


def _archived(folder: Path, one: Listed, note: Callable[[str], None]) -> Iterator[Record | Unreadable]:
    """The audit records of one archive. Damage that none of them shows counts at the first of them."""
    first, last = one.audit["first"], one.audit["last"]
    wrong, found, number = "", "", 0
    try:
        wrong = one.wrong(folder)
        if wrong:
            note(f"The archive {wrong}. It holds the audit records {first} to {last}.")
        for item in examine(one.path(folder)):
            if isinstance(item, ArchiveDamaged):
                found = found or item.what
                yield Unreadable(item.what)
            elif item[0] == "audit":
                number += 1
                yield item[1]
    except ArchiveMissing:
        wrong = f"the archive {wrong}"
    except OSError as error:
        wrong = f"the archive {one.name} cannot be read: {error.strerror or error}"
    if wrong or found:
        cut = first is not None and 0 < number < last - first + 1
        yield Unreadable(found or wrong, at=None if cut else first)


def _journal(file: BinaryIO, path: Path, note: Callable[[str], None], archived: int) -> Iterator[Record | Unreadable]:
    """`archived`: the last audit record in an archive. Such records stand here too until the next compaction."""
    head = file.readline()
    if not head.startswith(b'{"pmagent":"journal"'):
        yield Unreadable(f"{path} does not begin as our journal does")
    for number, raw in enumerate(file, start=2):
        if not raw.endswith(b"\n"):
            return
        try:
            puts = [(table, record) for table, record in json.loads(raw).get("put", ())]
        except (ValueError, TypeError, AttributeError):
            if _MENTION in raw:
                yield Unreadable(f"line {number} of {path.name} cannot be read")
            else:
                note(f"Line {number} of {path.name} cannot be read.")
            continue
        if Journal.parse(raw, 0) is None:
            note(f"Line {number} of {path.name} is not what was written: its checksum does not match.")
        for table, record in puts:
            if table == "audit" and not (isinstance(record, dict) and _seq(record) <= archived):
                yield record if isinstance(record, dict) else Unreadable(f"line {number} holds no audit record")


def _seq(record: Record) -> int:
    found = record.get("seq")
    return found if type(found) is int else sys.maxsize
