"""Once only: what happens to an approved reply when Jira, the wire or the process fails (faults 23, 31–36)."""

from __future__ import annotations

import asyncio
import re

import pytest

from bot.demo.slack.people import DANA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import NO, YES, ask, exported
from tests.model.reins import SPEED
from tests.stores import both

POST = r"POST .*/rest/api/3/issue/ECD-1/comment$"


async def waiting_card(stage: Stage) -> Message:
    stage.claude.script(YES)
    await ask(stage)
    return await stage.slack.card("ECD-1", button="Approve")


async def state(stage: Stage) -> str:
    return str((await exported(stage, "drafts"))[-1]["state"])


@pytest.mark.parametrize(
    ("place", "ends_as"),
    [
        ("publish.before_intent", "Posted"),
        ("publish.after_intent", "not found in three looks"),
        ("publish.after_post", "Posted"),
        ("publish.after_record", "Posted"),
    ],
)
@pytest.mark.usefixtures("reins")
async def test_31_killed_around_the_post(stage: Stage, place: str, ends_as: str) -> None:
    await stage.start_bot(PMAGENT_FAILPOINT=place)
    card = await waiting_card(stage)
    await stage.slack.click(DANA, card, "Approve")
    assert await stage.ended() == -9
    await stage.start_bot()
    await stage.slack.changes(card, ends_as, seconds=20)
    # Only a POST that certainly was not sent is sent by the program itself; a lost one is a person's to decide.
    assert len(stage.jira.posted("ECD-1")) == (0 if place == "publish.after_intent" else 1)
    assert len(stage.jira.calls(POST)) <= 1
    code, _ = await stage.run("audit", "verify")
    assert code == 0


@pytest.mark.parametrize("place", ["answer.before_draft", "answer.after_draft", "card.before_post", "card.after_post"])
async def test_31_killed_before_anybody_decided(stage: Stage, place: str) -> None:
    await stage.start_bot(PMAGENT_FAILPOINT=place)
    stage.claude.script(YES, YES)
    await ask(stage)
    assert await stage.ended() == -9
    await stage.start_bot()
    card = await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert len(await stage.slack.cards()) == 1
    assert len(stage.jira.posted("ECD-1")) == 1


@pytest.mark.usefixtures("reins")
async def test_29_killed_after_the_card_and_slack_does_not_say_at_the_start_who_we_are(stage: Stage) -> None:
    """A message of ours is known by who wrote it: nobody looks for one, and posts it again, before that is known."""
    await stage.start_bot(PMAGENT_FAILPOINT="card.after_post")
    stage.claude.script(YES)
    await ask(stage)
    assert await stage.ended() == -9
    stage.slack.fail("auth.test", *[Fault("answer", 503)] * 3)
    await stage.start_bot()
    async with asyncio.timeout(20):
        while (await exported(stage, "drafts"))[-1]["card"]["ts"] is None:  # noqa: ASYNC110 - another process's store
            await asyncio.sleep(0.2)
    assert len(await stage.slack.cards()) == 1


@both
@pytest.mark.parametrize("fault", [Fault("swallow"), Fault("drop")], ids=["answer lost", "request lost"])
@pytest.mark.usefixtures("reins")
async def test_32_lost_answer_is_settled_by_the_marker(stage: Stage, fault: Fault) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    stage.jira.fail(POST, fault)
    await stage.slack.click(DANA, card, "Approve")
    if fault.kind == "swallow":
        await stage.slack.changes(card, "Posted", seconds=20)
        assert len(stage.jira.posted("ECD-1")) == 1
    else:
        await stage.slack.card("ECD-1", button="Post again", seconds=20)
        assert not stage.jira.posted("ECD-1")
    assert len(stage.jira.calls(POST)) == 1


@both
@pytest.mark.usefixtures("reins")
async def test_33_unknown_offers_look_again_and_post_again(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    stage.jira.fail(POST, Fault("answer", 500))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Look again", seconds=20)
    assert card.buttons[:2] == ["Look again", "Post again"]
    assert await state(stage) == "unknown"
    await stage.slack.click(SAM, card, "Look again")
    await stage.slack.changes(card, "Looking for the comment")
    await stage.slack.card("ECD-1", button="Look again", seconds=20)
    assert len(stage.jira.calls(POST)) == 1
    await stage.slack.click(SAM, card, "Post again")
    await stage.slack.changes(card, "Posted", seconds=20)
    assert len(stage.jira.posted("ECD-1")) == 1


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_34_definite_refusal_says_why_and_offers_retry(stage: Stage, status: int) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    stage.jira.fail(POST, Fault("answer", status, body={"errorMessages": ["The field is not there."]}))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Retry")
    assert re.search(r"Not posted\. [A-Z].*: The field is not there\.", card.words), card.words
    assert await state(stage) == "failed"
    assert len(stage.jira.calls(POST)) == 1
    await stage.slack.click(DANA, card, "Retry")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1


@both
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.usefixtures("reins")
async def test_35_retry_after_is_obeyed(stage: Stage, status: int) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    stage.jira.fail(POST, Fault("answer", status, {"Retry-After": "3"}))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted", seconds=20)
    first, second = stage.jira.calls(POST)
    assert (second.at - first.at).total_seconds() * SPEED >= 3
    assert len(stage.jira.posted("ECD-1")) == 1


@both
async def test_36_a_comment_deleted_in_jira_is_not_posted_again(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted("ECD-1")
    await stage.jira.remove_comment("ECD-1", posted.id)
    await stage.stop_bot()
    await stage.start_bot()
    ack = await stage.slack.click(DANA, card, "Undo")
    assert ack.acked
    await stage.slack.changes(card, "Undone by")  # already gone counts as done
    assert len(stage.jira.calls(POST)) == 1


@pytest.mark.parametrize("change", ["comment", "edit", "status", "assignee"])
async def test_23_a_changed_issue_holds_the_draft(stage: Stage, change: str) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    if change == "comment":
        stage.jira.write("ECD-1", "chen", "I have just merged it.")
    elif change == "edit":
        stage.claude.script(NO)
        await stage.jira.edit_comment("ECD-1", stage.jira.comments("ECD-1")[0].id, "Never mind, found it!")
    elif change == "status":
        await stage.jira.move("ECD-1", "Done")
    else:
        await stage.jira.assign("ECD-1", "chen")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Post anyway")
    assert "Draft anew" in card.buttons
    expected = {"comment": "Chen Wei", "edit": "Ben Okafor", "status": "Done", "assignee": "Chen Wei"}[change]
    assert expected in card.words
    assert not stage.jira.posted("ECD-1")
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1


async def test_23_draft_anew_replaces_the_held_card(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    await stage.jira.move("ECD-1", "Done")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Draft anew")
    stage.claude.script({**YES, "response_text": "It is done now."})
    await stage.slack.click(DANA, card, "Draft anew")
    newer = await stage.slack.card("ECD-1", shows="It is done now.", button="Approve")
    await stage.slack.changes(card, "newer")
    assert card.ts != newer.ts
    assert card.buttons == [] or "Approve" not in card.buttons
    await stage.slack.click(DANA, newer, "Approve")
    await stage.slack.changes(newer, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1


async def test_jira_unreadable_at_approve_keeps_the_draft_waiting(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    stage.jira.fail(r"GET .*/rest/api/3/issue/ECD-1", *[Fault("answer", 503)] * 8)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Jira cannot be read")
    assert "Approve" in card.buttons
    assert not stage.jira.posted("ECD-1")
    stage.jira.mend()
    await stage.slack.click(SAM, card, "Approve")
    await stage.slack.changes(card, "Posted")


async def test_internal_reply_that_came_out_public_is_deleted(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    stage.jira.ignores_internal = True
    stage.jira.issue("SUP-1", "Cannot log in", status="Waiting for support", reporter="mira")
    await stage.jira.comment("SUP-1", "mira", "When will this be fixed?")
    card = await stage.slack.card("SUP-1")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "deleted at once")
    assert not stage.jira.posted("SUP-1")


async def test_24_switching_the_mode_redraws_and_old_clicks_decide_nothing(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    old = card.snapshot()
    await stage.slack.command(DANA, "/pmagent", "mode simulation")
    await stage.slack.notice("simulation")
    await stage.slack.card("ECD-1", shows="imulation")
    await stage.slack.click(DANA, old, "Approve")
    told = await stage.slack.whispered(DANA, "mode is simulation now")
    assert told
    assert await state(stage) == "waiting"
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "imulated")
    assert not stage.jira.posted()


async def test_24_the_mode_is_read_again_before_the_post(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    over = asyncio.Event()
    reading = Fault("hang", over=over)
    stage.jira.fail(r"GET .*/rest/api/3/issue/ECD-1", reading)
    await stage.slack.click(DANA, card, "Approve")
    await stage.jira.until(lambda: reading.met)
    await stage.slack.command(SAM, "/pmagent", "mode simulation")
    await stage.slack.notice("simulation")
    over.set()
    await stage.slack.card("ECD-1", shows="mode was switched", button="Approve")
    assert not stage.jira.posted()


async def test_25_only_admins_switch_the_mode(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_ADMINS=DANA)
    await stage.slack.command(SAM, "/pmagent", "mode simulation")
    await stage.slack.whispered(SAM)
    trail = await exported(stage, "audit")
    assert [a["actor"] for a in trail if a["action"] == "decision.refused"] == [f"slack:{SAM}"]
    assert not [a for a in trail if a["action"] == "mode.switched"]
    await stage.slack.command(DANA, "/pmagent", "mode")
    assert "production" in (await stage.slack.whispered(DANA)).words


async def test_an_undo_that_jira_refuses_says_so_in_whole_sentences_and_can_be_tried_again(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    no = {"errorMessages": ["You may not delete this comment"], "errors": {}}
    stage.jira.fail("DELETE ", Fault("answer", status=403, body=no))
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "could not be deleted, and is still in Jira: ")
    assert "You may not delete this comment\n" in card.words
    assert await state(stage) == "posted"
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "The comment was deleted in Jira")
    assert not stage.jira.posted("ECD-1")


async def test_an_issue_that_is_gone_at_approve_is_said_once(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    del stage.jira.issues["ECD-1"]
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "✗ Not posted. Jira has no such issue")
    assert {"Retry"} <= set(card.buttons)
    assert not stage.jira.calls(POST)
