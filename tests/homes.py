"""The two homes that data have, for the tests of the commands: a folder, and a database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Literal

import psycopg

from bot.clock import SystemClock
from bot.store import TABLES, Audit, Condition, Delete, Job, Put, Record, Table
from bot.store.data import Data
from bot.store.opening import data_at, store_of
from tests.postgres import fresh_database

Kind = Literal["folder", "database"]
KINDS: tuple[Kind, ...] = ("folder", "database")


@dataclass(frozen=True)
class Home:
    """A place for data. `url`: empty for a folder."""

    folder: Path
    url: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The settings that name it."""
        return {"PMAGENT_DATA_DIR": str(self.folder), **({"PMAGENT_DATABASE_URL": self.url} if self.url else {})}

    @property
    def data(self) -> Data:
        return data_at(self.folder, self.url or None)

    def commit(
        self,
        *changes: Put | Delete,
        expect: Sequence[Condition] = (),
        audit: Sequence[Audit] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        """A commit of a bot that runs for this long."""

        async def run() -> None:
            store = await store_of(self.folder, self.url or None, clock=SystemClock(), zone=UTC)
            try:
                await store.commit(*changes, expect=expect, audit=audit, jobs=jobs)
            finally:
                await store.close()

        asyncio.run(run())

    def content(self) -> dict[Table, list[tuple[int, Record]]]:
        """Every record with its place in the order of arrival."""
        with self.data.snapshot() as snapshot:
            return {table: [(row.seq, json.loads(row.json)) for row in snapshot.rows(table)] for table in TABLES}

    def records(self, table: Table, **equals: Any) -> list[Record]:
        with self.data.snapshot() as snapshot:
            return list(snapshot.find(table, **equals))

    def write_plainly(self) -> None:
        """Have texts stand in the files as they are from now on: PostgreSQL presses long records, or cuts them up."""
        if self.url:
            self.commit()
            for table in TABLES:
                if table != "jobs":
                    self.tamper(f"ALTER TABLE {table} ALTER COLUMN doc SET STORAGE PLAIN")

    def files(self) -> str:
        """All bytes that its files hold, with the database's log and what is free in them.

        Not those of PostgreSQL's write-ahead log, which is the whole server's.
        """
        if not self.url:
            paths = [path for path in self.folder.rglob("*") if path.is_file()]
        else:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("CHECKPOINT")  # what is in memory is on the disk, what was dropped is not
                row = connection.execute(
                    "SELECT current_setting('data_directory'), oid::text FROM pg_database "
                    "WHERE datname = current_database()"
                ).fetchone()
            assert row
            paths = [path for path in (Path(row[0]) / "base" / row[1]).iterdir() if path.is_file()]
        found = []
        for path in paths:
            with suppress(FileNotFoundError):  # PostgreSQL replaces some
                found.append(path.read_bytes().decode("utf-8", "replace"))
        return "".join(found)

    def tamper(self, sql: str) -> None:
        """Change the data as somebody does who may write the database itself."""
        if self.url:
            with psycopg.connect(self.url) as connection:
                connection.execute(sql.encode())
            return
        database = sqlite3.connect(self.folder / "pm_agent.db")
        database.executescript(sql)
        database.close()


def new_home(kind: Kind, folder: Path) -> Home:
    """A place without any data."""
    return Home(folder, fresh_database() if kind == "database" else "")
