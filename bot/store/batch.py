"""What one transaction decides and writes, apart from any database: a backend reads what it asks, and writes its rows.

::

    batch.wanted(commits)     records to be read for `known`; then `decide` each commit, in order
    batch.gone, batch.rows()  to be deleted, and then to be put
    batch.asked()             what sealing has to know, to be read where nobody else seals meanwhile
    batch.seal(tail)          the rows that are left: events with their numbers, the audit trail, figures
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from bot.store import DELIVERY_KEYS_KEPT, Audit, Condition, Conflict, Expect, Job, Record, Table
from bot.store.audit import seal
from bot.store.commits import Commit, RecordKey
from bot.store.encoding import Row, to_json
from bot.store.rollup import Rollup

PRUNE_EVERY = 500
"""New keys of deliveries after which old ones are looked for; twice as many are deleted at most."""
GLANCE = 20
"""The oldest keys: where none of them is old enough to go, no more are looked at."""
LOOKS = (GLANCE, 2 * PRUNE_EVERY)
"""How many of the oldest keys are looked at for some to be deleted, as long as some are found."""


class Position(NamedTuple):
    """Where a store stands: the number and hash of the audit trail's last record, and how many events have arrived."""

    seq: int = 0
    head: str = ""
    arrived: int = 0


class SealingNeeds(NamedTuple):
    """What sealing has to know. `events`: ids of which the number of arrival is asked, where they have one. `drafts`:
    ids of which it is asked what the audit trail has of them. `figures`: ids of records of `rollup`."""

    events: list[str]
    drafts: list[str]
    figures: list[str]


class Tail(NamedTuple):
    """The answer to `SealingNeeds`. `actions`: pairs of a draft and an action that the audit trail has."""

    position: Position
    events: Mapping[str, int]
    actions: Collection[tuple[str, str]]
    figures: Iterable[Record]


class Sealed(NamedTuple):
    """What is left to be put, by table, and where the store stands once that is durable."""

    rows: dict[Table, list[Row]]
    position: Position


class Batch:
    """The changes of one transaction. Conditions see those of the commits before them.

    `gone`: the ids to be deleted, before anything is put. `jobs`: those to be stored, in order.
    """

    def __init__(self, now: datetime, zone: tzinfo) -> None:
        self.now = now
        self.jobs: list[Job] = []
        self.gone: dict[Table, dict[str, None]] = {}
        self._zone = zone
        self._lines: list[Audit] = []
        self._rollup: Rollup | None = None
        self._stored: dict[Table, dict[str, Record]] = {}
        self._pending: dict[Table, dict[str, str | None]] = {}

    def wanted(self, commits: Iterable[Commit]) -> dict[Table, dict[str, None]]:
        """The ids of the records that the conditions ask about, by table: to be read all at once, as one by one would
        take as long as the writing."""
        found: dict[Table, dict[str, None]] = {}
        for commit in commits:
            for asked in commit.expect:
                if isinstance(asked, Expect):
                    found.setdefault(asked.table, {})[asked.id] = None
                else:
                    found.setdefault("deliveries", {}).update(dict.fromkeys(asked.keys))
        return found

    def known(self, table: Table, records: Iterable[Record]) -> None:
        """Take note of records that are wanted; those that are not named here do not exist."""
        self._stored.setdefault(table, {}).update((record["id"], record) for record in records)

    def decide(self, commit: Commit) -> Conflict | None:
        """Take a commit in, or tell which of its conditions is not true."""
        for asked in commit.expect:
            if conflict := self._conflict(asked):
                return conflict
        self._change(commit.changes)
        self._defer(commit.jobs)
        self._lines += commit.audit
        return None

    def _conflict(self, asked: Condition) -> Conflict | None:
        if isinstance(asked, Expect):
            found = self._record(asked.table, asked.id)
            if asked.fields is None or found is None:
                return Conflict(asked, found) if (asked.fields is None) != (found is None) else None
            differs = any(found.get(name) != value for name, value in asked.fields.items())
            return Conflict(asked, found) if differs else None
        for key in asked.keys:
            found = self._record("deliveries", key)
            if found is not None and datetime.fromisoformat(found["at"]) >= asked.since:
                return Conflict(asked, found)
        return None

    def _record(self, table: Table, record_id: str) -> Record | None:
        pending = self._pending.get(table)
        if pending is not None and record_id in pending:
            text = pending[record_id]
            return None if text is None else json.loads(text)
        return self._stored[table].get(record_id) if table in self._stored else None

    def _change(self, changes: Mapping[RecordKey, str | None]) -> None:
        """Store these records (JSON), or delete them (None). What comes back after it was deleted arrives anew."""
        for (table, record_id), text in changes.items():
            pending = self._pending.setdefault(table, {})
            if text is None:
                self.gone.setdefault(table, {})[record_id] = None
            elif record_id in self.gone.get(table, ()):
                pending.pop(record_id, None)
            pending[record_id] = text

    def _defer(self, jobs: Sequence[Job]) -> None:
        self.jobs += jobs

    # What is written

    def rows(self) -> dict[Table, list[Row]]:
        """The records to be put that need no seal."""
        return {table: rows for table in self._pending if table != "webhook_events" and (rows := self._rows(table))}

    def _rows(self, table: Table) -> list[Row]:
        pending = self._pending.get(table, {})
        return [(None, record_id, text) for record_id, text in pending.items() if text is not None]

    def asked(self) -> SealingNeeds:
        """What `seal` has to know. An event that was deleted here, and came back, has no number any more."""
        gone = self.gone.get("webhook_events", ())
        events = [record_id for _, record_id, _ in self._rows("webhook_events") if record_id not in gone]
        if not self._lines:
            return SealingNeeds(events, [], [])
        self._rollup = Rollup(self._lines, self._zone, self.now)
        return SealingNeeds(events, self._rollup.drafts(), self._rollup.ids())

    def seal(self, tail: Tail) -> Sealed:
        """Give the events and the lines of the audit trail their numbers, and count what they tell."""
        seq, head, arrived = tail.position
        rows: dict[Table, list[Row]] = {"webhook_events": [], "audit": [], "rollup": []}
        for _, record_id, text in self._rows("webhook_events"):
            known = tail.events.get(record_id)
            if known is None:
                arrived += 1
            number = known or arrived
            row = (None if known else number, record_id, f'{text[:-1]},"arrived":{number}}}')
            rows["webhook_events"].append(row)
        at = self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for line in self._lines:
            sealed = seal(line, seq=seq + 1, at=at, prev=head)
            seq, head = sealed["seq"], sealed["hash"]
            rows["audit"].append((None, sealed["id"], to_json(sealed)))
        if self._rollup is not None:
            counted = self._rollup.records(tail.figures, tail.actions)
            rows["rollup"] += [(None, record["id"], to_json(record)) for record in counted]
        return Sealed({table: found for table, found in rows.items() if found}, Position(seq, head, arrived))


def forgotten(records: Iterable[Record], now: datetime) -> list[str]:
    """The ids of the keys of deliveries, of these oldest ones, that are not remembered any more."""
    before = now - DELIVERY_KEYS_KEPT
    return [record["id"] for record in records if datetime.fromisoformat(record["at"]) < before]


class Pruning:
    """When old keys of deliveries are looked for: after `PRUNE_EVERY` new ones.

    Twice as many are deleted as came, at most: a clock that is wrong for an hour forgets little.
    """

    def __init__(self) -> None:
        self._new = 0

    def due(self, new: int) -> bool:
        self._new += new
        if self._new < PRUNE_EVERY:
            return False
        self._new = 0
        return True
