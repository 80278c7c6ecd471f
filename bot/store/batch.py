"""What one transaction writes: the changes of several commits, their audit records, and the figures that count them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import NamedTuple

from bot.store import DELIVERY_KEYS_KEPT, Audit, Condition, Conflict, Expect, Job, Record, Table, Unseen
from bot.store.audit import seal
from bot.store.embedded.mapping import Row
from bot.store.embedded.tiny import Database
from bot.store.encoding import to_json
from bot.store.rollup import Rollup

Changed = tuple[Table, str]
"""A record that is written: its table and id."""
PRUNE_EVERY = 500
"""New keys of deliveries after which old ones are looked for; twice as many are deleted at most."""
GLANCE = 20
"""The oldest keys: where none of them is old enough to go, no more are looked at."""


class Stored(NamedTuple):
    """A job as it was asked for, and the token of its record."""

    job: Job
    token: str

    @classmethod
    def of(cls, record: Record) -> Stored:
        at = record["at"] and datetime.fromisoformat(record["at"])
        return cls(Job(record["kind"], record["key"], record["lock"], at), record["token"])


@dataclass
class Position:
    """Where the writer stands: the audit trail's last record, how many events have arrived, keys since the last prune.

    What a transaction changes counts when it is durable: `Batch` works on a copy.
    """

    seq: int = 0
    head: str = ""
    arrived: int = 0
    keys: int = 0

    @classmethod
    def of(cls, db: Database) -> Position:
        """As the file tells it."""
        last = next(db.of("audit").find(newest_first=True, limit=1), None)
        sql = "SELECT seq FROM sqlite_sequence WHERE name = 'webhook_events'"
        row = db.connection.execute(sql).fetchone()
        found = cls(arrived=row[0] if row else 0)
        if last is not None:
            found.seq, found.head = last["seq"], last["hash"]
        return found


class Batch:
    """The changes of one transaction. Conditions see those of the commits before them."""

    def __init__(self, db: Database, position: Position, now: datetime, zone: tzinfo) -> None:
        self.db = db
        self.position = position
        self.now = now
        self.audited: list[Record] = []
        self.jobs: list[tuple[str, Stored | None]] = []
        """The jobs that are stored or deleted (None) here, by their ids, in order."""
        self._at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._rollup = Rollup(db, zone, now)
        self._stored: dict[Changed, Record | None] = {}
        self._pending: dict[Changed, str | None] = {}
        self._deleted: dict[Changed, None] = {}

    def look_up(self, conditions: Iterable[Condition], jobs: Iterable[Job] = ()) -> None:
        """Read what these conditions ask about, and these jobs where they wait already, a table at a time: one by one
        would take as long as the writing."""
        wanted: dict[Table, dict[str, None]] = {}
        for job in jobs:
            wanted.setdefault("jobs", {})[job.id] = None
        for asked in conditions:
            if isinstance(asked, Expect):
                wanted.setdefault(asked.table, {})[asked.id] = None
            else:
                wanted.setdefault("deliveries", {}).update(dict.fromkeys(asked.keys))
        for table, ids in wanted.items():
            self._stored.update({(table, record_id): None for record_id in ids})
            self._stored.update({(table, record["id"]): record for record in self.db.of(table).by_ids([*ids])})

    def require(self, conditions: Iterable[Condition]) -> None:
        """Raises `Conflict` for the first of these conditions, which were looked up, that is not true."""
        for asked in conditions:
            if isinstance(asked, Unseen):
                for key in asked.keys:
                    found = self._record(("deliveries", key))
                    if found is not None and datetime.fromisoformat(found["at"]) >= asked.since:
                        raise Conflict(asked, found)
                continue
            found = self._record((asked.table, asked.id))
            if asked.fields is None:
                if found is not None:
                    raise Conflict(asked, found)
            elif found is None or any(found.get(name) != value for name, value in asked.fields.items()):
                raise Conflict(asked, found)

    def _record(self, place: Changed) -> Record | None:
        if place in self._pending:
            pending = self._pending[place]
            return None if pending is None else json.loads(pending)
        return self._stored[place]

    def change(self, changes: Mapping[Changed, str | None]) -> None:
        """Store these records (JSON), or delete them (None). What comes back after it was deleted arrives anew."""
        for place, text in changes.items():
            if text is None:
                self._deleted[place] = None
                if place[0] == "jobs":
                    self.jobs.append((place[1], None))
            elif place in self._deleted:
                self._pending.pop(place, None)
            self._pending[place] = text

    def defer(self, jobs: Iterable[Job]) -> None:
        """Store these jobs, which were looked up."""
        for job in jobs:
            waiting, at = self._record(("jobs", job.id)), job.at and job.at.isoformat()
            if waiting is not None:
                at = at and waiting["at"] and min(at, waiting["at"], key=datetime.fromisoformat)
            # A job that comes again has another token, so that the end of the one that runs does not remove it.
            token = secrets.token_hex(6)
            record = {"id": job.id, "kind": job.kind, "key": job.key, "lock": job.lock, "at": at, "token": token}
            self.put("jobs", record)
            self.jobs.append((job.id, Stored(job, token)))

    def put(self, table: Table, record: Record) -> None:
        self.change({(table, record["id"]): to_json(record)})

    def record(self, lines: Iterable[Audit]) -> None:
        """Put these lines into the audit trail, and count them."""
        for line in lines:
            sealed = seal(line, seq=self.position.seq + 1, at=self._at, prev=self.position.head)
            self.position.seq, self.position.head = sealed["seq"], sealed["hash"]
            self.audited.append(sealed)
            self._rollup.add(line)

    def write(self) -> None:
        """Write all of it through TinyDB's tables, into the open transaction."""
        for record in [*self._rollup.records()] if self.audited else []:
            self.put("rollup", record)
        gone: dict[Table, list[str]] = {}
        for table, record_id in self._deleted:
            gone.setdefault(table, []).append(record_id)
        for table, ids in gone.items():
            self.db.of(table).delete(ids)
        rows: dict[Table, list[Row]] = {}
        for (table, record_id), text in self._pending.items():
            if text is not None:
                rows.setdefault(table, []).append((None, record_id, text))
        if "webhook_events" in rows:
            rows["webhook_events"] = self._in_order_of_arrival(rows["webhook_events"])
        rows.setdefault("audit", []).extend((None, r["id"], to_json(r)) for r in self.audited)
        for table, found in rows.items():
            self.db.of(table).put(found)
        self._prune(len(rows.get("deliveries", ())))

    def _in_order_of_arrival(self, rows: list[Row]) -> list[Row]:
        """New events get the next numbers, those that are replaced keep theirs."""
        known = self.db.of("webhook_events").places([record_id for _, record_id, _ in rows])
        found: list[Row] = []
        for _, record_id, text in rows:
            seq = known.get(record_id)
            if seq is None:
                self.position.arrived += 1
            arrived = seq or self.position.arrived
            found.append((None if seq else arrived, record_id, f'{text[:-1]},"arrived":{arrived}}}'))
        return found

    def _prune(self, new: int) -> None:
        """Delete keys of deliveries that are not remembered any more, a few at a time.

        As many as came, twice over: a clock that is wrong for an hour forgets little.
        """
        self.position.keys += new
        if self.position.keys < PRUNE_EVERY:
            return
        self.position.keys = 0
        before = self.now - DELIVERY_KEYS_KEPT
        for limit in (GLANCE, 2 * PRUNE_EVERY):
            oldest = self.db.of("deliveries").find(limit=limit)
            gone = [record["id"] for record in oldest if datetime.fromisoformat(record["at"]) < before]
            if not gone:
                break
            self.db.of("deliveries").delete(gone)
