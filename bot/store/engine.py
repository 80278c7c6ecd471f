"""The store's heart: one writer thread that turns commits into synced journal lines, and readers beside it.

A commit is made ready by its caller (turned into JSON there, so that a record that is no JSON fails there) and queued.
The writer takes all that arrived during its last sync as one group: it evaluates each commit's `expect`s in order,
against what is durable and the commits before it in the group, writes and syncs the group once, shows it to readers,
and only then answers. When the write fails, the whole group is answered `StoreUnavailable`, and nobody has seen it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.clock import Clock
from bot.store import Audit, Condition, Conflict, Delete, Expect, Put, Record, StoreUnavailable, Table, Unseen
from bot.store.archive.listing import PREFIX, Listed, listed
from bot.store.commits import Commit, Place, Ready, Task, answer, body_of, made_ready, ready
from bot.store.compaction import Compaction, Transform, worth_it
from bot.store.encoding import to_json
from bot.store.index import SEEN, Index, Keys, keys_of, moment
from bot.store.journal import Journal, Line, Spot
from bot.store.sealing import Sealable
from bot.store.tally import Tally

MAX_GROUP = 2000
"""Commits in one write, at most."""
RETRY_COMPACTION = 300.0
"""Seconds after a compaction that failed."""
log = logging.getLogger("pmagent.store")
Picked = tuple[Journal | None, list[tuple[str, Spot]]]


class Engine:
    """An open journal with its index. `get`, `select` and `read` may be called from any thread."""

    def __init__(self, journal: Journal | None, *, clock: Clock, read_only: bool) -> None:
        """Raises `Damaged`. `journal` None: an empty store (only with `read_only`)."""
        self.clock = clock
        self.read_only = read_only
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[Commit | Task | None] = queue.SimpleQueue()
        self._closed = False
        self._gate = threading.Lock()
        self._compacting = False
        self._compact_not_before = 0.0
        self.kept_aside: Path | None = None
        self.tally = Tally()
        self._adopt(journal, self._load(journal))
        self._writer = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)
        if not read_only:
            self._writer.start()

    def _load(self, journal: Journal | None) -> Index:
        index = Index()
        if journal is not None:
            for line in journal.replay():
                index.load(line)
                self._count(line)
            if not self.read_only:
                self.kept_aside = journal.cut_tail()
        index.finish()
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
        names = [name for name in index.tables["state"].rows if name.startswith(PREFIX)]
        spots = [(name, index.tables["state"].spot(name)) for name in names]
        archives = listed(journal.record("state", name, spot) for name, spot in spots if journal and spot)
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

    @property
    def closed(self) -> bool:
        return self._closed

    # Reading

    def get(self, table: Table, record_id: str) -> Record | None:
        with self._lock:
            spot = self.index.tables[table].spot(record_id)
            journal = self._journal
        return None if spot is None or journal is None else journal.record(table, record_id, spot)

    def select(self, table: Table, equals: Mapping[str, Any], **how: Any) -> Picked:
        """Where the records are that may match (see `TableIndex.pick`), as of now; `read` gives them."""
        with self._lock:
            return self._journal, self.index.tables[table].pick(equals, **how)

    def order(self, table: Table, record_id: str) -> int | None:
        """The record's place in the order of first insertion."""
        with self._lock:
            return self.index.tables[table].rows.get(record_id)

    def history(self, table: Table, since: datetime | None = None) -> tuple[tuple[Listed, ...], Picked]:
        """The archives, and where the table's records are that are in none of them, of one moment."""
        with self._lock:
            return self.archives, (self._journal, self.index.tables[table].pick({}, since=since))

    def size(self, table: Table) -> int:
        with self._lock:
            return len(self.index.tables[table].rows)

    def remembered(self) -> int:
        """How many keys of deliveries are in memory."""
        with self._lock:
            return len(self.index.tables[SEEN[0]].seen)

    @staticmethod
    def read(table: Table, picked: Picked) -> Iterator[Record]:
        """The records that `select` found, in its order."""
        journal, places = picked
        if journal is None:
            return
        for record_id, spot in places:
            yield journal.record(table, record_id, spot)

    def holder(self, key: str, since: float) -> Record | None:
        """The first record that holds a delivery's key and is not older than `since`."""
        with self._lock:
            journal, places = self._journal, self.index.tables[SEEN[0]].holders(key)
        for record in self.read(SEEN[0], (journal, places)):
            if moment(record.get("at")) >= since and key in record[SEEN[1]]:
                return record
        older = self.get("keys", key)
        return older if older is not None and moment(older.get("at")) >= since else None

    # Writing, from the callers' side

    def submit(
        self,
        changes: Sequence[Put | Delete],
        expect: Sequence[Condition],
        audit: Sequence[Audit],
        answer: Future[None] | asyncio.Future[None],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Queue a commit. Raises `StoreUnavailable` when closed, ValueError or TypeError for what is no record."""
        wanted = [
            Expect(e.table, e.id, json.loads(to_json(dict(e.fields)))) if isinstance(e, Expect) and e.fields else e
            for e in expect
        ]
        self._enqueue(Commit(ready(changes), wanted, [Sealable.of(entry) for entry in audit], answer, loop))

    def commit(self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()) -> None:
        """The same, waiting for the answer: for commands and TinyDB's own write methods."""
        future: Future[None] = Future()
        self.submit(changes, expect, audit, future)
        future.result()

    def submit_async(
        self, changes: Sequence[Put | Delete], expect: Sequence[Condition], audit: Sequence[Audit]
    ) -> asyncio.Future[None]:
        """The same, for the event loop that runs."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.submit(changes, expect, audit, future, loop)
        return future

    def run(self, task: Callable[[], Any]) -> Any:
        """Run `task` on the writer's thread, between two groups, and give back what it returns."""
        future: Future[Any] = Future()
        self._enqueue(Task(task, future))
        return future.result()

    def rewrite(self, transform: Transform, ending: Callable[[], tuple[Sequence[Put], Sequence[Audit]]]) -> None:
        """Write the whole journal anew through `transform`, then what `ending` gives, in one step.

        Only on the writer's thread (`run`). Afterwards nothing of the old records is in the file.
        """
        compaction = Compaction.of(self.journal, self.index, transform)
        before = self.seq, self.head
        try:
            puts, audit = ending()
            compaction.add([(put.table, dict(put.record)) for put in puts])
            sealed = [self._seal(Sealable.of(entry), self._now()) for entry in audit]
            compaction.add([("audit", record) for record in sealed])
            self._adopt(*compaction.finish())
            for record in sealed:
                self.tally.take(record)
        except BaseException:
            self.seq, self.head = before
            compaction.drop()
            raise

    def take_out(
        self,
        journal: Journal,
        places: Sequence[tuple[Table, str, Spot]],
        put: Put | None,
        audit: Sequence[Audit],
    ) -> bool:
        """Delete these records, also of the audit trail, and `put` the archive that has them, in one journal line.

        False, and nothing is done, unless each record still is where it was in `journal`. Raises `StoreUnavailable`.
        """

        def out() -> bool:
            if self._journal is not journal:
                return False
            if any(self.index.tables[table].spot(record_id) != spot for table, record_id, spot in places):
                return False
            done: Future[None] = Future()
            gone = {(table, record_id): Ready(None, 0.0, ()) for table, record_id, _ in places}
            commit = Commit({**ready([put] if put else ()), **gone}, (), [Sealable.of(entry) for entry in audit], done)
            commit.archive = put.record if put else None
            self._write([commit])
            done.result()
            return True

        return bool(self.run(out))

    def compact(self) -> None:
        """Drop what is dead from the file, now."""
        self.run(lambda: self.rewrite(lambda table, record: record, lambda: ((), ())))

    def _enqueue(self, item: Commit | Task) -> None:
        if self.read_only:
            raise StoreUnavailable("the store was opened for reading only")
        with self._gate:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            self._queue.put(item)

    def close(self) -> None:
        """Write what is queued, then stop. Any number of times."""
        with self._gate:
            if not self._closed and not self.read_only:
                self._queue.put(None)
            self._closed = True
        if self._writer.is_alive():
            self._writer.join()

    # Writing, on the writer's thread

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
                self._write(group)
            if isinstance(item, Task):
                self._do(item)
            elif item is None:
                return
            self._compact_if_worth_it()

    @staticmethod
    def _do(task: Task) -> None:
        try:
            task.future.set_result(task.run())
        except BaseException as error:  # handed to whoever waits for it
            task.future.set_exception(error)

    def _write(self, group: list[Commit]) -> None:
        """One group: decide, write, sync, show, answer."""
        seq, head = self.seq, self.head
        at = self._now()
        answers: dict[int, BaseException] = {}
        try:
            pending: dict[Place, Ready] = {}
            bodies: list[bytes] = []
            writers: list[Commit] = []
            sealed: list[Record] = []
            for position, commit in enumerate(group):
                conflict = self._conflict(commit, pending)
                if conflict:
                    answers[position] = conflict
                    continue
                commit.written = dict(commit.changes)
                for entry in commit.audit:
                    record = self._seal(entry, at)
                    sealed.append(record)
                    commit.written["audit", record["id"]] = made_ready("audit", record)
                pending.update(commit.written)
                if commit.written:
                    writers.append(commit)
                    bodies.append(body_of(commit.written))
            if bodies:
                old = {place: self._keys(place) for commit in writers for place in commit.written}
                self._show(writers, self.journal.append(bodies), old)
                for record in sealed:
                    self.tally.take(record)
        except BaseException as error:  # every caller of the group gets it; the writer lives on
            self.seq, self.head = seq, head
            if not isinstance(error, StoreUnavailable):
                log.exception("the store's writer failed")
                error = StoreUnavailable(f"the store failed: {error}")
            answers = dict.fromkeys(range(len(group)), error)
        answer(group, answers)

    def _now(self) -> str:
        return self.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _seal(self, entry: Sealable, at: str) -> Record:
        record = entry.seal(seq=self.seq + 1, at=at, prev=self.head)
        self.seq, self.head = record["seq"], record["hash"]
        return record

    def _conflict(self, commit: Commit, pending: Mapping[Place, Ready]) -> Conflict | None:
        for expect in commit.expect:
            if isinstance(expect, Unseen):
                record = self._first_seen(expect, pending)
                if record is not None:
                    return Conflict(expect, record)
                continue
            place = (expect.table, expect.id)
            if place in pending:
                text = pending[place].text
                found: Record | None = None if text is None else json.loads(text)
            else:
                found = self.get(*place)
            if expect.fields is None:
                if found is not None:
                    return Conflict(expect, found)
            elif found is None or any(found.get(name) != value for name, value in expect.fields.items()):
                return Conflict(expect, found)
        return None

    def _first_seen(self, unseen: Unseen, pending: Mapping[Place, Ready]) -> Record | None:
        since = moment(unseen.since.isoformat())
        for key in unseen.keys:
            record = self.holder(key, since)
            if record is not None:
                return record
        keys = set(unseen.keys)
        for change in pending.values():
            if change.text is not None and change.at >= since and not keys.isdisjoint(change.seen):
                found: Record = json.loads(change.text)
                return found
        return None

    def _keys(self, place: Place) -> Keys:
        """What the record that is durable now is found by (read before the lock is taken: reading is slow)."""
        found = self.get(*place)
        return keys_of(place[0], found) if found else ()

    def _show(self, writers: list[Commit], spots: list[Spot], old: dict[Place, Keys]) -> None:
        archives = self.archives
        for commit in writers:
            if commit.archive is not None:
                archives = listed((*(one.record() for one in archives), commit.archive))
        with self._lock:
            self.archives = archives
            for commit, spot in zip(writers, spots, strict=True):
                for place, change in commit.written.items():
                    table, record_id = place
                    if change.text is None:
                        self.index.tables[table].remove(record_id, old[place])
                    else:
                        self.index.tables[table].place(record_id, change.at, change.keys, spot, old[place])
                        self.index.tables[table].see(record_id, change.at, change.seen)
                    old[place] = change.keys
                    self.index.puts += 1
            self.shown_head = (self.seq, self.head)

    def _compact_if_worth_it(self) -> None:
        """Start a compaction beside the running writer; `_take_over` ends it on the writer's thread."""
        if (
            self._compacting
            or not worth_it(self.journal, self.index)
            or self.clock.monotonic() < self._compact_not_before
        ):
            return
        self._compacting = True
        begun = self.journal, Compaction.plan(self.journal, self.index)
        threading.Thread(target=self._compact_aside, args=begun, name="store-compaction", daemon=True).start()

    def _compact_aside(self, journal: Journal, compaction: Compaction) -> None:
        try:
            compaction.copy()
        except (OSError, StoreUnavailable) as error:
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
            self._compacting = False
            return
        try:
            compaction.follow(journal)
            self._adopt(*compaction.finish())
            self._compacting = False
        except (OSError, StoreUnavailable) as error:
            self._give_up(compaction, error)

    def _give_up(self, compaction: Compaction, error: Exception) -> None:
        log.warning("the journal could not be compacted (%s); it is tried again in some minutes", error)
        compaction.drop()
        self._compact_not_before = self.clock.monotonic() + RETRY_COMPACTION
        self._compacting = False
