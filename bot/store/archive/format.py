"""One archive file: gzipped JSON lines, each with its own checksum, so that damage has a line number.

::

    {"pmagent":"archive","version":1,"number":1,"until":"2025-11-22T…Z","created":"…","sum":"9b1c02aa"}
    {"table":"webhook_events","record":{…},"sum":"0f3a77d1"}
    …
    {"pmagent":"end","records":{"webhook_events":812,…},"audit":{"first":1,"last":3120,"prev":"000…","head":"5e1f…"},
     "sha256":"…","sum":"…"}

`sum` is that of the journal (`bot.store.journal`). The last line closes the file: how many records of which table,
from which to which audit record it goes (`prev`: the hash before the first, `head`: the hash of the last; null when
there is none), and the SHA-256 of all text before it. The order within a table is the order of first insertion.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import TABLES, Record, Table
from bot.store.encoding import to_json
from bot.store.journal import seal, sync_folder, unseal

FOLDER = "archive"
VERSION = 1
PART = ".part"
"""How the name of a file ends that is being written."""
_CHUNK = 1 << 20


class ArchiveDamaged(UserError):
    """An archive file is not what was closed. `line` counts from 1; None when it is the file as a whole."""

    def __init__(self, path: Path, line: int | None, what: str) -> None:
        self.line = line
        self.what = f"{path.name} is damaged{f' at line {line}' if line else ''}: {what}"
        super().__init__(
            f"The archive {path} is damaged{f' at line {line}' if line else ''}: {what}. Restore a backup."
        )


class ArchiveMissing(UserError):
    """A listed archive file is not there."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The archive {path} is missing. Put it back from a backup (`tar xzf BACKUP archive/{path.name}`)."
        )


class Written(NamedTuple):
    """A closed archive file: its name and size, SHA-256 of the file, and what its last line says."""

    name: str
    bytes: int
    sha256: str
    end: dict[str, Any]


class _Hashing:
    """A file to write to that hashes what goes through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def write(
    folder: Path, number: int, until: datetime, created: datetime, records: Iterable[tuple[Table, Record]]
) -> Written:
    """Write and close an archive in `folder` (which is made). Durable on return. Raises OSError; nothing is left then.

    `records` may raise; what was written goes. The name holds the content's hash, so it replaces no other archive.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    part = folder / f"{number:04d}{PART}"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as raw:
            hashing = _Hashing(raw)
            end = _fill(hashing, number, until, created, records)
            raw.flush()
            failpoint("archive.before_sync")
            os.fsync(raw.fileno())
        sha256 = hashing.digest.hexdigest()
        name = f"{number:04d}-{until:%Y-%m-%d}-{sha256[:8]}.jsonl.gz"
        failpoint("archive.before_rename")
        part.replace(folder / name)
        sync_folder(folder)
        sync_folder(folder.parent)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    failpoint("archive.after_rename")
    return Written(name, hashing.size, sha256, end)


def _fill(
    raw: _Hashing, number: int, until: datetime, created: datetime, records: Iterable[tuple[Table, Record]]
) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    audit: dict[str, Any] = {"first": None, "last": None, "prev": None, "head": None}
    text = hashlib.sha256()
    # No name and no time in gzip's header: the same records make the same file.
    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as file:
        head = {"pmagent": "archive", "version": VERSION, "number": number, "until": until.isoformat()}
        lines = [seal(to_json({**head, "created": created.isoformat()})[:-1])]
        for table, record in records:
            lines.append(seal(b'{"table":"%s","record":%s' % (table.encode(), to_json(record))))
            counts[table] += 1
            if table == "audit":
                if audit["first"] is None:
                    audit["first"], audit["prev"] = record["seq"], record["prev"]
                audit["last"], audit["head"] = record["seq"], record["hash"]
            if len(lines) >= 200:
                _put(file, text, lines)
        _put(file, text, lines)
        end = {"pmagent": "end", "records": dict(counts), "audit": audit, "sha256": text.hexdigest()}
        file.write(seal(to_json(end)[:-1]))
    return end


def _put(file: gzip.GzipFile, text: Any, lines: list[bytes]) -> None:
    data = b"".join(lines)
    text.update(data)
    file.write(data)
    lines.clear()


def opened(path: Path) -> IO[bytes]:
    """The file, open: readable to its end also when another takes its place meanwhile. Raises `ArchiveMissing`."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise ArchiveMissing(path) from None


def read(path: Path, raw: IO[bytes] | None = None) -> Iterator[tuple[Table, Record]]:
    """The records of a closed archive, in its order. `raw`: the file, when it is `opened` already; it is closed.

    Raises `ArchiveMissing`, or `ArchiveDamaged` where it is bad.
    """
    for item in examine(path, raw):
        if isinstance(item, ArchiveDamaged):
            raise item
        yield item


def examine(path: Path, opened_file: IO[bytes] | None = None) -> Iterator[tuple[Table, Record] | ArchiveDamaged]:
    """As `read`, but what is bad stands in its place, and reading goes on as far as it can. Raises `ArchiveMissing`."""
    counts: Counter[str] = Counter()
    text = hashlib.sha256()
    number = 0
    ended: dict[str, Any] | None = None
    try:
        with opened_file or opened(path) as raw_file, gzip.GzipFile(fileobj=raw_file, mode="rb") as file:
            for number, raw in enumerate(file, start=1):
                found = unseal(raw)
                if found is None:
                    yield ArchiveDamaged(path, number, "it is not what was written")
                elif ended is not None:
                    yield ArchiveDamaged(path, number, "it stands behind the end")
                elif number == 1 and (found.get("pmagent"), found.get("version")) != ("archive", VERSION):
                    yield ArchiveDamaged(path, 1, "the file does not begin as an archive of this version does")
                elif found.get("pmagent") == "end":
                    ended = found
                    continue
                elif number > 1 and found.get("table") in TABLES and isinstance(found.get("record"), dict):
                    counts[found["table"]] += 1
                    yield found["table"], found["record"]
                text.update(raw)
    except (OSError, EOFError, zlib.error) as error:  # gzip's own checks are among them
        yield ArchiveDamaged(path, number + 1, f"it cannot be unpacked ({error})")
        return
    if ended is None:
        yield ArchiveDamaged(path, None, "its end is missing")
    elif ended["records"] != dict(counts) or ended["sha256"] != text.hexdigest():
        yield ArchiveDamaged(path, None, "lines are missing, or stand in another order")


def file_sha256(path: Path) -> str:
    """SHA-256 of the file as it is. Raises `ArchiveMissing`, OSError."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
    except FileNotFoundError:
        raise ArchiveMissing(path) from None
    return digest.hexdigest()
