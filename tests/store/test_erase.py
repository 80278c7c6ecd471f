"""Erasing a person: every text of and about them, everywhere, also in the file itself; the story stays complete."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot.domain.draft_states import DraftState
from bot.domain.drafts import Card, Decision, Draft, Revision
from bot.domain.events import EVENT, IssueChanged, IssueCommented, IssueCreated, PullRequestChanged
from bot.domain.events import FieldChange as Changed
from bot.domain.issues import Change, Comment, Issue, Person, PullRequest
from bot.errors import UserError
from bot.prompting.untrusted import block
from bot.store import Audit, Expect, Put
from bot.store.audit import verify
from bot.store.embedded.erasing import ask_running_bot, erase_now, serve_requests
from bot.store.embedded.store import TinyStore, opened
from bot.store.erasure.erase import Erased, account_id, other_names
from bot.store.erasure.scrub import ErasedPerson, scrub
from bot.store.erasure.wording import Names
from bot.store.postgres.address import DatabaseAddress
from bot.store.postgres.erasing import erase_now as erase_database
from bot.store.postgres.store import PostgresStore
from bot.store.text_hashes import text_sha256
from tests.homes import KINDS, Home, new_home

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
ANA = Person(account_id="712020:ana-1", name="Ana Ruiz")
BEN = Person(account_id="712020:ben-2", name="Ben Okafor")


def said(number: str, author: Person, text: str) -> Comment:
    return Comment(id=number, author=author, text=text, created=AT, updated=AT)


def issue(*comments: Comment, reporter: Person = BEN) -> Issue:
    return Issue(
        key="ECD-1", project="ECD", summary="Export fails", url="https://x.example/browse/ECD-1", status="Open",
        description="It breaks at 10 MB", assignee=ANA, reporter=reporter, comments=comments,
        changes=(Change(field="assignee", before="", after="Ana Ruiz", at=AT, by="Ben Okafor"),),
    )  # fmt: skip


def draft(name: str, event: str, about: Issue, text: str, answered: str, **more: Any) -> dict[str, Any]:
    made = Draft(
        id=name, event_id=event, cycle_id=f"c-{name}", issue=about, mode="production", answered=answered,
        revisions=(Revision(text=text, by="claude", at=AT),), why="A direct question", model="m", prompt="p",
        created=AT, expires=AT, card=Card(channel="C1", ts="1.2", shown=1), **more,
    )  # fmt: skip
    return {**made.model_dump(mode="json"), "at": AT.isoformat(), "issue_key": "ECD-1", "open": True}


def cycle(event: str, reasoning: str) -> dict[str, Any]:
    return {
        "id": f"c-{event}", "event_id": event, "at": AT.isoformat(), "issue": "ECD-1", "outcome": "silence",
        "reason": "nothing is asked", "reasoning": reasoning, "calls": [],
    }  # fmt: skip


def received(name: str, event: Any, state: str = "done") -> Put:
    record = {
        "id": name, "event_id": name, "at": AT.isoformat(), "issue": "ECD-1", "issues": ["ECD-1"], "state": state,
        "reason": "", "event": event.model_dump(mode="json"),
    }  # fmt: skip
    return Put("webhook_events", record)


def commented(comment: Comment) -> IssueCommented:
    return IssueCommented(issues=("ECD-1",), project="ECD", summary="Export fails", comment=comment, at=AT)


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A little of everything, with Ana (Jira) and Dana (Slack) in it, and Ben, who stays."""
    return filled(new_home(request.param, tmp_path))


def filled(found: Home) -> Home:
    found.write_plainly()
    asks = said("10", ANA, "SECRET-1 when is it done?")
    answers = said("11", BEN, "Tomorrow, I think")
    mentions = said("12", BEN, "[~accountid:712020:ana-1] please look, SECRET-2")
    pull = PullRequest(
        id="a/b#1", repository="a/b", number=1, title="SECRET-3 fix", url="u", state="OPEN", author="Ana Ruiz",
        author_id=ANA.account_id, updated=AT,
    )  # fmt: skip
    by_dana = Decision(action="approve", by="U0DANA", name="Dana Q", at=AT)
    posted = {"decided": (by_dana,), "decision": by_dana, "state": DraftState.POSTED}
    about: Any = {"issues": ("ECD-6",), "project": "ECD", "summary": "SECRET-5", "at": AT}
    rewritten = Changed(field="description", before="SECRET-6", after="SECRET-7")
    told = {
        "id": "failed:evt_1:1", "at": AT.isoformat(), "blocks": [{"text": "SECRET-11"}], "text": "SECRET-11", "ts": "1",
        "version": 1, "shown": 1, "pending": False,
    }  # fmt: skip
    found.commit(
        received("evt_1", commented(asks)),
        received("evt_2", commented(mentions)),
        received("evt_3", commented(said("13", ANA, "SECRET-4 waiting")), state="received"),
        received("evt_4", commented(answers)),
        received("evt_5", PullRequestChanged(issues=("ECD-1",), action="created", pull_request=pull, by=ANA, at=AT)),
        received("evt_6", IssueCreated(text="SECRET-6", reporter=ANA, **about)),
        received("evt_7", IssueChanged(changes=(rewritten,), by=ANA, **about)),
        Put("agent_cycles", cycle("evt_1", "SECRET-8 she asks") | {"calls": [{"model": "m", "cost_usd": 0.1}]}),
        Put("agent_cycles", cycle("evt_4", "Ben answers")),
        Put("drafts", draft("d1", "evt_1", issue(asks), "SECRET-9 it is in review", "10", **posted)),
        Put("drafts", draft("d2", "evt_4", issue(answers), "Hi Ben, Ana has SECRET-10 in review", "11")),
        Put("drafts", draft("d3", "evt_4", issue(answers), "Ben will see to it", "11")),
        Put("development", {**pull.model_dump(mode="json"), "type": "pull_request", "keys": ["ECD-1"]}),
        Put("messages", told),
        Put("state", {"id": "mode", "mode": "production", "by": "U0DANA", "name": "Dana Q", "at": AT.isoformat()}),
        Put("state", {"id": "me", "account_id": "712020:bot", "at": AT.isoformat()}),
        Put("keys", {"id": "slack:U0DANA:click", "at": AT.isoformat()}),
        Put("deliveries", {"id": "jira:comment:10", "at": AT.isoformat(), "event_id": "evt_1"}),
        Put("deliveries", {"id": "slack:delivery:draft:U0DANA:1", "at": AT.isoformat(), "event_id": "evt_1"}),
        audit=[
            Audit("jira:712020:ana-1", "event.accepted", "evt_1", details={"kind": "issue_commented"}),
            Audit("system", "draft.created", "evt_1", "d1", "ECD-1"),
            Audit("slack:U0DANA", "draft.approved", "evt_1", "d1", "ECD-1", {"by": "U0DANA", "version": 2}),
            Audit("slack:U0DANA", "mode.switched"),
        ],
    )  # fmt: skip
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TinyStore]:
    """The same in a folder that a bot has."""
    filled(new_home("folder", tmp_path))
    found = TinyStore.open(tmp_path)
    yield found
    found.close_now()


def erased(home: Home, account: str) -> Erased:
    result = home.data.erase(account)
    assert result is not None
    return result


def test_a_jira_account_leaves_nothing_behind(home: Home) -> None:
    before = home.files()
    assert all(f"SECRET-{n}" in before for n in range(1, 12))
    head = home.records("audit")[-1]["hash"]
    result = erased(home, "jira:712020:ana-1")
    after = home.files()
    for gone in (*(f"SECRET-{n}" for n in range(1, 12)), "Ana", "Ruiz", "712020:ana-1"):
        assert gone not in after, gone
    for kept in (
        "Ben Okafor",
        "712020:ben-2",
        "Tomorrow, I think",
        "Ben will see to it",
        "Ben answers",
        "Dana Q",
        "U0DANA",
    ):
        assert kept in after, kept
    assert verify(home.records("audit"), head).broken_at is None
    assert result.records["drafts"] == len(result.drafts) == 3
    last = [record for record in home.records("audit") if record["action"] == "erase"]
    assert last[0]["details"]["fields"] == {"actor": [[1, 1]]}
    assert len(last) == 1


def test_records_keep_their_shape_and_stories_their_end(home: Home) -> None:
    erased(home, ANA.account_id)
    drafts = {
        record["id"]: Draft.model_validate({k: v for k, v in record.items() if k not in ("at", "issue_key", "open")})
        for record in home.records("drafts")
    }
    assert drafts["d1"].state == DraftState.POSTED
    assert drafts["d1"].text == "[erased]"
    assert drafts["d1"].decision is not None
    assert drafts["d1"].decision.by == "U0DANA"
    assert drafts["d2"].state == DraftState.EXPIRED, "a draft without its wording cannot be approved"
    assert "erased" in drafts["d2"].note
    assert (drafts["d3"].state, drafts["d3"].text) == (DraftState.WAITING, "Ben will see to it")
    assert drafts["d3"].issue.assignee == Person(account_id="erased", name="[erased]")
    assert {draft.version for draft in drafts.values()} == {2}, "whoever holds an old copy cannot write it back"
    events = {record["id"]: record for record in home.records("webhook_events")}
    for record in events.values():
        EVENT.validate_python(record["event"])
    assert (events["evt_3"]["state"], events["evt_4"]["state"]) == ("done", "done")
    (cycle,) = home.records("agent_cycles", event_id="evt_3")
    assert (cycle["outcome"], cycle["reason"]) == ("silence", "erased")
    actions = [record["action"] for record in home.records("audit")][4:]
    assert sorted(actions) == ["cycle.silence", "draft.expired", "erase"]
    (cost,) = home.records("agent_cycles", event_id="evt_1")
    assert (cost["reasoning"], cost["calls"]) == ("[erased]", [{"model": "m", "cost_usd": 0.1}])


def test_a_slack_user_leaves_nothing_behind(home: Home) -> None:
    head = home.records("audit")[-1]["hash"]
    result = erased(home, "U0DANA")
    after = home.files()
    assert "U0DANA" not in after
    assert "Dana" not in after
    assert "SECRET-1 when is it done?" in after, "nothing of others goes"
    assert verify(home.records("audit"), head).broken_at is None
    assert result.records == {"audit": 2, "deliveries": 1, "drafts": 1, "keys": 1, "state": 1}
    blanked = [record for record in home.records("audit") if record.get("erased")]
    assert [(record["actor"], record["details"]) for record in blanked] == [
        ("erased", {"by": "erased", "version": 2}), ("erased", {}),
    ]  # fmt: skip
    (mode,) = home.records("state", id="mode")
    assert (mode["mode"], mode["by"], mode["name"]) == ("production", "erased", "[erased]")


def test_erasing_again_and_going_on(home: Home) -> None:
    erased(home, ANA.account_id)
    assert erased(home, ANA.account_id).records == {}
    erased(home, "U0DANA")
    erased(home, BEN.account_id)
    assert verify(home.records("audit")).broken_at is None
    home.commit(Put("keys", {"id": "new"}), audit=[Audit("system", "x")], expect=[Expect("drafts", "d1", {})])
    assert verify(home.records("audit")).broken_at is None


NAMED = (
    "Ana Ruiz", "ana ruiz", "ANA RUIZ", "Ana  Ruiz", "Ana\u00a0Ruiz", "Ana\u202fRuiz", "Ana\nRuiz", "Ana\r\n  Ruiz",
    "Ruiz, Ana", "RUIZ Ana", "Ruiz,\nAna", "Ana-Ruiz", "ana.ruiz", "ana_ruiz", "AnaRuiz", "@anaruiz2", "Ana\u200bRuiz",
    "**Ana** *Ruiz*", "Ａｎａ Ｒｕｉｚ", "Aná Ruíz", "Ana\u0301 Ruiz", "ana.ruiz@acme.example",
    "<mailto:ruiz.ana@acme.example>",
    "aruiz@acme.example", "ruiza@acme.example", "a.ruiz+jira@acme.example", "anar@acme.example",
    "ana.ruiz7@acme.example",
    "ANA.RUIZ@ACME.EXAMPLE", "(Ruiz, Ana)", "Ana Ruiz's", "[~ana.ruiz]",
)  # fmt: skip
NOT_NAMED = (
    "Diana Ruizio",
    "banana ruizen",
    "Ana is away; the Ruiz account",
    "bruiz@acme.example",
    "anatomy",
    "Run this",
)


@pytest.mark.parametrize("spelling", NAMED)
def test_a_name_is_found_however_it_is_spelled(spelling: str) -> None:
    assert Names(["Ana Ruiz"]).stand_in(f"Please ask {spelling} about it"), spelling
    assert Names(["Ana Ruiz"]).stand_in(spelling)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ana María Ruiz", "Ruiz, Ana Maria"), ("Ana María Ruiz", "Ana Ruiz"), ("Łukasz Żak", "Lukasz Zak"),
        ("Jürgen Müller", "juergen.mueller@x.example"), ("王小明", "请问王小明什么时候来"),
        ("Straße Groß", "STRASSE GROSS"), ("Ana Ruiz (ACME)", "ana ruiz"),
        ("O'Brien, Pat", "pat.obrien@x.example"), ("Иван Петров", "Петров Иван"),
    ],
)  # fmt: skip
def test_names_of_other_kinds(name: str, text: str) -> None:
    assert Names([name]).stand_in(text)


@pytest.mark.parametrize("text", NOT_NAMED)
def test_what_is_another_name(text: str) -> None:
    assert not Names(["Ana Ruiz"]).stand_in(text)


def test_every_spelling_leaves_drafts_and_events(home: Home) -> None:
    """In drafts and comments of others, on whatever issue; also where the bot is asked for it while it runs."""
    elsewhere = issue(said("20", BEN, "no more"), reporter=BEN).model_copy(update={"assignee": None, "changes": ()})
    for number, spelling in enumerate(NAMED):
        home.commit(
            Put(
                "drafts", draft(f"n{number}", f"evt_n{number}", elsewhere, f"Hi Ben, KEPT-OUT {spelling} has it", "20")
            ),
            received(f"evt_n{number}", commented(said(f"3{number}", BEN, f"KEPT-OUT {spelling} knows"))),
        )
    erased(home, ANA.account_id)
    left = [r for t in ("drafts", "webhook_events") for r in home.records(t) if "KEPT-OUT" in json.dumps(r)]
    assert left == []
    assert "no more" in home.files()


WORDS = "the nightly export stops at ten megabytes since Tuesday"


def test_their_words_in_what_others_wrote(home: Home) -> None:
    """A draft that quotes them loses its wording, a comment the quotation; a reason that Claude gave likewise."""
    theirs, quoting = (
        said("40", ANA, f"Hello, {WORDS}. Why?"),
        "As was said: “The nightly export\nstops at *ten megabytes*",
    )
    answers = issue(said("41", BEN, f"{quoting}, since Tuesday”, and I see it too"), reporter=BEN)
    answers = answers.model_copy(update={"assignee": None, "changes": ()})
    other, reply = answers.model_copy(update={"key": "ECD-9"}), f"Hi Ben, {WORDS}: that is being looked at"
    home.commit(
        received("evt_40", commented(theirs)),
        received("evt_41", commented(answers.comments[0])),
        Put("drafts", draft("q1", "evt_41", answers, reply, "41")),
        Put("drafts", draft("q2", "evt_9", other, f"Elsewhere: {WORDS}", "41") | {"issue_key": "ECD-9"}),
        Put("agent_cycles", cycle("evt_41", f"Ben repeats that {WORDS}")),
        Put("messages", {"id": "failed:x", "at": AT.isoformat(), "text": "No draft", "blocks": [
            {"text": f"ECD-1: {WORDS}"}], "ts": "1", "version": 1, "shown": 1, "pending": False}),
        audit=[Audit("system", "draft.created", "evt_41", "q1", "ECD-1", {"sha256": text_sha256(reply)})],
    )  # fmt: skip
    result = erased(home, ANA.account_id)
    (q1,) = home.records("drafts", id="q1")
    assert (q1["revisions"][0]["text"], q1["state"]) == ("[erased]", "expired")
    assert q1["issue"]["comments"][0]["text"] == "As was said: “[erased]”, and I see it too"
    (event,) = home.records("webhook_events", id="evt_41")
    assert event["event"]["comment"]["text"] == "As was said: “[erased]”, and I see it too"
    (told,) = home.records("agent_cycles", id="c-evt_41")
    assert told["reasoning"] == "Ben repeats that [erased]"
    assert WORDS not in json.dumps(home.records("messages"))
    assert "drafts/q2" in result.words, "on an issue on which they did not write a person decides"
    line = next(r for r in home.records("audit") if r["draft_id"] == "q1" and r["action"] == "draft.created")
    assert line["details"]["sha256"] == "erased", "nobody can try words against it"
    assert verify(home.records("audit")).broken_at is None


def test_what_they_quoted_stays_the_others(home: Home) -> None:
    first = "could somebody please look at the report of last night"
    home.commit(
        received("evt_50", commented(said("50", BEN, first))),
        received(
            "evt_51", commented(said("51", ANA, f"> {first}\n\nI will do that today, right after lunch, promised"))
        ),
    )
    erased(home, ANA.account_id)
    assert first in home.files()
    assert "right after lunch" not in home.files()


def test_a_first_name_alone_goes_where_they_wrote_and_is_named_elsewhere(home: Home) -> None:
    about = issue(said("60", BEN, "Is it done?"), reporter=BEN).model_copy(update={"assignee": None, "changes": ()})
    other = about.model_copy(update={"key": "ECD-9"})
    home.commit(
        Put("agent_cycles", cycle("evt_60", "Ben asks what Ana said")),
        Put("agent_cycles", cycle("evt_61", "Ben asks about Ana there") | {"issue": "ECD-9"}),
        Put("drafts", draft("f1", "evt_61", other, "Write to ana@acme.example", "60") | {"issue_key": "ECD-9"}),
    )
    result = erased(home, ANA.account_id)
    (here,) = home.records("agent_cycles", id="c-evt_60")
    assert here["reasoning"] == "[erased]"
    (there,) = home.records("agent_cycles", id="c-evt_61")
    assert there["reasoning"] == "Ben asks about Ana there"
    assert result.parts == ["agent_cycles/c-evt_61", "drafts/f1"]
    assert result.names == 1


def test_a_nickname_and_an_address_that_only_people_know(home: Home) -> None:
    home.commit(Put("agent_cycles", cycle("evt_70", "Anita R. asked") | {"issue": "ECD-9"}))
    home.commit(Put("agent_cycles", cycle("evt_71", "from xyz77@acme.example") | {"issue": "ECD-9"}))
    assert home.data.erase(ANA.account_id, ["anita r", "xyz77@acme.example"]) is not None
    assert [home.records("agent_cycles", id=f"c-evt_{n}")[0]["reasoning"] for n in (70, 71)] == ["[erased]"] * 2
    with pytest.raises(UserError, match="too short"):
        other_names(["Anita", "A."])


def test_an_approvers_edit_goes_and_claudes_wording_stays(home: Home) -> None:
    long = "It is in review now and will be merged on Thursday at the latest"
    about = issue(said("80", BEN, "And now?"), reporter=BEN).model_copy(update={"assignee": None, "changes": ()})
    made = draft("e1", "evt_80", about, long, "80")
    made["revisions"].append(
        {"text": f"{long}. I promise this by my own honour, friends", "by": "slack:U0DANA", "at": AT.isoformat()}
    )
    home.commit(Put("drafts", made))
    erased(home, "U0DANA")
    (left,) = home.records("drafts", id="e1")
    assert [wording["text"] for wording in left["revisions"]] == [long, "[erased]"]


def test_a_reader_is_waited_for(store: TinyStore) -> None:
    """An old page that somebody still reads stays in the log; the command is not done before it has gone."""
    home = Home(store.folder)
    reading = opened(store.folder)
    reading.connection.execute("BEGIN")
    assert len(list(reading.of("drafts").find())) == 3
    with pytest.raises(UserError, match="somebody has been reading"):
        erase_now(store, ANA.account_id, timeout=0.3)
    assert "SECRET-1" in home.files()
    threading.Timer(0.5, reading.close).start()
    assert erase_now(store, ANA.account_id, timeout=20).records == {}, "they were changed the first time"
    assert "SECRET-1" not in home.files()


@pytest.mark.parametrize("theirs", ["an export", "another program's look at another table"])
def test_whoever_reads_the_database_is_waited_for(theirs: str, tmp_path: Path) -> None:
    """As long as somebody may still see the old versions of rows, they are in the files."""
    home = filled(new_home("database", tmp_path))
    address = DatabaseAddress(home.url)
    with ExitStack() as reading:
        if theirs == "an export":
            snapshot = reading.enter_context(home.data.snapshot())
            assert len(list(snapshot.find("drafts"))) == 3
        else:
            other = reading.enter_context(psycopg.connect(home.url))
            other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            other.execute("SELECT * FROM pg_class")
        with pytest.raises(UserError, match="somebody has been reading"):
            erase_database(address, ANA.account_id, timeout=0.3)
        assert "SECRET-1" in home.files()
        threading.Timer(0.5, reading.close).start()
        again = erase_database(address, ANA.account_id, timeout=20)
        assert again is not None
        assert again.records == {}, "they were changed the first time"
    assert "SECRET-1" not in home.files()


async def test_bots_go_on_while_a_person_is_erased_from_the_database(tmp_path: Path) -> None:
    home = await asyncio.to_thread(filled, new_home("database", tmp_path))
    bots = [await PostgresStore.open(home.url) for _ in range(2)]
    written = 0
    erasing = asyncio.create_task(asyncio.to_thread(erased, home, ANA.account_id))
    while not erasing.done():
        for bot in bots:
            await bot.commit(Put("keys", {"id": f"live{written}"}), audit=[Audit("system", "live")])
            assert len(await bot.find("drafts")) == 3
            written += 1
        await asyncio.sleep(0)
    assert (await erasing).records["drafts"] == 3
    trail = await bots[0].find("audit")
    assert sum(line["action"] == "live" for line in trail) == written > 0
    assert verify(trail).broken_at is None
    jobs = [job["id"] for job in await bots[0].find("jobs")]
    messages = [record["id"] for record in await bots[0].find("messages", pending=True)]
    assert jobs == ["card:d1", "card:d2", "card:d3", *(f"message:{key}" for key in messages)]
    for bot in bots:
        await bot.close()


@pytest.mark.parametrize("text", ["", "a", "Ana Ruiz", "../x", "slack:", "ab\ncd", "*"])
def test_what_is_no_account(text: str) -> None:
    with pytest.raises(UserError, match="neither"):
        account_id(text)


def test_what_is_an_account() -> None:
    for text in (
        "U0ANA",
        "slack:U0ANA",
        "W12",
        "jira:557058:f58131cb-b67d-43c7-b30d-6b58d40bd077",
        "5b10ac8d82e05b22cc7d4ef5",
    ):
        assert account_id(text) == text.removeprefix("slack:").removeprefix("jira:")


async def test_the_running_bot_does_it_and_draws_cards_and_messages_anew(store: TinyStore) -> None:
    serving = asyncio.create_task(serve_requests(store, store.folder, pause=0.01))
    result = await asyncio.to_thread(ask_running_bot, store.folder, ANA.account_id)
    assert result.records["drafts"] == 3
    (store.folder / "requests" / "bad.json").write_text("{")
    while list((store.folder / "requests").iterdir()):  # noqa: ASYNC110 - a file appears or goes, nothing to await
        await asyncio.sleep(0.01)
    jobs = [job["id"] for job in await store.find("jobs")]
    assert jobs[:3] == ["card:d1", "card:d2", "card:d3"]
    pending = [record["id"] for record in await store.find("messages", pending=True)]
    assert pending
    assert jobs[3:] == [f"message:{key}" for key in pending]
    assert serving.done() is False
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    with pytest.raises(UserError, match="did not answer"):
        await asyncio.to_thread(ask_running_bot, store.folder, "U0DANA", timeout=0.2)
    assert json.dumps("U0DANA") not in "".join(p.read_text() for p in (store.folder / "requests").iterdir())


def learned(name: str, **more: Any) -> Put:
    record = {
        "id": name, "at": AT.isoformat(), "event_id": f"e-{name}", "issue": "ECD-9", "project": "ECD",
        "audience": "public", "place": "ECD|public", "desk": False, "prompt": "p", "by": "slack:U0OLGA",
        "asked_by": BEN.account_id, "people": [], "asked": "When?", "wrote": "Soon.", "made": "Not yet.",
    }  # fmt: skip
    return Put("corrections", {**record, **more})


@pytest.mark.parametrize(("account", "gone"), [(ANA.account_id, {"a", "b", "c", "d", "e"}), ("U0DANA", {"f"})])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learned_from_an_erased_person(kind: Any, tmp_path: Path, account: str, gone: set[str]) -> None:
    home = filled(new_home(kind, tmp_path))
    home.commit(
        learned("a", asked_by=ANA.account_id), learned("b", event_id="evt_1"),
        learned("c", made="Ana Ruiz has it"), learned("d", people=[ANA.account_id], wrote="Ana has it"),
        learned("e", issue="ECD-1", asked="Ana, when?"), learned("f", by="slack:U0DANA"),
        learned("g", people=[ANA.account_id]), learned("h"),
    )  # fmt: skip
    result = erased(home, account)
    assert {record["id"] for record in home.records("corrections")} == set("abcdefgh") - gone
    assert result.records["corrections"] == len(gone)
    assert verify(home.records("audit")).broken_at is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("ECD-2", "It is late.\nNora Ek has it."),
        ("ECD-2", "Ask Nora\nEk."),
        ("ECD-1", "She said:\nthe third node is never\nrestarted on Sundays"),
    ],
)
def test_what_claude_was_shown_is_searched_as_it_was_written(key: str, text: str) -> None:
    """It is kept as JSON, in which a line break is a sign with a letter, and no end of a word to a search."""
    nora = {"account_id": "5c:nora", "name": "Nora Ek"}
    wrote = {
        "id": "evt_1", "issue": "ECD-1",
        "event": {"comment": {"author": nora, "text": "I say that the third node is never restarted on Sundays."}},
    }  # fmt: skip
    shown = f"Task: reply\n\n{block({'comments': [{'author': 'Ben', 'text': text}]})}"
    cycle = {"id": "cyc_2", "event_id": "evt_2", "issue": key, "calls": [{"purpose": "reply", "shown": shown}]}
    person = ErasedPerson.known_from("5c:nora", [("webhook_events", wrote), ("agent_cycles", cycle)])
    after = scrub(person, "agent_cycles", cycle)
    assert after is not None
    left = after["calls"][0]["shown"]
    assert not any(words in left for words in ("Nora", "Ek.", "third node", "Sundays")), left
