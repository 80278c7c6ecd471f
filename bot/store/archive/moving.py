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
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from bot.errors import UserError
from bot.failpoints import failpoint
from bot.store import Audit, Put, Record, StoreUnavailable, Table
from bot.store.archive.closed import SHORTEST
from bot.store.archive.format import FOLDER, read, write
from bot.store.archive.listing import Listed, remove_superseded
from bot.store.archive.plan import Moved, Plan, Planner, Sizes
from bot.store.tally import COUNTED_BY_DRAFT, Sums, rough, seconds_to_card, seconds_to_decision

if TYPE_CHECKING:
    from bot.store.engine import Engine

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
        self._sums = Sums()
        self._by_draft: dict[str, set[str]] = {}

    def through(self, records: Iterator[tuple[Table, Record]]) -> Iterator[tuple[Table, Record]]:
        for table, record in records:
            at = str(record.get("at", ""))
            self.newest[table] = max(at, self.newest.get(table, ""))
            self._count(table, record)
            yield table, record

    def _count(self, table: Table, record: Record) -> None:
        sums = self._sums
        if table == "audit":
            sums.lines[record["action"]] += 1
            sums.first = sums.first or record["at"]
            if record["draft_id"] and record["action"] in COUNTED_BY_DRAFT:
                self._by_draft.setdefault(record["action"], set()).add(record["draft_id"])
        elif table == "drafts":
            sums.states[record["state"]] += 1
            with suppress(KeyError, TypeError, ValueError):  # a record of an earlier version without its times
                _note(sums.to_decision, seconds_to_decision(record))
        elif table == "state":
            sums.calls += record.get("calls", 0)
            sums.usd = round(sums.usd + record.get("usd", 0.0), 6)
        elif table == "agent_cycles":
            with suppress(KeyError, TypeError, ValueError):
                _note(sums.to_card, seconds_to_card(record))

    def closed(self, engine: Engine, plan: Plan) -> Sums:
        """What the batch adds: a draft that an earlier archive counted is not counted again."""
        leaving = {record_id for table, record_id, _ in plan.leaving if table == "drafts"}
        for action, ids in self._by_draft.items():
            new = ids - set().union(*(one.sums.again.get(action, ()) for one in engine.archives))
            self._sums.drafts[action] += len(new)
            # It may come again while the draft is alive, and while there may be later lines about it.
            self._sums.again[action] = {
                draft_id
                for draft_id in new
                if plan.more_audit or (draft_id not in leaving and engine.get("drafts", draft_id) is not None)
            }
        return self._sums


def _note(counted: Counter[float], seconds: float | None) -> None:
    if seconds is not None:
        counted[rough(seconds)] += 1


def retire(
    engine: Engine, folder: Path, until: datetime, sizes: Sizes | None = None, *, alone: Lock | None = None
) -> Retired:
    """Move what is closed and older than `until` (at least `SHORTEST` ago). Blocks, on any thread but the writer's.

    `alone` is held for each batch, against an erasure or another run beside it. Raises `StoreUnavailable` (closed
    meanwhile, disk full), `UserError`; what was moved until then stays moved.
    """
    engine.prepare("audit")
    run = Run(engine, folder, min(until, engine.clock.now() - SHORTEST), sizes or Sizes())
    while True:
        with alone or nullcontext():
            remove_superseded(folder, engine.archives)
            if not run.batch():
                return run.result


class Run:
    """One run, and what it has moved until now (`result`)."""

    def __init__(self, engine: Engine, folder: Path, until: datetime, sizes: Sizes) -> None:
        self.result = Retired()
        self._engine = engine
        self._folder = folder
        self._until = until
        self._sizes = sizes

    def batch(self) -> bool:
        """Move one batch; False when there was nothing to move."""
        for _ in range(TRIES):
            now = self._engine.clock.now()
            try:
                plan = Planner(self._engine, self._until, now, self._sizes).plan()
            except Moved:
                continue
            if not plan:
                return False
            try:
                if self._move(plan, now):
                    return True
            except OSError as error:
                raise StoreUnavailable(f"the archive could not be written: {error.strerror or error}") from error
        log.warning("old records kept changing while they were archived; the next run takes them")
        return False

    def _move(self, plan: Plan, now: datetime) -> bool:
        """Write and list the batch; False when something has changed since the plan."""
        put: Put | None = None
        audit: list[Audit] = []
        made: Listed | None = None
        if plan.leaving:
            made = self._written(plan, now)
            put = Put("state", made.record())
            first, last = made.audit["first"], made.audit["last"]
            facts = {"archive": made.name, "sha256": made.sha256, "first": first, "last": last}
            audit.append(Audit("system", "archive.closed", details=facts))
        if not self._engine.take_out(plan.journal, [*plan.leaving, *plan.dropped], put, audit):
            if made is not None:
                made.path(self._folder).unlink(missing_ok=True)
            return False
        failpoint("archive.after_list")
        remove_superseded(self._folder, self._engine.archives)
        failpoint("archive.after_tidy")
        self.result.records.update(table for table, _, _ in plan.leaving)
        self.result.dropped += len(plan.dropped)
        if made is not None:
            self.result.archives.append(made.name)
            log.info("%d old records moved to the archive %s", len(plan.leaving), made.name)
        return True

    def _written(self, plan: Plan, now: datetime) -> Listed:
        """The batch as a file, in the last archive's place when that is small and whole."""
        last = self._engine.archives[-1] if self._engine.archives else None
        if last is not None and sum(last.records.values()) < self._sizes.full:
            try:
                return self._file(plan, now, last)
            except UserError as error:
                log.warning("%s A new archive is begun.", error)
        return self._file(plan, now, None)

    def _file(self, plan: Plan, now: datetime, before: Listed | None) -> Listed:
        number = before.number if before else 1 + max((one.number for one in self._engine.archives), default=0)
        gathered = Gathered(before)

        def lines() -> Iterator[tuple[Table, Record]]:
            if before is not None:
                yield from read(before.path(self._folder))
            yield from gathered.through(self._while_open(plan.records()))

        until = self._until.isoformat()
        latest = max(until, before.until) if before else until
        written = write(self._folder / FOLDER, number, datetime.fromisoformat(latest), now, lines())
        sums = gathered.closed(self._engine, plan)
        if before is not None:
            whole = Sums.of(before.sums.record())
            whole.add(sums)
            sums = whole
        return Listed.made(written, number, now.isoformat(), latest, gathered.newest, sums)

    def _while_open(self, records: Iterator[tuple[Table, Record]]) -> Iterator[tuple[Table, Record]]:
        """The same, given up when the store closes: a stop does not wait for a long batch."""
        for number, item in enumerate(records):
            if number % 100 == 0 and self._engine.closed:
                raise StoreUnavailable("the store is closed")
            yield item
