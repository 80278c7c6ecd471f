"""`backup` and `restore`: all data as one portable archive (`archive`), as they were at one moment.

A backup is read in one transaction, so the bot may go on writing meanwhile. A restore checks everything before anything
is replaced, and leaves a record (`state`, id `restored`) by which the bot knows at its next start that the world has
gone on since (`bot.workflow.restoring`).
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store.archive.layout import Manifest, ReportProgress
from bot.store.archive.reading import reading
from bot.store.archive.writing import write
from bot.store.audit import ChainCheck
from bot.store.data import Data, Snapshot
from bot.store.encoding import to_json
from bot.store.files import appear


def backup(data: Data, destination: str, progress: ReportProgress) -> tuple[Path, Manifest]:
    """Write a backup of these data; its path, and what it holds.

    `destination`: a file, or a folder (that is there, or ends in `/` and is made) for a dated file. The file appears
    whole or not at all, and replaces nothing. Raises `UserError`.
    """
    with data.snapshot() as snapshot:
        if not snapshot.there:
            raise UserError(f"There is nothing to back up: {data.place} has no data yet.")
        return _written(snapshot, Path(destination), destination.endswith("/"), progress)


def restore(source: Path, data: Data, progress: ReportProgress, *, force: bool = False) -> ChainCheck:
    """Put a backup into the place of these data; what its audit trail is. What was there goes only with `force`.

    Raises `UserError` (also `DataFolderLocked`, `BadBackup`); then the data are as they were.
    """
    with reading(source) as archive, data.loading(force=force) as target:
        verdict = archive.load(target, progress)
        made = archive.manifest
        mark = {"id": "restored", "at": datetime.now(UTC).isoformat(), "created": made.created, "seen": False}
        target.put("state", [(None, "restored", to_json(mark))])
    return verdict


def _written(snapshot: Snapshot, path: Path, make_folder: bool, progress: ReportProgress) -> tuple[Path, Manifest]:
    now = datetime.now(UTC)
    try:
        if make_folder:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_dir():
            path = _free(path / f"pm-agent-{now:%Y%m%d-%H%M%S}")
        if os.path.lexists(path):  # before the work; the link below decides
            raise FileExistsError
        fd, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(fd, "wb") as file:
                manifest = write(file, now, snapshot.rows, snapshot.count, progress)
                file.flush()
                os.fsync(file.fileno())
            failpoint("backup.before_link")
            appear(Path(part), path)
        finally:
            with suppress(OSError):
                Path(part).unlink()
    except FileExistsError:
        raise UserError(f"{path} exists, and is not replaced. Name another file, or a folder.") from None
    except OSError as error:
        raise UserError(f"Cannot write the backup {path}: {error.strerror or error}.") from error
    return path, manifest


def _free(stem: Path) -> Path:
    """A file's path that nothing has yet: two backups may be made in one second."""
    names = chain((stem.name,), (f"{stem.name}-{number}" for number in count(2)))
    return next(path for name in names if not os.path.lexists(path := stem.with_name(f"{name}.tar.gz")))
