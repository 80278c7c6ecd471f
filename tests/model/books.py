"""The program's store as it stands, read beside the program while it writes.

Whatever was read once of the audit trail must stay: `read` says so at once where it does not.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg

from bot.errors import UserError
from bot.store import TABLES
from bot.store.audit import GENESIS, digest
from bot.store.embedded.schema import NAME
from bot.store.embedded.sqlite import reader

Record = dict[str, Any]


class Books:
    """`tables`: table → id → record, as of the last `read`. `trail`: the audit records, verified, oldest first."""

    def __init__(self, folder: Path, url: str = "") -> None:
        """`url`: of the database; empty: the store is the folder's."""
        self.path = folder / NAME
        self.url = url
        self.tables: dict[str, dict[str, Record]] = {}
        self.trail: list[Record] = []
        self._texts: dict[str, dict[str, str]] = {}

    def __getitem__(self, table: str) -> dict[str, Record]:
        return self.tables.get(table, {})

    def read(self) -> bool:
        """Take in what was written since. Whether there was anything. AssertionError: the trail is not whole."""
        if not self.url and not self.path.exists():
            assert not self.trail, "the database is gone"
            return False
        texts = self._of_database() if self.url else self._of_file()
        if texts == self._texts:
            return False
        before, self._texts = self._texts, texts
        for table, rows in texts.items():
            known, were = self[table], before.get(table, {})
            self.tables[table] = {
                name: known[name] if text == were.get(name) else json.loads(text) for name, text in rows.items()
            }
        self._check_trail(list(self["audit"].values()))
        return True

    def _of_file(self) -> dict[str, dict[str, str]]:
        """All rows, of one moment."""
        for _ in range(3):
            with suppress(UserError, sqlite3.Error), closing(reader(self.path)) as connection:
                connection.execute("BEGIN")
                rows = {t: connection.execute(f"SELECT id, doc FROM {t} ORDER BY seq") for t in TABLES}  # noqa: S608 - names of our own
                return {table: dict(found) for table, found in rows.items()}
        return self._texts  # it is just being started, or recovered

    def _of_database(self) -> dict[str, dict[str, str]]:
        """The same, of PostgreSQL; what was read last, while it is away."""
        try:
            with psycopg.connect(self.url, connect_timeout=3) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                there = connection.execute("SELECT to_regclass('jobs') IS NOT NULL").fetchone()
                if there != (True,):
                    return self._texts
                rows = {t: connection.execute(f"SELECT id, doc::text FROM {t} ORDER BY seq".encode()) for t in TABLES}  # noqa: S608 - as above
                return {table: dict(found.fetchall()) for table, found in rows.items()}
        except psycopg.OperationalError:
            return self._texts

    def _check_trail(self, trail: list[Record]) -> None:
        kept = [r["hash"] for r in trail[: len(self.trail)]] == [r["hash"] for r in self.trail]
        assert kept, "audit records are gone, or were changed"
        last = self.trail[-1]["hash"] if self.trail else GENESIS
        for seq, record in enumerate(trail[len(self.trail) :], start=len(self.trail) + 1):
            assert record["seq"] == seq, f"audit record {record['seq']} follows {seq - 1}"
            assert record["prev"] == last, f"audit record {seq} does not follow the one before it"
            assert record["hash"] == digest(record), f"audit record {seq} is not what was sealed"
            last = record["hash"]
        self.trail = trail

    def of(self, table: str, **equals: Any) -> list[Record]:
        """The records whose fields equal these."""
        return [r for r in self[table].values() if all(r.get(k) == v for k, v in equals.items())]
