"""The choice of the backend: PostgreSQL where `PMAGENT_DATABASE_URL` is set, else TinyDB in the data folder.

A backend is imported when it is chosen: a bot that keeps its data in a folder never loads a driver of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from bot.clock import Clock
from bot.environment import DATA_DIR, all_variables, with_files
from bot.errors import UserError
from bot.safety.misplaced import looks_secret
from bot.store.data import Data

if TYPE_CHECKING:
    from bot.store.embedded.store import TinyStore
    from bot.store.postgres.store import PostgresStore

FOLDER, URL = "PMAGENT_DATA_DIR", "PMAGENT_DATABASE_URL"


def data_at(folder: Path, url: str | None) -> Data:
    """The data in this database, or without one in this folder. Raises `UserError` for an address that is none."""
    if url:
        from bot.store.postgres.data import DatabaseData

        return DatabaseData(url)
    from bot.store.embedded.data import FolderData

    return FolderData(folder)


def data(variables: Mapping[str, str] | None = None) -> Data:
    """The data that the settings name (default: the environment and `.env`), without a look at any other setting.

    Raises `UserError`.
    """
    found, wrong = with_files(all_variables() if variables is None else variables, [URL])
    if URL in wrong:
        raise UserError(f"{URL} {wrong[URL]}.")
    folder = found.get(FOLDER, "").strip() or DATA_DIR
    if looks_secret(folder):
        raise UserError(f"{FOLDER} holds what looks like a secret and no folder.")
    return data_at(Path(folder), found.get(URL, "").strip() or None)


async def store_of(folder: Path, url: str | None, *, clock: Clock, zone: tzinfo) -> TinyStore | PostgresStore:
    """The store of a running bot. `zone`: whose days the figures are kept by.

    Raises `UserError`; `DataFolderLocked` where another process holds the folder.
    """
    if url:
        from bot.store.postgres.store import PostgresStore

        return await PostgresStore.open(url, clock=clock, zone=zone)
    from bot.store.embedded.store import TinyStore

    return TinyStore.open(folder, clock=clock, zone=zone)
