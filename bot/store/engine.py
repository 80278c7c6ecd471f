"""The store's heart: one writer that turns commits into synced journal lines, and readers beside it.

A commit is made ready by its caller (turned into JSON there, so that a record that is no JSON fails there) and queued.
The writer, a thread, takes all that arrived during the last sync as one
group: it evaluates each commit's `expect`s in order, against what is durable and the commits before it in the group,
writes and syncs the group once, shows it to readers, and only then answers. When the write fails, the whole group is
answered `StoreUnavailable`, and nobody has seen it.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import orjson

from bot.clock import Clock
from bot.store import TABLES, Audit, Conflict, Put, Record, StoreUnavailable, Table, Unseen
from bot.store.archive.listing import PREFIX, Listed, listed
from bot.store.audit import seal
from bot.store.commits import DELETED, Changed, Commit, Group, Ready, Task, answer, ready
from bot.store.compaction import Compaction, Transform, worth_it
from bot.store.encoding import to_json
from bot.store.entries import NEVER, SEEN
from bot.store.inbox import Inbox
from bot.store.index import Index, moment
from bot.store.journal import Journal, Line, Place, Spot
from bot.store.loading import Loading
from bot.store.reading import Picked, Reading
from bot.store.tally import Tally

__all__ = ["Engine", "Picked"]

MAX_GROUP = 2000
"""Commits in one write, at most."""
RETRY_COMPACTION = 300.0
"""Seconds after a compaction that failed."""
_SHOWN_AT_ONCE = 100  # commits for which readers wait, at most
log = logging.getLogger("pmagent.store")


class Engine(Inbox, Reading):
    """An open journal with its index."""

    def __init__(
        self,
        journal: Journal | None,
        *,
        clock: Clock,
        read_only: bool,
        only: Collection[Table] = TABLES,
    ) -> None:
        """Raises `Damaged`. `journal` None: an empty store (only with `read_only`). `only`: see `Loading`."""
        Reading.__init__(self)
        Inbox.__init__(self, read_only=read_only)
        self.clock = clock
        self.compacting = False
        self._compact_not_before = 0.0
        self.kept_aside: Path | None = None
        self.tally = Tally()
        self._adopt(journal, self._load(journal, only))
        if not read_only:
            self._writer.start()

    def _load(self, journal: Journal | None, only: Collection[Table]) -> Index:
        if journal is None:
            return Index()
        late = journal.late_record(SEEN[0])
        # A clock that was ahead once has left a time to which the memory must not be bound.
        newest = min(moment(late.get("at")), self.clock.now().timestamp()) if late else NEVER
        loading = Loading(only, newest)
        collecting = gc.isenabled()
        gc.disable()  # millions of documents come and go, none of them in a cycle
        try:
            for line in journal.replay(orjson.loads):
                loading.line(line)
                self._count(line)
            index = loading.finish()
        finally:
            if collecting:
                gc.enable()
        if not self.read_only:
            self.kept_aside = journal.cut_tail()
        return index

    def _count(self, line: Line) -> None:
        for table, record in line.puts:
            if table == "audit":
                self.tally.take(record)
            elif table == "state" and record["id"].startswith(PREFIX):
                one = Listed.of(record)
                self.tally.archive(one.number, one.audit["first"], one.sums)

    def _adopt(self, journal: Journal | None, index: Index) -> None:
        """Readers see this journal from here on. The audit trail goes on from its last record, or the archives'."""
        archives = listed(self.read("state", Picked(journal, index.tables["state"].pick({}))))
        with self._lock:
            self._journal, self.index, self.archives = journal, index, archives
        ends = [(one.audit["last"], one.audit["head"]) for one in self.archives if one.audit["last"]]
        newest = self.select("audit", {}, newest_first=True, limit=1)
        ends += [(record["seq"], record["hash"]) for record in self.read("audit", newest)]
        self.seq: int
        self.head: str
        self.seq, self.head = max(ends, default=(0, ""))
        self.shown_head = (self.seq, self.head)

    @property
    def journal(self) -> Journal:
        if self._journal is None:
            raise StoreUnavailable("there is no journal yet")
        return self._journal

    def rewrite(self, transform: Transform, ending: Callable[[], tuple[Sequence[Put], Sequence[Audit]]]) -> None:
        """Write the whole journal anew through `transform`, then what `ending` gives, in one step.

        Only on the writer's thread (`run`). Afterwards nothing of the old records is in the file.
        """
        compaction = Compaction.of(self.journal, self.index, transform)
        before = self.seq, self.head
        try:
            puts, audit = ending()
            compaction.add([(put.table, dict(put.record)) for put in puts])
            sealed = self._sealed(audit, self._now())
            compaction.add([("audit", record) for record in sealed])
            self._adopt(*compaction.finish())
            for record in sealed:
                self.tally.take(record)
        except BaseException:
            self.seq, self.head = before
            compaction.drop()
            raise

    def take_out(
        self, journal: Journal, places: Sequence[tuple[Table, str, Place]], put: Put | None, audit: Sequence[Audit]
    ) -> bool:
        """Delete these records, also of the audit trail, and `put` the archive that has them, in one journal line.

        False, and nothing is done, unless each record still is where it was in `journal`. Raises `StoreUnavailable`.
        """

        def out() -> bool:
            if self._journal is not journal:
                return False
            with self._lock:
                if any(self.index.tables[table].spot(record_id) != place for table, record_id, place in places):
                    return False
            gone = {(table, record_id): DELETED for table, record_id, _ in places}
            commit = Commit({**ready([put] if put else ()), **gone}, (), audit)
            commit.archive = put.record if put else None
            for error in self._write([commit]).values():
                raise error
            return True

        return bool(self.run(out))

    def compact(self) -> None:
        """Drop what is dead from the file, now."""
        self.run(lambda: self.rewrite(lambda table, record: record, lambda: ((), ())))

    # On the writer's thread

    def _write_forever(self) -> None:
        while True:
            group: list[Commit] = []
            item = self._queue.get()
            while isinstance(item, Commit):
                group.append(item)
                if len(group) >= MAX_GROUP or self._queue.empty():
                    break
                item = self._queue.get()
            if group:
                answer(group, self._write(group))
            if isinstance(item, Task):
                self._do(item)
            elif item is None:
                return
            if self._compaction_is_due():
                self.begin_compaction()

    @staticmethod
    def _do(task: Task) -> None:
        try:
            task.future.set_result(task.run())
        except BaseException as error:  # handed to whoever waits for it
            task.future.set_exception(error)

    def _write(self, commits: list[Commit]) -> dict[int, Exception]:
        before = self.seq, self.head
        at = self._now()
        errors: dict[int, Exception] = {}
        try:
            group = Group(self, commits)
            for position, commit in enumerate(commits):
                conflict = self._conflict(commit, group) if commit.expect else None
                if conflict:
                    errors[position] = conflict
                else:
                    group.take(commit, [to_json(["audit", record]) for record in self._sealed(commit.audit, at)])
            if group.bodies:
                self._show(group, self.journal.append(group.bodies), before[0], at)
        except BaseException as error:  # every caller of the group gets it; the writer lives on
            self.seq, self.head = before
            if not isinstance(error, StoreUnavailable):
                log.exception("the store's writer failed")
                error = StoreUnavailable(f"the store failed: {error}")
            errors = dict.fromkeys(range(len(commits)), error)
        return errors

    def _now(self) -> str:
        return self.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _sealed(self, entries: Sequence[Audit], at: str) -> list[Record]:
        """The next records of the audit trail."""
        records: list[Record] = []
        for entry in entries:
            records.append(seal(entry, seq=self.seq + 1, at=at, prev=self.head))
            self.seq, self.head = self.seq + 1, records[-1]["hash"]
        return records

    def _conflict(self, commit: Commit, group: Group) -> Conflict | None:
        for expect in commit.expect:
            if isinstance(expect, Unseen):
                found = group.holder(expect)
                if found is not None:
                    return Conflict(expect, found)
                continue
            found = group.record(expect.table, expect.id)
            if expect.fields is None:
                if found is not None:
                    return Conflict(expect, found)
            elif found is None or any(found.get(name) != value for name, value in expect.fields.items()):
                return Conflict(expect, found)
        return None

    def _show(self, group: Group, spots: Sequence[Spot], seq: int, at: str) -> None:
        """What is durable now, for readers and for the counts. `seq`: of the last audit record before this group."""
        new_line, note, seconds_at = self.index.tables["audit"].insert, self.tally.note, moment(at)
        for start in range(0, len(spots), _SHOWN_AT_ONCE):
            part = slice(start, start + _SHOWN_AT_ONCE)
            with self._lock:
                for commit, spot in zip(group.written[part], spots[part], strict=True):
                    nth = self._show_changes(commit.changes, spot, group.rows)
                    for line in commit.audit:
                        seq += 1
                        new_line((seconds_at, hash(str(seq)) or 1, (), (), (), ()), spot, nth)
                        note(seq, at, line.action, line.draft_id)
                        nth += 1
                    self.index.puts += nth
                    if commit.archive is not None:
                        self.archives = listed((*(one.record() for one in self.archives), commit.archive))
                self.index.settle()
        self.shown_head = (self.seq, self.head)

    def _show_changes(self, changes: Mapping[Changed, Ready], spot: Spot, rows: dict[Changed, int]) -> int:
        """Changes of a line that stands at `spot`; how many puts they are."""
        nth = 0
        for place, (_, entry) in changes.items():
            table, row = self.index.tables[place[0]], rows[place]
            if entry is None:
                if row >= 0:
                    table.remove(row)
                rows[place] = -1
                self.index.puts += 1
                continue
            if row >= 0:
                table.update(row, entry, spot, nth)
            else:
                rows[place] = table.insert(entry, spot, nth)
            nth += 1
        return nth

    def _compaction_is_due(self) -> bool:
        due = not self.compacting and worth_it(self.journal, self.index)
        return due and self.clock.monotonic() >= self._compact_not_before

    def begin_compaction(self) -> None:
        """Start a compaction beside the running writer; `_take_over` ends it on the writer's thread."""
        if self.compacting:
            return
        self.compacting = True
        begun = self.journal, Compaction.plan(self.journal, self.index)
        threading.Thread(target=self._compact_aside, args=begun, name="store-compaction", daemon=True).start()

    def _compact_aside(self, journal: Journal, compaction: Compaction) -> None:
        try:
            compaction.copy_beside(lambda: self._closed)
        except Exception as error:  # whatever it was, the journal stays what it is, and the program goes on
            self._give_up(compaction, error)
            return
        try:
            self._enqueue(Task(lambda: self._take_over(journal, compaction), Future()))
        except StoreUnavailable:
            compaction.drop()

    def _take_over(self, journal: Journal, compaction: Compaction) -> None:
        """Add what was committed since the copy began, and make the copy the journal."""
        if self.journal is not journal:  # rewritten meanwhile, by an erase: the copy may hold what is gone
            compaction.drop()
            self.compacting = False
            return
        try:
            compaction.follow()
            self._adopt(*compaction.finish())
            self.compacting = False
        except Exception as error:  # as above
            self._give_up(compaction, error)

    def _give_up(self, compaction: Compaction, error: Exception) -> None:
        compaction.drop()
        if not self._closed:
            log.warning("the journal could not be compacted (%s); it is tried again in some minutes", error)
        self._compact_not_before = self.clock.monotonic() + RETRY_COMPACTION
        self.compacting = False
