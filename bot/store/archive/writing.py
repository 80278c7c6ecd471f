"""Writing a backup archive (see `layout`)."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from typing import IO

from bot import __version__
from bot.errors import UserError
from bot.store import TABLES, Record, Table
from bot.store.archive.layout import MANIFEST, Content, Manifest, ReportProgress, StoredRecord, Trail, file_name
from bot.store.audit import verify
from bot.store.encoding import to_json

COMPRESSION_LEVEL = 1
"""Of compression: the quickest. A backup is made often, beside the running bot, and read seldom."""


def write(
    file: IO[bytes],
    created: datetime,
    read: Callable[[Table], Iterable[StoredRecord]],
    count: Callable[[Table], int],
    progress: ReportProgress,
) -> Manifest:
    """Write a backup of what `read` gives for each table, the same both times that it is asked.

    Raises `UserError` for a record that is no JSON.
    """
    contents: dict[Table, Content] = {}
    sizes: dict[Table, int] = {}
    trail = Trail(0, "")
    for table in TABLES:
        checked = _Checked(_told(_lines(table, read(table)), f"Checking {table}", count(table), progress))
        if table == "audit":
            trail = Trail.of(verify(checked))
        for _ in checked:  # also what follows the first bad record of a chain, at which `verify` stops
            pass
        contents[table] = Content(checked.records, checked.digest.hexdigest())
        sizes[table] = checked.size
    manifest = Manifest(__version__, created.isoformat(), trail, contents)
    text = manifest.to_json().encode()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION_LEVEL) as archive:
        archive.addfile(_member(MANIFEST, len(text), created), BytesIO(text))
        for table in TABLES:
            lines = _told(_lines(table, read(table)), f"Writing {table}", contents[table].records, progress)
            archive.addfile(_member(file_name(table), sizes[table], created), _Stream(line for line, _ in lines))
    return manifest


def _lines(table: Table, rows: Iterable[StoredRecord]) -> Iterator[tuple[bytes, Record]]:
    """The lines of a table's file, each with its record."""
    for row in rows:
        try:
            record = json.loads(row.json)
        except ValueError:
            raise UserError(
                f"There is no backup: record {row.seq} of {table} cannot be read. The database is damaged; your newest "
                "backup has the last good state."
            ) from None
        yield to_json({"seq": row.seq, "record": record}).encode() + b"\n", record


def _told(
    lines: Iterable[tuple[bytes, Record]], what: str, total: int, progress: ReportProgress
) -> Iterator[tuple[bytes, Record]]:
    for done, line in enumerate(lines, 1):
        progress(what, done, total)
        yield line


class _Checked:
    """Iterates over the records of a table, and takes the measure of its file meanwhile."""

    def __init__(self, lines: Iterator[tuple[bytes, Record]]) -> None:
        self._lines = lines
        self.records = self.size = 0
        self.digest = sha256()

    def __iter__(self) -> Iterator[Record]:
        for line, record in self._lines:
            self.records += 1
            self.size += len(line)
            self.digest.update(line)
            yield record


class _Stream:
    """Lines as the file that `tarfile` reads from."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._left = bytearray()

    def read(self, size: int = 1 << 14, /) -> bytes:
        while len(self._left) < size and (line := next(self._lines, None)) is not None:
            self._left += line
        found = bytes(self._left[:size])
        del self._left[:size]
        return found


def _member(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(at.timestamp())
    return info
