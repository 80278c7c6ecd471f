"""The store against a model of dicts: any commits in any order, also side by side, reopened at any moment."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.store import DELIVERY_KEYS_KEPT, Audit, Conflict, Delete, Expect, Put, Record, Store, Table, Unseen
from bot.store.audit import verify
from bot.store.embedded.store import TinyStore
from bot.store.postgres.store import PostgresStore
from tests.postgres import store_database
from tests.store.support import NOW, Clock

T = TypeVar("T")
TABLES: tuple[Table, ...] = ("webhook_events", "drafts", "development", "keys")
IDS = st.sampled_from("abcd")
FIELDS = st.fixed_dictionaries(
    {"hour": st.integers(0, 60)},
    optional={
        "state": st.sampled_from(["received", "done", 1, True, None]),
        "issue": st.sampled_from(["ECD-1", "ECD-2"]),
        "open": st.booleans(),
        "keys": st.lists(st.sampled_from("xyz"), max_size=2),
    },
)
CHANGES = st.lists(st.tuples(st.sampled_from(TABLES), IDS, st.none() | FIELDS), max_size=3)
LINES = st.lists(st.sampled_from(["draft.posted", "draft.edited", "event.accepted"]), max_size=2)
EXPECT = st.none() | st.tuples(st.sampled_from(TABLES), IDS, st.sampled_from(["absent", "any", "received"]))
KEYS = st.lists(st.sampled_from("klmn"), max_size=2, unique=True)
COMMIT = st.tuples(CHANGES, LINES, EXPECT, KEYS, IDS)


class StoreMachine(RuleBasedStateMachine):
    """`model`: table → id → record, in order of arrival. `keys`: the deliveries that were stored."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.place = self.run(self.new())
        self.store = self.run(self.opened())
        self.model: dict[Table, dict[str, Record]] = {table: {} for table in TABLES}
        self.keys: dict[str, datetime] = {}
        self.actions: Counter[str] = Counter()
        self.drafts: set[tuple[str, str]] = set()

    async def new(self) -> str:
        """Where an empty store is."""
        raise NotImplementedError

    async def opened(self) -> Store:
        raise NotImplementedError

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()

    # What is done

    @rule(commits=st.lists(COMMIT, min_size=1, max_size=5))
    def commit(self, commits: list[Any]) -> None:
        """Side by side: they are decided in the order in which they were made."""
        prepared = [self._prepared(*commit) for commit in commits]

        async def together() -> list[Any]:
            return await asyncio.gather(*(self.store.commit(*c[0], **c[1]) for c in prepared), return_exceptions=True)

        for made, found in zip(prepared, self.run(together()), strict=True):
            changes, how = made
            if self._holds(how["expect"]):
                assert found is None, found
                self._apply(changes, how["audit"])
            else:
                assert isinstance(found, Conflict), found

    def _prepared(
        self, changes: Any, lines: Any, expect: Any, keys: Any, draft: str
    ) -> tuple[list[Any], dict[str, Any]]:
        at = self.clock.at.isoformat()
        made: list[Put | Delete] = [
            Delete(table, name) if fields is None else Put(table, {"id": name, **fields, "at": _at(fields["hour"])})
            for table, name, fields in changes
        ]
        made += [Put("deliveries", {"id": key, "at": at, "event_id": "e"}) for key in keys]
        asked: list[Expect | Unseen] = [Unseen(tuple(keys), self.clock.at - DELIVERY_KEYS_KEPT)] if keys else []
        if expect is not None:
            table, name, what = expect
            fields = {"absent": None, "any": {}, "received": {"state": "received"}}[what]
            asked.append(Expect(table, name, fields))
        return made, {"expect": asked, "audit": [Audit("system", line, "e", draft, "ECD-1") for line in lines]}

    def _holds(self, expect: list[Expect | Unseen]) -> bool:
        for asked in expect:
            if isinstance(asked, Unseen):
                if any(self.keys.get(key, asked.since - timedelta(1)) >= asked.since for key in asked.keys):
                    return False
                continue
            found = self.model[asked.table].get(asked.id)
            if (asked.fields is None) != (found is None):
                return False
            if found is not None and any(found.get(k) != v for k, v in (asked.fields or {}).items()):
                return False
        return True

    def _apply(self, changes: list[Put | Delete], lines: list[Audit]) -> None:
        final = {(c.table, c.id if isinstance(c, Delete) else c.record["id"]): c for c in changes}
        for (table, name), change in final.items():
            if isinstance(change, Delete):
                self.model[table].pop(name, None)
        for (table, name), change in final.items():
            if isinstance(change, Put) and table == "deliveries":
                self.keys[name] = datetime.fromisoformat(change.record["at"])
            elif isinstance(change, Put):
                self.model[table][name] = dict(change.record)
        for line in lines:
            self.actions[line.action] += 1
            self.drafts.add((line.action, str(line.draft_id)))

    @rule(hours=st.sampled_from([1, 30, 73, -5]))
    def pass_time(self, hours: int) -> None:
        self.clock.at += timedelta(hours=hours)

    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.store = self.run(self.opened())

    # What must hold

    @invariant()
    def everything_is_there_in_order(self) -> None:
        for table, records in self.model.items():
            found = self.run(self.store.find(table))
            assert [_plain(record) for record in found] == list(records.values())
            assert self.run(self.store.count(table)) == len(records)

    @invariant()
    def arrivals_grow(self) -> None:
        numbers = [record["arrived"] for record in self.run(self.store.find("webhook_events"))]
        assert numbers == sorted(set(numbers))

    @invariant()
    def the_trail_is_whole_and_counted(self) -> None:
        trail = self.run(self.store.find("audit"))
        verdict = verify(trail)
        assert verdict.broken_at is None, str(verdict)
        assert self.run(self.store.audit_head()) == (len(trail), trail[-1]["hash"] if trail else "")
        ever = self.run(self.store.find("rollup", day="ever"))
        assert {r["action"]: r["count"] for r in ever} == dict(self.actions)
        posted = {r["action"]: r["drafts"] for r in ever if r["action"].startswith("draft.")}
        assert posted == dict(Counter(action for action, _ in self.drafts if action.startswith("draft.")))

    @precondition(lambda self: any(self.model.values()))
    @rule(
        table=st.sampled_from(TABLES), fields=FIELDS, since=st.none() | st.integers(0, 60),
        until=st.none() | st.integers(0, 60), newest=st.booleans(), limit=st.none() | st.integers(1, 3),
    )  # fmt: skip
    def find(self, table: Table, fields: Record, since: Any, until: Any, newest: bool, limit: int | None) -> None:
        wanted = {name: value for name, value in fields.items() if name not in ("hour", "keys") and value is not None}
        if table == "development" and fields.get("keys"):
            wanted["keys"] = fields["keys"][0]
        expected = [
            record for record in self.model[table].values()
            if all(value in record.get(k, ()) if k == "keys" else record.get(k) == value for k, value in wanted.items())
            and (since is None or record["hour"] >= since) and (until is None or record["hour"] < until)
        ]  # fmt: skip
        bounds = {
            name: None if hour is None else NOW + timedelta(hours=hour)
            for name, hour in (("since", since), ("until", until))
        }
        found = self.run(self.store.find(table, **bounds, newest_first=newest, limit=limit, **wanted))
        assert [_plain(record) for record in found] == (expected[::-1] if newest else expected)[:limit]


def _at(hour: int) -> str:
    return (NOW + timedelta(hours=hour)).isoformat()


def _plain(record: Record) -> Record:
    return {name: value for name, value in record.items() if name != "arrived"}


class TinyMachine(StoreMachine):
    async def new(self) -> str:
        return tempfile.mkdtemp(prefix="machine-")

    async def opened(self) -> Store:
        return TinyStore.open(Path(self.place), clock=self.clock)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.place)


class PostgresMachine(StoreMachine):
    async def new(self) -> str:
        return await store_database()

    async def opened(self) -> Store:
        return await PostgresStore.open(self.place, clock=self.clock)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )


TestTinyDB = TinyMachine.TestCase
TestTinyDB.settings = _settings(25)
TestPostgres = PostgresMachine.TestCase
TestPostgres.settings = _settings(15)
