"""Move old, closed records from the journal to an archive, batch by batch, while the program works on.

::

    plan      which records (`plan`), read from the journal beside the writer
    write     the archive file: part → sync → its name → sync of the folder (`format`)
    list      on the writer's thread, in one journal line: the archive's record, and its records are deleted;
              only if none of them has changed since the plan
    tidy      the file in whose place this one came, if any

Killed before *list*, the journal has everything and the file is not listed; killed after it, the archive has what is
missing in the journal. An archive that is still small takes the next batch too, as a new file in its place; one that
is damaged is left as it is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import Audit, Put, Record, StoreUnavailable, Table
from bot.store.archive.format import FOLDER, read, write
from bot.store.archive.listing import Listed, remove_superseded
from bot.store.archive.plan import Moved, Plan, Planner
from bot.store.tally import COUNTED_BY_DRAFT, Sums, rough, seconds_to_card, seconds_to_decision

if TYPE_CHECKING:
    from bot.store.engine import Engine

FULL = 20_000
"""Records after which an archive takes no more."""
TRIES = 5
"""Plans for one batch: it is made again when one of its records changed before it was written."""
log = logging.getLogger("pmagent.store")


@dataclass
class Retired:
    """What a run moved: table → records, and how many were only dropped. `archives`: names of the files written."""

    records: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    archives: list[str] = field(default_factory=list)


class Gathered:
    """Passes records on to the file, and keeps what the list says of them."""

    def __init__(self, before: Listed | None) -> None:
        self.newest: dict[str, str] = dict(before.newest) if before else {}
        self.sums = Sums()
        self.by_draft: dict[str, set[str]] = {}

    def through(self, records: Iterator[tuple[Table, Record]]) -> Iterator[tuple[Table, Record]]:
        for table, record in records:
            at = str(record.get("at", ""))
            self.newest[table] = max(at, self.newest.get(table, ""))
            self._count(table, record)
            yield table, record

    def _count(self, table: Table, record: Record) -> None:
        sums = self.sums
        if table == "audit":
            sums.lines[record["action"]] += 1
            sums.first = sums.first or record["at"]
            if record["draft_id"] and record["action"] in COUNTED_BY_DRAFT:
                self.by_draft.setdefault(record["action"], set()).add(record["draft_id"])
        elif table == "drafts":
            sums.states[record["state"]] += 1
            with suppress(KeyError, TypeError, ValueError):  # a record of an earlier version without its times
                _note(sums.to_decision, seconds_to_decision(record))
        elif table == "agent_cycles":
            with suppress(KeyError, TypeError, ValueError):
                _note(sums.to_card, seconds_to_card(record))


def _note(counted: Counter[float], seconds: float | None) -> None:
    if seconds is not None:
        counted[rough(seconds)] += 1


def retire(engine: Engine, folder: Path, until: datetime) -> Retired:
    """Move what is closed and older than `until`. Blocks, on any thread but the writer's; one run at a time.

    Raises `StoreUnavailable` (closed meanwhile, disk full), `UserError`; what was moved until then stays moved.
    """
    result = Retired()
    remove_superseded(folder, engine.archives)
    while _batch(engine, folder, until, result):
        pass
    return result


def _batch(engine: Engine, folder: Path, until: datetime, result: Retired) -> bool:
    """Move one batch; False when there was nothing to move."""
    for _ in range(TRIES):
        now = engine.clock.now()
        try:
            plan = Planner(engine, until, now).plan()
        except Moved:
            continue
        if not plan:
            return False
        try:
            if _move(engine, folder, plan, until, now, result):
                return True
        except OSError as error:
            raise StoreUnavailable(f"the archive could not be written: {error.strerror or error}") from error
    log.warning("old records kept changing while they were archived; the next run takes them")
    return False


def _move(engine: Engine, folder: Path, plan: Plan, until: datetime, now: datetime, result: Retired) -> bool:
    """Write and list the batch; False when something has changed since the plan."""
    puts: list[Put] = []
    audit: list[Audit] = []
    made: Listed | None = None
    if plan.leaving:
        made = _written(engine, folder, plan, until, now)
        puts.append(Put("state", made.record()))
        first, last = made.audit["first"], made.audit["last"]
        facts = {"archive": made.name, "sha256": made.sha256, "first": first, "last": last}
        audit.append(Audit("system", "archive.closed", details=facts))
    if not engine.take_out(plan.journal, [*plan.leaving, *plan.dropped], puts, audit):
        if made is not None:
            made.path(folder).unlink(missing_ok=True)
        return False
    failpoint("archive.after_list")
    remove_superseded(folder, engine.archives)
    failpoint("archive.after_tidy")
    result.records.update(table for table, _, _ in plan.leaving)
    result.dropped += len(plan.dropped)
    if made is not None:
        result.archives.append(made.name)
        log.info("%d old records moved to the archive %s", len(plan.leaving), made.name)
    return True


def _written(engine: Engine, folder: Path, plan: Plan, until: datetime, now: datetime) -> Listed:
    """The batch as a file, in the last archive's place when that is small and whole."""
    last = engine.archives[-1] if engine.archives else None
    if last is not None and sum(last.records.values()) < FULL:
        try:
            return _file(engine, folder, plan, until, now, last)
        except UserError as error:
            log.warning("%s A new archive is begun.", error)
    return _file(engine, folder, plan, until, now, None)


def _file(engine: Engine, folder: Path, plan: Plan, until: datetime, now: datetime, before: Listed | None) -> Listed:
    number = before.number if before else 1 + max((one.number for one in engine.archives), default=0)
    gathered = Gathered(before)

    def lines() -> Iterator[tuple[Table, Record]]:
        if before is not None:
            yield from read(before.path(folder))
        yield from gathered.through(_while_open(engine, plan.records()))

    latest = max(until.isoformat(), before.until) if before else until.isoformat()
    written = write(folder / FOLDER, number, datetime.fromisoformat(latest), now, lines())
    sums = _closed_sums(engine, gathered, plan)
    if before is not None:
        whole = Sums.of(before.sums.record())
        whole.add(sums)
        sums = whole
    return Listed.made(written, number, now.isoformat(), latest, gathered.newest, sums)


def _while_open(engine: Engine, records: Iterator[tuple[Table, Record]]) -> Iterator[tuple[Table, Record]]:
    """The same, given up when the store closes: a stop does not wait for a long batch."""
    for number, item in enumerate(records):
        if number % 100 == 0 and engine.closed:
            raise StoreUnavailable("the store is closed")
        yield item


def _closed_sums(engine: Engine, gathered: Gathered, plan: Plan) -> Sums:
    """What the batch adds: a draft that an earlier archive counted is not counted again."""
    sums = gathered.sums
    leaving = {record_id for table, record_id, _ in plan.leaving if table == "drafts"}
    for action, ids in gathered.by_draft.items():
        new = ids - set().union(*(one.sums.again.get(action, ()) for one in engine.archives))
        sums.drafts[action] += len(new)
        # It may come again while the draft is alive, and while there may be later lines about it.
        sums.again[action] = {
            draft_id
            for draft_id in new
            if plan.more_audit or (draft_id not in leaving and engine.get("drafts", draft_id) is not None)
        }
    return sums
