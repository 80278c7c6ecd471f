"""Missed deliveries: what was said in Jira and done in Bitbucket while the program was away is made up for, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.clock import SystemClock
from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA, Message
from bot.demo.stage import Stage
from bot.demo.wire import PATIENCE, Fault
from bot.errors import RetryLater
from bot.store import Put, Record, Table
from bot.store.embedded.store import TinyStore
from bot.store.opening import data_at
from bot.workflow import health
from bot.workflow.reconciling.jira import last_checkpoint, reconcile
from tests.acceptance.test_main_path import YES
from tests.acceptance.test_what_claude_is_shown import shown
from tests.acceptance.test_workflow_faults import Program
from tests.model.reins import SPEED

SEARCH = r"POST .*/search/jql"
QUESTION = "Ana, is anybody looking at this?"
Rows = list[Record]


async def records(stage: Stage, table: Table) -> Rows:
    """What the store holds at this moment, whether the program runs or not."""
    with data_at(stage.data, None).snapshot() as snapshot:
        return list(snapshot.find(table))


async def away(stage: Stage, hours: float) -> None:
    """As if the program had last asked so long ago and was not running since; from here on webhooks are lost."""
    stage.jira.losing = stage.bitbucket.losing = True
    store = TinyStore.open(stage.data, clock=SystemClock())
    at = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    await store.commit(Put("state", {"id": "reconcile", "at": at, "since": at, "version": 1}))
    await store.close()


async def days_pass(stage: Stage, by: timedelta) -> None:
    """The program is not running: its first start, its last checkpoint and its events become so much older."""
    store = TinyStore.open(stage.data, clock=SystemClock())
    for table, names in (("state", ("at", "since", "floor")), ("webhook_events", ("at",))):
        for record in await store.find(table):  # type: ignore[arg-type]  # a table's name
            if table == "webhook_events" or record["id"] == "reconcile":
                older = {name: (datetime.fromisoformat(record[name]) - by).isoformat() for name in names}
                await store.commit(Put(table, {**record, **older}))  # type: ignore[arg-type]  # a table's name
    await store.close()


async def checkpointed(stage: Stage) -> None:
    """The program has recorded where it begins."""
    await until(stage, lambda: has_sighting(stage))


async def has_sighting(stage: Stage) -> bool:
    return any(record["id"] == "reconcile" for record in await records(stage, "state"))


async def until(stage: Stage, look: Callable[[], Awaitable[Any]], seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds * PATIENCE
    while not (found := await look()):
        assert time.monotonic() < end, f"waited in vain:\n{stage.log[-3000:]}"
        await asyncio.sleep(0.1)
    return found


async def runs(stage: Stage, number: int = 1, service: str = "jira") -> Rows:
    """The audit records of complete runs, once there are so many."""

    async def look() -> Rows | None:
        done = [a for a in await records(stage, "audit") if a["action"] == "reconcile.done"]
        done = [a for a in done if a["details"]["service"] == service]
        return done if len(done) >= number else None

    found: Rows = await until(stage, look)
    return found


async def events(stage: Stage) -> Rows:
    return await records(stage, "webhook_events")


def ago(**span: float) -> datetime:
    at = datetime.now(UTC) - timedelta(**span)
    return at.replace(microsecond=0)


def missed(stage: Stage) -> list[Message]:
    return [m for m in stage.slack.log if "PM Agent was away" in m.text]


async def test_a_comment_made_while_the_program_was_down_gets_its_card(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await away(stage, hours=3)
    await stage.jira.comment("ECD-1", "ben", QUESTION, at=ago(hours=2))
    stage.claude.script(YES)
    await stage.start_bot()
    card = await stage.slack.card("ECD-1")
    assert "is anybody looking at this?" in card.words
    [run] = await runs(stage)
    assert run["details"]["found"] == 1
    [event] = await events(stage)
    assert (event["source"], event["kind"], event["state"]) == ("reconcile", "issue_commented", "done")
    [accepted] = [a for a in await records(stage, "audit") if a["action"] == "event.accepted"]
    assert accepted["actor"] == f"jira:{stage.jira.account('ben').account_id}"
    assert accepted["details"]["source"] == "reconcile"
    code, out = await stage.run("stats", "--json")
    assert (code, json.loads(out)["events"]) == (0, 1)
    await stage.slack.command(DANA, "/pmagent", "why ECD-1")
    await stage.slack.whispered(DANA, "reconcile")
    await stage.slack.command(DANA, "/pmagent", "health")
    assert "1 had been missed" in (await stage.slack.whispered(DANA, "Jira last asked")).words

    # Its webhook comes after all, and again, and the program is started once more: it stays one draft.
    [delivery] = await stage.jira.redeliver()
    assert (delivery.status, delivery.answer["status"], delivery.event_id) == (200, "duplicate", event["id"])
    await stage.stop_bot(signal.SIGKILL)
    await stage.start_bot()
    await runs(stage, 2)
    assert len(await events(stage)) == 1
    assert len(await stage.slack.cards()) == 1


async def test_a_question_written_into_a_description_while_the_program_was_down(stage: Stage) -> None:
    stage.jira.issue("ECD-1", description="It is slow.", assignee="ana", reporter="ben", at=ago(days=2))
    await away(stage, hours=3)
    await stage.jira.change("ECD-1", "description", "It is slow. *Who* has it?", by="elif", at=ago(hours=1))
    await stage.jira.change("ECD-1", "labels", ["slow"])
    stage.claude.script(YES)
    await stage.start_bot()
    card = await stage.slack.card("ECD-1")
    assert "Elif Kaya" in card.words
    assert shown(stage, "ECD-1")["to_answer"]["added"] == "**Who** has it?"
    late, _ = await stage.jira.redeliver()
    assert late.answer["status"] == "duplicate"
    await stage.stop_bot()
    await stage.start_bot()
    await runs(stage, 2)
    assert [(e["kind"], e["source"], e["state"]) for e in await events(stage) if e["reason"] == "draft"] == [
        ("issue_changed", "reconcile", "done"),
    ]  # fmt: skip
    assert len(await stage.slack.cards()) == 1


async def test_words_that_webhook_and_rest_tell_differently_are_one_comment(stage: Stage) -> None:
    """Wiki markup and ADF need not agree in every word: id and version decide."""
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await away(stage, hours=3)
    first = await stage.jira.comment(
        "ECD-1", "ben", "Who has {color:red}this{color}? !shot.png|width=300!", at=ago(hours=2)
    )
    assert first
    stage.claude.script(YES)
    await stage.start_bot()
    await stage.slack.card("ECD-1")
    [late] = await stage.jira.redeliver()
    assert late.answer["status"] == "duplicate"
    stage.claude.script(YES)
    await stage.jira.comment("ECD-1", "ben", "And {color:red}now{color}? !shot.png|width=300!")
    await stage.slack.card("ECD-1", shows="now")
    await stage.stop_bot(signal.SIGKILL)
    await stage.start_bot()
    await runs(stage, 2)
    assert [e["source"] for e in await events(stage)] == ["reconcile", "jira"]


async def test_a_first_start_asks_nothing_about_the_past(stage: Stage) -> None:
    stage.jira.issue("ECD-1", "When does it end?", reporter="ben")
    stage.jira.write("ECD-1", "ben", QUESTION, at=ago(minutes=5))
    await stage.start_bot()
    await checkpointed(stage)
    assert not stage.jira.calls(SEARCH)
    assert await events(stage) == []


async def test_restarts_owe_nothing_from_before_the_first_start(stage: Stage) -> None:
    """What is asked for overlaps with what was seen by half an hour; what was before the first start is not owed."""
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    stage.jira.losing = True
    for minutes in (25, 10, 1):
        await stage.jira.comment("ECD-1", "ben", f"{QUESTION} {minutes}", at=ago(minutes=minutes))
    stage.jira.issue("ECD-2", reporter="ben", summary="Where is the export?", at=ago(minutes=5))
    await stage.start_bot()
    await checkpointed(stage)
    await stage.stop_bot()
    await stage.start_bot()
    await runs(stage)
    assert await events(stage) == []

    # What comes after it is owed, and the runs after the next one still know where it all began.
    await stage.stop_bot(signal.SIGKILL)
    await stage.jira.comment("ECD-1", "ben", "And now?")
    stage.claude.script(YES)
    await stage.start_bot()
    assert "And now?" in (await stage.slack.card("ECD-1")).words
    await runs(stage, 2)
    await stage.stop_bot()
    await stage.start_bot()
    await runs(stage, 3)
    assert [e["event"]["comment"]["text"] for e in await events(stage)] == ["And now?"]
    assert not missed(stage)


async def test_an_edit_and_a_new_issue_that_were_missed(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await stage.start_bot(JIRA_PROJECTS="ECD")
    await checkpointed(stage)
    first = await stage.jira.comment("ECD-1", "ben", "Thanks everybody")
    await until(stage, lambda: records(stage, "agent_cycles"))
    await stage.stop_bot(signal.SIGKILL)
    await days_pass(stage, timedelta(hours=3))
    stage.jira.losing = True
    await stage.jira.edit_comment("ECD-1", first.id, "Thanks everybody. When is it out?")
    await stage.jira.create("ECD-2", "Where do exports go?", reporter="elif", at=ago(hours=1))
    await stage.jira.create("ECD-3", "Colours of the report", reporter="elif", at=ago(hours=1))
    await stage.jira.create("ECD-4", "Do I ask?", reporter="agent", at=ago(hours=1))
    await stage.jira.create("OPS-1", "Whose is this?", reporter="elif", at=ago(hours=1))
    await stage.jira.comment("OPS-1", "elif", QUESTION)
    stage.claude.script(YES, YES)
    await stage.start_bot(JIRA_PROJECTS="ECD")
    await stage.slack.card("ECD-1", shows="When is it out?")
    await stage.slack.card("ECD-2")
    await runs(stage)
    found = [(e["source"], e["kind"], e["issue"]) for e in await events(stage)]
    assert sorted(found) == [
        ("jira", "issue_commented", "ECD-1"),
        ("reconcile", "issue_commented", "ECD-1"),
        ("reconcile", "issue_created", "ECD-2"),
    ]
    assert {d.answer["status"] for d in await stage.jira.redeliver()} == {"duplicate", "accepted", "ignored"}
    searches = [jql for c in stage.jira.calls(SEARCH) if "updated >=" in (jql := str(c.request["jql"]))]
    assert searches
    assert all('project in ("ECD")' in jql for jql in searches)


async def test_what_is_older_than_a_day_is_listed_once_and_not_answered(stage: Stage) -> None:
    for number in range(1, 4):
        stage.jira.issue(f"ECD-{number}", status="In Progress", assignee="ana", reporter="ben", at=ago(days=9))
    await away(stage, hours=72)
    for number in range(30):
        key = f"ECD-{number % 3 + 1}"
        await stage.jira.comment(key, "ben", f"Question {number}? <!channel> <@U0DANA0001>", at=ago(hours=60 - number))
    stage.jira.write("ECD-1", "robot", "Build 7 failed?", at=ago(hours=26))
    ours = stage.jira.write("ECD-2", "elif", "An old reply of ours", at=ago(hours=27))
    ours.properties["pm-agent"] = {"draft_id": "drf_x"}
    stage.jira.write("ECD-2", "agent", "Another reply of ours", at=ago(hours=27))
    await stage.start_bot()
    [run] = await runs(stage)
    assert run["details"]["late"] == 30
    listed = (await stage.slack.until(lambda: missed(stage), what="for the list"))[0]
    assert listed.words.startswith("30 comments")
    assert "/pmagent draft KEY" in listed.words
    assert "and 10 more" in listed.words
    assert "Ben Okafor" in listed.words
    assert "Question 29? <!channel> <@U0DANA0001>" in listed.words  # as text: nothing in it pings anybody
    assert (listed.unfurl_links, listed.unfurl_media) == (False, False)
    newest = stage.jira.comments("ECD-3")[-1]
    assert f"{stage.jira.base}/browse/ECD-3?focusedCommentId={newest.id}" in listed.links
    assert not stage.claude.requests
    assert "Build 7" not in listed.words
    cycles = await records(stage, "agent_cycles")
    assert {c["outcome"] for c in cycles} == {"silence"}
    assert sorted({c["reason"] for c in cycles}) == [
        "missed while the bot was away, older than 24 hours",
        "written by an app",
    ]
    assert len(await events(stage)) == len(cycles) == 31
    await stage.stop_bot(signal.SIGKILL)
    await stage.start_bot()
    await runs(stage, 2)
    assert len(missed(stage)) == 1
    assert len(await events(stage)) == 31
    # The way that the message names.
    stage.claude.script(YES)
    await stage.slack.command(DANA, "/pmagent", "draft ECD-3")
    await stage.slack.card("ECD-3")


async def test_killed_at_every_place_of_a_run(stage: Stage) -> None:
    for number in (1, 2):
        stage.jira.issue(f"ECD-{number}", status="In Progress", assignee="ana", reporter="ben", at=ago(days=9))
    await away(stage, hours=72)
    await stage.jira.comment("ECD-1", "ben", "An old question?", at=ago(hours=50))
    await stage.jira.comment("ECD-1", "elif", "Another old question?", at=ago(hours=49))
    await stage.jira.comment("ECD-2", "ben", QUESTION, at=ago(hours=2))
    stage.claude.script(YES)
    for place in ("after_event", "after_event", "after_page", "before_done", "after_done"):
        with contextlib.suppress(BotFailed):  # it may end before it is ready
            await stage.start_bot(PMAGENT_FAILPOINT=f"reconcile.{place}")
        assert await stage.ended() == -9, place
    await stage.start_bot()
    await stage.slack.card("ECD-2")
    listed = (await stage.slack.until(lambda: missed(stage), what="for the list"))[0]
    assert listed.words.startswith("2 comments")
    assert ": “An old question?”" in listed.words
    assert ": “Another old question?”" in listed.words
    await runs(stage, 2)
    assert len(missed(stage)) == len(await stage.slack.cards()) == 1
    assert sorted(str(e["issue"]) for e in await events(stage)) == ["ECD-1", "ECD-1", "ECD-2"]
    code, out = await stage.run("audit", "verify")
    assert (code, out.split()[0]) == (0, "ok")


@pytest.mark.usefixtures("reins")
async def test_jira_is_down_at_the_start(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await away(stage, hours=3)
    await stage.jira.comment("ECD-1", "ben", QUESTION, at=ago(hours=2))
    told_when = {"Retry-After": "4"}
    stage.jira.fail(SEARCH, Fault("answer", 503, headers=told_when), Fault("drop"))
    stage.claude.script(YES)
    await stage.start_bot()
    await stage.jira.until(lambda: "reconcile.waits" in stage.log, what="for the first search")
    await stage.slack.command(DANA, "/pmagent", "health")
    told = await stage.slack.whispered(DANA, "Jira was not asked yet")
    assert "503" in told.words
    await stage.slack.card("ECD-1")
    calls = stage.jira.calls(SEARCH)
    assert [calls[0].status, calls[2].status] == [503, 200]
    assert (calls[1].at - calls[0].at).total_seconds() * SPEED >= 4.0
    [run] = await runs(stage)
    assert run["details"]["found"] == 1
    await stage.slack.command(DANA, "/pmagent", "health")
    await stage.slack.whispered(DANA, "Jira last asked")


async def test_more_than_a_page_of_issues_and_of_comments(stage: Stage) -> None:
    for number in range(1, 121):
        stage.jira.issue(f"ECD-{number}", status="Done", reporter="ben", at=ago(days=9))
    thread = [stage.jira.write("ECD-7", "ben", f"Old {n}", at=ago(days=8, seconds=-n)) for n in range(230)]
    await away(stage, hours=72)
    for number in range(1, 121):
        await stage.jira.change(f"ECD-{number}", "priority", "High", at=ago(hours=30, seconds=-number))
    for number in range(118):
        stage.jira.write("ECD-7", "robot", f"Build {number}", at=ago(hours=40, seconds=-number))
    stage.jira.write("ECD-7", "elif", "Below 118 builds?", at=ago(hours=41))
    await stage.jira.edit_comment("ECD-7", thread[3].id, "Old 3, and is it known?", at=ago(hours=29))
    for key in ("ECD-1", "ECD-50", "ECD-51", "ECD-120"):
        stage.jira.write(key, "elif", f"What of {key}?", at=ago(hours=30))
    await stage.start_bot()
    [run] = await runs(stage)
    assert run["details"]["late"] == 6
    assert run["details"]["issues"] == 120
    assert len(stage.jira.calls(SEARCH)) == 3
    found = [e["event"]["comment"]["text"] for e in await events(stage)]
    texts = [text for text in found if not text.startswith("Build")]
    # By the issues' last changes, and oldest first within each.
    asked = [f"What of {key}?" for key in ("ECD-1", "ECD-50", "ECD-51", "ECD-120")]
    assert texts == [*asked, "Below 118 builds?", "Old 3, and is it known?"]


async def test_what_a_webhook_brought_days_ago_does_not_come_again(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await stage.start_bot()
    await checkpointed(stage)
    stage.claude.script(YES)
    await stage.jira.comment("ECD-1", "ben", QUESTION, at=ago(days=5))
    await stage.slack.card("ECD-1")
    await stage.stop_bot(signal.SIGKILL)
    await days_pass(stage, timedelta(days=6))
    await stage.start_bot()
    [run] = await runs(stage)
    assert run["details"]["known"] == 1
    assert len(await events(stage)) == 1
    assert not missed(stage)


async def test_an_older_comment_does_not_retire_the_draft_that_had_it_in_view(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await away(stage, hours=3)
    await stage.jira.comment("ECD-1", "ben", "When is it done?", at=ago(hours=2))
    stage.jira.losing = False
    stage.jira.fail(SEARCH, Fault("answer", 503, headers={"Retry-After": "3"}))
    stage.claude.script(YES)
    await stage.start_bot()
    await stage.jira.comment("ECD-1", "elif", "And who reviews it?")
    card = await stage.slack.card("ECD-1")
    await runs(stage)
    await until(stage, lambda: all_done(stage))
    assert [e["reason"] for e in await events(stage)] == ["draft", "a newer comment has a draft"]
    assert "Approve" in card.buttons
    assert len(await stage.slack.cards()) == 1


async def all_done(stage: Stage) -> bool:
    found = await events(stage)
    return len(found) == 2 and all(e["state"] == "done" for e in found)


async def test_jiras_late_index_and_a_project_that_is_not_there(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await away(stage, hours=3)
    await stage.jira.comment("ECD-1", "ben", QUESTION)
    stage.jira.unindexed = {"ECD-1"}
    await stage.start_bot(JIRA_PROJECTS="ECD,NOPE")
    [run] = await runs(stage)
    assert "found" not in run["details"]
    await stage.slack.command(DANA, "/pmagent", "health")
    assert "'NOPE' does not exist" in (await stage.slack.whispered(DANA, "Jira last asked")).words
    await stage.stop_bot(signal.SIGKILL)
    stage.jira.unindexed = set()
    stage.claude.script(YES)
    await stage.start_bot(JIRA_PROJECTS="ECD,NOPE")
    await stage.slack.card("ECD-1")


def two_long_threads(stage: Stage, *, issues: int) -> None:
    """So many issues, each with a question of 30 hours ago; the first two have more comments than a search tells."""
    for number in range(1, issues + 1):
        key = f"ECD-{number}"
        stage.jira.issue(key, reporter="ben", at=ago(days=9))
        for old in range(25 if number < 3 else 0):
            stage.jira.write(key, "ben", f"Old {old}", at=ago(days=8))
        stage.jira.write(key, "ben", QUESTION, at=ago(hours=30, seconds=-number))


@contextlib.asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Program]:
    program = Program(stage)
    await program.start()
    try:
        yield program
    finally:
        await program.close()
        await program.ctx.store.close()


async def fails(program: Program, *, times: int, every: timedelta) -> None:
    """So many runs that are to be tried again, one in each span."""
    for _ in range(times):
        with pytest.raises(RetryLater):
            await reconcile(program.ctx)
        program.clock.ahead += every


async def counts(program: Program, *names: str) -> list[int]:
    """What a complete run counted."""
    await reconcile(program.ctx)
    checkpoint = await last_checkpoint(program.ctx)
    assert checkpoint is not None
    return [checkpoint.done_counts[name] for name in names]


async def test_one_issue_that_cannot_be_read_does_not_keep_the_others_waiting_for_ever(stage: Stage) -> None:
    two_long_threads(stage, issues=4)
    await away(stage, hours=72)
    gone, silent = (r"GET .*/issue/ECD-1/comment\?", r"GET .*/issue/ECD-2/comment\?")
    words = {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}
    stage.jira.fail(gone, *(Fault("answer", 404, body=words) for _ in range(9)))
    stage.jira.fail(silent, *(Fault("answer", 500) for _ in range(9)))
    async with running(stage) as program:
        await fails(program, times=2, every=timedelta(minutes=40))
        program.clock.ahead += timedelta(minutes=1)
        assert await counts(program, "gone", "late") == [1, 2], "each counted once"
        [late] = await program.ctx.store.find("webhook_events", issue="ECD-4")
        assert late["source"] == "reconcile"
        [line] = [h for h in await health(program.ctx) if h.name == "reconcile"]
        assert (line.ok, "1 issue could not be read" in line.text) == (False, True)


async def test_several_issues_that_cannot_be_read_do_not_begin_each_others_hour_anew(stage: Stage) -> None:
    two_long_threads(stage, issues=3)
    await away(stage, hours=72)
    for number in (1, 2):
        stage.jira.fail(rf"GET .*/issue/ECD-{number}/comment\?", *(Fault("answer", 500) for _ in range(20)))
    async with running(stage) as program:
        await fails(program, times=4, every=timedelta(minutes=31))
        assert await counts(program, "unreadable", "late") == [2, 1]


async def test_while_paused_what_was_missed_waits_too(stage: Stage) -> None:
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await stage.start_bot()
    await checkpointed(stage)
    await stage.slack.command(DANA, "/pmagent", "pause")
    await stage.slack.whispered(DANA, "")
    await stage.stop_bot(signal.SIGKILL)
    stage.jira.losing = True
    await stage.jira.comment("ECD-1", "ben", QUESTION)
    await stage.start_bot()
    await runs(stage)
    assert [e["state"] for e in await events(stage)] == ["received"]
    stage.claude.script(YES)
    await stage.slack.command(DANA, "/pmagent", "resume")
    await stage.slack.card("ECD-1")


async def test_what_happened_in_bitbucket_while_the_program_was_down(stage: Stage) -> None:
    """Merged, declined, approved and opened without a webhook: noticed once, as context, and only what differs."""
    token = {"BITBUCKET_TOKEN": stage.bitbucket.token, "JIRA_PROJECTS": "ECD"}
    await stage.start_bot(**token)
    merged, same, reviewed, declined = [await stage.bitbucket.open(f"ECD-{n} Export") for n in range(1, 5)]
    await until(stage, lambda: settled_events(stage, 4))
    await stage.stop_bot(signal.SIGKILL)
    stage.bitbucket.losing = True
    await stage.bitbucket.merge(merged)
    await stage.bitbucket.approve(reviewed, "chen")
    declined.state = "DECLINED"
    await stage.bitbucket.open("ECD-5 Columns")
    await stage.bitbucket.open("Somebody else's work")
    for number in range(60):
        stage.bitbucket.pull_request(f"Another {number}", repo="elsewhere")
    known = [e["id"] for e in await events(stage)]
    stage.bitbucket.fail(r"GET .*/pullrequests\?", Fault("answer", 503))
    with contextlib.suppress(BotFailed):
        await stage.start_bot(**token, PMAGENT_FAILPOINT="reconcile.after_pull_request")
    assert await stage.ended() == -9
    await stage.start_bot(**token)
    run = (await runs(stage, service="bitbucket", number=2))[-1]
    await until(stage, lambda: settled_events(stage, 8))
    new = [e for e in await events(stage) if e["id"] not in known]
    found = {(e["event"]["pull_request"]["number"], e["event"]["action"]) for e in new}
    assert found == {(1, "fulfilled"), (3, "updated"), (4, "rejected"), (5, "created")}
    assert {(e["source"], e["reason"]) for e in new} == {("reconcile", "context")}
    development = {r["number"]: r for r in await records(stage, "development")}
    assert [development[n]["state"] for n in range(1, 6)] == ["MERGED", "OPEN", "OPEN", "DECLINED", "OPEN"]
    assert development[3]["approved_by"] == ["Chen Wei"]
    assert development[5]["keys"] == ["ECD-5"]
    assert not stage.bitbucket.calls("/acme/elsewhere/")
    await stage.slack.command(DANA, "/pmagent", "health")
    await stage.slack.whispered(DANA, "Bitbucket last asked")
    await stage.stop_bot(signal.SIGKILL)
    await stage.start_bot(**token)
    await runs(stage, service="bitbucket", number=3)
    assert len(await events(stage)) == 8
    assert same.state == "OPEN"
    assert run["details"]["repositories"] == 1


async def settled_events(stage: Stage, number: int) -> bool:
    found = await events(stage)
    return len(found) == number and all(e["state"] == "done" for e in found)
