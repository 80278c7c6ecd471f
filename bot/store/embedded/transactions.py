"""One transaction of the embedded store: a batch whose jobs are records, read and written through TinyDB's tables."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from bot.failpoints import failpoint
from bot.store import Conflict, Job, Record, Table
from bot.store.batch import LOOKS, Batch, Position, Pruning, Tail, forgotten
from bot.store.commits import Commit
from bot.store.embedded.tiny import Database
from bot.store.encoding import to_json


class StoredJob(NamedTuple):
    """A job as it was asked for, and the token of its record."""

    job: Job
    token: str

    @classmethod
    def of(cls, record: Record) -> StoredJob:
        at = record["at"] and datetime.fromisoformat(record["at"])
        return cls(Job(record["kind"], record["key"], record["lock"], at), record["token"])


class JobBatch(Batch):
    """A batch that stores jobs as records of `jobs`.

    `told`: the jobs that are stored or deleted (None), by their ids, in order.
    """

    def __init__(self, now: datetime, zone: tzinfo) -> None:
        super().__init__(now, zone)
        self.told: list[tuple[str, StoredJob | None]] = []

    def wanted(self, commits: Iterable[Commit]) -> dict[Table, dict[str, None]]:
        commits = list(commits)
        found = super().wanted(commits)
        for job in (job for commit in commits for job in commit.jobs):
            found.setdefault("jobs", {})[job.id] = None
        return found

    def decide(self, commit: Commit) -> Conflict | None:
        conflict = super().decide(commit)
        if conflict is None:
            gone = [(place[1], None) for place, text in commit.changes.items() if place[0] == "jobs" and text is None]
            self.told += [*gone, *map(self._stored_job, commit.jobs)]
        return conflict

    def _stored_job(self, job: Job) -> tuple[str, StoredJob]:
        waiting, at = self._record("jobs", job.id), job.at and job.at.isoformat()
        if waiting is not None:
            at = at and waiting["at"] and min(at, waiting["at"], key=datetime.fromisoformat)
        # A job that comes again has another token, so that the end of the one that runs does not remove it.
        token = secrets.token_hex(6)
        record = {"id": job.id, "kind": job.kind, "key": job.key, "lock": job.lock, "at": at, "token": token}
        self._change({("jobs", job.id): to_json(record)})
        return job.id, StoredJob(job, token)


def position(db: Database) -> Position:
    """Where the file stands."""
    last = next(db.of("audit").find(newest_first=True, limit=1), None)
    row = db.connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'webhook_events'").fetchone()
    arrived = row[0] if row else 0
    return Position(last["seq"], last["hash"], arrived) if last is not None else Position(arrived=arrived)


def carry_out(
    db: Database, batch: JobBatch, commits: Sequence[Commit], at: Position, pruning: Pruning
) -> tuple[list[Conflict | None], Position]:
    """Decide these commits and write them into the open transaction; how each went, and where the file stands then."""
    for table, ids in batch.wanted(commits).items():
        batch.known(table, db.of(table).by_ids([*ids]))
    outcomes = [batch.decide(commit) for commit in commits]
    failpoint("store.before_write")
    for table, ids in batch.gone.items():
        db.of(table).delete([*ids])
    rows = batch.rows()
    asked = batch.asked()
    tail = Tail(
        at,
        db.of("webhook_events").places(asked.events),
        _actions(db, asked.drafts),
        db.of("rollup").by_ids(asked.figures),
    )
    sealed = batch.seal(tail)
    for table, found in [*rows.items(), *sealed.rows.items()]:
        db.of(table).put(found)
    if pruning.due(len(rows.get("deliveries", ()))):
        _prune(db, batch.now)
    return outcomes, sealed.position


def _actions(db: Database, drafts: Sequence[str]) -> set[tuple[str, str]]:
    """What the audit trail has of these drafts."""
    return {(line["draft_id"], line["action"]) for line in db.of("audit").of_any("draft_id", drafts)}


def _prune(db: Database, now: datetime) -> None:
    """Delete keys of deliveries that are not remembered any more, a few at a time."""
    for limit in LOOKS:
        gone = forgotten(db.of("deliveries").find(limit=limit), now)
        if not gone:
            break
        db.of("deliveries").delete(gone)
