"""One transaction: a group of commits is decided and written, in three round trips.

::

    1  locks of the records, what the conditions ask                        → decided
    2  records, jobs, this transaction's id; the head's row, locked; what sealing asks   → sealed
    3  events, audit trail, figures, head; COMMIT

Two processes write side by side until one has locked the head: that is held for one round trip and the sync.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any
from uuid import UUID, uuid4

import psycopg

from bot.failpoints import failpoint
from bot.store import Conflict, Table
from bot.store.batch import LOOKS, Batch, Position, SealingNeeds, Tail, forgotten
from bot.store.commits import Commit
from bot.store.encoding import Row
from bot.store.postgres.connecting import Connection
from bot.store.postgres.encoding import plain, read, stored, text
from bot.store.postgres.jobs import defer
from bot.store.postgres.locks import lock

_COLUMNS = {
    "webhook_events": (
        "(seq, id, doc) SELECT (r ->> 'arrived')::bigint, r ->> 'id', r FROM jsonb_array_elements(%s::jsonb)"
    ),
    "audit": "(id, doc) SELECT r ->> 'id', r FROM json_array_elements(%s::json)",
}
_OTHERS = "(id, doc) SELECT r ->> 'id', r FROM jsonb_array_elements(%s::jsonb)"
_NOTE = b"WITH before AS (DELETE FROM commits WHERE id = %s) INSERT INTO commits (id, lost) VALUES (%s, false)"
"""The process's transaction before is known to be durable, so nobody will ask for it."""
_HEAD = b"SELECT seq, hash, arrived FROM head FOR UPDATE"
_MOVE_HEAD = b"UPDATE head SET seq = %s, hash = %s, arrived = %s"
_ARRIVED = b"SELECT id, seq FROM webhook_events WHERE id = ANY(%s)"
_ACTIONS = b"""
SELECT doc ->> 'draft_id', doc ->> 'action' FROM audit
WHERE doc::jsonb -> 'draft_id' = ANY(ARRAY(SELECT to_jsonb(id) FROM unnest(%s::text[]) AS id))
"""
# Nobody waits here for a row that another transaction writes, so that it cannot be the other way round as well.
_FORGET = b"""
DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries WHERE id = ANY(%s) AND doc ->> 'at' = ANY(%s)
FOR UPDATE SKIP LOCKED)
"""

BATCH_SIZE = 2000
"""Records that one statement writes at most: what an erasure changes may be more than JSONB can hold in one value."""


class Transaction:
    """See the module's docstring. `committing`: COMMIT may have been sent, so an error does not tell how it went.

    `id`: what it notes in `commits` once it has `written` anything. `outcomes`: how each commit went, once they are
    decided. `deliveries`: how many of their keys were put.
    """

    def __init__(self, connection: Connection, now: datetime, zone: tzinfo, before: UUID | None) -> None:
        self.id = uuid4()
        self.outcomes: list[Conflict | None] = []
        self.written = self.committing = False
        self.deliveries = 0
        self._connection = connection
        self._batch = Batch(now, zone)
        self._before = before

    async def run(self, commits: Sequence[Commit], locks: set[int]) -> None:
        """Decide these commits and write them. `locks`: of their records. Raises what goes wrong."""
        batch, execute = self._batch, self._connection.execute
        async with self._connection.pipeline():
            await execute(b"BEGIN", prepare=False)
            await lock(self._connection, locks)
            lookups = [(table, await self._docs(table, ids)) for table, ids in batch.wanted(commits).items()]
            for table, cursor in lookups:
                batch.known(table, [read(doc) for (doc,) in await cursor.fetchall()])
            self.outcomes = [batch.decide(commit) for commit in commits]
            failpoint("store.before_write")
            if all(self.outcomes):
                await execute(b"ROLLBACK", prepare=False)
                return
            await self._write()
            failpoint("store.before_commit")
            self.committing = True
            # Leaving the block sends all of it and waits; `pipeline.sync()` waits without sending what is left of much.
            ended = await execute(b"COMMIT", prepare=False)
        if ended.statusmessage != "COMMIT":  # PostgreSQL's answer where a transaction has failed before
            raise psycopg.InternalError(f"COMMIT was answered {ended.statusmessage}")
        failpoint("store.after_commit")

    async def _write(self) -> None:
        batch, execute = self._batch, self._connection.execute
        self.written = True
        await execute(_NOTE, [self._before, self.id])
        for table, gone in batch.gone.items():
            if table != "jobs":  # the worker ends the job that it runs; another finds nothing to do
                sql = f"DELETE FROM {table} WHERE id = ANY(%s)".encode()  # noqa: S608 - a name of our own
                await execute(sql, [[*map(text, gone)]])
        rows = batch.rows()
        self.deliveries = len(rows.get("deliveries", ()))
        for table, found in rows.items():
            await put(self._connection, table, found)
        if batch.jobs:
            await defer(self._connection, batch.jobs, batch.now)
        asked = batch.asked()
        if asked != SealingNeeds([], [], []):
            sealed = batch.seal(await self._tail(asked))
            for table, found in sealed.rows.items():
                await put(self._connection, table, found)
            await execute(_MOVE_HEAD, sealed.position)

    async def _tail(self, asked: SealingNeeds) -> Tail:
        execute = self._connection.execute
        events = await execute(_ARRIVED, [[*map(text, asked.events)]]) if asked.events else None
        head = await execute(_HEAD)
        drafts = await execute(_ACTIONS, [[*map(text, asked.drafts)]]) if asked.drafts else None
        figures = await self._docs("rollup", asked.figures) if asked.figures else None
        known = {plain(event): seq for event, seq in await events.fetchall()} if events else {}
        position = await head.fetchone()
        if position is None:
            raise psycopg.InternalError("the row of the table head is missing")
        actions = {(plain(draft), action) for draft, action in await drafts.fetchall()} if drafts else set()
        counted = [read(doc) for (doc,) in await figures.fetchall()] if figures else []
        return Tail(Position(*position), known, actions, counted)

    async def _docs(self, table: Table, ids: Iterable[str]) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        sql = f"SELECT doc::text FROM {table} WHERE id = ANY(%s)".encode()  # noqa: S608 - a name of our own
        return await self._connection.execute(sql, [[*map(text, ids)]])


async def put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Store whole records, given as JSON, in place of those that have their ids."""
    columns = _COLUMNS.get(table, _OTHERS)
    sql = (
        f"INSERT INTO {table} {columns} WITH ORDINALITY AS e(r, n) ORDER BY n "
        "ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"
    )
    for start in range(0, len(rows), BATCH_SIZE):
        docs = [stored(doc) for _, _, doc in rows[start : start + BATCH_SIZE]]
        await connection.execute(sql.encode(), [f"[{','.join(docs)}]"])


async def prune(connection: Connection, now: datetime) -> None:
    """Delete keys of deliveries that are not remembered any more, a few at a time."""
    for limit in LOOKS:
        found = await connection.execute("SELECT doc::text FROM deliveries ORDER BY seq LIMIT %s", [limit])
        records = [read(doc) for (doc,) in await found.fetchall()]
        gone = forgotten(records, now)
        if not gone:
            break
        times = {record["id"]: record["at"] for record in records}
        await connection.execute(_FORGET, [[*map(text, gone)], list({times[record_id] for record_id in gone})])
