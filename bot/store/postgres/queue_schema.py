"""Procrastinate's tables in our database: their installation, their upgrade, and the view of them as our table `jobs`.

Procrastinate ships its schema as one file and as a chain of migrations. The last migration that a database has is noted
in the comment on its table `procrastinate_jobs`; a package that brings later ones applies those.
"""

from __future__ import annotations

import re
from typing import Any, LiteralString

from procrastinate.schema import SchemaManager, migrations_path
from psycopg import AsyncConnection, sql

from bot.errors import UserError

OURS: LiteralString = """
-- Of procrastinate's own indexes none begins with the lock, and none has the times of jobs that wait.
CREATE INDEX IF NOT EXISTS pmagent_jobs_of_a_lock ON procrastinate_jobs (lock, id) WHERE status IN ('todo', 'doing');
CREATE INDEX IF NOT EXISTS pmagent_jobs_running ON procrastinate_jobs (queueing_lock) WHERE status = 'doing';
CREATE INDEX IF NOT EXISTS pmagent_jobs_later ON procrastinate_jobs (scheduled_at)
    WHERE status = 'todo' AND scheduled_at IS NOT NULL;

-- One record for each job, also for one that runs and has come again.
CREATE OR REPLACE VIEW jobs AS
SELECT min(id) AS seq, queueing_lock AS id, jsonb_build_object(
    'id', queueing_lock,
    'kind', min(task_name),
    'key', min(args ->> 'key'),
    'lock', min(args ->> 'lock'),
    'at', CASE WHEN bool_and(scheduled_at IS NOT NULL)
          THEN to_char(min(scheduled_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') END,
    'token', max(id)::text
) AS doc
FROM procrastinate_jobs WHERE status IN ('todo', 'doing') GROUP BY queueing_lock;
"""


async def install(connection: AsyncConnection[Any]) -> None:
    """Make or upgrade procrastinate's tables, in the transaction of the caller, who sees to it that nobody else does.

    Raises `UserError` when the database was upgraded by a later version of procrastinate than the installed one.
    """
    ours = migrations()
    installed = await _installed(connection)
    if installed is None:
        await connection.execute(SchemaManager.get_schema())
    elif installed > ours[-1]:
        raise UserError(
            f"The job queue in this database is of a later version ({installed}) than this program knows ({ours[-1]}):"
            " update PM Agent, with `pip install -r requirements.txt`"
        )
    else:
        for name in ours:
            if name > installed:
                text = (migrations_path / name).read_text(encoding="utf-8")
                await connection.execute(text.encode())
    await connection.execute(sql.SQL("COMMENT ON TABLE procrastinate_jobs IS {}").format(sql.Literal(ours[-1])))
    await connection.execute(OURS)


def migrations() -> list[str]:
    """The names of procrastinate's migrations, in their order: `03.04.00_50_post_add_retry….sql`."""
    return sorted(path.name for path in migrations_path.glob("*.sql"))


async def _installed(connection: AsyncConnection[Any]) -> str | None:
    """The last migration that this database has; None: it has none of procrastinate's tables."""
    found = await connection.execute("SELECT to_regclass('procrastinate_jobs')::oid")
    row = await found.fetchone()
    if row is None or row[0] is None:
        return None
    found = await connection.execute("SELECT obj_description(%s::oid, 'pg_class')", [row[0]])
    row = await found.fetchone()
    if row is None or not re.fullmatch(r"\d\d\.\d\d\.\d\d_\w+\.sql", row[0] or ""):
        raise UserError(
            "This database has tables of procrastinate's that PM Agent has not made: give it a database of its own"
        )
    return str(row[0])
