"""The choice of the queue's engine: Procrastinate where the store is PostgreSQL, else the engine of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bot.queue import Kinds, Queue

if TYPE_CHECKING:
    from bot.clock import Clock
    from bot.store.embedded.store import TinyStore
    from bot.store.postgres.store import PostgresStore


def queue_of(store: TinyStore | PostgresStore, url: str | None, kinds: Kinds, clock: Clock) -> Queue:
    """The queue that carries out what this store's commits defer. `url`: of the database, where there is one."""
    if url:
        from bot.queue.procrastinate.engine import ProcrastinateQueue

        return ProcrastinateQueue(url, store, kinds, clock)
    from bot.queue.embedded import EmbeddedQueue

    return EmbeddedQueue(cast("TinyStore", store), kinds, clock)
