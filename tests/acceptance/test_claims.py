"""What a reply states is checked at Approve, together with freshness: the stages and the program, through the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.demo.slack.people import DANA, SAM, Message
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
        "The draft says “It is not merged yet”; PR #1 was merged just now.",
        "The draft says “one of two approvals so far”; PR #1 has two approvals, by Ben Okafor and Chen Wei.",
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
    await held(stage, card, "The draft says “It is not merged yet”; PR #1 was merged.")
    pull.verdicts.clear()
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "The draft says “Ben has approved PR #1”; PR #1 has no approval.")
    await held(stage, card, "“It is not merged yet”; PR #1 was merged")
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1


async def test_draft_anew_replaces_a_draft_that_was_made_up(stage: Stage) -> None:
    await stage.start_bot()
    await reviewed(stage)
    card = await waiting_card(stage, "Good news: PR #1 is merged and its build has passed.")
    await stage.bitbucket.build("feature/ECD-1", "FAILED", message="ECD-1")
    await stage.slack.click(DANA, card, "Approve")
    await held(stage, card, "says “Good news: PR #1 is merged”; PR #1 is open.", "“its build has passed”; CI failed.")
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
    typed = "ECD-5 is Done and was assigned. The due date of ECD-5 is 2026-11-28. ECD-5 is assigned to Ana."
    await stage.slack.submit(DANA, typed)
    await held(
        stage, card, typed, "edited",
        "The draft says “ECD-5 is Done”; ECD-5 is In Review.",
        "“The due date of ECD-5 is 2026-11-28”; the due date in Jira is Friday, 27 November 2026.",
        "“ECD-5 is assigned to Ana”; ECD-5 is assigned to Chen Wei.",
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
    await held(stage, card, "The draft says “It is not merged yet”; PR #1 was merged just now.", "Simulation")
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
    await held(stage, card, "the issue changed", "The status went from In Progress to Done.", "PR #1 was merged")


async def edited(stage: Stage, typed: str, key: str = "ECD-1") -> Message:
    """A card whose draft Dana has reworded and approved."""
    card = await waiting_card(stage, "Hi Ben, Ana is on it.", key)
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.submit(DANA, typed)
    return card


async def test_a_german_reply_is_held_for_what_is_not_so(stage: Stage) -> None:
    await stage.start_bot()
    await reviewed(stage)
    text = "Hallo Ben, der PR #1 von Ana ist bereits gemergt, das Issue ist Erledigt."
    merged = {
        "about": "PR #1",
        "says": "merged",
        "value": "",
        "negated": False,
        "quote": "der PR #1 von Ana ist bereits gemergt",
    }
    status = {
        "about": "ECD-1",
        "says": "status",
        "value": "Erledigt",
        "negated": False,
        "quote": "das Issue ist Erledigt",
    }
    stage.claude.script({**YES, "response_text": text, "claims": [merged, status], "sources": ["status"]})
    await ask(stage)
    card = await stage.slack.card("ECD-1", button="Approve")
    # Already on the card, from what Claude was given itself.
    assert "⚠ Look twice: The draft says “der PR #1 von Ana ist bereits gemergt”; PR #1 is open." in card.words
    assert "⚠ The draft says “das Issue ist Erledigt”; ECD-1 is In Progress." in card.words
    await stage.slack.click(DANA, card, "Approve")
    await held(
        stage, card, "The draft says “der PR #1 von Ana ist bereits gemergt”; PR #1 is open.",
        "The draft says “das Issue ist Erledigt”; ECD-1 is In Progress.",
    )  # fmt: skip


async def test_what_the_data_does_not_hold_is_marked_on_the_card_and_on_an_edit(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage, "Hi Ben, Ana has it; 128 reports are left, until 29 September.")
    assert "⚠ Look twice: “128” is not in the issue" in card.words
    assert "⚠ “29 September” is not in the issue" in card.words
    assert "Rests on facts" not in card.words
    assert "%" not in card.words
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.submit(DANA, "Hi Ben, Ana has it; 64 reports are left.")
    await stage.slack.changes(card, "Posted")
    assert "⚠ “64” is not in the issue" in card.words
    assert "128" not in card.words
    [draft] = await exported(stage, "drafts")
    assert draft["unsupported"] == ["64"]
    supported = await waiting_card(stage, "Hi Ben, ECD-2 is In Progress.", "ECD-2")
    assert "is not in the issue" not in supported.words


async def test_an_edit_is_read_once_by_the_cheap_model_and_its_cost_is_counted(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.issue("ECD-5", "Certificates", status="In Review", assignee="chen", reporter="ben")
    card = await edited(stage, "Hallo Ben, ECD-5 ist Erledigt.")
    await held(stage, card, "The draft says “ECD-5 ist Erledigt”; ECD-5 is In Review.")
    reading = [body for body in stage.claude.requests if "Task: claims" in json.dumps(body["messages"])]
    assert [body["model"] for body in reading] == ["claude-haiku-5-5"]
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert len([b for b in stage.claude.requests if "Task: claims" in json.dumps(b["messages"])]) == 1
    code, out = await stage.run("stats", "--json")
    figures = json.loads(out)
    assert code == 0
    assert figures["claude_calls"] == 3  # triage, reply, claims
    cycles = sum(float(str(c["cost_usd"])) for c in await exported(stage, "agent_cycles"))
    assert figures["cost_usd"] > cycles


AWAY = Fault("answer", 529, body={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


@pytest.mark.parametrize("item", [AWAY, "no JSON", Fault("hang", seconds=30.0)], ids=["away", "no answer", "slow"])
@pytest.mark.usefixtures("reins")
async def test_without_claude_an_edit_is_posted_and_its_card_says_what_was_not_checked(
    stage: Stage, item: Fault | str
) -> None:
    await stage.start_bot()
    stage.jira.issue("ECD-5", "Certificates", status="In Review", assignee="chen", reporter="ben")
    card = await waiting_card(stage, "Hi Ben, Ana is on it.")
    stage.claude.script(item, item)
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    ack = await stage.slack.submit(DANA, "ECD-5 is Done.")
    assert ack.ms < 3000
    await stage.slack.changes(card, "Posted")
    assert "⚠ Nothing that this text states was checked: " in card.words
    assert len(stage.jira.posted("ECD-1")) == 1


@pytest.mark.parametrize("happens", ["deleted", "level"])
async def test_what_happens_while_claude_reads_an_edit_is_seen_before_the_post(stage: Stage, happens: str) -> None:
    await stage.start_bot()
    card = await waiting_card(stage, "Hi Ben, Ana is on it.")
    reading = Fault("hang", seconds=4.0)
    stage.claude.fail("POST .*/v1/messages", reading)
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.submit(DANA, "It is assigned to Ana.")
    await stage.claude.until(lambda: reading.met)
    if happens == "deleted":
        stage.jira.issues["ECD-1"].comments.clear()
    else:
        await stage.jira.change("ECD-1", "security", "Management", announce=False)
    await stage.slack.changes(card, "was deleted" if happens == "deleted" else "has a security level", seconds=20)
    assert not stage.jira.calls(r"POST .*/comment$")


async def test_a_spent_budget_does_not_keep_an_edit_from_jira(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage, "Hi Ben, Ana is on it.")
    stage.claude.usage = {"output_tokens": 100_000_000}
    await ask(stage, "ECD-2", "Is anybody looking at this?")  # one call, which costs more than a day may
    await stage.slack.notice("budget")
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.submit(DANA, "ECD-1 is Done.")
    await stage.slack.changes(card, "Posted")
    assert "⚠ Nothing that this text states was checked: today's budget of" in card.words


async def test_claims_that_a_model_leaves_out_are_read_at_approve(stage: Stage) -> None:
    await stage.start_bot()
    await reviewed(stage)
    stage.claude.script({**YES, "response_text": "Hi Ben, PR #1 is merged.", "claims": None})
    await ask(stage)
    card = await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await held(stage, card, "The draft says “PR #1 is merged”; PR #1 is open.")


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
    assert "Not checked: “It is not merged yet” (" in card.words
    assert "Undo" in card.buttons


async def test_a_pull_request_that_nobody_told_us_of_is_said(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage, "Hi Ben, PR #99 is merged.")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert "Not checked: “PR #99 is merged” (PR #99 is not known here)." in card.words


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
    assert "Not checked: “SEC-7 is Done” (SEC-7 is not among JIRA_PROJECTS)." in card.words
    assert not stage.jira.calls(r"issue/SEC-7")
