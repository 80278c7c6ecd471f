"""`backup` and `restore`: one archive file with the journal as it was at one moment, checked both ways.

The archive is a gzipped tar of `manifest.json` (what, when, how much, SHA-256, the audit head) and `journal.jsonl`. A
backup needs no lock: the journal only grows, so its bytes up to the last whole line are a consistent copy, also while
the bot writes and while it compacts (the open file stays what it was). Nothing of an archive touches the data folder
before all of it has been checked.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from bot.errors import UserError
from bot.store.compaction import remove_leftovers
from bot.store.erase import REQUESTS
from bot.store.journal import NAME, Journal, sync_folder
from bot.store.lock import LOCK, PID, FolderLock, make_folder

MANIFEST = "manifest.json"
FORMAT = 1
_MAX_MANIFEST = 64 * 1024
_CHUNK = 1 << 20
_OURS = frozenset({LOCK, PID, REQUESTS})


def backup(folder: Path, destination: Path) -> Path:
    """Write a backup of the data folder to `destination` (a dated file when that is a folder); its path.

    Appears whole or not at all. An older backup of that name is replaced, any other file is not. Raises `UserError`.
    """
    source = folder / NAME
    if not source.exists():
        raise UserError(f"There is nothing to back up: {folder} has no data yet. PMAGENT_DATA_DIR names the folder.")
    now = datetime.now(UTC)
    if destination.is_dir():
        destination = destination / f"pm-agent-{now:%Y%m%d-%H%M%S}.tar.gz"
    if destination.exists() and not _is_gzip(destination):
        raise UserError(f"{destination} exists and is no backup; name another file, or a folder.")
    try:
        journal, head = _whole(source)
        return _write_archive(journal, head, destination, now)
    except OSError as error:
        raise UserError(f"Cannot write the backup {destination}: {error.strerror or error}.") from error


def _whole(source: Path) -> tuple[Journal, dict[str, Any]]:
    """The journal, read through to its last whole line, and what the manifest says of its audit trail."""
    journal = Journal.open(source, read_only=True)
    head: dict[str, Any] = {"audit_records": 0, "audit_head": ""}
    for line in journal.replay():
        for table, record in line.puts:
            if table == "audit":
                head = {"audit_records": record["seq"], "audit_head": record["hash"]}
    return journal, head


def _write_archive(journal: Journal, head: dict[str, Any], destination: Path, now: datetime) -> Path:
    digest, offset = hashlib.sha256(), 0
    while offset < journal.end:
        data = journal.handle.read((offset, min(_CHUNK, journal.end - offset)))
        digest.update(data)
        offset += len(data)
    manifest = {
        "pmagent": "backup", "format": FORMAT, "created": now.isoformat(), "bytes": journal.end,
        "sha256": digest.hexdigest(), **head,
    }  # fmt: skip
    fd, temporary = tempfile.mkstemp(prefix=".pm-agent-", dir=destination.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz") as archive:
                text = json.dumps(manifest, indent=2).encode()
                archive.addfile(_member(MANIFEST, len(text), now), io.BytesIO(text))
                with os.fdopen(os.dup(journal.handle.fd), "rb") as content:
                    content.seek(0)
                    archive.addfile(_member(NAME, journal.end, now), content)
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
        new = folder / "journal.new-restored"
        try:
            manifest = _unpack(source, new)
            if not force and _has_data(folder, besides=new.name):
                raise UserError(f"Somebody has filled the data folder {folder} meanwhile; nothing was changed.")
            new.replace(folder / NAME)
            sync_folder(folder)
        except OSError as error:
            raise UserError(f"Cannot restore {source}: {error.strerror or error}.") from error
        finally:
            remove_leftovers(folder)
    return manifest


def _has_data(folder: Path, besides: str = "") -> bool:
    try:
        return any(path.name not in _OURS and path.name != besides for path in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"Cannot read the data folder {folder}: {error.strerror or error}.") from error


def _unpack(source: Path, new: Path) -> dict[str, Any]:
    """The archive's journal as the file `new`, complete and checked; the manifest. Raises `UserError`."""
    try:
        with tarfile.open(source, "r:gz") as archive:
            manifest = _read_manifest(archive)
            member = archive.next()
            if member is None or member.name != NAME or not member.isreg() or member.size != manifest["bytes"]:
                raise _bad(source, "its second entry is not the journal that the manifest names")
            content = archive.extractfile(member)
            if content is None or _copy(content, new) != manifest["sha256"]:
                raise _bad(source, "the journal in it is not the one that was backed up")
            if archive.next() is not None:
                raise _bad(source, "it holds more than a backup does")
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, ValueError, KeyError, TypeError) as error:
        raise _bad(source, str(error) or type(error).__name__) from error
    journal = Journal.open(new, read_only=True)
    for _ in journal.replay():
        pass
    if journal.end != manifest["bytes"]:
        raise _bad(source, "the journal in it is not whole")
    return manifest


def _read_manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    member = archive.next()
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > _MAX_MANIFEST:
        raise ValueError("it does not begin with a manifest")
    content = archive.extractfile(member)
    manifest = json.loads(content.read()) if content else None
    if not isinstance(manifest, dict) or manifest.get("pmagent") != "backup":
        raise ValueError("its manifest is not one of PM Agent")
    if manifest.get("format") != FORMAT:
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
