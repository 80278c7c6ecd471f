"""`erase ACCOUNT`: a person's texts leave every record and the file itself, and the audit chain still verifies.

What goes is decided in `scrub`. The journal is written anew without it, in one step, between two commits: afterwards
no old line is in the file. Archives that hold something of the person are written anew before that, and take the old
ones' place in the same step. In the audit trail the person's id is blanked in a way that the chain allows (`audit`),
and one `erase` record says which records were blanked; it holds a salted hash of the id, never the id.

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
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import TABLES, Audit, Put, Record, StoreUnavailable, Table
from bot.store.archive.format import ArchiveDamaged, ArchiveMissing, examine
from bot.store.archive.listing import remove_superseded, unlisted
from bot.store.archive.rewriting import Rewritten, archived, rewrite
from bot.store.audit import blank, spans
from bot.store.engine import Engine
from bot.store.scrub import Person, scrub
from bot.store.tiny import TinyStore

REQUESTS = "requests"
PATIENCE = 30.0
"""Seconds that a command waits for the bot."""
_ACCOUNT = re.compile(r"[UW][A-Z0-9]{2,}|[A-Za-z0-9{][A-Za-z0-9:_.{}@-]{3,127}")
_CAUSE = {"reason": "erased"}
log = logging.getLogger("pmagent.store")


@dataclass
class Erased:
    """What an erase did. `records`: table → records changed; `files`: other files of the folder that were removed."""

    records: dict[str, int] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def account_id(text: str) -> str:
    """The bare account id of `ACCOUNT`, with or without `slack:` or `jira:`. Raises `UserError`."""
    account = text.strip().removeprefix("slack:").removeprefix("jira:")
    if not _ACCOUNT.fullmatch(account):
        raise UserError(
            f"{text!r} is neither a Slack user id (U0123ABCD) nor a Jira account id (712020:5a1e…). "
            "`python -m bot audit export` shows the ids of everybody who acted."
        )
    return account


def erase_now(store: TinyStore, account: str) -> Erased:
    """Erase this person. Blocks; the store must be open for writing. Raises `UserError`, `StoreUnavailable`.

    Archives are closed, so they are written anew beside the running program (`bot.store.archive.rewriting`); only the
    journal is written on the writer's thread, and lists the new archives in the same step.
    """
    account = account_id(account)
    engine, folder = store.engine, store.folder
    with store.upkeep:
        before = Person.known_from(account, archived(folder, engine.archives))
        while True:
            person = Person.known_from(account, _alive(engine), before)
            try:
                rewritten = rewrite(folder, engine.archives, engine.clock.now(), partial(_archive_without, person))
                erased: Erased | None = engine.run(partial(_erase, store, person, rewritten))
            except OSError as error:
                raise StoreUnavailable(f"the data could not be written anew: {error.strerror or error}") from error
            finally:
                remove_superseded(folder, engine.archives)
            if erased is not None:
                erased.files += _remove_unlisted(store, person)
                return erased


def _erase(store: TinyStore, known: Person, rewritten: Rewritten) -> Erased | None:
    """On the writer's thread: nothing is committed between the look at the records and the new file.

    None when the records tell more of the person than was `known` when the archives were written.
    """
    engine = store.engine
    person = Person.known_from(known.account, _alive(engine), known)
    if (person.names, person.issues) != (known.names, known.issues):
        return None
    changed = Counter(rewritten.changed)
    blanked = list(rewritten.audit)
    puts: list[Put] = [Put("state", one.record()) for one in rewritten.archives]
    listed_anew = {put.record["id"] for put in puts}
    lines: list[Audit] = []
    at = engine.clock.now().isoformat()
    result = Erased()

    def transform(table: Table, record: Record) -> Record | None:
        if table == "state" and record["id"] in listed_anew:
            return None
        found = _without(person, table, record)
        if found is record:
            return record
        changed[table] += 1
        if table == "audit":
            blanked.append(record["seq"])
            return found
        if table == "drafts" and found is not None:
            result.drafts.append(record["id"])
        more_puts, more_lines = _ended(table, record, found, at)
        puts.extend(more_puts)
        lines.extend(more_lines)
        return found

    def ending() -> tuple[Sequence[Put], Sequence[Audit]]:
        salt = secrets.token_hex(16)
        details = {
            "account_sha256": f"{salt}:{sha256(f'{salt}:{person.account}'.encode()).hexdigest()}",
            "records": sum(changed.values()),
            "seqs": spans(blanked),
        }
        return puts, [*lines, Audit("system", "erase", details=details)]

    engine.rewrite(transform, ending)
    result.records = dict(changed)
    result.files = _remove_torn(store.folder, person)
    return result


def _without(person: Person, table: Table, record: Record) -> Record | None:
    """The record without the person: the same object when it has nothing of them, None when it is to be dropped."""
    if table != "audit":
        return scrub(person, table, record)
    names = _leaves_about(person, record)
    return blank(record, names) if names else record


def _archive_without(person: Person, table: Table, record: Record) -> Record | None:
    """The same of an archived record. What is archived stays closed: nobody draws its card or message again."""
    found = _without(person, table, record)
    if found is record or found is None:
        return found
    return found | {name: record[name] for name in ("open", "pending", "version") if name in record}


def _alive(engine: Engine) -> Iterator[tuple[Table, Record]]:
    for table in TABLES:
        if table != "audit":
            for record in engine.read(table, engine.select(table, {})):
                yield table, record


def _leaves_about(person: Person, record: Record) -> list[str]:
    names = ["actor"] if person.named_in(record["actor"]) else []
    return names + [
        f"details.{name}"
        for name, value in record["details"].items()
        if person.named_in(json.dumps({name: value}, ensure_ascii=False))
    ]


def _ended(table: Table, before: Record, after: Record | None, at: str) -> tuple[list[Put], list[Audit]]:
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
    return [Put("agent_cycles", cycle)], [
        Audit("system", "cycle.silence", before["id"], None, before.get("issue"), _CAUSE)
    ]


def _remove_unlisted(store: TinyStore, person: Person) -> list[str]:
    """Archive files that a crash left behind, or that somebody put there: those that name the person go."""
    removed = []
    for path in unlisted(store.folder, store.engine.archives):
        with contextlib.suppress(ArchiveMissing):
            items = (item for item in examine(path) if not isinstance(item, ArchiveDamaged))
            if any(person.named_in(json.dumps(record, ensure_ascii=False)) for _, record in items):
                path.unlink()
                removed.append(f"{path.parent.name}/{path.name}")
    return removed


def _remove_torn(folder: Path, person: Person) -> list[str]:
    """Unfinished writes that were kept aside were never acknowledged: those that name the person go."""
    removed = []
    for path in folder.glob("torn-*.jsonl"):
        if person.named_in(path.read_text("utf-8", errors="replace")):
            path.unlink()
            removed.append(path.name)
    return removed


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


async def serve_requests(
    store: TinyStore, folder: Path, *, wake_draft: Callable[[str], Any] | None = None, pause: float = 0.5
) -> None:
    """Carry out what commands ask of the running bot, until cancelled. `wake_draft`: told each draft that changed."""
    requests = folder / REQUESTS
    while True:
        for path in await asyncio.to_thread(_waiting, requests):
            erased = await _told_to_wait(path, asyncio.create_task(asyncio.to_thread(_serve, store, path)))
            for draft_id in erased.drafts if erased and wake_draft else ():
                assert wake_draft is not None  # noqa: S101 - for the type checker: the loop is empty without it
                wake_draft(draft_id)
        await asyncio.sleep(pause)


async def _told_to_wait(path: Path, work: asyncio.Task[Erased | None]) -> Erased | None:
    """Touch the request while it is worked on: large archives take longer than a command's patience."""
    while not (await asyncio.wait({work}, timeout=PATIENCE / 6))[0]:
        with contextlib.suppress(OSError):
            os.utime(path)
    return await work


def _sign_of_life(request: Path) -> float:
    """When the bot last worked on a request, or it was made."""
    try:
        return request.stat().st_mtime
    except FileNotFoundError:  # carried out: its answer is there
        return time.time()


def _serve(store: TinyStore, path: Path) -> Erased | None:
    """Carry out one request and answer it; the request goes last, so that one cut short is done again."""
    erased: Erased | None = None
    try:
        account = str(json.loads(path.read_text())["erase"])
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("a request in %s could not be read; it was removed", path.parent)
        path.unlink(missing_ok=True)
        return None
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
    return erased


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
