"""The choice of the backend that commands read and change: TinyDB in the data folder."""

from __future__ import annotations

from pathlib import Path

from bot.environment import DATA_DIR, read
from bot.store.data import Data
from bot.store.embedded.data import FolderData

FOLDER = "PMAGENT_DATA_DIR"


def data() -> Data:
    """The data that the settings name, without a look at any other setting."""
    return FolderData(Path(read((FOLDER,)).get(FOLDER, "").strip() or DATA_DIR))
