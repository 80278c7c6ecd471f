"""Reading a backup archive (see `layout`), and checking all of it on the way."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, cast

from bot import __version__
from bot.errors import UserError
from bot.store import TABLES, Table
from bot.store.archive.layout import FORMAT, KIND, MANIFEST, Content, Manifest, ReportProgress, Target, Trail, file_name
from bot.store.audit import ChainCheck, verify
from bot.store.encoding import to_json

MOST_MANIFEST = 1 << 20
"""Bytes that are read of a manifest: it has a few lines for each table."""
BATCH_SIZE = 64
"""Records that are handed to the target at once."""


class BadBackup(UserError):
    """The archive cannot be restored. The message names the file and says what is wrong; nothing was changed."""

    def __init__(self, source: Path, what: str) -> None:
        super().__init__(f"{source} {what}. Nothing was changed.")


class Archive:
    """A backup that is being read."""

    def __init__(self, source: Path, file: tarfile.TarFile) -> None:
        """Raises `BadBackup` when it has no manifest that this version understands."""
        self._source = source
        self._file = file
        self.manifest = self._read_manifest()

    def load(self, target: Target, progress: ReportProgress) -> ChainCheck:
        """Put every record into `target`, and check all of it: files, records, the audit chain. Raises `BadBackup`.

        What the chain says is compared with what it said when the backup was made: a trail that was broken then is
        restored as it is, and the verdict says so.
        """
        for table, content in self.manifest.tables.items():
            batch: list[tuple[int | None, str, str]] = []
            for row in self._rows(table, content, progress):
                batch.append(row)
                if len(batch) == BATCH_SIZE:
                    target.put(table, batch)
                    batch = []
            if batch:
                target.put(table, batch)
        self._at_end()
        verdict = verify(target.trail())
        if Trail.of(verdict) != self.manifest.audit:
            raise BadBackup(self._source, f"does not hold the audit trail that its manifest names: {verdict}")
        return verdict

    def _rows(self, table: Table, content: Content, progress: ReportProgress) -> Iterator[tuple[int, str, str]]:
        digest = sha256()
        records = last = 0
        with _told_in_words(self._source):
            for line in self._next(file_name(table)):
                digest.update(line)
                row = _row(line)
                if row is None or row[0] <= last:
                    raise BadBackup(self._source, f"is damaged: line {records + 1} of {file_name(table)} is no record")
                last = row[0]
                records += 1
                yield row
                progress(f"Restoring {table}", records, content.records)
        if digest.hexdigest() != content.sha256 or records != content.records:
            raise BadBackup(self._source, f"is damaged: {file_name(table)} is not what was written")

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
            missing = set(TABLES) - said["tables"].keys()
            if missing and not _is_older(said["program"]):  # an older version may not have known them
                raise BadBackup(
                    self._source,
                    f"is not whole: its {MANIFEST} lacks {', '.join(sorted(missing))}, which PM Agent "
                    f"{said['program']} writes",
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


def _is_older(program: str) -> bool:
    """Whether this version of PM Agent (1.2.3) is an earlier one than ours."""
    theirs, ours = ([int(number) for number in re.findall(r"\d+", version)] for version in (program, __version__))
    return theirs < ours


def _row(line: bytes) -> tuple[int, str, str] | None:
    """The number, id and JSON of a record; None for a line that is none."""
    try:
        match json.loads(line):
            case {"seq": int(seq), "record": {"id": str(record_id)} as record}:
                return seq, record_id, to_json(record)
    except (ValueError, TypeError, RecursionError):
        pass
    return None
