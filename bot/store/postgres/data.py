"""The database as the commands see it (`bot.store.data`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from bot.store.archive.layout import Target
from bot.store.data import Snapshot
from bot.store.erasure.erase import Erased
from bot.store.postgres.address import DatabaseAddress
from bot.store.postgres.erasing import erase_now
from bot.store.postgres.loading import loading
from bot.store.postgres.snapshot import snapshot


class DatabaseData:
    """See `bot.store.data.Data`."""

    beyond_reach = (
        "backups made before now, PostgreSQL's own among them, its write-ahead log (until it is overwritten) with the "
        "archive and the replicas of it, what was posted in Slack and Jira, and log files"
    )

    def __init__(self, url: str) -> None:
        """Raises `UserError` for an address that is none."""
        self._address = DatabaseAddress(url)
        self.place = f"the {self._address.shown}"

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return snapshot(self._address)

    def loading(self, *, force: bool) -> AbstractContextManager[Target]:
        return loading(self._address, force=force)

    def erase(self, account: str, also: Sequence[str] = ()) -> Erased | None:
        return erase_now(self._address, account, also)
