"""`audit verify` on data that somebody changed who may write all of them: what it finds, and what it says it cannot."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.domain.draft_states import DraftState
from bot.domain.drafts import Card, Decision, Draft, Posted, Revision
from bot.domain.events import IssueCommented
from bot.domain.issues import Comment, Issue, Person
from bot.store import Audit, Put, Record
from bot.store.audit import ChainCheck, Published, blank, seal
from bot.store.encoding import to_json
from bot.store.examining import examined
from bot.store.text_hashes import event_sha256
from bot.workflow.records import audit, draft_record
from tests import warm
from tests.homes import KINDS, Home, new_home

ROOT = Path(__file__).parents[1]
AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
BEN = Person(account_id="712020:ben", name="Ben Okafor")
DANA = "slack:U0DANA"


def draft() -> Draft:
    comment = Comment(id="10", author=BEN, text="When is it done?", created=AT, updated=AT)
    about = Issue(key="ECD-1", project="ECD", summary="s", url="u", status="Open", comments=(comment,))
    return Draft(
        id="drf_1", event_id="evt_1", cycle_id="cyc_1", issue=about, mode="production", answered="10",
        revisions=(Revision(text="It is in review.", by="claude", at=AT),), model="m", prompt="p", created=AT,
        expires=AT, card=Card(channel="C1"),
    )  # fmt: skip


def filled(kind: Any, folder: Path) -> Home:
    """An event, its draft, an edit, the posted comment and a second draft, which somebody skipped."""
    home = new_home(kind, folder / "data")
    made = draft()
    edited = Decision(action="edit", by="U0DANA", name="Dana Q", at=AT)
    wordings = (*made.revisions, Revision(text="It is in review; Ana has it.", by=DANA, at=AT))
    approved = made.moved(DraftState.APPROVED, decided=(edited,), decision=edited, revisions=wordings)
    comment = Posted(comment_id="77", url="u", at=AT)
    posted = approved.moved(DraftState.POSTING).moved(DraftState.POSTED, posted=comment)
    skip = Decision(action="skip", by="U0PRIYA", name="Priya", at=AT)
    skipped = draft().model_copy(update={"id": "drf_2", "state": DraftState.SKIPPED, "decided": (skip,)})
    event = IssueCommented(
        issues=("ECD-1",), project="ECD", summary="s", comment=made.issue.comments[0], at=AT
    ).model_dump(mode="json")  # fmt: skip
    details = {"kind": "k", "event_sha256": event_sha256(event)}
    record = {
        "id": "evt_1", "event_id": "evt_1", "at": AT.isoformat(), "issue": "ECD-1", "issues": ["ECD-1"],
        "state": "done", "reason": "draft", "kind": "issue_commented", "event": event,
    }  # fmt: skip
    home.commit(
        Put("webhook_events", record), Put("drafts", draft_record(posted)), Put("drafts", draft_record(skipped)),
        audit=[
            Audit("jira:712020:ben", "event.accepted", "evt_1", details=details),
            audit(made, "draft.created", "system"),
            audit(approved, "draft.edited", DANA, action="edit"),
            audit(posted, "draft.posted", "system", comment_id="77"),
            audit(skipped.model_copy(update={"decided": ()}), "draft.created", "system"),
            audit(skipped, "draft.skipped", "slack:U0PRIYA", action="skip"),
        ],
    )  # fmt: skip
    return home


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return filled(request.param, tmp_path)


def verdict(home: Home, *heads: Published) -> ChainCheck:
    with home.data.snapshot() as snapshot:
        return examined(snapshot, heads).verdict


def put(home: Home, table: str, record: Record) -> None:
    """Write a record as somebody does who may write the database itself."""
    doc = to_json(record).replace("'", "''")
    home.tamper(
        f"UPDATE {table} SET doc = '{doc}' WHERE id = '{record['id']}';"  # noqa: S608 - a test's own texts
        + (f"INSERT INTO {table}(seq, id, doc) SELECT {record['seq']}, '{record['id']}', '{doc}' "  # noqa: S608 - as above
           f"WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE id = '{record['id']}')" if table == "audit" else "")
    )  # fmt: skip


def change(home: Home, table: Any, record_id: str, how: Callable[[Record], object]) -> None:
    (record,) = home.records(table, id=record_id)
    how(record)
    put(home, table, record)


def forged_erasure(home: Home, seq: int) -> None:
    """An approver's name blanked, with an erase record that accounts for it."""
    trail = home.records("audit")
    put(home, "audit", blank(trail[seq - 1], ["actor"]))
    entry = Audit("system", "erase", details={"account_sha256": "0:0", "records": 1, "fields": {"actor": [[seq, seq]]}})
    put(home, "audit", seal(entry, seq=len(trail) + 1, at="2026-01-06T09:00:00Z", prev=trail[-1]["hash"]))


def rewritten_from(home: Home, seq: int) -> None:
    """The chain written anew from here on, in order, by somebody who has read the program."""
    prev = ""
    for record in home.records("audit"):
        if record["seq"] >= seq:
            entry = Audit(
                record["actor"], record["action"], record["event_id"], record["draft_id"], record["issue"],
                record["details"],
            )  # fmt: skip
            record = seal(entry, seq=record["seq"], at="2026-01-05T23:00:00.000Z", prev=prev)
            put(home, "audit", record)
        prev = record["hash"]


def reworded(number: int, text: str) -> Callable[[Record], object]:
    return lambda draft: draft["revisions"][number].update(text=text)


TEXTS: dict[str, tuple[str, str, Callable[[Record], object], int]] = {
    "the wording that was posted": ("drafts", "drf_1", reworded(1, "No."), 3),
    "Claude's own wording": ("drafts", "drf_1", reworded(0, "No."), 2),
    "a wording replaced by the mark of an erasure": ("drafts", "drf_1", reworded(1, "[erased]"), 3),
    "a wording taken out": ("drafts", "drf_1", lambda d: d["revisions"].pop(0), 2),
    "a wording added": ("drafts", "drf_2", lambda d: d["revisions"].append({**d["revisions"][0], "text": "No."}), 5),
    "all wordings taken out": ("drafts", "drf_2", lambda d: d["revisions"].clear(), 5),
    "no wordings any more": ("drafts", "drf_2", lambda d: d.pop("revisions"), 5),
    "who approved": ("drafts", "drf_1", lambda d: d["decided"][0].update(by="U0OTHER"), 3),
    "what was decided": ("drafts", "drf_2", lambda d: d["decided"][0].update(action="approve"), 6),
    "a decision taken out": ("drafts", "drf_2", lambda d: d["decided"].clear(), 6),
    "a decision added": ("drafts", "drf_2", lambda d: d["decided"].append(d["decided"][0]), 6),
    "the comment that was posted": ("drafts", "drf_1", lambda d: d["posted"].update(comment_id="78"), 4),
    "what somebody wrote": ("webhook_events", "evt_1", lambda e: e["event"]["comment"].update(text="Thanks"), 1),
    "who wrote it": ("webhook_events", "evt_1", lambda e: e["event"]["comment"]["author"].update(name="Eve"), 1),
    "an event emptied": ("webhook_events", "evt_1", lambda e: e.update(event=None), 1),
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
def test_a_text_that_is_not_what_its_hash_is_of_is_found(what: str, tmp_path: Path) -> None:
    home = filled("folder", tmp_path)
    table, record_id, how, seq = TEXTS[what]
    assert verdict(home).broken_at is None
    change(home, table, record_id, how)
    found = verdict(home)
    assert (found.broken_at, record_id in found.why) == (seq, True), found


def test_all_draft_texts_rewritten(home: Home) -> None:
    assert str(verdict(home)).startswith("ok 6 records")
    for record in home.records("drafts"):
        for wording in record["revisions"]:
            wording["text"] = "Something else."
        put(home, "drafts", record)
    found = verdict(home)
    assert found.broken_at == 2
    assert "drf_1" in found.why


def test_a_draft_or_an_event_that_is_gone_has_to_be_one_that_the_retention_deleted(home: Home) -> None:
    home.tamper("DELETE FROM drafts WHERE id = 'drf_2'")
    found = verdict(home)
    assert (found.broken_at, found.why) == (5, "drf_2 is gone: 1 of the drafts are, and the retention deleted 0")
    home.commit(audit=[Audit("system", "retention.deleted", details={"before": AT.isoformat(), "webhook_events": 1})])
    assert verdict(home).broken_at == 5
    home.commit(audit=[Audit("system", "retention.deleted", details={"before": AT.isoformat(), "drafts": 1})])
    assert verdict(home).broken_at is None
    home.tamper("DELETE FROM webhook_events")
    assert verdict(home).broken_at is None, "it was one event, as that record says"
    home.tamper("DELETE FROM drafts")
    assert verdict(home).broken_at == 5


def test_a_draft_that_no_record_of_the_trail_names(home: Home) -> None:
    home.commit(Put("drafts", {**home.records("drafts", id="drf_2")[0], "id": "drf_3"}))
    found = verdict(home)
    assert (found.broken_at, found.why) == (7, "no record of the trail names 1 of the drafts that are there")
    home.tamper("DELETE FROM audit")
    assert verdict(home).broken_at == 1


def test_an_approvers_name_blanked_with_a_forged_erase_record(home: Home) -> None:
    """The draft still names who it was. Where that was blanked too, the erasure is listed, for people to say no to."""
    forged_erasure(home, 3)
    found = verdict(home)
    assert (found.broken_at, "drf_1" in found.why) == (3, True)
    change(home, "drafts", "drf_1", lambda d: d["decided"][0].update(by="erased"))
    done = verify(home)
    assert done.returncode == 0
    assert "record 7, 2026-01-06T09:00:00Z: actor of 3\n" in done.stderr
    assert "was each asked for?" in done.stderr


def test_what_follows_a_published_head_rewritten_or_cut(home: Home) -> None:
    """The head of then proves nothing of what came after it, and that is said; a later one does."""
    trail = home.records("audit")
    early, late = trail[1]["hash"], trail[5]["hash"]
    rewritten_from(home, 4)
    done = verify(home, "--head", early)
    assert done.returncode == 0
    assert "Not proved: what came after." in done.stderr
    assert verify(home, "--head", late).stdout.startswith(f"broken at seq 7: the head {late} is not in the chain")
    found = verdict(home, Published(early, "of Monday", 2), Published(late, "of Tuesday", 6))
    assert (found.broken_at, "of Tuesday is not its hash" in found.why) == (6, True)
    home.tamper("DELETE FROM audit WHERE seq > 3")
    assert verdict(home, Published(late, "of Tuesday", 6)).broken_at == 4


def test_what_a_real_erasure_changed_verifies_and_is_listed(home: Home) -> None:
    for account, gone in (("712020:ben", "Ben Okafor"), ("U0DANA", "Dana")):
        assert home.data.erase(account) is not None
        assert gone not in json.dumps(home.content())
    done = verify(home)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("ok ")
    assert "Erased, by 2 erase records" in done.stderr
    assert "actor of 1" in done.stderr
    assert "sha256 of " in done.stderr
    change(home, "drafts", "drf_1", reworded(0, "No."))
    assert verdict(home).broken_at == 2


def test_lines_that_nobody_of_ours_wrote_get_a_verdict(home: Home) -> None:
    """A chain can be forged whole; what its lines name need not be what we write."""
    home.commit(audit=[Audit("system", "retention.deleted", details={"drafts": "many"})])
    assert verdict(home).broken_at == 7
    home.commit(audit=[Audit("system", "draft.created", None, "drf_1"), Audit("system", "draft.created", None, "none")])
    assert verdict(home).broken_at == 7


def verify(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m bot audit verify` with nothing set but where the data are."""
    environment = {"PATH": os.environ["PATH"], **home.variables}
    return warm.run("bot", "audit", "verify", *arguments, folder=ROOT, environment=environment)
