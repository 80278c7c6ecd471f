"""Which records leave in one batch: their places in the journal, as of now. Nothing is changed here.

The old records are found by the index; only they are read. The batch is bounded, so that the line in the journal that
takes them out is no long one, and taken oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from bot.store import Record, Table
from bot.store.archive.closed import development_closed, key_dead, message_closed, spend_closed, story_closed
from bot.store.index import moment

if TYPE_CHECKING:
    from bot.store.engine import Engine
    from bot.store.journal import Journal, Place

LOOKED_AT = 60_000
"""Old records that are looked at for one batch, at most: those that may not leave yet are looked at each time."""
_CLOSED: tuple[tuple[Table, Callable[[Record, float], bool]], ...] = (
    ("messages", message_closed), ("development", development_closed), ("state", spend_closed),
)  # fmt: skip
Found = tuple[Table, str, "Place", Record]


@dataclass(frozen=True)
class Sizes:
    """Records of each kind in one batch, about; `full`: records after which an archive takes no more.

    Commits wait while a batch is taken out of the index: some 25 µs for each of its records.
    """

    stories: int = 2_000
    audit: int = 3_000
    others: int = 500
    full: int = 20_000


class Moved(Exception):
    """The journal was compacted meanwhile: what was noted is of no use. Plan again."""


@dataclass
class Plan:
    """`leaving`: what goes into the archive, `dropped`: what just goes. Both are records of `journal`.

    `more_audit`: more of the trail is old than fits into this batch.
    """

    journal: Journal
    leaving: list[tuple[Table, str, Place]] = field(default_factory=list)
    dropped: list[tuple[Table, str, Place]] = field(default_factory=list)
    more_audit: bool = False

    def __bool__(self) -> bool:
        return bool(self.leaving or self.dropped)

    def records(self) -> Iterator[tuple[Table, Record]]:
        """What goes into the archive, read again from the same bytes."""
        for table, _, place in self.leaving:
            yield table, self.journal.put(place)[1]


class Planner:
    """Makes the plan of one batch."""

    def __init__(self, engine: Engine, until: datetime, now: datetime, sizes: Sizes) -> None:
        self._engine = engine
        self._sizes = sizes
        self._until = until
        self._floor = moment(until.isoformat())
        self._now = moment(now.isoformat())
        self._plan = Plan(engine.journal)

    def plan(self) -> Plan:
        """Raises `Moved`, and what reading raises."""
        for table, record_id, place, event in self._old("webhook_events"):
            if len(self._plan.leaving) >= self._sizes.stories:
                break
            self._story(record_id, [(table, record_id, place)], event)
        self._remnants()
        self._audit()
        self._rest()
        return self._plan

    def _story(self, event_id: str, found: list[tuple[Table, str, Place]], event: Record | None) -> None:
        parts: dict[Table, list[Record]] = {"agent_cycles": [], "drafts": []}
        for table, records in parts.items():
            for _, record_id, place, record in self._pick(table, event_id=event_id):
                found.append((table, record_id, place))
                records.append(record)
        if story_closed(event, parts["agent_cycles"], parts["drafts"], self._floor):
            self._plan.leaving += found

    def _remnants(self) -> None:
        """Cycles and drafts whose event has gone before them."""
        done: set[str] = set()
        tables: tuple[Table, ...] = ("agent_cycles", "drafts")
        for table in tables:
            for _, _, _, record in self._old(table):
                event_id = record.get("event_id")
                if len(self._plan.leaving) >= self._sizes.stories:
                    return
                if not isinstance(event_id, str) or event_id in done or self._has_event(event_id):
                    continue
                done.add(event_id)
                self._story(event_id, [], None)

    def _has_event(self, event_id: str) -> bool:
        return self._engine.get("webhook_events", event_id) is not None

    def _audit(self) -> None:
        for number, (table, record_id, place, record) in enumerate(self._pick("audit", limit=self._sizes.audit + 1)):
            if moment(record["at"]) >= self._floor:
                return
            if number >= self._sizes.audit:
                self._plan.more_audit = True
                return
            self._plan.leaving.append((table, record_id, place))

    def _rest(self) -> None:
        for table, closed in _CLOSED:
            found = [
                (name, record_id, place)
                for name, record_id, place, record in self._old(table)
                if closed(record, self._floor)
            ]
            self._plan.leaving += found[: self._sizes.others]
        for table, record_id, place, record in self._pick("keys", limit=LOOKED_AT):
            if key_dead(record, self._now, self._floor):
                self._plan.dropped.append((table, record_id, place))
            if len(self._plan.dropped) >= self._sizes.stories:
                return

    def _old(self, table: Table) -> Iterator[Found]:
        return self._pick(table, until=self._until, limit=LOOKED_AT)

    def _pick(
        self, table: Table, *, until: datetime | None = None, limit: int | None = None, **equals: str
    ) -> Iterator[Found]:
        journal, places = self._engine.select(table, equals, until=until, limit=limit)
        if journal is not self._plan.journal:
            raise Moved
        for place in places:
            record = journal.put(place)[1]
            if all(record.get(name) == value for name, value in equals.items()):
                yield table, record["id"], place, record
