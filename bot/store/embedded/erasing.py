"""`erase ACCOUNT` on the data folder: a person's texts leave every record and the file itself.

All records are changed in one transaction on the writer's thread, between two groups of commits
(`bot.store.erasure.erase` says how). Then the write-ahead log, which holds the old ones, is taken into the database and
cut to nothing (a reader holds that up, so it is tried until it is complete), and the database is written anew without
its free pages.

While the bot runs it holds the folder, so the command leaves a request in `requests/` and the bot carries it out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import StoreUnavailable
from bot.store.embedded.sqlite import BUSY_MS
from bot.store.embedded.store import TinyStore

if TYPE_CHECKING:
    from bot.store.erasure.erase import Erased

REQUESTS = "requests"
TIMEOUT = 30.0
"""Seconds that a command waits for the bot."""
log = logging.getLogger("pmagent.store")


def erase_now(store: TinyStore, account: str, also: Sequence[str] = (), *, timeout: float = TIMEOUT) -> Erased:
    """Erase this person. Blocks; the store must be open for writing. Raises `UserError`, `StoreUnavailable`.

    `timeout`: seconds that readers of the file are waited for, each time they hold it up.
    """
    from bot.store.erasure.erase import account_id, planned  # here: few processes ever erase

    account = account_id(account)
    erased = store.change(partial(planned, account, also))
    failpoint("erase.before_vacuum")
    _forget_the_log(store, timeout)
    store.alone(lambda connection: connection.execute("VACUUM").fetchall())
    failpoint("erase.after_vacuum")
    _forget_the_log(store, timeout)
    return erased


def _forget_the_log(store: TinyStore, timeout: float) -> None:
    """Cut the write-ahead log to nothing. A reader holds that up: it is tried again until `timeout` is over."""
    end = time.monotonic() + timeout
    while not store.alone(_log_is_gone):
        if time.monotonic() > end:
            raise UserError(
                "The records were erased, but somebody has been reading the data all the time (an export, a backup), "
                "so old pages are still in the log of the database. Run this again when that has ended."
            )
        time.sleep(0.1)


def _log_is_gone(connection: sqlite3.Connection) -> bool:
    connection.execute("PRAGMA busy_timeout = 100")
    try:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


# From a command to the bot that holds the folder


def ask_running_bot(folder: Path, account: str, also: Sequence[str] = (), *, timeout: float = TIMEOUT) -> Erased:
    """Leave a request in the data folder and wait for its answer. Raises `UserError`."""
    from bot.store.erasure.erase import Erased, account_id

    requests = folder / REQUESTS
    requests.mkdir(mode=0o700, exist_ok=True)
    name = secrets.token_hex(8)
    request, answer = requests / f"{name}.json", requests / f"{name}.answer"
    _write(request, {"erase": account_id(account), "also": list(also)})
    try:
        while time.time() < _sign_of_life(request) + timeout:
            if answer.exists():
                found = json.loads(answer.read_text())
                if "error" in found:
                    raise UserError(found["error"])
                return Erased(**found["erased"])
            time.sleep(0.05)
    finally:
        request.unlink(missing_ok=True)
        answer.unlink(missing_ok=True)
    raise UserError(
        f"The bot that holds the data folder did not answer within {timeout:.0f} s. Stop it and run this again: "
        "erasing is safe to repeat."
    )


async def serve_requests(store: TinyStore, folder: Path, *, pause: float = 0.5) -> None:
    """Carry out what commands ask of the running bot, until cancelled."""
    requests = folder / REQUESTS
    while True:
        for path in await asyncio.to_thread(_waiting, requests):
            await _told_to_wait(path, asyncio.create_task(asyncio.to_thread(_serve, store, path)))
        await asyncio.sleep(pause)


async def _told_to_wait(path: Path, work: asyncio.Task[None]) -> None:
    """Touch the request while it is worked on: a large store takes longer than a command's `TIMEOUT`."""
    while not (await asyncio.wait({work}, timeout=TIMEOUT / 6))[0]:
        with contextlib.suppress(OSError):
            os.utime(path)
    await work


def _sign_of_life(request: Path) -> float:
    """When the bot last worked on a request, or it was made."""
    try:
        return request.stat().st_mtime
    except FileNotFoundError:  # carried out: its answer is there
        return time.time()


def _serve(store: TinyStore, path: Path) -> None:
    """Carry out one request and answer it; the request goes last, so that one cut short is done again."""
    try:
        asked = json.loads(path.read_text())
        account, also = str(asked["erase"]), [str(name) for name in asked.get("also", ())]
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("a request in %s could not be read; it was removed", path.parent)
        path.unlink(missing_ok=True)
        return
    try:
        erased = erase_now(store, account, also)
        failpoint("erase.stored")
        answer: dict[str, Any] = {"erased": asdict(erased)}
    except (UserError, StoreUnavailable) as error:
        answer = {"error": str(error)}
    with contextlib.suppress(OSError):
        if path.exists():  # else the command has stopped waiting
            _write(path.with_suffix(".answer"), answer)
        path.unlink(missing_ok=True)


def _waiting(requests: Path) -> list[Path]:
    """The requests that wait; answers that nobody fetched (their command was killed) are removed."""
    if not requests.is_dir():
        return []
    with contextlib.suppress(OSError):
        for answer in requests.glob("*.answer"):
            if time.time() - answer.stat().st_mtime > 2 * TIMEOUT:
                answer.unlink(missing_ok=True)
    return sorted(requests.glob("*.json"))


def _write(path: Path, content: Any) -> None:
    """A file that appears whole, for its owner alone."""
    temporary = path.with_suffix(f"{path.suffix}.part")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(content, file)
    temporary.replace(path)
