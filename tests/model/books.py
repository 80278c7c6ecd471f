"""The program's store as it grows, read line by line from the journal's file while the program writes it.

Whatever was read once of the audit trail must stay: `read` says so at once where it does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.store import TABLES
from bot.store.audit import GENESIS, digest
from bot.store.journal import NAME, Journal

Record = dict[str, Any]


class Books:
    """`tables`: table → id → record, as of the last `read`. `trail`: the audit records, verified, oldest first.

    `only_grows` False: a write that fails and is taken back may have been seen here in between.
    """

    def __init__(self, folder: Path) -> None:
        self.only_grows = True
        self.path = folder / NAME
        self.tables: dict[str, dict[str, Record]] = {}
        self.trail: list[Record] = []
        self._before: list[Record] = []
        self._inode = self._offset = 0

    def __getitem__(self, table: str) -> dict[str, Record]:
        return self.tables.get(table, {})

    def read(self) -> bool:
        """Take in what was written since. Whether there was anything. AssertionError: the trail is not whole."""
        if not self.path.exists():
            assert not self.trail, "the journal is gone"
            return False
        with self.path.open("rb") as file:
            status = self.path.stat()
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._begin_anew(status.st_ino)
            file.seek(self._offset)
            before = self._offset
            for raw in file:
                line = Journal.parse(raw, self._offset)
                if line is None and self._offset:
                    break  # being written, or torn
                self._offset += len(raw)
                for table, record in line.puts if line else ():
                    self._put(table, record)
                for table, record_id in line.deletes if line else ():
                    self.tables[table].pop(record_id, None)
            self._check_kept()
            return self._offset != before

    def _begin_anew(self, inode: int) -> None:
        """The file was written anew (compaction), or a torn write was cut off it."""
        self._inode, self._offset = inode, 0
        self._before, self.trail = self.trail, []
        self.tables = {name: {} for name in TABLES}

    def _check_kept(self) -> None:
        before, self._before = self._before, []
        kept = self.trail[: len(before)] == before
        assert kept or not self.only_grows, "audit records are gone, or were changed"

    def _put(self, table: str, record: Record) -> None:
        self.tables[table][record["id"]] = record
        if table != "audit":
            return
        last = self.trail[-1]["hash"] if self.trail else GENESIS
        assert record["seq"] == len(self.trail) + 1, f"audit record {record['seq']} follows {len(self.trail)}"
        assert record["prev"] == last, f"audit record {record['seq']} does not follow the one before it"
        assert record["hash"] == digest(record), f"audit record {record['seq']} is not what was sealed"
        self.trail.append(record)

    def of(self, table: str, **equals: Any) -> list[Record]:
        """The records whose fields equal these."""
        return [r for r in self[table].values() if all(r.get(k) == v for k, v in equals.items())]
