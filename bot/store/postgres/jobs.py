"""Jobs in procrastinate's table: how they are stored, come due, end, and are given back. All of our SQL on that table.

================= ======================================================================================================
column            what stands there
================= ======================================================================================================
`queue_name`      the job's kind; `later` while its time has not come, which no worker fetches from
`task_name`       the job's kind
`queueing_lock`   the job's id. The unique index on it, over the jobs that wait, makes those of one kind and key one job
`lock`            the kind, and the job's lock or key: procrastinate runs one job of it at a time, in order. What is
                  due later has none, else it would hold up what comes behind it
`args`            `key`, `lock`; of one that failed also `tries`, `unexpected`, `reason` (see `bot.queue.Entry`)
`priority`        0 for all: another one would go before the order of a lock
================= ======================================================================================================

Jobs are inserted by our own statement and not by procrastinate's `procrastinate_defer_jobs_v1`, which raises for a job
that waits already and so aborts the caller's transaction. `ON CONFLICT` merges the two instead, and locks the row that
is there: nobody starts it before the caller's transaction has ended, so an attempt sees what it was stored for.

Every statement is one transaction, or part of the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from bot.store import Job

Connection = AsyncConnection[Any]
LATER = "later"
"""The queue of what is not due yet."""
CHANNEL = "procrastinate_queue_v1#"
"""Procrastinate's own triggers notify on this channel and the queue's name."""
BATCH_SIZE = 1000
"""Jobs that come due in one statement."""

_LOCK: LiteralString = """coalesce(
    (SELECT min(running.lock) FROM procrastinate_jobs AS running
     WHERE running.status = 'doing' AND running.queueing_lock = job.queueing_lock),
    job.task_name || ':' || coalesce(nullif(job.args ->> 'lock', ''), job.args ->> 'key'))"""
# A job that runs, and comes again under another lock (its issue was moved), keeps its lock: never twice at once.

# The rows are inserted in the order of their ids, so that two processes do not wait for each other's; their numbers
# are in the order in which they were asked for, which is that of a lock.
_DEFER: LiteralString = f"""
WITH asked AS MATERIALIZED (
    SELECT nextval('procrastinate_jobs_id_seq') AS id, task_name, task_name || ':' || key AS queueing_lock,
           jsonb_build_object('key', key, 'lock', lock) || %(more)s AS args, at
    FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(locks)s::text[], %(times)s::timestamptz[])
         AS given (task_name, key, lock, at)
), stored AS (
    INSERT INTO procrastinate_jobs AS waiting (id, queue_name, task_name, queueing_lock, args, lock, scheduled_at)
    SELECT id, CASE WHEN at IS NULL THEN task_name ELSE '{LATER}' END, task_name, queueing_lock, args,
           CASE WHEN at IS NULL THEN {_LOCK} END, at
    FROM asked AS job ORDER BY queueing_lock
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET
        queue_name = CASE WHEN excluded.lock IS NULL THEN waiting.queue_name ELSE excluded.queue_name END,
        lock = coalesce(waiting.lock, excluded.lock),
        scheduled_at = CASE WHEN coalesce(waiting.lock, excluded.lock) IS NULL
                       THEN least(waiting.scheduled_at, excluded.scheduled_at) END,
        args = excluded.args || waiting.args
    RETURNING queue_name
)
SELECT pg_notify('{CHANNEL}' || queue_name, '') FROM (SELECT DISTINCT queue_name FROM stored) AS queues
"""  # noqa: S608 - constants

_COME_DUE: LiteralString = f"""
WITH due AS (
    SELECT id FROM procrastinate_jobs
    WHERE status = 'todo' AND queue_name = '{LATER}' AND (scheduled_at <= %(now)s OR task_name = ANY(%(kinds)s))
    ORDER BY scheduled_at, id LIMIT {BATCH_SIZE} FOR UPDATE SKIP LOCKED
), queued AS (
    UPDATE procrastinate_jobs AS job SET queue_name = task_name, scheduled_at = NULL, lock = {_LOCK}
    FROM due WHERE job.id = due.id RETURNING queue_name
)
SELECT pg_notify('{CHANNEL}' || queue_name, ''), jobs FROM (
    SELECT queue_name, count(*) AS jobs FROM queued GROUP BY queue_name
) AS queues
"""  # noqa: S608 - constants

_NEXT: LiteralString = f"""
SELECT min(scheduled_at) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = '{LATER}'
"""  # noqa: S608 - a constant

_END: LiteralString = "DELETE FROM procrastinate_jobs WHERE id = %s AND worker_id = %s AND status = 'doing'"

_RUNNING: LiteralString = """
SELECT id FROM procrastinate_jobs
WHERE status = 'doing' AND worker_id IS NOT DISTINCT FROM %s::bigint AND (%s::text IS NULL OR task_name = %s)
ORDER BY id
"""

# Of a job that goes back, and has come again meanwhile, the older row stays: its place is in front.
_GOES_BACK: LiteralString = (
    "job.id = %(row)s AND job.status = 'doing' AND job.worker_id IS NOT DISTINCT FROM %(worker)s::bigint"
)
_COME_AGAIN: LiteralString = f"""
DELETE FROM procrastinate_jobs AS again USING procrastinate_jobs AS job
WHERE {_GOES_BACK} AND again.queueing_lock = job.queueing_lock AND again.status = 'todo'
"""  # noqa: S608 - a constant
_GIVE_BACK: LiteralString = f"""
WITH back AS (
    UPDATE procrastinate_jobs AS job SET status = 'todo', worker_id = NULL, args = args || %(more)s
    WHERE {_GOES_BACK} RETURNING queue_name
)
SELECT pg_notify('{CHANNEL}' || queue_name, '') FROM back
"""  # noqa: S608 - a constant


async def defer(
    connection: Connection, jobs: Sequence[Job], now: datetime, *, more: Mapping[str, Any] | None = None
) -> None:
    """Store these jobs in the caller's transaction, once in a transaction. `more`: further arguments, for all of them.

    A job whose time is not after `now` is due at once.
    """
    asked: dict[str, Job] = {}
    for job in jobs:
        if job.at is not None and job.at <= now:
            job = job._replace(at=None)
        known = asked.get(job.id)
        if known is None:
            asked[job.id] = job
        elif known.at is not None and (job.at is None or job.at < known.at):
            asked[job.id] = known._replace(at=job.at)
    if not asked:
        return
    kinds, keys, locks, times = zip(*asked.values(), strict=True)
    given = {"kinds": [*kinds], "keys": [*keys], "locks": [*locks], "times": [*times], "more": Jsonb(more or {})}
    await connection.execute(_DEFER, given)


async def come_due(connection: Connection, now: datetime, kinds: Sequence[str] = ()) -> datetime | None:
    """Queue what is due by `now`, and all of these kinds. Returns when the next one is due; None: nothing waits."""
    while True:
        found = await connection.execute(_COME_DUE, {"now": now, "kinds": [*kinds]})
        if sum(row[1] for row in await found.fetchall()) < BATCH_SIZE:
            break
    found = await connection.execute(_NEXT)
    row = await found.fetchone()
    return row[0] if row else None


async def end(connection: Connection, row: int, worker: int) -> bool:
    """Remove a job that this worker runs. False: it is another's now, because this worker was thought dead."""
    return (await connection.execute(_END, [row, worker])).rowcount == 1


async def tell(connection: Connection, kind: str) -> None:
    """Let all processes look for jobs of this kind."""
    await connection.execute("SELECT pg_notify(%s, '')", [CHANNEL + kind])


async def running(connection: Connection, worker: int | None, kind: str | None = None) -> list[int]:
    """The rows that this worker is said to run, or that run for no worker (None): of this kind, or of all."""
    found = await connection.execute(_RUNNING, [worker, kind, kind])
    return [row[0] for row in await found.fetchall()]


async def give_back(
    connection: Connection, worker: int | None, rows: Iterable[int], *, more: Mapping[str, Any] | None = None
) -> int:
    """Queue these rows again, where it is still this worker that runs them. Returns how many those were.

    `more`: what their arguments have from now on.

    One transaction each: with several in one, this and a commit that stores the same jobs could wait for each other.
    """
    given = 0
    for row in rows:
        which = {"row": row, "worker": worker, "more": Jsonb(more or {})}
        while True:
            try:
                async with connection.transaction():
                    await connection.execute(_COME_AGAIN, which)
                    given += (await connection.execute(_GIVE_BACK, which)).rowcount
            except UniqueViolation:  # it came again in between
                continue
            break
    return given


async def forget_workers(connection: Connection, workers: Sequence[int]) -> int:
    """Remove these workers, and queue what runs for no worker. Returns how many jobs those were."""
    if workers:
        await connection.execute("DELETE FROM procrastinate_workers WHERE id = ANY(%s)", [[*workers]])
    return await give_back(connection, None, await running(connection, None))
