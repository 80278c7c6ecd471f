"""`erase ACCOUNT`: a person's texts leave every record and the file itself, and the audit chain still verifies.

What goes is decided in `scrub`. All records are changed in one transaction on the writer's thread, between two groups
of commits. Then the write-ahead log, which holds the old ones, is taken into the database and cut to nothing (a reader
holds that up, so it is tried until it is complete), and the database is written anew without its free pages. In the
audit trail the person's id is blanked in a way that the chain allows (`audit`), and one `erase` record says which
records were blanked; it holds a salted hash of the id, never the id.

While the bot runs it holds the folder, so the command leaves a request in `requests/` and the bot carries it out.
Backups and what stands in Slack and Jira are not ours to change; the command says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import TABLES, Audit, Job, Record, StoreUnavailable, Table
from bot.store.audit import blank, spans
from bot.store.commits import Changed, Commit, Reading, record_json
from bot.store.embedded.sqlite import BUSY_MS
from bot.store.embedded.store import TinyStore
from bot.store.encoding import to_json
from bot.store.scrub import ErasedPerson, scrub

REQUESTS = "requests"
PATIENCE = 30.0
"""Seconds that a command waits for the bot."""
_ACCOUNT = re.compile(r"[UW][A-Z0-9]{2,}|[A-Za-z0-9{][A-Za-z0-9:_.{}@-]{3,127}")
_CAUSE = {"reason": "erased"}
log = logging.getLogger("pmagent.store")


@dataclass
class Erased:
    """What an erase did. `records`: table → records changed; `drafts`: the ids of those that changed."""

    records: dict[str, int] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)


def account_id(text: str) -> str:
    """The bare account id of `ACCOUNT`, with or without `slack:` or `jira:`. Raises `UserError`."""
    account = text.strip().removeprefix("slack:").removeprefix("jira:")
    if not _ACCOUNT.fullmatch(account):
        raise UserError(
            f"{text!r} is neither a Slack user id (U0123ABCD) nor a Jira account id (712020:5a1e…). "
            "`python -m bot audit export` shows the ids of everybody who acted."
        )
    return account


def erase_now(store: TinyStore, account: str, *, patience: float = PATIENCE) -> Erased:
    """Erase this person. Blocks; the store must be open for writing. Raises `UserError`, `StoreUnavailable`.

    `patience`: seconds that readers of the file are waited for, each time they hold it up.
    """
    account = account_id(account)
    erased = store.change(partial(_erase, account))
    failpoint("erase.before_vacuum")
    _forget_the_log(store, patience)
    store.alone(lambda connection: connection.execute("VACUUM").fetchall())
    failpoint("erase.after_vacuum")
    _forget_the_log(store, patience)
    return erased


def _forget_the_log(store: TinyStore, patience: float) -> None:
    """Cut the write-ahead log to nothing. A reader holds that up: it is tried again until `patience` is over."""
    end = time.monotonic() + patience
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


def _erase(account: str, read: Reading, now: datetime) -> tuple[Commit, Erased]:
    """What is written to erase this person. Nothing is committed between the look at the records and the change."""
    result = Erased()
    person = ErasedPerson.known_from(account, _records(read))
    changes: dict[Changed, str | None] = {}
    changed: Counter[str] = Counter()
    blanked: list[int] = []
    lines: list[Audit] = []
    messages: list[str] = []  # those in Slack, or on their way there, are drawn again
    at = now.isoformat()
    for table in (*(table for table in TABLES if table not in ("audit", "rollup")), "audit"):
        for before in read(table):
            after = _without(person, table, before)
            if after is before:
                continue
            changed[table] += 1
            changes[table, before["id"]] = None if after is None else record_json(after)
            if table == "audit":
                blanked.append(before["seq"])
            if table == "drafts":
                result.drafts.append(before["id"])
            if table == "messages" and after is not None and after.get("pending"):
                messages.append(before["id"])
            cycle, ends = _ended(table, before, after, at)
            changes |= {("agent_cycles", record["id"]): record_json(record) for record in cycle}
            lines += ends
    result.records = dict(changed)
    if not changed:
        return Commit({}), result
    salt = secrets.token_hex(16)
    details = {
        "account_sha256": f"{salt}:{sha256(f'{salt}:{account}'.encode()).hexdigest()}",
        "records": sum(changed.values()),
        "seqs": spans(blanked),
    }
    jobs = [*(Job("card", draft_id) for draft_id in result.drafts), *(Job("message", key) for key in messages)]
    return Commit(changes, (), [*lines, Audit("system", "erase", details=details)], jobs), result


def _records(read: Reading) -> Iterator[tuple[Table, Record]]:
    for table in TABLES:
        if table not in ("audit", "rollup"):
            for record in read(table):
                yield table, record


def _without(person: ErasedPerson, table: Table, record: Record) -> Record | None:
    """The record without the person: the same object when it has nothing of them, None when it is to be dropped."""
    if table != "audit":
        return scrub(person, table, record)
    names = _leaves_about(person, record)
    return blank(record, names) if names else record


def _leaves_about(person: ErasedPerson, record: Record) -> list[str]:
    if not person.concerns(record):
        return []
    names = ["actor"] if person.named_in(record["actor"]) else []
    return names + [
        f"details.{name}" for name, value in record["details"].items() if person.named_in(to_json({name: value}))
    ]


def _ended(table: Table, before: Record, after: Record | None, at: str) -> tuple[list[Record], list[Audit]]:
    """What is recorded about something that an erase has brought to its end: every event's story stays complete."""
    if after is None or before.get("state") == after.get("state"):
        return [], []
    if table == "drafts":
        return [], [Audit("system", "draft.expired", before["event_id"], before["id"], before.get("issue_key"), _CAUSE)]
    cycle = {
        "id": f"cyc_{before['id']}_erased", "event_id": before["id"], "at": at, "ended": at,
        "issue": before.get("issue"), "outcome": "silence", "reason": "erased", "reasoning": "", "confidence": None,
        "calls": [], "cost_usd": 0.0, "draft_id": None,
    }  # fmt: skip
    return [cycle], [Audit("system", "cycle.silence", before["id"], None, before.get("issue"), _CAUSE)]


# From a command to the bot that holds the folder


def ask_running_bot(folder: Path, account: str, *, patience: float = PATIENCE) -> Erased:
    """Leave a request in the data folder and wait for its answer. Raises `UserError`."""
    requests = folder / REQUESTS
    requests.mkdir(mode=0o700, exist_ok=True)
    name = secrets.token_hex(8)
    request, answer = requests / f"{name}.json", requests / f"{name}.answer"
    _write(request, {"erase": account_id(account)})
    try:
        while time.time() < _sign_of_life(request) + patience:
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
        f"The bot that holds the data folder did not answer within {patience:.0f} s. Stop it and run this again: "
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
    """Touch the request while it is worked on: a large store takes longer than a command's patience."""
    while not (await asyncio.wait({work}, timeout=PATIENCE / 6))[0]:
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
        account = str(json.loads(path.read_text())["erase"])
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("a request in %s could not be read; it was removed", path.parent)
        path.unlink(missing_ok=True)
        return
    try:
        erased = erase_now(store, account)
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
            if time.time() - answer.stat().st_mtime > 2 * PATIENCE:
                answer.unlink(missing_ok=True)
    return sorted(requests.glob("*.json"))


def _write(path: Path, content: Any) -> None:
    """A file that appears whole, for its owner alone."""
    temporary = path.with_suffix(f"{path.suffix}.part")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(content, file)
    temporary.replace(path)
