"""The data as the commands see them: what they read, fill and change, whichever backend keeps them.

`bot.store.opening` chooses the backend. A running bot uses `bot.store.Store` instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from bot.errors import UserError
from bot.store import Record, Table

if TYPE_CHECKING:
    from bot.store.archive.layout import StoredRecord, Target
    from bot.store.erasure.erase import Erased


class DamagedData(UserError):
    """The data are not what this program wrote, and cannot be opened. The message says how to mend them."""


class DataAway(UserError):
    """The data cannot be reached now; nothing is known to be wrong with them, or with the settings."""


class Snapshot(Protocol):
    """All data as they were at one moment, read only, whether the bot runs or not. Every method raises `UserError`.

    Records come one after another as they are read, so that a large store needs no more memory than a small one.
    """

    there: bool
    """Whether there is a store; without one there are no records."""

    def get(self, table: Table, record_id: str) -> Record | None:
        """The record, or None."""
        ...

    def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[Record]:
        """As `bot.store.StoreReader.find`."""
        ...

    def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        """How many records `find` would give."""
        ...

    def rows(self, table: Table) -> Iterator[StoredRecord]:
        """Every record as it is stored, in order of arrival."""
        ...

    def salvaged(self, table: Table) -> Iterator[Record | str]:
        """All that can still be read of damaged data, in order of arrival; what cannot, as a sentence."""
        ...


class Data(Protocol):
    """The data of one installation."""

    place: str
    """Where they are, for people; without any secret."""
    beyond_reach: str
    """What an erasure does not touch, as the end of a sentence."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Raises `UserError`."""
        ...

    def loading(self, *, force: bool) -> AbstractContextManager[Target]:
        """An empty store to be filled; it replaces what is there when the block ends without an error.

        Raises `UserError`: while the bot runs, when there are data and `force` is not given, when it cannot be written.
        """
        ...

    def erase(self, account: str, also: Sequence[str] = ()) -> Erased | None:
        """Remove a person from all records, also while the bot runs; None where there are no data. `also`: more names
        and addresses of theirs.

        Raises `UserError`, `StoreUnavailable`.
        """
        ...


class AsyncSnapshot:
    """A snapshot as what reads a running store sees it (`bot.store.StoreReader`)."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    async def get(self, table: Table, record_id: str) -> Record | None:
        return self._snapshot.get(table, record_id)

    async def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> list[Record]:
        found = self._snapshot.find(
            table, since=since, until=until, newest_first=newest_first, limit=limit, **equals
        )  # fmt: skip
        return list(found)

    async def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        return self._snapshot.count(table, since=since, **equals)
