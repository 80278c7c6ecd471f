"""What a reply states is checked at Approve, together with freshness: the stages and the program, through the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.demo.slack_people import DANA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES, ask, exported

STATED = (
    "Hi Ben, Ana has a fix in review: PR #1, one of two approvals so far. It is not merged yet; Chen is the second "
    "reviewer."
)


async def reviewed(stage: Stage, **details: Any) -> Any:
    """Ana's pull request for ECD-1, which Ben has approved and Chen has not."""
    pull = await stage.bitbucket.open("ECD-1 Stream large exports", reviewers=("ben", "chen"), **details)
    await stage.bitbucket.approve(pull, "ben")
    return pull


async def waiting_card(stage: Stage, text: str, key: str = "ECD-1") -> Message:
    stage.claude.script({**YES, "response_text": text})
    await ask(stage, key)
    return await stage.slack.card(key, button="Approve")


async def held(stage: Stage, card: Message, *says: str) -> None:
    await stage.slack.card("ECD-1", button="Post anyway")
    assert card.buttons == ["Post anyway", "Draft anew", "Discard"]
    for sentence in says:
        assert sentence in card.words
    assert not stage.jira.posted("ECD-1")


async def test_a_pull_request_that_was_merged_meanwhile_holds_the_draft(stage: Stage) -> None:
    await stage.start_bot()
    pull = await reviewed(stage)
    card = await waiting_card(stage, STATED)
    await stage.bitbucket.approve(pull, "chen")
    await stage.bitbucket.merge(pull)
    await stage.slack.click(DANA, card, "Approve")
    await held(
        stage, card,
        "The draft says that PR #1 is not merged yet; it was merged just now.",
        "The draft says that PR #1 has one of two approvals so far; it has two approvals, by Ben Okafor and Chen Wei.",
        "Held: something it says is not so.", "Dana Petrova approved it; nothing was posted.",
    )  # fmt: skip
    assert "the issue changed" not in card.words
    old = card.snapshot()
    await stage.slack.click(SAM, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1
    await stage.slack.click(DANA, old, "Post anyway")
    await stage.slack.whispered(DANA, "already approved this")
    trail = [a for a in await exported(stage, "audit") if a["draft_id"]]
    assert [a["action"] for a in trail] == [
        "draft.created", "draft.approved", "draft.held", "draft.approved", "draft.posting", "draft.posted",
    ]  # fmt: skip
    assert "PR #1" not in json.dumps([a["details"] for a in trail])


async def test_a_draft_that_is_right_is_posted_and_nothing_more_is_read(stage: Stage) -> None:
    await stage.start_bot(BITBUCKET_TOKEN=stage.bitbucket.token)
    await reviewed(stage)
    card = await waiting_card(stage, STATED)
    reads = len(stage.bitbucket.calls(r"GET "))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert "Not checked" not in card.words
    assert len(stage.bitbucket.calls(r"GET ")) == reads + 1
    plain = await waiting_card(stage, "Hi Ben, Ana is on it.", "ECD-2")
    reads = len(stage.bitbucket.calls(r"GET "))
    await stage.slack.click(DANA, plain, "Approve")
    await stage.slack.changes(plain, "Posted")
    assert len(stage.bitbucket.calls(r"GET ")) == reads


async def test_post_anyway_counts_for_what_was_shown_and_for_nothing_new(stage: Stage) -> None:
    await stage.start_bot(BITBUCKET_TOKEN=stage.bitbucket.token)
    pull = await reviewed(stage)
    card = await waiting_card(stage, f"{STATED} Ben has approved PR #1.")
    pull.state = "MERGED"  # no webhook arrives: Bitbucket itself is asked
    await stage.slack.click(DANA, card, "Approve")
    await held(stage, card, "The draft says that PR #1 is not merged yet; it was merged.")
    pull.verdicts.clear()
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "The draft says that Ben has approved PR #1; PR #1 has no approval.")
    await held(stage, card, "PR #1 is not merged yet; it was merged")
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1


async def test_draft_anew_replaces_a_draft_that_was_made_up(stage: Stage) -> None:
    await stage.start_bot()
    await reviewed(stage)
    card = await waiting_card(stage, "Good news: PR #1 is merged and its build has passed.")
    await stage.bitbucket.build("feature/ECD-1", "FAILED", message="ECD-1")
    await stage.slack.click(DANA, card, "Approve")
    await held(stage, card, "says that PR #1 is merged; it is open.", "the build of PR #1 has passed; CI failed.")
    stage.claude.script({**YES, "response_text": STATED})
    await stage.slack.click(DANA, card, "Draft anew")
    newer = await stage.slack.card("ECD-1", shows="It is not merged yet", button="Approve")
    await stage.slack.changes(card, "newer")
    await stage.slack.click(DANA, newer, "Approve")
    await stage.slack.changes(newer, "Posted")


async def test_an_edit_is_checked_and_what_was_typed_stays(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.issue("ECD-5", "Certificates", status="In Review", assignee="chen", reporter="ben", due="2026-11-27")
    card = await waiting_card(stage, "Hi Ben, Ana is on it.")
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    typed = "ECD-5 is Done and was assigned. The due date of ECD-5 is 28 November. ECD-5 is assigned to Ana."
    await stage.slack.submit(DANA, typed)
    await held(
        stage, card, typed, "edited",
        "The draft says that ECD-5 is Done; it is In Review.",
        "the due date of ECD-5 is 28 November; the due date in Jira is Friday, 27 November 2026.",
        "ECD-5 is assigned to Ana; it is assigned to Chen Wei.",
    )  # fmt: skip
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert typed in json.dumps((await exported(stage, "drafts"))[0]["revisions"])


async def test_simulation_shows_the_same(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_MODE="simulation")
    pull = await reviewed(stage)
    card = await waiting_card(stage, STATED)
    await stage.bitbucket.merge(pull)
    await stage.slack.click(DANA, card, "Approve")
    await held(stage, card, "The draft says that PR #1 is not merged yet; it was merged just now.", "Simulation")
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Simulated")
    assert not stage.jira.posted()


async def test_a_change_of_the_issue_and_a_claim_are_shown_together(stage: Stage) -> None:
    await stage.start_bot()
    pull = await reviewed(stage)
    card = await waiting_card(stage, STATED)
    await stage.bitbucket.merge(pull)
    await stage.jira.move("ECD-1", "Done")
    await stage.slack.click(DANA, card, "Approve")
    await held(stage, card, "the issue changed", "The status went from In Progress to Done.", "it was merged")


GONE = Fault("answer", 404, body={"type": "error", "error": {"message": "Resource not found"}})
GATEWAY = Fault("answer", 404, body="<html>Page unavailable</html>")


@pytest.mark.parametrize("fault", [Fault("answer", 503), GATEWAY, GONE], ids=["down", "a gateway", "gone"])
async def test_bitbucket_that_cannot_be_read_does_not_hold_and_is_said(stage: Stage, fault: Fault) -> None:
    await stage.start_bot(BITBUCKET_TOKEN=stage.bitbucket.token)
    await reviewed(stage)
    card = await waiting_card(stage, STATED)
    stage.bitbucket.fail(r"GET ", *[fault] * 9)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert "Not checked: that PR #1 is not merged yet (" in card.words
    assert "Undo" in card.buttons


async def test_a_pull_request_that_nobody_told_us_of_is_said(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage, "Hi Ben, PR #99 is merged.")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert "Not checked: that PR #99 is merged (PR #99 is not known here)." in card.words


async def test_another_issue_that_jira_cannot_be_asked_about_keeps_the_draft_waiting(stage: Stage) -> None:
    await stage.start_bot(JIRA_PROJECTS="ECD")
    stage.jira.issue("ECD-5", "Certificates", status="Done", reporter="ben")
    card = await waiting_card(stage, "Hi Ben, ECD-5 is Done, and SEC-7 is Done.")
    stage.jira.fail(r"GET .*/rest/api/3/issue/ECD-5", *[Fault("answer", 503)] * 3)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Jira cannot be read")
    assert card.buttons == ["Approve", "Edit", "Skip"]
    stage.jira.mend()
    await stage.slack.click(SAM, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert "Not checked: that SEC-7 is Done (SEC-7 is not among JIRA_PROJECTS)." in card.words
    assert not stage.jira.calls(r"issue/SEC-7")
