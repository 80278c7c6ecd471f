"""The index against a plain dict: whatever is put, changed and deleted, it gives what a look at everything gives."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.store import Audit, Delete, Put, Record
from bot.store.columns import Codes, Hashes
from bot.store.tiny import TinyStore

START = datetime(2026, 1, 1, tzinfo=UTC)
ODD: list[Any] = [None, ["x", "y"], 2**70, 1.5, {"a": 1}, -(2**60), True, 1]


def test_hashes_against_a_dict_of_lists() -> None:
    chance = random.Random(7)  # noqa: S311 - a model, no secret
    column, model = Hashes(), dict[int, int]()
    values = [*range(1, 400), -3, 2**62, -(2**62)]
    for _ in range(20_000):
        row = chance.randrange(len(model) + 1)
        kind = chance.random()
        if row == len(model) or kind < 0.4:
            column.append(model.setdefault(len(model), chance.choice([0, *values])))
        elif kind < 0.42:  # what is new is linked when somebody looks, at whatever moment that is
            value = chance.choice(values)
            assert list(column.rows(value)) == [row for row in reversed(range(len(model))) if model[row] == value]
        elif kind < 0.44:
            column.relieve()
        elif kind < 0.9:
            model[row] = 0 if chance.random() < 0.1 else chance.choice(values)
            column.put(row, model[row])
    for row in chance.sample(range(len(model)), 500):
        column.clear(row)
        model[row] = 0
    for _ in range(50):
        many = chance.choices([0, *values], k=100)
        column.extend(many)
        model.update(enumerate(many, len(model)))
    column.relieve()
    column.extend([7, None, 7])
    assert column.odd == {len(model) + 1}
    model.update(enumerate([7, 0, 7], len(model)))
    for value in values:
        assert list(column.rows(value)) == [row for row in reversed(range(len(model))) if model[row] == value]
        assert column.first(value) == next(iter(column.rows(value)), -1)


def test_codes_run_out_and_the_others_are_odd() -> None:
    codes = Codes()
    for number in range(300):
        codes.append(codes.of(f"state {number}"))
    assert list(codes.rows(codes.asked("state 3"))) == [3]
    assert codes.has_odd
    assert codes.asked("state 299") == 255
    codes.put(7, codes.of("state 3"))
    assert list(codes.rows(codes.asked("state 3"), newest_first=True)) == [7, 3]


NAMES = [f"r{n}" for n in range(30)]


async def test_find_among_many_of_each_state_and_issue(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    records = [
        {"id": f"r{n}", "at": START.isoformat(), "state": "ab"[n % 2], "issue": f"i{n % 3}", "kind": "k"}
        for n in range(1800)
    ]
    await store.commit(*(Put("webhook_events", record) for record in records))
    for number in range(0, 1800, 7):
        records[number] = {**records[number], "state": "c"}
        await store.commit(Put("webhook_events", records[number]))
    for newest_first in (False, True):
        for equals in ({"issue": "i1", "state": "b"}, {"issue": "i1", "state": "c"}, {"state": "a"}, {"kind": "k"}):
            for limit in (None, 5):
                question: dict[str, Any] = {"newest_first": newest_first, "limit": limit, "since": None, **equals}
                assert await store.find("webhook_events", **question) == looked_through(records, question)
    assert await store.count("webhook_events", issue="i2", state="a") == len(
        looked_through(records, {"newest_first": False, "limit": None, "since": None, "issue": "i2", "state": "a"})
    )
    await store.close()


async def test_times_over_many_rows_that_come_together_and_alone(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    records: list[Record] = []
    for size in (1, 1000, 1, 1100, 30, 1):
        come = [
            {"id": f"r{n}", "at": (START + timedelta(minutes=n * 37 % 3000)).isoformat(), "issue": f"i{n % 2}"}
            for n in range(len(records), len(records) + size)
        ]
        records += come
        await store.commit(*(Put("webhook_events", record) for record in come))
        for minutes in (0, 2990, 2999, 4000):
            since = START + timedelta(minutes=minutes)
            for equals in ({}, {"issue": "i1"}):
                question: dict[str, Any] = {"newest_first": True, "limit": None, "since": minutes / 60, **equals}
                found = await store.find("webhook_events", newest_first=True, since=since, **equals)
                assert found == looked_through(records, question)
    await store.close()


async def test_audit_records_by_their_ids_whenever_somebody_asks(tmp_path: Path) -> None:
    store = TinyStore.open(tmp_path)
    lines = [Audit("system", "x")] * 2500
    for _ in range(2):
        await store.commit(audit=lines)
    store.engine.prepare("audit")
    await store.commit(audit=lines)
    assert [await store.order("audit", str(seq)) for seq in (1, 4096, 4097, 7500, 7501)] == [0, 4095, 4096, 7499, None]
    for _ in range(2):
        await store.commit(audit=lines)
    record = await store.get("audit", "12500")
    assert record is not None
    assert record["seq"] == 12500
    assert [record["seq"] for record in await store.find("audit", id="4000")] == [4000]
    await store.close()


VALUES = st.integers(0, 9).flatmap(lambda n: st.sampled_from(ODD) if n == 0 else st.sampled_from("ab"))
RECORDS = st.fixed_dictionaries(
    {"id": st.sampled_from(NAMES), "hour": st.integers(0, 200), "issue": VALUES, "state": VALUES, "comment": VALUES},
    optional={"kind": VALUES},
)
STEPS = st.lists(st.lists(RECORDS, min_size=3, max_size=10) | st.lists(st.sampled_from(NAMES)), max_size=8)
QUESTIONS = st.lists(
    st.fixed_dictionaries(
        {"newest_first": st.booleans(), "limit": st.none() | st.integers(0, 3), "since": st.none() | st.just(99)},
        optional={"state": VALUES, "issue": VALUES, "comment": VALUES, "kind": VALUES, "other": VALUES},
    ),
    min_size=4, max_size=8,
)  # fmt: skip


def looked_through(records: list[Record], question: dict[str, Any]) -> list[Record]:
    """`find`, said plainly."""
    equals = {name: value for name, value in question.items() if name not in ("newest_first", "limit", "since")}
    lists = ("state", "issue", "kind", "comment")

    def matches(record: Record) -> bool:
        return all(
            record.get(name) == value
            or (name in lists and isinstance(record.get(name), list) and value in record[name])
            for name, value in equals.items()
        )

    found = [record for record in records if matches(record)]
    if question["since"] is not None:
        floor = (START + timedelta(hours=question["since"])).isoformat()
        found = [record for record in found if record["at"] >= floor]
    return (found[::-1] if question["newest_first"] else found)[: question["limit"]]


@settings(max_examples=40, deadline=None)
@given(STEPS, QUESTIONS, st.booleans())
async def test_find_and_count_give_what_a_full_look_gives(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], questions: list[dict[str, Any]], compact: bool
) -> None:
    folder: Path = tmp_path_factory.mktemp("index")
    store = TinyStore.open(folder)
    model: dict[str, Record] = {}
    for step in steps:
        changes: list[Put | Delete] = []
        for item in {item if isinstance(item, str) else item["id"]: item for item in step}.values():
            if isinstance(item, str):
                changes.append(Delete("webhook_events", item))
                model.pop(item, None)
                continue
            record = {**item, "at": (START + timedelta(hours=item["hour"])).isoformat()}
            changes.append(Put("webhook_events", record))
            model[record["id"]] = record
        await store.commit(*changes)
    for again in (False, True):
        if again and compact:
            store.engine.compact()
        elif again:
            await store.close()
            store = TinyStore.open(folder)
        for question in questions:
            wanted = looked_through(list(model.values()), question)
            since = None if question["since"] is None else START + timedelta(hours=question["since"])
            assert await store.find("webhook_events", **{**question, "since": since}) == wanted, question
            equals = {n: v for n, v in question.items() if n not in ("newest_first", "limit", "since")}
            every = looked_through(list(model.values()), {**question, "limit": None})
            assert await store.count("webhook_events", since=since, **equals) == len(every)
        for name, record in model.items():
            assert await store.get("webhook_events", name) == record
    await store.close()
