"""The texts of settings as they stand in the environment and in `.env`, without knowing what they mean.

Apart from `bot.settings`, which checks and explains them and costs a tenth of a second to import: the commands over the
data folder need three of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from bot.errors import UserError

DATA_DIR = "data"
"""What `PMAGENT_DATA_DIR` is when nobody says."""


class Unreadable(UserError):
    """`.env` is there and cannot be read. `why`: what is wrong with it, as the end of a sentence."""

    def __init__(self, path: Path, why: str) -> None:
        self.why = why
        super().__init__(f"{path} {why}: save it as UTF-8, readable by this user.")


def read(names: Iterable[str], folder: Path | None = None) -> dict[str, str]:
    """These variables by upper-case name: the process's environment, over `.env` in `folder` (default: here).

    Raises `Unreadable`. Names are the same in any case, as the settings' library has it.
    """
    from dotenv import dotenv_values

    path = (folder or Path.cwd()) / ".env"
    try:
        written = dotenv_values(path, encoding="utf-8-sig") if path.is_file() else {}
    except UnicodeDecodeError:
        raise Unreadable(path, "is not UTF-8 text") from None
    except OSError as error:
        raise Unreadable(path, f"cannot be read: {error.strerror}") from None
    found = {name.upper(): value for name, value in [*written.items(), *os.environ.items()] if value is not None}
    return {name.upper(): found[name.upper()] for name in names if name.upper() in found}
