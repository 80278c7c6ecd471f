"""The texts of settings as they stand in the environment and in `.env`, without knowing what they mean.

Apart from `bot.settings`, which checks and explains them and costs a tenth of a second to import: the commands over the
data folder need three of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from bot.errors import UserError

DATA_DIR = "data"
"""What `PMAGENT_DATA_DIR` is when nobody says."""
MOST_BYTES = 65_536
"""Of a file that holds a secret: none is longer, and `/dev/zero` is."""


class UnreadableEnv(UserError):
    """`.env` is there and cannot be read. `why`: what is wrong with it, as the end of a sentence."""

    def __init__(self, path: Path, why: str) -> None:
        self.why = why
        super().__init__(f"{path} {why}: save it as UTF-8, readable by this user.")


def all_variables(folder: Path | None = None) -> dict[str, str]:
    """All variables by upper-case name: the process's environment, over `.env` in `folder` (default: here).

    Raises `UnreadableEnv`. Names are the same in any case.
    """
    from dotenv import dotenv_values

    path = (folder or Path.cwd()) / ".env"
    try:
        found = dotenv_values(path, encoding="utf-8-sig") if path.is_file() else {}
    except UnicodeDecodeError:
        raise UnreadableEnv(path, "is not UTF-8 text") from None
    except OSError as error:
        raise UnreadableEnv(path, f"cannot be read: {error.strerror}") from None
    return {name.upper(): value for name, value in [*found.items(), *os.environ.items()] if value is not None}


def read_variables(names: Iterable[str], folder: Path | None = None) -> dict[str, str]:
    """These of `all_variables`. Raises `UnreadableEnv`."""
    found = all_variables(folder)
    return {name: found[name] for name in names if name in found}


def with_files(values: Mapping[str, str], secrets: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """These variables, with the secrets that stand in files; and by variable, what is wrong with one.

    `NAME_FILE` names a file that holds NAME; systemd's credentials are files NAME in `$CREDENTIALS_DIRECTORY`. Two ways
    that lead to different texts are refused: whichever counted, somebody would wonder why the other does not.
    """
    found, wrong = dict(values), {}
    for name in secrets:
        texts = {name: values.get(name, "").strip()}
        try:
            for way, path in _files(name, values).items():
                texts[way] = _text(path, way)
        except UserError as error:
            wrong[name] = str(error)
            continue
        given = {way: text for way, text in texts.items() if text}
        if len(set(given.values())) > 1:
            wrong[name] = f"is given as {' and as '.join(given)}, and the two differ: keep one of them"
        for text in given.values():
            found[name] = text
    return found, wrong


def _files(name: str, values: Mapping[str, str]) -> dict[str, Path]:
    """The files that hold this secret, by how they are named in a sentence."""
    files = {}
    if path := values.get(f"{name}_FILE", "").strip():
        files[f"{name}_FILE"] = Path(path)
    folder = Path(values.get("CREDENTIALS_DIRECTORY") or "/nowhere")
    if os.access(folder / name, os.F_OK):
        files[f"$CREDENTIALS_DIRECTORY/{name}"] = folder / name
    return files


def _text(path: Path, way: str) -> str:
    """What stands in a file, without the newline that editors add. Read once: it may be a pipe. Raises `UserError`."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode("utf-8-sig").strip()
    except OSError as error:
        raise UserError(f"is to come from {way}, but {_named(path)} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UserError(f"is to come from {way}, but {_named(path)} is not UTF-8 text") from None
    if not text:
        raise UserError(f"is to come from {way}, but {_named(path)} is empty")
    return text


def _named(path: Path) -> str:
    """The path, or words for one that may be the secret itself, where its file's name belongs."""
    from bot.safety.misplaced import is_plain, looks_secret

    known = path.is_absolute() and not any(map(looks_secret, path.parts))
    return str(path) if known or is_plain(str(path)) else "the file that it names"
