"""The journal: one append-only file of JSON lines, one line per commit.

::

    {"pmagent":"journal","version":1,"created":"2026-…Z","sum":"9b1c02aa"}
    {"n":1,"g":1,"put":[["webhook_events",{…}],["audit",{…}]],"del":[["keys","x"]],"sum":"0f3a77d1"}
    {"n":2,"g":2,…}

`sum` is the CRC-32 of the line's bytes before `,"sum"`. `n` counts the lines. `g` is the `n` of the first line that
was written, and synced, together with this one. That tells a torn write from damage: after a power cut any part of
the last, unsynced group may be missing, even its beginning; nobody was told that it was stored, so it is cut off and
kept aside. A bad line before a *later* group was acknowledged once: that is damage, and the file is refused.

Every valid line is plain JSON, so `jq` reads the file; nothing in it depends on the offsets.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import Record, StoreUnavailable
from bot.store.encoding import to_json

NAME = "journal.jsonl"
VERSION = 1
_TAIL = 256 * 1024
_SUM = b',"sum":"%08x"}\n'
_ENDING = len(_SUM % 0)
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
log = logging.getLogger("pmagent.store")

Spot = tuple[int, int]
"""Where a line is: byte offset and length, the line end included."""
Place = tuple[int, int, int]
"""Where a record is: its line's spot, and which of the line's puts it is."""


Reader = Callable[[bytes], Any]
"""How JSON is read: exactly (`json.loads`), or quickly where large numbers do not matter (`orjson.loads`)."""


class Damaged(UserError):
    """The journal holds a bad record that was stored once. `line` counts from 1, the header included."""

    def __init__(self, path: Path, line: int | None, what: str) -> None:
        self.line = line
        super().__init__(
            f"{path} is damaged{f' at line {line}' if line else ''}: {what}. Nothing was changed. "
            "Restore the last backup with `python -m bot restore BACKUP --force`; keep a copy of the damaged file "
            "if you want it looked at."
        )


class Line(NamedTuple):
    """One commit, read back: what it put and deleted, and where it stands."""

    number: int
    group: int
    puts: list[tuple[str, Record]]
    deletes: list[tuple[str, str]]
    spot: Spot


class Handle:
    """A file descriptor that closes itself with its last user: readers outlive a compaction that replaced the file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)

    def read(self, spot: Spot) -> bytes:
        return os.pread(self.fd, spot[1], spot[0])


def seal(text: bytes) -> bytes:
    """The line for a JSON object's text that still lacks its closing brace."""
    return text + _SUM % crc32(text)


def is_whole(raw: bytes) -> bool:
    """Whether a line is what was written."""
    return raw[-3:] == b'"}\n' and raw[-_ENDING:-11] == b',"sum":"' and raw[-11:-3] == b"%08x" % crc32(raw[:-_ENDING])


def unseal(raw: bytes, read: Reader = json.loads) -> dict[str, Any] | None:
    """The object of a line, or None when the line is not what was written."""
    if not is_whole(raw):
        return None
    try:
        found = read(raw)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def body(puts: Iterable[tuple[str, bytes]], deletes: Iterable[tuple[str, str]]) -> bytes:
    """The middle of a line: `puts` are (table, record as JSON), `deletes` are (table, id)."""
    put = b",".join(b'["%s",%s]' % (table.encode(), record) for table, record in puts)
    gone = [list(item) for item in deletes]
    return b'"put":[%s]' % put + (b',"del":' + to_json(gone) if gone else b"")


def sync_folder(folder: Path) -> None:
    """Make a rename or a new name in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Journal:
    """An open journal file. One thread appends; any thread reads through `handle`.

    `end`: bytes that are whole and durable. `count`: the number of the last line. `name_pending`: the file was
    renamed and the folder not yet synced.
    """

    def __init__(self, path: Path, handle: Handle, *, end: int = 0, count: int = 0) -> None:
        self.path = path
        self.handle = handle
        self.end = end
        self.count = count
        self.name_pending = False
        self._dirty = False

    @classmethod
    def create(cls, path: Path) -> Journal:
        """A new, empty journal at `path` (overwritten if there), synced; its name is not yet durable."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        head = {"pmagent": "journal", "version": VERSION, "created": datetime.now(UTC).isoformat()}
        journal = cls(path, Handle(fd))
        journal.write(seal(to_json(head)[:-1]))
        return journal

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Journal:
        """An existing journal; `replay` must be run before anything else."""
        return cls(path, Handle(os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)))

    def replay(self, read: Reader = json.loads) -> Iterator[Line]:
        """Every good line, oldest first; afterwards `end` and `count` are set. Raises `Damaged`.

        What stands behind `end` then is a torn write: `cut_tail` removes it.
        """
        size = os.fstat(self.handle.fd).st_size
        with os.fdopen(os.dup(self.handle.fd), "rb", buffering=1 << 20) as file:
            file.seek(0)
            head = file.readline(4096)
            self._check_head(head)
            self.end = len(head)
            for raw in file:
                if self.end + len(raw) > size:
                    break  # written since this reader began, or a line without its end
                line = self.parse(raw, self.end, read)
                if line is None or line.number != self.count + 1:
                    self._refuse_damage(chain([raw], file))
                    break
                yield line
                self.end += len(raw)
                self.count = line.number

    def late_record(self, table: str) -> Record | None:
        """A record of this table near the end, if one is found quickly. Proves nothing: `replay` says what counts."""
        size = os.fstat(self.handle.fd).st_size
        start = max(0, size - _TAIL)
        for raw in reversed(self.handle.read((start, size - start)).splitlines(keepends=True)):
            line = self.parse(raw, 0)
            for name, record in line.puts if line else ():
                if name == table:
                    return record
        return None

    def _check_head(self, raw: bytes) -> None:
        head = unseal(raw)
        if head is None or head.get("pmagent") != "journal":
            raise Damaged(self.path, 1, "the file is empty" if not raw else "it does not begin as our journal does")
        if head.get("version") != VERSION:
            raise UserError(
                f"{self.path} was written by another version of PM Agent (format {head.get('version')}, this one knows "
                f"{VERSION}). Start that version, or restore a backup that this one made."
            )

    def _refuse_damage(self, rest: Iterable[bytes]) -> None:
        """Raise `Damaged` if the bad line after `count` was stored once: a line of a later group proves that it was."""
        bad = self.count + 1
        for raw in rest:
            later = self.parse(raw, 0)
            if later is not None and (later.group > bad or later.number < bad):
                raise Damaged(self.path, bad + 1, "it is not what was written, and good records follow it")

    @staticmethod
    def parse(raw: bytes, offset: int, read: Reader = json.loads) -> Line | None:
        """A line of the file, or None when it is not whole and unchanged."""
        found = unseal(raw, read)
        if found is None or "n" not in found:
            return None
        return Line(found["n"], found["g"], found.get("put") or [], found.get("del") or [], (offset, len(raw)))

    def cut_tail(self) -> Path | None:
        """Cut off a torn write and keep it in a file beside; its path, or None when there was none."""
        size = os.fstat(self.handle.fd).st_size
        if size <= self.end:
            return None
        aside = self.path.with_name(f"torn-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.jsonl")
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, self.handle.read((self.end, size - self.end)))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.ftruncate(self.handle.fd, self.end)
        os.fsync(self.handle.fd)
        log.warning(
            "%s ended in an unfinished write of %d bytes (the process or the machine stopped in its middle; nobody had "
            "been told that it was stored). It was cut off and kept in %s.",
            self.path, size - self.end, aside,
        )  # fmt: skip
        return aside

    def append(self, bodies: Sequence[bytes], *, sync: bool = True) -> list[Spot]:
        """Write lines in one write and one sync; where they are. Raises `StoreUnavailable`: nothing was written."""
        first = self.count + 1
        spots: list[Spot] = []
        pieces: list[bytes] = []
        offset = self.end
        for n, text in enumerate(bodies, start=first):
            # Without a sync this is a copy that gets its name only when it is whole: each line counts as stored alone.
            line = b'{"n":%d,"g":%d,%s' % (n, first if sync else n, text)
            pieces += line, _SUM % crc32(line)
            size = len(line) + _ENDING
            spots.append((offset, size))
            offset += size
        self.write(b"".join(pieces), sync=sync)
        self.count += len(bodies)
        return spots

    def write(self, data: bytes, *, sync: bool = True) -> None:
        """Write whole lines at the end, or nothing: after an error the file is as it was before."""
        fd = self.handle.fd
        try:
            if self._dirty:  # an earlier write failed and could not be taken back at once
                os.ftruncate(fd, self.end)
                self._dirty = False
            self.sync_name()
            view, offset = memoryview(data), self.end
            while view:
                failpoint("store.before_write")
                done = os.pwrite(fd, view, offset)
                view, offset = view[done:], offset + done
            failpoint("store.before_sync")
            if sync:
                _sync(fd)
            failpoint("store.after_sync")
        except OSError as error:
            self._dirty = True
            self._take_back()
            raise StoreUnavailable(f"cannot write to {self.path}: {error.strerror or error}") from error
        self.end += len(data)

    def sync_name(self) -> None:
        """Make the file's name durable, if that is still to be done. Raises OSError."""
        if self.name_pending:
            sync_folder(self.path.parent)
            self.name_pending = False

    def _take_back(self) -> None:
        try:
            os.ftruncate(self.handle.fd, self.end)
            self._dirty = False
        except OSError:
            log.exception("could not take back a failed write to %s; it is tried again before the next one", self.path)

    def line(self, spot: Spot, read: Reader = json.loads) -> Line:
        """The line at a spot. Raises `Damaged` when the disk gives back something else than was written."""
        line = self.parse(self.handle.read(spot), spot[0], read)
        if line is None:
            raise Damaged(self.path, None, f"the record at byte {spot[0]} has changed since the journal was opened")
        return line

    def put(self, place: Place) -> tuple[str, Record]:
        """A fresh copy of the record at a place, and its table."""
        table, record = self.line(place[:2]).puts[place[2]]
        return table, record
