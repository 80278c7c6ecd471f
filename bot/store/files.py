"""`backup` and `restore`: one file with the journal and the archives as they were at one moment, checked both ways.

The file is a gzipped tar of `manifest.json` (what, when, how much, SHA-256, the audit head), `journal.jsonl` and the
archives that this journal lists (`archive/…`). A backup needs no lock: the journal only grows, so its bytes up to the
last whole line are a consistent copy, also while the bot writes and while it compacts (the open file stays what it
was); an archive never changes, and when another has taken its place meanwhile, the backup begins again with a newer
journal. Nothing of a backup touches the data folder before all of it has been checked. Format 1 had no archives.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import Record
from bot.store.archive.format import FOLDER, ArchiveMissing, opened
from bot.store.archive.listing import PREFIX, Listed, listed, refuse_orphans, unlisted
from bot.store.compaction import remove_leftovers
from bot.store.erase import REQUESTS
from bot.store.journal import NAME, Journal, sync_folder
from bot.store.lock import LOCK, PID, FolderLock, make_folder

MANIFEST = "manifest.json"
UNPACKED = "journal.new-restored"
"""A folder beside, under a name that the next start removes."""
FORMATS = (1, 2)
"""Those that `restore` knows; `backup` writes the last."""
_MAX_MANIFEST = 4 * 1024 * 1024
_CHUNK = 1 << 20
_OURS = frozenset({LOCK, PID, REQUESTS})


def backup(folder: Path, destination: Path, warn: Callable[[str], None] = lambda text: None) -> Path:
    """Write a backup of the data folder to `destination` (a dated file when that is a folder); its path.

    `warn` is told which archives are missing or damaged; they are backed up as they are. Appears whole or not at all.
    An older backup of that name is replaced, any other file is not. Raises `UserError`.
    """
    source = folder / NAME
    if not source.exists():
        refuse_orphans(folder)
        raise UserError(f"There is nothing to back up: {folder} has no data yet. PMAGENT_DATA_DIR names the folder.")
    now = datetime.now(UTC)
    if destination.is_dir():
        destination = destination / f"pm-agent-{now:%Y%m%d-%H%M%S}.tar.gz"
    if destination.exists() and not _is_gzip(destination):
        raise UserError(f"{destination} exists and is no backup; name another file, or a folder.")
    try:
        snapshot = _snapshot(folder)
        for sentence in snapshot.wrong:
            warn(sentence)
        return _write_file(snapshot, destination, now)
    except OSError as error:
        raise UserError(f"Cannot write the backup {destination}: {error.strerror or error}.") from error


@dataclass
class _Snapshot:
    """The data of one moment. `archives`: the listed files that are there, open, and their SHA-256; `wrong`: sentences.

    `head`: of the audit trail.
    """

    journal: Journal
    head: dict[str, Any]
    archives: list[tuple[str, IO[bytes], str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def _snapshot(folder: Path) -> _Snapshot:
    """Raises `Damaged`, OSError."""
    before: tuple[Listed, ...] | None = None
    while True:
        journal, head, archives = _whole(folder / NAME)
        files = [(one, _opened(one.path(folder))) for one in archives]
        if all(file for _, file in files) or archives == before:
            break
        before = archives  # another may have taken its place, and a newer journal lists that
    found = _Snapshot(journal, head)
    for one, file in files:
        sha256 = ""
        if file is not None:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # open for reading
            file.seek(0)
            found.archives.append((one.name, file, sha256))
        if sha256 != one.sha256:
            what = "damaged" if file else "missing"
            found.wrong.append(f"{one.path(folder)} is {what}; an older backup may have it whole.")
    return found


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return opened(path)
    except ArchiveMissing:
        return None


def _whole(source: Path) -> tuple[Journal, dict[str, Any], tuple[Listed, ...]]:
    """The journal, read through to its last whole line; what the manifest says of its audit trail; its archives."""
    journal = Journal.open(source, read_only=True)
    ends: list[tuple[int, str]] = [(0, "")]
    archives: dict[str, Record] = {}
    for line in journal.replay():
        for table, record in line.puts:
            if table == "audit":
                ends[0] = max(ends[0], (record["seq"], record["hash"]))
            elif table == "state" and record["id"].startswith(PREFIX):
                archives[record["id"]] = record
    found = listed(archives.values())
    ends += [(one.audit["last"], one.audit["head"]) for one in found if one.audit["last"]]
    records, head = max(ends)
    return journal, {"audit_records": records, "audit_head": head}, found


def _write_file(snapshot: _Snapshot, destination: Path, now: datetime) -> Path:
    journal = snapshot.journal
    digest, offset = hashlib.sha256(), 0
    while offset < journal.end:
        data = journal.handle.read((offset, min(_CHUNK, journal.end - offset)))
        digest.update(data)
        offset += len(data)
    manifest = {
        "pmagent": "backup", "format": FORMATS[-1], "created": now.isoformat(), "bytes": journal.end,
        "sha256": digest.hexdigest(), **snapshot.head,
        "archives": {name: sha256 for name, _, sha256 in snapshot.archives},
    }  # fmt: skip
    fd, temporary = tempfile.mkstemp(prefix=".pm-agent-", dir=destination.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            # Archives are gzipped already: a higher level would cost time for nothing.
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
                text = json.dumps(manifest, indent=2).encode()
                archive.addfile(_member(MANIFEST, len(text), now), io.BytesIO(text))
                with os.fdopen(os.dup(journal.handle.fd), "rb") as content:
                    content.seek(0)
                    archive.addfile(_member(NAME, journal.end, now), content)
                for name, raw, _ in snapshot.archives:
                    with raw:
                        archive.addfile(_member(f"{FOLDER}/{name}", os.fstat(raw.fileno()).st_size, now), raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(destination)
        sync_folder(destination.parent)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    return destination


def _member(name: str, size: int, now: datetime) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(now.timestamp())
    return member


def _is_gzip(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def restore(source: Path, folder: Path, *, force: bool = False) -> dict[str, Any]:
    """Put a backup's data into `folder`; the archive's manifest. What was there is replaced only with `force`.

    Raises `UserError` (also `DataFolderLocked`); then the folder's data is as it was.
    """
    if not source.is_file():
        raise UserError(f"There is no backup file {source}.")
    if not force and _has_data(folder):
        raise UserError(
            f"The data folder {folder} is not empty. To replace what is in it for good, run this again with --force."
        )
    make_folder(folder)
    with FolderLock(folder):
        new = folder / UNPACKED
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(mode=0o700)
            manifest, archives, missing = _unpack(source, new)
            if not force and _has_data(folder, besides=new.name):
                raise UserError(f"Somebody has filled the data folder {folder} meanwhile; nothing was changed.")
            _put_in_place(folder, new, archives, missing)
        except OSError as error:
            raise UserError(f"Cannot restore {source}: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
            remove_leftovers(folder)
    return manifest


def _put_in_place(folder: Path, new: Path, archives: tuple[Listed, ...], missing: tuple[Listed, ...]) -> None:
    """Archives first: a whole archive of the same name has the same content. Then the journal, which lists them.

    `missing`: those that it lists and the backup has not. What is whole in the folder stays.
    """
    if archives:
        (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
    for one in archives:
        if one.wrong(folder):
            (new / one.name).replace(one.path(folder))
        failpoint("restore.after_archive")
    if archives:
        sync_folder(folder / FOLDER)
        sync_folder(folder)
    (new / NAME).replace(folder / NAME)
    sync_folder(folder)
    failpoint("restore.after_journal")
    for path in unlisted(folder, (*archives, *missing)):
        path.unlink()


def _has_data(folder: Path, besides: str = "") -> bool:
    try:
        return any(path.name not in _OURS and path.name != besides for path in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"Cannot read the data folder {folder}: {error.strerror or error}.") from error


def _unpack(source: Path, new: Path) -> tuple[dict[str, Any], tuple[Listed, ...], tuple[Listed, ...]]:
    """The backup's files in the folder `new`, complete and checked; the manifest; its archives; those it lacks.

    Raises `UserError`.
    """
    try:
        with tarfile.open(source, "r:gz") as archive:
            manifest = _read_manifest(archive)
            member = archive.next()
            if member is None or member.name != NAME or not member.isreg() or member.size != manifest["bytes"]:
                raise _bad(source, "its second entry is not the journal that the manifest names")
            content = archive.extractfile(member)
            if content is None or _copy(content, new / NAME) != manifest["sha256"]:
                raise _bad(source, "the journal in it is not the one that was backed up")
            journal, _, archives = _whole(new / NAME)
            if journal.end != manifest["bytes"]:
                raise _bad(source, "the journal in it is not whole")
            there = tuple(one for one in archives if one.name in manifest.get("archives", {}))
            for one in there:
                member = archive.next()
                if member is None or member.name != f"{FOLDER}/{one.name}" or not member.isreg():
                    raise _bad(source, f"the archive {one.name} is not in its place")
                content = archive.extractfile(member)
                if content is None or _copy(content, new / one.name) != manifest["archives"][one.name]:
                    raise _bad(source, f"the archive {one.name} in it is not the one that was backed up")
            if archive.next() is not None:
                raise _bad(source, "it holds more than a backup does")
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, ValueError, KeyError, TypeError) as error:
        raise _bad(source, str(error) or type(error).__name__) from error
    return manifest, there, tuple(one for one in archives if one not in there)


def _read_manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    member = archive.next()
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > _MAX_MANIFEST:
        raise ValueError("it does not begin with a manifest")
    content = archive.extractfile(member)
    manifest = json.loads(content.read()) if content else None
    if not isinstance(manifest, dict) or manifest.get("pmagent") != "backup":
        raise ValueError("its manifest is not one of PM Agent")
    if manifest.get("format") not in FORMATS:
        raise ValueError(f"it is of format {manifest.get('format')}, which this version does not know")
    return manifest


def _copy(content: IO[bytes], new: Path) -> str:
    """Write and sync `content` as a new private file; its SHA-256."""
    digest = hashlib.sha256()
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        while data := content.read(_CHUNK):
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _bad(source: Path, why: str) -> UserError:
    return UserError(f"{source} is not a good backup of PM Agent: {why}. Nothing was changed.")
