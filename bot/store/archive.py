"""The backup archive: a ZIP file with one JSON Lines file for each table, and a manifest.

::

    webhook_events.jsonl   {"seq": 1, "record": {…}}     one record a line, in order of arrival
    …
    manifest.json          format, program, created, audit (records, head, broken), tables (records, sha256)

It holds records and nothing of the database they came from, so it can be read with `unzip` and `jq`, and put into any
backend that offers a `Target`. Both directions read one record at a time, whatever the size of the store.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from io import BufferedReader
from pathlib import Path
from typing import IO, NamedTuple, Protocol
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

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
"""Told after each record: the table, how many of it are done, and how many there are."""


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
    file: IO[bytes], created: str, read: Callable[[Table], Iterable[Stored]], count: Callable[[Table], int],
    progress: Progress,
) -> Manifest:  # fmt: skip
    """Write a backup of what `read` gives for each table. Raises `UserError` for a record that is no JSON."""
    contents: dict[Table, Content] = {}
    trail = Trail(0, "")
    with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for table in TABLES:
            table_file = _TableFile(table, read(table), count(table), progress)
            with archive.open(_name(table), "w", force_zip64=True) as member:
                records = table_file.written_to(member)
                if table == "audit":
                    trail = Trail.of(verify(records))
                for _ in records:  # the check of a broken chain stops at its first bad record
                    pass
            contents[table] = Content(table_file.records, table_file.digest.hexdigest())
        manifest = Manifest(__version__, created, trail, contents)
        archive.writestr(MANIFEST, manifest.to_json())
    return manifest


class _TableFile:
    """One table on its way into the archive."""

    def __init__(self, table: Table, rows: Iterable[Stored], total: int, progress: Progress) -> None:
        self._table, self._rows, self._total, self._progress = table, rows, total, progress
        self.records = 0
        self.digest = sha256()

    def written_to(self, file: IO[bytes]) -> Iterator[Record]:
        """Write one line after another; each record after it was written."""
        for row in self._rows:
            try:
                record = json.loads(row.json)
            except ValueError:
                raise UserError(
                    f"There is no backup: record {row.seq} of {self._table} cannot be read. The database is damaged; "
                    "your newest backup has the last good state."
                ) from None
            line = to_json({"seq": row.seq, "record": record}) + b"\n"
            file.write(line)
            self.digest.update(line)
            self.records += 1
            self._progress(self._table, self.records, self._total)
            yield record


class Archive:
    """A backup that is being read."""

    def __init__(self, source: Path, file: ZipFile) -> None:
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
        verdict = verify(target.trail())
        if Trail.of(verdict) != self.manifest.audit:
            raise BadBackup(self._source, f"does not hold the audit trail that its manifest names: {verdict}")
        return verdict

    def _rows(self, table: Table, content: Content, progress: Progress) -> Iterator[tuple[int, str, str]]:
        digest = sha256()
        records = last = 0
        with _told_in_words(self._source), self._file.open(_name(table)) as member:
            for line in BufferedReader(member, 1 << 16):  # type: ignore[type-var]  # typeshed knows too few streams
                digest.update(line)
                row = _row(line)
                if row is None or row[0] <= last:
                    raise BadBackup(self._source, f"is damaged: line {records + 1} of {_name(table)} is no record")
                last = row[0]
                records += 1
                progress(table, records, content.records)
                yield row
        if digest.hexdigest() != content.sha256 or records != content.records:
            raise BadBackup(self._source, f"is damaged: {_name(table)} is not what was written")

    def _read_manifest(self) -> Manifest:
        if MANIFEST not in self._file.namelist():
            raise BadBackup(self._source, f"is not a backup of PM Agent: there is no {MANIFEST} in it")
        with _told_in_words(self._source), self._file.open(MANIFEST) as member:
            text = member.read(MOST_MANIFEST)
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
            tables = {table: Content(**said["tables"][table]) for table in TABLES if table in said["tables"]}
            return Manifest(said["program"], said["created"], Trail(**said["audit"]), tables)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadBackup(self._source, f"is damaged: its {MANIFEST} cannot be understood") from None


@contextmanager
def reading(source: Path) -> Iterator[Archive]:
    """The backup at `source`, to be read. Raises `BadBackup`."""
    with _told_in_words(source):
        file = ZipFile(source)
    with file:
        yield Archive(source, file)


@contextmanager
def _told_in_words(source: Path) -> Iterator[None]:
    """What `zipfile` says about a file that is none, or is damaged, becomes `BadBackup`."""
    try:
        yield
    except FileNotFoundError:
        raise BadBackup(source, "is not there") from None
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadBackup(source, f"is not a backup of PM Agent, or it is damaged or cut off ({error})") from None
    except KeyError as error:
        raise BadBackup(source, f"is damaged: {error.args[0]}") from None
    except OSError as error:
        raise BadBackup(source, f"cannot be read: {error.strerror or error}") from None


def _name(table: Table) -> str:
    return f"{table}.jsonl"


def _row(line: bytes) -> tuple[int, str, str] | None:
    """The number, id and JSON of a record; None for a line that is none."""
    try:
        match json.loads(line):
            case {"seq": int(seq), "record": {"id": str(record_id)} as record}:
                return seq, record_id, to_json(record).decode()
    except (ValueError, TypeError, RecursionError):
        pass
    return None
