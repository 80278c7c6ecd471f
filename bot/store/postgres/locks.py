"""Advisory locks: what keeps processes from deciding about the same records at the same time, also about absent ones.

A transaction takes `EVERYTHING` shared, and one of `STRIPES` for each record that its conditions ask about or that it
changes, in ascending order; so no two wait for each other. One that touches more than `MAX_LOCKS` takes `EVERYTHING`
alone: PostgreSQL's table of locks is of limited size. All of them end with the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from zlib import crc32

from bot.store import Expect
from bot.store.commits import Commit
from bot.store.postgres.connecting import Connection

MIGRATION = 0x504D4147_0001
EVERYTHING = 0x504D4147_0002
_OURS = 0x504D4147
"""`PMAG`: the first half of the stripes' numbers."""
STRIPES = 1 << 16
MAX_LOCKS = 256


def stripes(commit: Commit) -> set[int]:
    """The locks of the records that a commit asks about or changes."""
    return {crc32(f"{table}/{record_id}".encode()) % STRIPES for table, record_id in _touched(commit)}


def _touched(commit: Commit) -> Iterable[tuple[str, str]]:
    for asked in commit.expect:
        if isinstance(asked, Expect):
            yield asked.table, asked.id
        else:
            yield from (("deliveries", key) for key in asked.keys)
    yield from commit.changes


async def lock(connection: Connection, wanted: Collection[int]) -> None:
    """Take the locks of a transaction's records."""
    if len(wanted) > MAX_LOCKS:
        await lock_everything(connection)
        return
    await connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", [EVERYTHING])
    await connection.execute(
        "SELECT pg_advisory_xact_lock(%s, stripe) FROM unnest(%s::int[]) AS stripe", [_OURS, sorted(wanted)]
    )


async def lock_everything(connection: Connection) -> None:
    """Keep every other transaction of the store from writing until this one ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", [EVERYTHING])
