"""An issue that was moved is served under its old key: what project it is in is looked at after every read (row 63)."""

from __future__ import annotations

import aiohttp
import pytest

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from tests.acceptance.test_main_path import YES, exported
from tests.acceptance.test_reconcile import ago, away, runs
from tests.hostile.support import cards, clean, question, until, until_so

ONLY_ECD = {"JIRA_PROJECTS": "ECD"}
MOVED = "moved to another project"


async def reason(stage: Stage) -> object:
    await until_so(lambda: exported(stage, "agent_cycles"))
    [event] = await exported(stage, "webhook_events")
    return event["reason"]


def nothing_shown(stage: Stage) -> None:
    assert stage.slack.messages() == []
    assert stage.claude.requests == []
    assert stage.jira.posted() == []
    clean(stage.log)


async def test_between_the_webhook_and_our_look(stage: Stage) -> None:
    payload = question(stage, "ECD-1")
    stage.jira.change_project("ECD-1", "SUP-77")
    await stage.start_bot(**ONLY_ECD)
    assert (await stage.jira.deliver(payload)).status == 202
    assert await reason(stage) == MOVED
    nothing_shown(stage)


async def test_asked_for_by_command(stage: Stage) -> None:
    question(stage, "ECD-1")
    stage.jira.change_project("ECD-1", "SUP-77")
    await stage.start_bot(**ONLY_ECD)
    await stage.slack.command(DANA, text="draft ECD-1")
    told = await stage.slack.whispered(DANA, "ECD-1 was moved to a project that this bot does not look after")
    assert "SUP" not in told.words
    assert await exported(stage, "webhook_events") == []
    nothing_shown(stage)


async def test_asked_for_by_an_automation_rule(stage: Stage) -> None:
    token = "automation-token-of-the-stage"
    question(stage, "ECD-1")
    stage.jira.change_project("ECD-1", "SUP-77")
    await stage.start_bot(**ONLY_ECD, JIRA_AUTOMATION_TOKEN=token)
    asking = {"issue": "ECD-1", "id": "1"}
    async with (
        aiohttp.ClientSession(headers={"X-PMAgent-Token": token}) as session,
        session.post(f"{stage.bot_url}/webhooks/jira", json=asking) as answer,
    ):
        assert answer.status == 202
    assert await reason(stage) == MOVED
    nothing_shown(stage)


async def test_missed_while_the_program_was_down(stage: Stage) -> None:
    """The search finds what is in the watched projects now, whatever key a comment was written under."""
    stage.jira.issue("ECD-1", status="In Progress", reporter="ben")
    stage.jira.issue("ECD-2", status="In Progress", reporter="ben")
    await away(stage, hours=3)
    for key in ("ECD-1", "ECD-2"):
        await stage.jira.comment(key, "ben", "Is anybody looking at this?", at=ago(hours=1))
    stage.jira.change_project("ECD-1", "SUP-77")
    stage.claude.script(YES)
    await stage.start_bot(**ONLY_ECD)
    await stage.slack.card("ECD-2", button="Approve")
    await runs(stage)
    assert [e["issue"] for e in await exported(stage, "webhook_events")] == ["ECD-2"]
    clean(stage.log)


@pytest.mark.parametrize("first", ["Approve", "Edit"])
async def test_63_while_its_draft_waits(stage: Stage, first: str) -> None:
    """Nothing is posted, and nothing of what the issue has become is shown."""
    await stage.start_bot(**ONLY_ECD)
    [card] = await cards(stage, "ECD-1")
    moved = stage.jira.change_project("ECD-1", "SUP-77")
    moved.summary, moved.status = "A takeover that nobody may know of", "Done"
    stage.jira.write("SUP-77", "elif", "Keep this among us.")
    await stage.slack.click(DANA, card, first)
    if first == "Edit":
        await stage.slack.opened(DANA)
        await stage.slack.submit(DANA, "Another wording.")
    await stage.slack.changes(card, "moved to a project that this bot does not look after")
    assert card.buttons == []
    assert not any(words in card.words for words in ("SUP", "takeover", "Keep this", "Done", "/pmagent draft"))
    assert stage.jira.posted() == []
    assert not stage.jira.calls("POST .*/comment$")
    [draft] = await exported(stage, "drafts")
    assert draft["state"] == "expired"
    assert len(stage.slack.messages()) == 1
    clean(stage.log)


async def test_63_while_a_held_draft_waits(stage: Stage) -> None:
    await stage.start_bot(**ONLY_ECD)
    [card] = await cards(stage, "ECD-1")
    await stage.jira.move("ECD-1", "Done")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Held")
    stage.jira.change_project("ECD-1", "SUP-77")
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "moved to a project that this bot does not look after")
    assert stage.jira.posted() == []
    clean(stage.log)


async def test_63_moved_among_the_watched_projects_and_then_under_a_security_level(stage: Stage) -> None:
    """What stands under its old key ends too: the draft that waits, and what Claude was shown."""
    await stage.start_bot()
    [card] = await cards(stage, "ECD-1")
    stage.jira.change_project("ECD-1", "OPS-77").key = "ECD-1"
    await stage.jira.change("OPS-77", "key", "OPS-77")
    await stage.jira.change("OPS-77", "security", "Board")
    await stage.slack.changes(card, "has a security level")
    assert "Is anybody looking at this?" not in card.words
    [shown] = [c["calls"] for c in await exported(stage, "agent_cycles") if c["calls"]]
    assert [call["shown"] for call in shown] == [""] * len(shown)  # type: ignore[attr-defined, arg-type]  # JSON
    clean(stage.log)


async def test_a_claim_about_an_issue_that_was_moved_is_not_checked(stage: Stage) -> None:
    stage.jira.issue("ECD-2", status="Done")
    stage.jira.change_project("ECD-2", "SUP-77")
    await stage.start_bot(**ONLY_ECD)
    quote = "ECD-2 is in progress"
    claim = {"about": "ECD-2", "says": "status", "value": "In Progress", "negated": False, "quote": quote}
    stage.claude.script({**YES, "response_text": f"{quote}.", "claims": [claim]})
    assert (await stage.jira.deliver(question(stage, "ECD-1"))).status == 202
    card = await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "ECD-2 is not among JIRA_PROJECTS")
    assert "Done" not in card.words
    clean(stage.log)


async def test_moved_among_watched_projects_it_is_answered_under_its_new_key(stage: Stage) -> None:
    """An older draft under the old key gives way, and what is known of pull requests by the old key is known still."""
    await stage.start_bot(JIRA_PROJECTS="ECD,NEW")
    await stage.bitbucket.open("ECD-1 Export", branch="ECD-1-export")
    [old] = await cards(stage, "ECD-1")
    payload = question(stage, "ECD-1", "And when?")
    stage.jira.change_project("ECD-1", "NEW-7")
    stage.claude.script(YES)
    assert (await stage.jira.deliver(payload)).status == 202
    card = await stage.slack.card("NEW-7", button="Approve")
    await stage.slack.changes(old, "Replaced by a newer draft")
    assert "ECD-1 Export" in str(stage.claude.requests[-1])
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("NEW-7")) == 1
    assert len(stage.jira.calls("POST .*/issue/NEW-7/comment$")) == 1
    clean(stage.log)


async def test_moved_among_watched_projects_while_its_draft_waits_is_a_change(stage: Stage) -> None:
    await stage.start_bot(JIRA_PROJECTS="ECD,NEW")
    [card] = await cards(stage, "ECD-1")
    stage.jira.change_project("ECD-1", "NEW-7")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "The issue was moved: ECD-1 is NEW-7 now.")
    assert stage.jira.posted() == []
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    await until(lambda: stage.jira.posted("NEW-7"))
    clean(stage.log)
