"""The one writer of a process: a task that turns commits into transactions, as many in one as came in the meantime.

A group that fails before COMMIT was sent has written nothing: it is tried once more on a new connection, and then its
callers are answered `StoreUnavailable`. Where the records of one commit are what PostgreSQL does not take, the group is
divided, so that it fails alone. When the connection is lost during COMMIT, the writer finds out how that went before it
writes anything else; callers wait for that, but not longer than `COMMIT_TIMEOUT`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from uuid import UUID

import psycopg

from bot.clock import Clock
from bot.errors import UserError
from bot.store import Conflict, StoreUnavailable
from bot.store.batch import Pruning
from bot.store.commits import Commit
from bot.store.postgres.connecting import Connection, in_words
from bot.store.postgres.locks import MAX_LOCKS, stripes
from bot.store.postgres.transactions import Transaction, prune

GROUP_SIZE = 500
"""Commits in one transaction, at most."""
TRANSACTION_TIMEOUT = 8.0
"""Seconds that a transaction may take."""
COMMIT_TIMEOUT = 10.0
"""Seconds that a caller waits for its commit to be durable."""
RETRY_PAUSES = (0.05, 1.0)
"""Seconds between two tries to find out how a COMMIT went: first, and at most."""
_REFUSED = ("22", "23", "54")
"""What PostgreSQL says of a record (classes of SQLSTATE): data that it cannot hold, an index's limit."""
_FENCE = b"INSERT INTO commits (id, lost) VALUES (%s, true) ON CONFLICT DO NOTHING"
_LOST = b"SELECT lost FROM commits WHERE id = %s"
log = logging.getLogger("pmagent.store")


@dataclass(slots=True)
class PendingCommit:
    """A commit, the locks of its records, and its caller. `begun`: it is in a transaction."""

    commit: Commit
    locks: set[int]
    future: asyncio.Future[None]
    begun: bool = False


class Writer:
    """See the module's docstring. `connect` makes a connection of its own; `connection` is the first."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        clock: Clock,
        zone: tzinfo,
        connection: Connection | None = None,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._zone = zone
        self._connection = connection
        self._before: UUID | None = None
        self._pruning = Pruning()
        self._prune = False
        self._queue: deque[PendingCommit] = deque()
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._work(), name="store")

    async def commit(self, commit: Commit) -> None:
        """Write this; returns when it is durable. Raises `Conflict`, `StoreUnavailable`."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        waiting = PendingCommit(commit, stripes(commit), asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._wake.set()
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT):
                await waiting.future
        except TimeoutError:
            if waiting.begun:
                raise StoreUnavailable("PostgreSQL has not answered, so it may or may not be stored") from None
            raise StoreUnavailable("PostgreSQL does not answer; nothing was stored") from None

    async def close(self) -> None:
        """Write what is queued, and let go of the database."""
        self._closed = True
        self._wake.set()
        await asyncio.wait({self._task}, timeout=COMMIT_TIMEOUT)
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._let_go()

    # The task

    async def _work(self) -> None:
        while True:
            while group := self._next():
                await self._write(group)
                await self._forget_old_keys()
            if self._closed:
                return
            self._wake.clear()
            if not self._queue:
                await self._wake.wait()

    def _next(self) -> list[PendingCommit]:
        """The commits that wait, as many as one transaction takes; those whose callers have gone are left out."""
        group: list[PendingCommit] = []
        locks: set[int] = set()
        while self._queue and len(group) < GROUP_SIZE:
            waiting = self._queue[0]
            if waiting.future.done():
                self._queue.popleft()
                continue
            if group and len(locks | waiting.locks) > MAX_LOCKS:
                break
            locks |= waiting.locks
            group.append(self._queue.popleft())
        return group

    async def _write(self, group: Sequence[PendingCommit]) -> None:
        """Write a group and answer it."""
        for waiting in group:
            waiting.begun = True
        outcomes: Sequence[Exception | None]
        try:
            outcomes = await self._written(group)
        except Exception as error:
            if len(group) > 1 and _is_refusal(error):
                half = len(group) // 2
                await self._write(group[:half])
                await self._write(group[half:])
                return
            if isinstance(error, (psycopg.Error, OSError, UserError)):
                log.error("store: not written: %s", in_words(error))
            else:  # a fault of ours: the task has to go on for the others
                log.error("store: not written", exc_info=error)
            outcomes = [StoreUnavailable(f"the data could not be written: {in_words(error)}") for _ in group]
        for waiting, outcome in zip(group, outcomes, strict=True):
            if waiting.future.done():
                continue  # its caller has gone
            if outcome is None:
                waiting.future.set_result(None)
            else:
                waiting.future.set_exception(outcome)

    async def _written(self, group: Sequence[PendingCommit]) -> list[Conflict | None]:
        """How each commit went. Raises what kept all of them from being written."""
        try:
            return await self._tried(await self._connected(), group)
        except (psycopg.Error, OSError) as error:
            if _is_refusal(error) or isinstance(error, TimeoutError):
                raise
            log.warning("store: once more, because nothing was written: %s", in_words(error))
        return await self._tried(await self._connected(), group)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._connect()
        return self._connection

    async def _tried(self, connection: Connection, group: Sequence[PendingCommit]) -> list[Conflict | None]:
        transaction = Transaction(connection, self._clock.now(), self._zone, self._before)
        try:
            async with asyncio.timeout(TRANSACTION_TIMEOUT):
                await transaction.run([waiting.commit for waiting in group], set().union(*(w.locks for w in group)))
        except BaseException as error:
            await self._let_go()
            if not isinstance(error, Exception) or not transaction.committing:
                raise
            if not await self._settled(transaction.id):
                raise
        if transaction.written:
            self._before = transaction.id
        self._prune = self._pruning.due(transaction.deliveries)
        return transaction.outcomes

    async def _settled(self, transaction: UUID) -> bool:
        """Whether this transaction is durable; if not, it never will be.

        A row with its id is put where none is. That waits for the transaction, should the database still be at it, and
        lets it fail, should it not have come to that yet.
        """
        pause, said = RETRY_PAUSES[0], ""
        while True:
            try:
                async with asyncio.timeout(TRANSACTION_TIMEOUT):
                    connection = await self._connected()
                    await connection.execute(_FENCE, [transaction])
                    row = await (await connection.execute(_LOST, [transaction])).fetchone()
            except (psycopg.Error, OSError, UserError) as error:
                if in_words(error) != said:  # once for each change, however often it is tried
                    said = in_words(error)
                    log.error("store: the connection was lost during COMMIT; it is looked how that went: %s", said)
                await self._let_go()
                await asyncio.sleep(pause)
                pause = min(2 * pause, RETRY_PAUSES[1])
            else:
                durable = row is not None and not row[0]
                log.warning("store: the connection was lost during COMMIT, which was %s", "done" if durable else "not")
                return durable

    async def _forget_old_keys(self) -> None:
        if self._prune and self._connection is not None:
            self._prune = False
            try:
                async with asyncio.timeout(TRANSACTION_TIMEOUT):
                    await prune(self._connection, self._clock.now())
            except (psycopg.Error, OSError) as error:  # there is a next time
                log.warning("store: old keys of deliveries were not deleted: %s", in_words(error))
                await self._let_go()

    async def _let_go(self) -> None:
        """After an error the connection is made anew: whatever state it is in, it is not built upon."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _is_refusal(error: Exception) -> bool:
    """Whether the fault lies with what is written, so that others of the group may be written without it."""
    if isinstance(error, psycopg.Error):
        return bool(error.sqlstate and error.sqlstate.startswith(_REFUSED))
    return not isinstance(error, (OSError, UserError))
