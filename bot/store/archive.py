"""The backup archive: a `.tar.gz` with a manifest and one JSON Lines file for each table.

::

    manifest.json          format, program, created, audit (records, head, broken), tables (records, sha256)
    webhook_events.jsonl   {"seq": 1, "record": {…}}     one record a line, in order of arrival
    …

It holds records and nothing of the database they came from, so it can be read with `tar` and `jq`, and put into any
backend that offers a `Target`. A tar file names a member's size before its content, so what is written is read twice,
from the same snapshot. Both directions hold one record at a time, whatever the size of the store.
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, NamedTuple, Protocol, cast

from bot import __version__
from bot.errors import UserError
from bot.store import TABLES, Record, Table
from bot.store.audit import Verdict, verify
from bot.store.encoding import to_json

FORMAT = 1
KIND = "pm-agent backup"
MANIFEST = "manifest.json"
LEVEL = 1
"""Of compression: the quickest. A backup is made often, beside the running bot, and read seldom."""
MOST_MANIFEST = 1 << 20
"""Bytes that are read of a manifest: it has a few lines for each table."""
ROWS = 64
"""Records that are handed to the target at once."""
Progress = Callable[[str, int, int], None]
"""Told after each record: what is done with which table, how many of its records are done, how many there are."""


class Stored(NamedTuple):
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
    def of(cls, verdict: Verdict) -> Trail:
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


class BadBackup(UserError):
    """The archive cannot be restored. The message names the file and says what is wrong; nothing was changed."""

    def __init__(self, source: Path, what: str) -> None:
        super().__init__(f"{source} {what}. Nothing was changed.")


def write(
    file: IO[bytes],
    created: datetime,
    read: Callable[[Table], Iterable[Stored]],
    count: Callable[[Table], int],
    progress: Progress,
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
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=LEVEL) as archive:
        archive.addfile(_member(MANIFEST, len(text), created), BytesIO(text))
        for table in TABLES:
            lines = _told(_lines(table, read(table)), f"Writing {table}", contents[table].records, progress)
            archive.addfile(_member(_name(table), sizes[table], created), _Stream(line for line, _ in lines))
    return manifest


def _lines(table: Table, rows: Iterable[Stored]) -> Iterator[tuple[bytes, Record]]:
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
    lines: Iterable[tuple[bytes, Record]], what: str, total: int, progress: Progress
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


class Archive:
    """A backup that is being read."""

    def __init__(self, source: Path, file: tarfile.TarFile) -> None:
        """Raises `BadBackup` when it has no manifest that this version understands."""
        self._source = source
        self._file = file
        self.manifest = self._read_manifest()

    def load(self, target: Target, progress: Progress) -> Verdict:
        """Put every record into `target`, and check all of it: files, records, the audit chain. Raises `BadBackup`.

        What the chain says is compared with what it said when the backup was made: a trail that was broken then is
        restored as it is, and the verdict says so.
        """
        for table, content in self.manifest.tables.items():
            batch: list[tuple[int | None, str, str]] = []
            for row in self._rows(table, content, progress):
                batch.append(row)
                if len(batch) == ROWS:
                    target.put(table, batch)
                    batch = []
            if batch:
                target.put(table, batch)
        self._at_end()
        verdict = verify(target.trail())
        if Trail.of(verdict) != self.manifest.audit:
            raise BadBackup(self._source, f"does not hold the audit trail that its manifest names: {verdict}")
        return verdict

    def _rows(self, table: Table, content: Content, progress: Progress) -> Iterator[tuple[int, str, str]]:
        digest = sha256()
        records = last = 0
        with _told_in_words(self._source):
            for line in self._next(_name(table)):
                digest.update(line)
                row = _row(line)
                if row is None or row[0] <= last:
                    raise BadBackup(self._source, f"is damaged: line {records + 1} of {_name(table)} is no record")
                last = row[0]
                records += 1
                yield row
                progress(f"Restoring {table}", records, content.records)
        if digest.hexdigest() != content.sha256 or records != content.records:
            raise BadBackup(self._source, f"is damaged: {_name(table)} is not what was written")

    def _next(self, name: str) -> IO[bytes]:
        """The next file of the archive, which has to be this one."""
        info = self._file.next()
        file = self._file.extractfile(info) if info is not None and info.name == name else None
        if file is None:
            raise BadBackup(self._source, f"is not a whole backup of PM Agent: {name} is not at its place in it")
        return file

    def _at_end(self) -> None:
        """Read what follows the last file, so that a cut or changed end is found too."""
        with _told_in_words(self._source):
            if self._file.next() is not None:
                raise BadBackup(self._source, "is damaged: it holds more than its manifest names")
            while self._file.fileobj is not None and self._file.fileobj.read(1 << 16):
                pass

    def _read_manifest(self) -> Manifest:
        with _told_in_words(self._source):
            text = self._next(MANIFEST).read(MOST_MANIFEST)
        try:
            said = json.loads(text)
            if said["kind"] != KIND:
                raise BadBackup(self._source, "is not a backup of PM Agent")
            if said["format"] != FORMAT:
                raise BadBackup(
                    self._source,
                    f"was written by PM Agent {said['program']} in format {said['format']}, and this version "
                    f"({__version__}) reads format {FORMAT}: update PM Agent first",
                )
            if unknown := said["tables"].keys() - set(TABLES):
                raise BadBackup(
                    self._source,
                    f"was written by PM Agent {said['program']} and has tables that this version ({__version__}) does "
                    f"not know ({', '.join(sorted(unknown))}): update PM Agent first",
                )
            tables = {cast(Table, table): Content(**content) for table, content in said["tables"].items()}
            return Manifest(said["program"], said["created"], Trail(**said["audit"]), tables)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadBackup(self._source, f"is damaged: its {MANIFEST} cannot be understood") from None


@contextmanager
def reading(source: Path) -> Iterator[Archive]:
    """The backup at `source`, to be read once, from its beginning to its end. Raises `BadBackup`."""
    with _told_in_words(source):
        file = tarfile.open(source, "r:gz")  # noqa: SIM115 - closed below; here only its opening is to be told in words
    with file:
        yield Archive(source, file)


@contextmanager
def _told_in_words(source: Path) -> Iterator[None]:
    """What `tarfile` says about a file that is none, or is damaged, becomes `BadBackup`."""
    try:
        yield
    except FileNotFoundError:
        raise BadBackup(source, "is not there") from None
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise BadBackup(source, f"is not a backup of PM Agent, or it is damaged or cut off ({error})") from None
    except OSError as error:
        raise BadBackup(source, f"cannot be read: {error.strerror or error}") from None


def _name(table: Table) -> str:
    return f"{table}.jsonl"


def _row(line: bytes) -> tuple[int, str, str] | None:
    """The number, id and JSON of a record; None for a line that is none."""
    try:
        match json.loads(line):
            case {"seq": int(seq), "record": {"id": str(record_id)} as record}:
                return seq, record_id, to_json(record)
    except (ValueError, TypeError, RecursionError):
        pass
    return None
