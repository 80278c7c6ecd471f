"""A channel is told nothing that its readers may not see, nor Claude for a customer (fault 63).

Every text that may not get out holds a canary; what the program sent to Slack, and to Claude, is searched for it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot.demo.jira.world import JiraIssue
from bot.demo.slack.people import DANA, SAM
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_freshness import TOKEN, rule_asks
from tests.acceptance.test_main_path import YES, ask, exported
from tests.acceptance.test_publishing import POST
from tests.acceptance.test_reconcile import ago, away, missed, runs
from tests.acceptance.test_workflow_faults import Program

CANARY = "canary"
STAFF = {"type": "role", "value": "Administrators"}
HIDDEN = "a comment that not everybody may see"


def told(stage: Stage, since: int = 0) -> str:
    """Everything that the program has sent to Slack and to Claude, and every answer that it gave there."""
    sent: list[Any] = [(e.request, e.response) for e in list(stage.slack.exchanges)[since:]]
    return json.dumps([sent, stage.claude.requests], default=str).casefold()


def secret_issue(stage: Stage, key: str, **details: Any) -> JiraIssue:
    """An issue whose every word is a canary."""
    words: dict[str, Any] = {
        "description": f"Does the {CANARY} sing?", "status": f"{CANARY} status", "priority": f"{CANARY} priority",
        "labels": [f"{CANARY}-label"], "issue_type": f"{CANARY} type", "reporter": "ben", "assignee": "chen",
    }  # fmt: skip
    found = stage.jira.issue(key, f"{CANARY} summary", **{**words, **details})
    stage.jira.write(key, "chen", f"{CANARY} comment?")
    return found


async def ended(stage: Stage, count: int) -> list[dict[str, Any]]:
    """The cycles, once there are so many."""
    async with asyncio.timeout(30):
        while len(found := await exported(stage, "agent_cycles")) < count:
            pass  # each look is a process of its own, and time enough
    return found


async def test_of_an_issue_with_a_security_level_nothing_is_told(stage: Stage) -> None:
    await stage.start_bot(JIRA_AUTOMATION_TOKEN=TOKEN)
    secret_issue(stage, "ECD-1", security="Management", due="2020-01-01")
    await stage.jira.announce_issue("jira:issue_created", stage.jira.issues["ECD-1"], stage.jira.account("ben"))
    await stage.jira.comment("ECD-1", "ben", f"Who sells the {CANARY}?")
    await rule_asks(stage, {"issue": "ECD-1", "id": "1"})
    for words in ("draft ECD-1", "why ECD-1", "pending", "stats"):
        await stage.slack.command(DANA, "/pmagent", words)
    cycles = await ended(stage, 4)
    assert {c["reason"] for c in cycles} == {"the issue has a security level"}
    await stage.slack.whispered(DANA, "ECD-1 has a security level")
    await stage.slack.command(DANA, "/pmagent", "standup share")
    await stage.slack.notice("Standup", seconds=30)
    await stage.slack.home(DANA)
    await stage.slack.command(DANA, "/pmagent", "why ECD-1")
    await stage.slack.whispered(DANA, ": silence. the issue has a security level")
    assert CANARY not in told(stage)
    assert stage.claude.requests == []
    assert await stage.slack.cards() == []


async def test_63_the_card_of_an_issue_that_gets_a_level_is_emptied(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script({**YES, "response_text": f"The {CANARY} reply.", "reasoning": f"{CANARY} reasons"})
    stage.jira.issue("ECD-1", f"{CANARY} summary", status="In Progress", assignee="ana", reporter="ben")
    await stage.jira.comment("ECD-1", "ben", f"Where is the {CANARY}?")
    card = await stage.slack.card("ECD-1", button="Approve")
    seen, since = card.snapshot(), len(stage.slack.exchanges)
    await stage.jira.change("ECD-1", "security", "Management")
    await stage.slack.changes(card, "has a security level")
    assert card.buttons == []
    assert "ECD-1" in card.words
    await stage.slack.click(DANA, seen, "Approve")
    await stage.slack.click(DANA, seen, "Edit")
    await stage.slack.whispered(DANA, "expired")
    for words in ("pending", "why ECD-1", "standup share"):
        await stage.slack.command(DANA, "/pmagent", words)
    await stage.slack.notice("Standup", seconds=30)
    await stage.slack.whispered(DANA, "draft, expired")
    await stage.slack.home(DANA)
    clicked = [e for e in list(stage.slack.exchanges)[since:] if e.method != "SOCKET"]  # the rest is Slack's
    assert CANARY not in json.dumps([e.request for e in clicked]).casefold()
    assert not stage.jira.posted()
    assert [d["state"] for d in await exported(stage, "drafts")] == ["expired"]
    assert [a["action"] for a in await exported(stage, "audit")].count("draft.expired") == 1


@pytest.mark.parametrize("state", ["waiting", "held", "failed", "unknown"])
@pytest.mark.usefixtures("reins")
async def test_63_at_the_click_without_any_webhook(stage: Stage, state: str) -> None:
    await stage.start_bot()
    stage.claude.script({**YES, "response_text": f"The {CANARY} reply."})
    await ask(stage, text=f"Where is the {CANARY}?")
    card = await stage.slack.card("ECD-1", button="Approve")
    button = {"waiting": "Approve", "held": "Post anyway", "failed": "Retry", "unknown": "Post again"}[state]
    if state == "held":
        await stage.jira.move("ECD-1", "Done", announce=False)
    if state in ("failed", "unknown"):
        stage.jira.fail(POST, Fault("answer", 403) if state == "failed" else Fault("drop"))
    if state != "waiting":
        await stage.slack.click(DANA, card, "Approve")
        await stage.slack.card("ECD-1", button=button, seconds=20)
    await stage.jira.change("ECD-1", "security", "Management", announce=False)
    await stage.slack.click(DANA, card, button)
    await stage.slack.changes(card, "has a security level", seconds=20)
    assert CANARY not in json.dumps(card.payload).casefold()
    assert card.buttons == []
    assert not stage.jira.posted()


@pytest.mark.usefixtures("reins")
async def test_63_one_whose_answer_was_lost_can_still_be_looked_for(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script({**YES, "response_text": f"The {CANARY} reply."})
    await ask(stage, text=f"Where is the {CANARY}?")
    card = await stage.slack.card("ECD-1", button="Approve")
    stage.jira.fail(POST, Fault("drop"))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Look again", seconds=20)
    await stage.jira.change("ECD-1", "security", "Management")
    await stage.slack.changes(card, "has a security level", seconds=20)
    assert CANARY not in json.dumps(card.payload).casefold()
    assert "Look again" in card.buttons


async def test_63_a_level_that_is_set_while_claude_writes(stage: Stage) -> None:
    await stage.start_bot()
    over = asyncio.Event()
    writing = Fault("hang", over=over)
    stage.claude.fail("POST .*/v1/messages", writing)
    stage.claude.script({**YES, "response_text": f"The {CANARY} reply."})
    await ask(stage, text="Where is it?")
    await stage.claude.until(lambda: writing.met)
    await stage.jira.change("ECD-1", "security", "Management")
    await ended(stage, 1)
    over.set()
    cycles = await ended(stage, 2)
    assert [c["reason"] for c in cycles if c["outcome"] == "silence"][-1] == "the issue has a security level"
    assert await stage.slack.cards() == []
    assert await exported(stage, "drafts") == []


async def test_a_comment_that_is_restricted_while_claude_writes(stage: Stage) -> None:
    await stage.start_bot()
    over = asyncio.Event()
    writing = Fault("hang", over=over)
    stage.claude.fail("POST .*/v1/messages", writing)
    stage.claude.script({**YES, "response_text": f"The {CANARY} reply."})
    await ask(stage, text=f"Where is the {CANARY}?")
    await stage.claude.until(lambda: writing.met)
    asked = stage.jira.comments("ECD-1")[0]
    asked.visibility = STAFF
    await stage.jira.edit_comment("ECD-1", asked.id, f"Where is the {CANARY}?")
    await ended(stage, 1)
    over.set()
    cycles = await ended(stage, 2)
    assert [c["reason"] for c in cycles if c["calls"]] == ["not everybody may see the comment"]
    assert await stage.slack.cards() == []


async def test_linked_issues_are_told_of_only_from_watched_projects_and_without_a_level(stage: Stage) -> None:
    secret_issue(stage, "ECD-7", security="Management")
    secret_issue(stage, "SEC-1")
    stage.jira.issue("ECD-8", "The new parser", status="In Review")
    related = [("is blocked by", "ECD-7"), ("is blocked by", "SEC-1"), ("is blocked by", "ECD-8")]
    stage.jira.issue("ECD-1", "Export fails", assignee="ana", reporter="ben", links=related)
    await stage.start_bot(JIRA_PROJECTS="ECD")
    claim = {"about": "ECD-7", "says": "status", "value": "Done", "negated": False, "quote": "ECD-7 is done"}
    stage.claude.script({**YES, "response_text": "ECD-1 is blocked by ECD-8. ECD-7 is done.", "claims": [claim]})
    await stage.jira.comment("ECD-1", "ben", "What is it waiting for?")
    card = await stage.slack.card("ECD-1", button="Approve")
    assert "The new parser" in str(stage.claude.requests)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Not checked")
    await stage.slack.command(DANA, "/pmagent", "standup share")
    standup = await stage.slack.notice("Standup", seconds=30)
    assert "is blocked by ECD-8 (In Review)" in standup.words
    assert "SEC-1" not in standup.words
    assert "is blocked by ECD-7" not in standup.words
    assert CANARY not in told(stage)


async def test_a_pull_request_of_an_issue_with_a_level_is_not_reported(stage: Stage) -> None:
    await stage.start_bot()
    old = ago(days=20)
    secret_issue(stage, "ECD-7", security="Management", at=old)
    stage.jira.issues["ECD-7"].updated = old
    stage.jira.issue("ECD-8", "The new parser")
    await stage.bitbucket.open(f"ECD-7 {CANARY} fix", branch="feature/ECD-7")
    await stage.bitbucket.open("ECD-8 parser", branch="feature/ECD-8")
    await ended(stage, 2)
    await stage.slack.command(DANA, "/pmagent", "standup share")
    standup = await stage.slack.notice("Standup", seconds=30)
    assert "ECD-8 parser" in standup.words
    assert "ECD-7" not in standup.words
    assert CANARY not in told(stage)


async def test_a_pull_request_whose_issue_cannot_be_read_is_reported_without_its_title(stage: Stage) -> None:
    """Jira may be away, or the issue not there for our account: then nobody knows whom it is for."""
    await stage.start_bot()
    refusal = {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}
    stage.jira.fail(r"GET .*/issue/ECD-7\?", *[Fault("answer", 404, body=refusal)] * 9)
    stage.jira.fail(r"GET .*/issue/ECD-9\?", *[Fault("answer", 503)] * 9)
    old = ago(days=20)
    for key in ("ECD-7", "ECD-9"):
        secret_issue(stage, key, security="Management", at=old)
        stage.jira.issues[key].updated = old
        await stage.bitbucket.open(f"{key} {CANARY} fix", branch=f"feature/{key}")
    await stage.bitbucket.open("Read UTF-8 names", branch="feature/UTF-8")
    await ended(stage, 3)
    await stage.slack.command(DANA, "/pmagent", "standup share")
    standup = await stage.slack.notice("Standup", seconds=30)
    assert "a pull request whose title is not shown" in standup.words
    assert "Read UTF-8 names" in standup.words
    assert CANARY not in told(stage)


async def test_a_held_card_does_not_quote_what_not_everybody_may_see(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    stage.jira.issue("SUP-1", "Cannot log in", reporter="mira")
    restricted = stage.jira.write("SUP-1", "ana", f"{CANARY} one", visibility=STAFF)
    note = stage.jira.write("SUP-1", "ana", "note", public=False)
    gone = stage.jira.write("SUP-1", "chen", f"{CANARY} three", visibility=STAFF)
    shut = stage.jira.write("SUP-1", "ben", "for all")
    await stage.jira.comment("SUP-1", "mira", "When will this be fixed?")
    card = await stage.slack.card("SUP-1", button="Approve")
    for changed in (restricted, note):
        changed.body = {"type": "doc", "version": 1, "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": f"{CANARY} edited"}]}]}  # fmt: skip
    shut.body, shut.visibility = note.body, STAFF
    stage.jira.issues["SUP-1"].comments.remove(gone)
    stage.jira.write("SUP-1", "ana", f"{CANARY} four", visibility=STAFF)
    stage.jira.write("SUP-1", "ana", f"{CANARY} five", public=False)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("SUP-1", button="Post anyway")
    for said in ("was added", "was edited", "was deleted"):
        assert f"{HIDDEN} {said}".casefold() in card.words.casefold()
    assert "It changed who may see a comment by Ben Okafor." in card.words
    slack = json.dumps([e.request for e in stage.slack.exchanges], default=str).casefold()
    assert CANARY not in slack


async def test_a_quoted_comment_that_becomes_restricted_is_quoted_no_longer(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage, text=f"Where is the {CANARY}?")
    card = await stage.slack.card("ECD-1", button="Approve")
    stage.jira.comments("ECD-1")[0].visibility = STAFF
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Post anyway")
    assert CANARY not in card.words.casefold()


async def test_a_comment_that_gets_restricted_leaves_its_card_at_once(stage: Stage) -> None:
    """Its author noticed in time: the card does not go on quoting it until somebody clicks."""
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage, text=f"Where is the {CANARY}?")
    card = await stage.slack.card("ECD-1", button="Approve")
    asked = stage.jira.comments("ECD-1")[0]
    asked.visibility = STAFF
    await stage.jira.edit_comment("ECD-1", asked.id, f"Where is the {CANARY}?")
    await stage.slack.until(lambda: CANARY not in card.words.casefold())
    assert CANARY not in json.dumps(card.payload).casefold()
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Post anyway")
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert [c.visibility for c in stage.jira.posted("ECD-1")] == [STAFF]
    code, out = await stage.run("audit", "verify")
    assert code == 0, out


@pytest.mark.parametrize("asked_by", ["webhook", "rule"])
async def test_a_restricted_comment_is_not_drafted_from(stage: Stage, asked_by: str) -> None:
    """Who reads the card need not be of the role; the draft would tell what the comment says."""
    await stage.start_bot(JIRA_AUTOMATION_TOKEN=TOKEN)
    stage.jira.issue("ECD-1", "Export fails", assignee="ana", reporter="ben")
    if asked_by == "webhook":
        await stage.jira.comment("ECD-1", "ben", f"Who sells the {CANARY}?", visibility=STAFF)
    else:
        asked = stage.jira.write("ECD-1", "ben", f"Who sells the {CANARY}?", visibility=STAFF)
        await rule_asks(stage, {"issue": "ECD-1", "comment": asked.id, "id": "1"})
    [cycle] = await ended(stage, 1)
    assert cycle["reason"] == "not everybody may see the comment"
    # Asked for a draft on the issue, the newest comment that may be told of is answered.
    stage.jira.write("ECD-1", "chen", "Is it done?")
    stage.jira.write("ECD-1", "ben", f"{CANARY} again?", visibility=STAFF)
    stage.claude.script(YES)
    await stage.slack.command(SAM, "/pmagent", "draft ECD-1")
    await stage.slack.card("ECD-1", shows="Is it done?")
    assert CANARY not in told(stage)


async def test_a_comment_for_a_group_without_a_name_is_restricted(stage: Stage) -> None:
    """What restricts it cannot be read; that it is restricted can."""
    await stage.start_bot(JIRA_AUTOMATION_TOKEN=TOKEN)
    stage.jira.issue("ECD-1", "Export fails", assignee="ana", reporter="ben")
    for number, group in enumerate(({"type": "group", "identifier": "276f955c-63d7"}, {}, {"value": 7}, "staff")):
        asked = stage.jira.write("ECD-1", "ben", f"Who sells the {CANARY}?")
        asked.visibility = group  # type: ignore[assignment]  # that is what it is about
        await rule_asks(stage, {"issue": "ECD-1", "comment": asked.id, "id": str(number)})
    cycles = await ended(stage, 4)
    assert {c["reason"] for c in cycles} == {"not everybody may see the comment"}
    assert CANARY not in told(stage)


async def test_what_was_missed_is_listed_without_what_not_everybody_may_see(stage: Stage) -> None:
    secret_issue(stage, "ECD-7", security="Management", at=ago(hours=40))
    stage.jira.issue("ECD-1", "Export fails", reporter="ben", at=ago(hours=60))
    await away(stage, hours=50)
    for key in ("ECD-1", "ECD-7"):
        await stage.jira.comment(key, "ben", f"{CANARY} for us?", at=ago(hours=30), visibility=STAFF)
    await stage.jira.comment("ECD-1", "ben", "Open to all?", at=ago(hours=29))
    await stage.jira.comment("ECD-7", "ben", f"Is the {CANARY} open?", at=ago(hours=29))
    await stage.start_bot()
    [listed] = await stage.slack.until(lambda: missed(stage), what="for the list")
    assert HIDDEN in listed.words
    assert "Open to all?" in listed.words
    assert "ECD-7" not in listed.words
    await runs(stage)
    assert CANARY not in told(stage)


async def test_63_a_level_whose_webhook_was_lost_is_found_by_asking(stage: Stage) -> None:
    program = Program(stage)
    await program.start()
    stage.claude.script({**YES, "response_text": f"The {CANARY} reply."})
    await program.asked(text=f"Where is the {CANARY}?")
    _, card = await program.card()
    await stage.jira.change("ECD-1", "security", "Management", announce=False)
    from bot.workflow.reconciling.jira import reconcile

    await reconcile(program.ctx)
    await reconcile(program.ctx)
    await stage.slack.changes(card, "has a security level")
    assert CANARY not in json.dumps(card.payload).casefold()
    await program.close()
    await program.ctx.store.close()


async def test_a_failure_is_told_without_the_issues_words(stage: Stage) -> None:
    """It may be that the issue could not even be read: then nobody knows whom it is for."""
    await stage.start_bot()
    refusal = Fault("answer", 400, body={"errorMessages": ["The request is not valid."], "errors": {}})
    stage.jira.fail(r"GET .*/rest/api/3/issue/ECD-1\?", *[refusal] * 9)
    stage.jira.issue("ECD-1", f"{CANARY} summary", security="Management")
    await stage.jira.comment("ECD-1", "ben", "Is it done?")
    notice = await stage.slack.notice("No draft could be made")
    await stage.slack.click(DANA, notice, "Retry")
    await stage.slack.changes(notice, "asked for another try")
    await ended(stage, 2)
    assert CANARY not in told(stage)


async def test_for_a_customer_claude_is_given_only_what_the_customer_may_see(stage: Stage) -> None:
    await stage.start_bot(JIRA_PUBLIC_REPLIES="SUP")
    stage.jira.issue("ECD-8", f"{CANARY} link", status=f"{CANARY} link status")
    stage.jira.issue(
        "SUP-1", "Cannot log in", description="I cannot log in.", reporter="mira", labels=[f"{CANARY}-label"],
        links=[("is caused by", "ECD-8")],
    )  # fmt: skip
    await stage.bitbucket.open(f"SUP-1 {CANARY} pull request", branch=f"{CANARY}/SUP-1")
    stage.jira.write("SUP-1", "ana", f"{CANARY} internal", public=False)
    stage.jira.write("SUP-1", "ana", f"{CANARY} unknown", public=None)
    stage.jira.write("SUP-1", "ana", f"{CANARY} restricted", visibility=STAFF)
    for field in ("labels", "Comment", "Link", "Team"):
        item = {"field": field, "fromString": f"{CANARY} before", "toString": f"{CANARY} after"}
        entry = {"id": "1", "author": stage.jira.account("ana"), "created": ago(hours=1), "items": [item]}
        stage.jira.issues["SUP-1"].history.append(entry)
    stage.claude.script(YES, YES)
    await stage.jira.comment("SUP-1", "mira", "When will this be fixed?")
    card = await stage.slack.card("SUP-1", button="Approve")
    assert "the customer will see it" in card.words
    assert len(stage.claude.requests) == 2
    assert CANARY not in told(stage)


async def test_the_words_of_a_deleted_comment_stay_out_of_the_history(stage: Stage) -> None:
    """Jira keeps them in the issue's history, without saying who might read the comment."""
    await stage.start_bot()
    stage.jira.issue("ECD-1", "Export fails", assignee="ana", reporter="ben")
    item = {"field": "Comment", "fromString": f"{CANARY} deleted", "toString": ""}
    entry = {"id": "1", "author": stage.jira.account("ana"), "created": ago(hours=1), "items": [item]}
    stage.jira.issues["ECD-1"].history.append(entry)
    stage.claude.script(YES)
    await stage.jira.comment("ECD-1", "ben", "Is it done?")
    await stage.slack.card("ECD-1", button="Approve")
    assert CANARY not in told(stage)
