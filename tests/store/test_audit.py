"""The audit chain: whole, it says so; changed, removed, reordered, cut off or blanked by hand, it names the record."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.store import Audit
from bot.store.audit import GENESIS, Published, UnreadableRecord, blank, check_audit, digest, seal, spans, verify
from bot.store.audit import Chain as Trail
from bot.store.encoding import to_json

AT = "2026-01-05T09:30:00.000Z"
Chain = list[dict[str, Any]]


def chain(*entries: Audit) -> Chain:
    records: Chain = []
    for entry in entries:
        prev = records[-1]["hash"] if records else ""
        records.append(seal(entry, seq=len(records) + 1, at=AT, prev=prev))
    return records


def eight() -> Chain:
    more = {"ok": True, "list": [1, {"a": None}], "kind": "k", "source": "jira", "delivery_id": "d"}
    return chain(
        *(
            Audit(f"slack:U{n}", "draft.approved", f"e{n}", f"d{n}", "ECD-1", {"version": n, **more})
            for n in range(1, 9)
        ),
    )


def test_a_whole_chain() -> None:
    records = eight()
    assert str(verify(records)) == f"ok 8 records, head {records[-1]['hash']}"
    assert records[0]["prev"] == GENESIS == "0" * 64
    assert [record["prev"] for record in records[1:]] == [record["hash"] for record in records[:-1]]


def test_an_empty_chain() -> None:
    assert str(verify([])) == f"ok 0 records, head {GENESIS}"


FIELDS = ["at", "actor", "action", "event_id", "draft_id", "issue", "details", "prev", "hash", "id", "seq"]


@pytest.mark.parametrize("field", [*FIELDS, "salts"])
@pytest.mark.parametrize("value", ["other", "", None, 2.0, 7, {"version": 9}, {}, ...])
def test_any_changed_or_added_field_is_found(field: str, value: Any) -> None:
    records = eight()
    if value is not ...:
        records[3][field] = value
    elif records[3].pop(field, ...) is ...:
        return
    assert str(verify(records)).startswith("broken at seq 4: ")


def test_salts_changed_in_one_digit_are_found() -> None:
    field = "salts"
    for at in range(len(eight()[3][field])):
        records = eight()
        text = records[3][field]
        records[3][field] = f"{text[:at]}{'1' if text[at] == '0' else '0'}{text[at + 1 :]}"
        assert verify(records).broken_at == 4
    records = eight()
    records[3][field] += "0"
    assert verify(records).broken_at == 4


def test_a_changed_detail_an_added_detail_and_an_added_field_are_found() -> None:
    for change in (
        lambda record: record["details"].update(version=55),
        lambda record: record["details"].update(more=1),
        lambda record: record["details"].update(body_sha256="ab"),
        lambda record: record["details"].update(kind="other"),
        lambda record: record["details"].update(kind="jira", source="k"),
        lambda record: record["details"].pop("ok"),
        lambda record: record["details"].pop("delivery_id"),
        lambda record: record.update(note="approved by somebody else"),
    ):
        records = eight()
        change(records[4])
        assert verify(records).broken_at == 5


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda r: r.pop(2), "broken at seq 3: record 3 is missing (record 4 stands in its place)"),
        (lambda r: r.insert(2, r.pop(3)), "broken at seq 3: record 3 is missing (record 4 stands in its place)"),
        (lambda r: r.insert(5, copy.deepcopy(r[4])), "broken at seq 6: record 5 stands in its place"),
        (lambda r: r.pop(0), "broken at seq 1: record 1 is missing (record 2 stands in its place)"),
        (
            lambda r: r.insert(4, UnreadableRecord("line 9 cannot be read")) or r.pop(5),
            "broken at seq 5: line 9 cannot be read",
        ),
        (lambda r: r.append(UnreadableRecord("line 9 cannot be read")), "broken at seq 9: line 9 cannot be read"),
    ],
)
def test_removed_reordered_repeated_unreadable(change: Callable[[list[Any]], object], verdict: str) -> None:
    records: list[Any] = eight()
    change(records)
    assert str(verify(records)) == verdict


def test_a_record_with_a_new_hash_breaks_the_next() -> None:
    records = eight()
    records[3]["action"] = "draft.skipped"
    records[3]["hash"] = digest(records[3])
    assert str(verify(records)) == "broken at seq 5: it does not follow the record before it"


def test_a_published_head_tells_that_the_tail_was_cut() -> None:
    records = eight()
    heads = [record["hash"] for record in records]
    for head in (*heads, heads[5].upper(), f" {heads[5]}\n", heads[5][:16]):
        assert verify(records, head).broken_at is None
    cut = verify(records[:5], heads[5])
    assert str(cut).startswith(f"broken at seq 6: the head {heads[5]} is not in the chain")
    for wrong in ("0" * 63 + "1", heads[5][:15], "nonsense"):
        assert verify(records, wrong).broken_at == 9


def erased(records: Chain, *blanked: int) -> Chain:
    """The chain after an erase that blanked the actors of these records."""
    found = [blank(record, ["actor"]) if record["seq"] in blanked else record for record in records]
    return with_erase(found, {"actor": spans(blanked)})


def with_erase(found: Chain, fields: Any) -> Chain:
    """The chain with an erase record at its end that says so."""
    entry = Audit("system", "erase", details={"account_sha256": "salt:hash", "records": 1, "fields": fields})
    return [*found, seal(entry, seq=len(found) + 1, at=AT, prev=found[-1]["hash"])]


def test_erased_people_leave_a_chain_that_verifies() -> None:
    before = eight()
    records = erased(before, 2, 3, 7)
    assert str(verify(records)) == f"ok 9 records, head {records[-1]['hash']}"
    assert verify(records, "1" * 64).broken_at == 10, "another chain's head"
    assert "slack:U2" not in str(records)
    assert records[1]["actor"] == "erased"
    assert "actor" not in records[1]["salts"]
    assert before[1]["salts"][:32] not in str(records[1]), "nobody can try ids against the hash"
    assert records[1]["details"] == before[1]["details"]
    again = erased(records, 3, 4)
    assert verify(again).broken_at is None


def test_details_can_be_blanked_one_by_one() -> None:
    records = chain(Audit("system", "a", details={"who": "Ana", "n": 1}), Audit("system", "b"))
    records[0] = blank(records[0], ["details.who"])
    assert records[0]["details"] == {"who": "erased", "n": 1}
    more = with_erase(records, {"details.who": [[1, 1]]})
    assert verify(more).broken_at is None
    more[0]["details"]["n"] = 2
    assert verify(more).broken_at == 1


def test_how_a_delivery_came_is_blanked_together() -> None:
    details = {"source": "jira", "kind": "issue_commented", "delivery_id": "712020:ana", "n": 1}
    records = chain(Audit("jira:x", "event.accepted", details=details), Audit("system", "b"))
    whole = copy.deepcopy(records)
    records[0] = blank(records[0], ["details.delivery_id"])
    assert records[0]["details"] == {"source": "erased", "kind": "erased", "delivery_id": "erased", "n": 1}
    assert records[0]["actor"] == "jira:x"
    assert whole[0]["salts"][32:64] not in str(records[0])
    more = with_erase(records, {"delivery.delivery_id.kind.source": [[1, 1]]})
    assert verify(more).broken_at is None
    assert blank(blank(whole[0], ["actor"]), ["details.kind"])["details"] == records[0]["details"]
    for change in (
        lambda record: record["details"].update(body_sha256="erased"),
        lambda record: record["details"].pop("kind"),
        lambda record: record["details"].update(kind="issue_commented"),
        lambda record: record["details"].update(n=2),
        lambda record: record["salts"].pop("details.n"),
        lambda record: record.update(actor="jira:y"),
    ):
        forged = copy.deepcopy(more)
        change(forged[0])
        assert verify(forged).broken_at == 1


def test_a_value_that_reads_as_erased_is_a_value() -> None:
    records = chain(Audit("erased", "a", details={"kind": "erased", "n": "erased"}), Audit("system", "b"))
    assert verify(records).broken_at is None
    blanked = [blank(records[0], ["details.kind"]), records[1]]
    assert verify(with_erase(blanked, {"delivery.kind": [[1, 1]]})).broken_at is None


def test_forged_erasures_are_found() -> None:
    records = eight()
    records[2] = blank(records[2], ["actor"])
    assert str(verify(records)) == "broken at seq 3: its actor was blanked, and no erase record says so"
    records = erased(eight(), 3)
    records[4] = blank(records[4], ["actor"])
    assert verify(records).broken_at == 5
    records = erased(eight(), 3)
    records[2]["actor"] = "slack:UOTHER"
    assert str(verify(records)) == "broken at seq 3: it was changed: actor was erased and has a value again"
    records = erased(eight(), 3)
    records[2]["details"]["version"] = 1
    assert verify(records).broken_at == 3
    records = erased(eight(), 3)
    del records[-1]
    assert verify(records).broken_at == 3


def test_an_erase_record_accounts_for_what_it_names_before_itself_and_no_more() -> None:
    records = erased(eight(), 3)
    records[2] = blank(records[2], ["details.version"])  # of a record that an erasure did blank, another field
    assert str(verify(records)) == "broken at seq 3: its details.version was blanked, and no erase record says so"
    records = with_erase(eight(), {"actor": [[1, 12]]})
    records = [*records, seal(Audit("slack:U9", "later"), seq=10, at=AT, prev=records[-1]["hash"])]
    records[9] = blank(records[9], ["actor"])
    assert str(verify(records)) == "broken at seq 10: its actor was blanked, and no erase record says so"
    for nonsense in ({"actor": 3}, {"actor": [[3]]}, {"actor": [["1", "9"]]}, [["actor", 3]], None, "actor"):
        records = eight()
        records[2] = blank(records[2], ["actor"])
        assert verify(with_erase(records, nonsense)).broken_at == 3


def test_erasures_and_what_they_blanked_are_told() -> None:
    records = erased(erased(eight(), 2, 3, 7), 4)
    chain = Trail()
    assert all(chain.take(record) for record in records)
    assert chain.blanked == {"actor": [[2, 4], [7, 7]]}
    assert [(e.seq, e.blanked) for e in chain.erasures] == [
        (9, {"actor": [[2, 3], [7, 7]]}), (10, {"actor": [[4, 4]]}),
    ]  # fmt: skip


def test_several_published_heads() -> None:
    """Each tells of everything before it; the first record that is not what it was is named, where that is known."""
    records, other = eight(), eight()
    forged = [*records[:4], *(seal_again(record, records[3]["hash"]) for record in records[4:5])]
    for record in records[5:]:
        forged.append(seal_again(record, forged[-1]["hash"]))

    def verdict(found: Chain, *heads: Published) -> str:
        trail = Trail(heads)
        assert all(trail.take(record) for record in found)
        return str(trail.verdict())

    early, late = Published(records[2]["hash"], "of Monday", 3), Published(records[6]["hash"], "of Tuesday", 7)
    assert verdict(records, early, late) == f"ok 8 records, head {records[-1]['hash']}"
    assert verdict(forged, early).startswith("ok "), "nothing proves what came after the last published head"
    assert verdict(forged, early, late).startswith("broken at seq 7: the head ")
    assert "of Tuesday is not its hash" in verdict(forged, early, late)
    assert verdict(records[:5], early, late).startswith("broken at seq 6: ")
    assert "was cut off" in verdict(records[:5], early, late)
    assert verdict(other, late, early).startswith("broken at seq 3: ")


def seal_again(record: dict[str, Any], prev: str) -> dict[str, Any]:
    entry = Audit("slack:UFORGER", record["action"], details=record["details"])
    return seal(entry, seq=record["seq"], at=AT, prev=prev)


def test_spans() -> None:
    assert spans([3, 1, 2, 7, 9, 8, 7]) == [[1, 3], [7, 9]]


def leaves(children: Any) -> Any:
    return st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    leaves, max_leaves=8,
)  # fmt: skip


@given(
    st.lists(
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), anything), min_size=1, max_size=5
    )
)
def test_every_chain_verifies_and_blanks(details: list[dict[str, Any]]) -> None:
    records = chain(*(Audit("jira:712020:x", "a", details=each) for each in details))
    assert verify(records).broken_at is None
    blanked = [blank(record, ["actor", *(f"details.{name}" for name in record["details"])]) for record in records]
    assert [digest(record) for record in blanked] == [record["hash"] for record in records]
    assert not any(record["salts"] for record in blanked)
    assert {value for record in blanked for value in record["details"].values()} <= {"erased"}


@given(anything)
def test_any_rubbish_gets_a_verdict(rubbish: Any) -> None:
    record = rubbish if isinstance(rubbish, dict) else {"seq": 1, "prev": GENESIS, "id": "1", "hash": rubbish}
    assert verify([record]).broken_at == 1
    assert verify([{**eight()[0], "details": rubbish}]).broken_at in (1, None)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


NAMES = TEXTS | st.sampled_from(["source", "kind", "delivery_id", "body_sha256"])


@given(TEXTS, TEXTS, st.none() | TEXTS, st.dictionaries(NAMES, VALUES, max_size=6))
def test_what_is_sealed_has_the_hash_that_verify_computes_when_it_is_read_back(
    actor: str, action: str, issue: str | None, details: dict[str, Any]
) -> None:
    record = seal(Audit(actor, action, "e", None, issue, details), seq=7, at=AT, prev="a" * 64)
    assert record["hash"] == digest(record) == digest(json.loads(to_json(record)))


@pytest.mark.parametrize("bad", [float("nan"), [float("-inf")], "\ud800", {"a": "\ud800"}, {"\ud800": 1}, object()])
@pytest.mark.parametrize("where", ["value", "name", "actor", "issue"])
def test_what_is_no_json_is_refused_before_it_is_sealed(bad: Any, where: str) -> None:
    if where != "value" and not isinstance(bad, str):
        return
    about = {where: bad} if where in ("actor", "issue") else {}
    entry = Audit(**{"actor": "system", "action": "x", **about}, details={bad: 1} if where == "name" else {"a": bad})
    with pytest.raises((ValueError, TypeError)):
        check_audit(entry)
