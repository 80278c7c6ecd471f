"""TinyDB on SQLite: its whole interface works or refuses in words, and the queries that an index answers are TinyDB's.

This holds what is used of TinyDB beneath its documented interface; it is pinned, and may change with another version.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tinydb import where
from tinydb.operations import increment
from tinydb.table import Document

from bot.store import TABLES
from bot.store.embedded.queries import equals, translate
from bot.store.embedded.sqlite import create, writer
from bot.store.embedded.tiny import Database, transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "pm_agent.db")
    return tmp_path / "pm_agent.db"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    found = Database(writer(path))
    yield found
    found.close()


def event(number: int, **more: Any) -> dict[str, Any]:
    at = f"2026-01-{number:02d}T00:00:00Z"
    return {"id": f"evt_{number}", "at": at, "state": "received", "issue": "ECD-1", **more}


def test_tinydb_is_what_it_is(db: Database) -> None:
    table = db.table("webhook_events")
    assert table.insert(event(1)) == "evt_1"
    assert table.insert_multiple([event(2), event(3, state="done")]) == ["evt_2", "evt_3"]
    with pytest.raises(ValueError, match="already exists"):
        table.insert(event(1))
    assert [d["id"] for d in table.search((where("state") == "received") & where("at").exists())] == ["evt_1", "evt_2"]
    assert table.get(doc_id="evt_3")["state"] == "done"  # type: ignore[call-overload]  # our document ids are texts
    assert [d["id"] for d in table.get(doc_ids=["evt_3", "evt_1"])] == ["evt_1", "evt_3"]  # type: ignore[list-item]  # as above
    assert table.get(where("state") == "nowhere") is None
    table.update({"state": "failed"}, where("id") == "evt_2")
    assert table.search(where("state") == "failed") == [event(2, state="failed")]
    table.upsert(event(4), where("id") == "evt_4")
    table.upsert(Document({"state": "late"}, "evt_4"))  # type: ignore[arg-type]  # as above
    assert table.search(where("state") == "late") == [event(4, state="late")]
    table.remove(where("state") == "done")
    table.remove(doc_ids=["evt_4", "never there"])  # type: ignore[list-item]  # as above
    assert (len(table), table.count(where("issue") == "ECD-1"), table.contains(doc_id="evt_3")) == (2, 2, False)  # type: ignore[arg-type]  # as above
    table.update(increment("n"), where("n").exists())
    table.update_multiple([({"n": 1}, where("id") == "evt_1"), (increment("n"), where("id") == "evt_1")])
    assert [(d.doc_id, d.get("n")) for d in table] == [("evt_1", 2), ("evt_2", None)]
    assert [d["id"] for d in table.all()] == ["evt_1", "evt_2"]
    assert (len(db), db.tables()) == (2, {"webhook_events"})
    table.truncate()
    assert (len(table), table.all()) == (0, [])
    number = db.table("state").insert({"a": 1})
    assert db.table("state").all() == [{"a": 1, "id": number}]


def test_what_it_does_not_do_it_refuses_in_words(db: Database, path: Path) -> None:
    db.table("state").insert({"id": "a"})
    with pytest.raises(NotImplementedError, match="never dropped"):
        db.drop_tables()
    with pytest.raises(NotImplementedError, match="never dropped"):
        db.drop_table("state")
    with pytest.raises(ValueError, match="no table elsewhere"):
        db.table("elsewhere")
    with pytest.raises(ValueError, match="the record's id is"):
        db.table("state").insert(Document({"id": "b"}, "c"))  # type: ignore[arg-type]  # our document ids are texts
    for change in (
        lambda table: table.insert({"id": "1"}),
        lambda table: table.remove(where("seq") == 1),
        lambda table: table.update({"actor": "x"}),
        lambda table: table.truncate(),
    ):
        with pytest.raises(ValueError, match="only grows"):
            change(db.table("audit"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        Database(path).table("state").insert({"id": "b"})


def test_a_change_that_fails_changes_nothing(db: Database) -> None:
    table = db.table("state")
    table.insert_multiple([{"id": "a", "n": 1}, {"id": "b", "n": 1}])

    def broken(document: Any) -> None:
        document["n"] = 2
        if document["id"] == "b":
            raise RuntimeError

    with pytest.raises(RuntimeError):
        table.update(broken)
    with pytest.raises(ValueError, match="JSON"):
        table.update({"n": float("nan")})
    assert [d["n"] for d in table] == [1, 1]
    with pytest.raises(ValueError, match="already exists"), transaction(db.connection):
        table.insert_multiple([{"id": "c"}, {"id": "a"}])
    assert len(table) == 2


def test_a_person_opens_it_with_three_lines_or_with_sqlite(db: Database, path: Path) -> None:
    db.table("drafts").insert({"id": "d1", "state": "waiting", "text": "ä"})
    other = Database(path)
    assert other.table("drafts").search(where("state") == "waiting") == [{"id": "d1", "state": "waiting", "text": "ä"}]
    other.close()
    plain = sqlite3.connect(path)
    assert plain.execute("select doc from drafts").fetchall() == [('{"id":"d1","state":"waiting","text":"ä"}',)]
    plain.close()


def test_a_query_tells_what_it_asks() -> None:
    state, issue = where("state") == "received", where("issue") == "ECD-1"
    assert state._hash == ("==", ("state",), "received")
    assert (state & issue)._hash == ("and", frozenset({state._hash, issue._hash}))
    assert where("keys").any(["ECD-1"])._hash == ("any", ("keys",), ("ECD-1",))


@pytest.mark.parametrize(
    ("query", "terms", "whole"),
    [
        (where("state") == "a", 1, True),
        ((where("state") == "a") & (where("issue") == "b"), 2, True),
        ((where("state") == "a") & (where("kind") == "b"), 1, False),
        ((where("state") == "a") & ((where("issue") == "b") & where("x").exists()), 2, False),
        ((where("state") == "a") | (where("issue") == "b"), 0, False),
        (~(where("state") == "a"), 0, False),
        (where("state") != "a", 0, False),
        (where("state") == None, 0, False),  # noqa: E711 - TinyDB's way to ask for null
        (where("event")["state"] == "a", 0, False),
        (where("state").test(lambda value: value == "a"), 0, False),
        (where("state").one_of(["a"]), 0, False),
    ],
)
def test_what_sqlite_answers(query: Any, terms: int, whole: bool) -> None:
    found = translate("webhook_events", query)
    assert (len(found.terms), found.whole) == (terms, whole)


def test_both_give_the_same_answers(db: Database) -> None:
    table = db.of("webhook_events")
    values = ["a", "1", 1, 0, True, False, None, 1.0, "", "ä", ["a"], {"a": 1}, ...]
    table.insert_multiple(
        {"id": str(n), **({} if value is ... else {"state": value})} for n, value in enumerate(values)
    )
    for value in values[:-1]:
        query = where("state") == value
        assert table.search(query) == [document for document in table if query(document)], value
        assert table.count(query) == len(table.search(query))
    members = db.of("development")
    members.insert_multiple([{"id": "1", "keys": ["A", "B", "A"]}, {"id": "2", "keys": ["B"]}, {"id": "3"}])
    members.update({"keys": ["C"]}, where("id") == "2")
    assert [[d["id"] for d in members.search(where("keys").any([key]))] for key in "ABC"] == [["1"], ["1"], ["2"]]
    members.remove(where("id") == "1")
    assert members.search(where("keys").any(["A"])) == []
    assert members.count(equals("development", {"keys": "C"})) == 1


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("webhook_events", {"state": "a"}), ("webhook_events", {"issue": "a", "kind": "b"}),
        ("webhook_events", {"comment": "a"}), ("agent_cycles", {"event_id": "a"}), ("drafts", {"state": "a"}),
        ("drafts", {"issue_key": "a", "open": True}), ("drafts", {"answered": "a"}), ("messages", {"pending": True}),
        ("development", {"keys": "a"}), ("audit", {"draft_id": "a"}), ("rollup", {"day": "a"}),
        ("corrections", {"place": "a"}), ("corrections", {"issue": "a"}),
    ],
)  # fmt: skip
def test_an_index_answers_what_the_program_asks(db: Database, table: Any, fields: dict[str, Any]) -> None:
    asked = translate(table, equals(table, fields))
    sql = f"EXPLAIN QUERY PLAN SELECT id, doc FROM {table}{asked.sql()} ORDER BY seq"  # noqa: S608 - names of our own
    plan = " ".join(row[3] for row in db.connection.execute(sql, asked.values))
    assert "USING INDEX" in plan or "USING COVERING INDEX" in plan or "USING PRIMARY KEY" in plan, plan
    assert f"SCAN {table}" not in plan, plan


def test_every_table_is_there(db: Database) -> None:
    assert [len(db.table(name)) for name in TABLES] == [0] * len(TABLES)
