"""What the program needs of a store: one atomic write, and reads of what is durable. The backends are `embedded`, for
one process, and `postgres`, for any number.

A record is a JSON object with an `id` (a string) in a table. One `commit` is one step of a story: all its changes, in
all tables, and its audit records become durable together or not at all, after every `expect` was found true. It
returns after the data is on stable storage, never before.

Tables that people see (`export TABLE`): webhook_events, agent_cycles, drafts, audit. Tables of our own: `development`
(pull requests, branches), `messages` (what must appear in Slack once, besides the cards), `keys` (what must happen
once, such as a run of the schedule), `state` (mode, pause, spend, and the like), `deliveries` (the keys of what was
received, for `DELIVERY_KEYS_KEPT`), `rollup` (figures, kept by the store in the commit that they count), `corrections`
(what Claude wrote and what people made of it; ids are the drafts'), `jobs` (the follow-up work that is stored with the
change that asks for it; `bot.queue` carries it out).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

Record = dict[str, Any]
Table = Literal[
    "webhook_events", "agent_cycles", "drafts", "audit", "development", "messages", "keys", "state", "deliveries",
    "rollup", "corrections", "jobs",
]  # fmt: skip
TABLES: tuple[Table, ...] = (
    "webhook_events", "agent_cycles", "drafts", "audit", "development", "messages", "keys", "state", "deliveries",
    "rollup", "corrections", "jobs",
)  # fmt: skip

DELIVERY_KEYS_KEPT = timedelta(hours=72)
"""How long the keys of a delivery are known again, from its `at`."""


class Put(NamedTuple):
    """Insert or replace a record. `record["id"]` is its key.

    A new record of `webhook_events` is given `arrived`, a number that grows with the order of arrival, whatever the
    clock says; it stays the same when the record is replaced.
    """

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
    """True when `deliveries` has none of these keys with `at >= since`.

    A record of it is `{"id": key, "at", "event_id"}`. `since` lies at most `DELIVERY_KEYS_KEPT` back: older keys are
    deleted in passing.
    """

    keys: tuple[str, ...]
    since: datetime


Condition = Expect | Unseen


class Figures(NamedTuple):
    """What an audit record adds to `rollup`, and does not itself hold.

    `seconds`: how long what it tells of took. `usd`: what it cost. `prompt`: the version of the prompt behind it.
    `part`: which kind of the action it was, where these are counted apart. `words`: how many were changed.
    """

    seconds: float | None = None
    usd: float = 0.0
    prompt: str = ""
    part: str = ""
    words: int = 0


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
    figures: Figures = Figures()


class Job(NamedTuple):
    """Follow-up work: which handler (`kind`) is to look at what (`key`), one after another with others of its `lock`.

    Jobs of one kind and key that wait are one job, which is due at the earliest of their times; `at` None is at once.
    One that is stored while such a job runs is kept, and runs afterwards. Without a `lock`, it waits for no other job.
    """

    kind: str
    key: str
    lock: str = ""
    at: datetime | None = None

    @property
    def id(self) -> str:
        """Its record's id in the table `jobs`: delete that in the commit that ends the work."""
        return f"{self.kind}:{self.key}"


class Conflict(Exception):
    """An `expect` was not true. `found` is the record that is there instead (None: there is none).

    Of an `Unseen`, the record of the first key that is known: like all that is answered, it is durable by then.
    """

    def __init__(self, expect: Condition, found: Record | None) -> None:
        what = f"{expect.table}/{expect.id} is not as expected" if isinstance(expect, Expect) else "it was seen before"
        super().__init__(what)
        self.expect = expect
        self.found = found


class StoreUnavailable(Exception):
    """The store cannot do it now: disk full, I/O error, damaged, away, closed. Nothing was written.

    There is one exception: a commit that a database has received and not answered in time. The message says then that
    it may be stored, and whoever tries again learns it from the conditions.
    """


class StoreReader(Protocol):
    """The reading half of a store. Every method raises `StoreUnavailable`."""

    async def get(self, table: Table, record_id: str) -> Record | None:
        """The record, or None."""
        ...

    async def find(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        by: str = "",
        newest_first: bool = False,
        limit: int | None = None,
        **equals: Any,
    ) -> list[Record]:
        """The records whose fields have these values, in order of arrival. The field `keys` of `development` is a list,
        and is asked for one of its members.

        `since`, `until`: only records whose `at` (ISO-8601 UTC) is not earlier than the one and earlier than the other.
        `by`: a field with a time, which is asked instead of `at` and whose order they come in. With a `limit` and an
        index (`bot.store.schema`) of these fields and then `by`, it does not matter how many others there are.
        """
        ...

    async def count(self, table: Table, *, since: datetime | None = None, **equals: Any) -> int:
        """How many records `find` would give."""
        ...


class Store(StoreReader, Protocol):
    """See the module's docstring. Every method raises `StoreUnavailable`."""

    async def commit(
        self,
        *changes: Put | Delete,
        expect: Sequence[Condition] = (),
        audit: Sequence[Audit] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        """Write all of it: the changes, then the jobs.

        Raises `Conflict` (nothing was written); ValueError, TypeError for what is no record.
        """
        ...

    async def audit_head(self) -> tuple[int, str]:
        """(number of audit records, hash of the last one); (0, "") for an empty trail."""
        ...

    async def close(self) -> None: ...
