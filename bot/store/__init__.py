"""What the program needs of a store: one atomic write, two kinds of read. The backend is `tiny`.

A record is a JSON object with an `id` (a string) in a table. One `commit` is one story step: all its changes, in all
tables, and its audit records become durable together or not at all, after every `expect` was found true. It returns
after the data is on stable storage, never before.

Tables that people see (`export TABLE`): webhook_events, agent_cycles, drafts, audit. Tables of our own: `development`
(pull requests, branches), `messages` (what must appear in Slack once, besides the cards), `keys` (what must happen
once, such as a run of the schedule), `state` (mode, pause, spend, and the like).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

Record = dict[str, Any]
Table = Literal["webhook_events", "agent_cycles", "drafts", "audit", "development", "messages", "keys", "state"]
TABLES: tuple[Table, ...] = (
    "webhook_events", "agent_cycles", "drafts", "audit", "development", "messages", "keys", "state",
)  # fmt: skip

INDEXED: dict[Table, tuple[str, ...]] = {
    "webhook_events": ("state", "kind", "issue", "comment", "keys"),
    "agent_cycles": ("issue", "event_id"),
    "drafts": ("state", "issue_key", "event_id", "answered", "open"),
    "audit": (),
    "development": ("keys",),
    "messages": ("pending",),
    "keys": (),
    "state": (),
}
"""Fields that `find` looks up without reading the whole table. A field that holds a list is indexed by each member.

`keys` of `webhook_events` are what `Unseen` looks up, for `REMEMBERED`; `find` by them reads the table.
"""

REMEMBERED = timedelta(hours=72)
"""How long the keys of a webhook event are known again, from its `at`."""


class Put(NamedTuple):
    """Insert or replace a record. `record["id"]` is its key."""

    table: Table
    record: Mapping[str, Any]


class Delete(NamedTuple):
    """Remove a record; absent is fine."""

    table: Table
    id: str


class Expect(NamedTuple):
    """True when the record exists and each of `fields` has this value; `fields` None: when there is no such record."""

    table: Table
    id: str
    fields: Mapping[str, Any] | None = None


class Unseen(NamedTuple):
    """True when no record of `webhook_events` with `at >= since` holds one of these in its list `keys`.

    `since` lies at most `REMEMBERED` back: older keys are forgotten. Records of the table `keys`, where an earlier
    version put such keys (`{"id": key, "at", "event_id"}`), count the same.
    """

    keys: tuple[str, ...]
    since: datetime


Condition = Expect | Unseen


class Audit(NamedTuple):
    """One line of the audit trail. The store adds `seq`, `at`, `prev` and `hash`.

    `actor`: `slack:U…`, `jira:ACCOUNT` or `system`. `details`: ids, hashes, numbers and facts; never a person's text.
    """

    actor: str
    action: str
    event_id: str | None = None
    draft_id: str | None = None
    issue: str | None = None
    details: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Totals:
    """Counts over everything there ever was, archived records included, at a cost that does not grow with it.

    `lines`: audit records by action. `drafts`: of actions that one draft may see several times, how many different
    drafts saw it. `first`: when the audit trail begins. The rest is about archived records alone, to be added to those
    in the store: `states` (drafts by state), `to_card` and `to_decision` (seconds, rounded → how often), `calls` and
    `usd` (of Claude). `archived_until`: the time up to which closed records were archived, None when none were.
    """

    lines: Mapping[str, int]
    drafts: Mapping[str, int]
    first: str | None
    states: Mapping[str, int]
    to_card: Mapping[float, int]
    to_decision: Mapping[float, int]
    calls: int
    usd: float
    archived_until: str | None


class Conflict(Exception):
    """An `expect` was not true. `found` is the record that is there instead (None: there is none).

    Of an `Unseen`, the first record that holds one of the keys: like all that is answered, it is durable by then.
    """

    def __init__(self, expect: Condition, found: Record | None) -> None:
        what = f"{expect.table}/{expect.id} is not as expected" if isinstance(expect, Expect) else "it was seen before"
        super().__init__(what)
        self.expect = expect
        self.found = found


class StoreUnavailable(Exception):
    """The write did not reach stable storage and nothing of it is visible: disk full, I/O error, closed."""


class Store(Protocol):
    """See the module's docstring."""

    async def commit(
        self, *changes: Put | Delete, expect: Sequence[Condition] = (), audit: Sequence[Audit] = ()
    ) -> None:
        """Raises `Conflict` (nothing written) or `StoreUnavailable` (nothing written)."""
        ...

    async def get(self, table: Table, record_id: str) -> Record | None:
        """A copy of the record, or None. Only what is durable is seen."""
        ...

    async def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> list[Record]:
        """Copies of the records whose fields equal `equals`, in order of first insertion.

        `since`: only records whose `at` (ISO-8601 UTC, a field of every record) is not earlier.
        """
        ...

    async def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        """How many records `find` would give; from the index alone where `INDEXED` has all of the fields."""
        ...

    async def ids(self, table: Table, **equals: Any) -> list[str]:
        """The ids of the records that `find` would give, in its order; `equals` are fields of `INDEXED`."""
        ...

    async def order(self, table: Table, record_id: str) -> int | None:
        """A number that grows with the order of first insertion, whatever the clock said; None: no such record."""
        ...

    async def history(self, table: Table, *, since: datetime | None = None) -> list[Record]:
        """As `find`, with the records that `retire` took out of the store, by their `at`."""
        ...

    async def totals(self) -> Totals: ...

    async def retire(self, older_than: timedelta) -> dict[str, int]:
        """Move closed records of that age to dated archives, where `history` finds them; how many of each table.

        Afterwards `get`, `find` and `count` do not know them. Raises `StoreUnavailable`.
        """
        ...

    async def audit_head(self) -> tuple[int, str]:
        """(number of audit records, hash of the last one); (0, "") for an empty trail."""
        ...

    async def close(self) -> None: ...
