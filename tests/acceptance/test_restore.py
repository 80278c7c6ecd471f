"""A backup is restored whose open drafts were posted since: Jira and Slack are asked, nothing is sent twice (61)."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from bot.clock import SystemClock
from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from bot.store import Put
from bot.store.opening import store_of
from tests.acceptance.test_main_path import YES, ask, exported
from tests.acceptance.test_publishing import POST, state, waiting_card
from tests.homes import KINDS, Kind, new_home
from tests.waiting import waiting

pytestmark = pytest.mark.parametrize("home", KINDS)
MANY = 500
COMMENTS = r"GET .*/rest/api/3/issue/ECD-1/comment"


@pytest.fixture
def stage(home: Kind, stage: Stage) -> Stage:
    """The stage, with the data in a folder or in a database."""
    stage.env.update(new_home(home, stage.data).variables)
    return stage


async def backed_up(stage: Stage) -> str:
    code, out = await stage.run("backup", f"{stage.folder}/backups/")
    assert code == 0, out
    return out.splitlines()[-1]


async def restored(stage: Stage, backup: str, how: signal.Signals = signal.SIGTERM) -> None:
    await stage.stop_bot(how)
    code, out = await stage.run("restore", backup, "--force")
    assert code == 0, out


async def restored_as_it_is(stage: Stage) -> None:
    """The record that a restore leaves, over the data that is there."""
    store = await store_of(stage.data, stage.env.get("PMAGENT_DATABASE_URL"), clock=SystemClock(), zone=UTC)
    at = datetime.now(UTC).isoformat()
    await store.commit(Put("state", {"id": "restored", "at": at, "created": at, "seen": False}))
    await store.close()


async def settled(stage: Stage, key: str = "") -> None:
    """Wait until Jira was asked about the newest draft, or about the one on this issue."""

    async def marked() -> bool:
        return bool([d for d in await exported(stage, "drafts") if key in d["issue"]["key"]][-1]["restored"])

    async with asyncio.timeout(20):
        while await marked():  # noqa: ASYNC110 - another process's store
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("edited", [False, True], ids=["as drafted", "edited"])
async def test_61_a_draft_that_was_posted_since_the_backup_is_not_posted_again(stage: Stage, edited: bool) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    old = card.snapshot()
    backup = await backed_up(stage)
    if edited:
        await stage.slack.click(DANA, card, "Edit")
        await stage.slack.submit(DANA, "Ana has it in review.")
    else:
        await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    await restored(stage, backup)
    assert await state(stage) == "waiting"

    await stage.start_bot()
    await stage.slack.changes(card, "Found in Jira after a backup was restored", seconds=20)
    assert "✓ Posted" in card.words
    assert ("It had been edited before" in card.words) == edited
    assert "Approve" not in card.buttons
    assert "Undo" in card.buttons, "it was posted less than ten minutes ago"
    await stage.slack.click(SAM, old, "Approve")
    assert await stage.slack.whispered(SAM)
    assert await state(stage) == "posted"
    assert len(stage.jira.calls(POST)) == len(stage.jira.posted("ECD-1")) == 1
    assert len(await stage.slack.cards()) == 1
    trail = await exported(stage, "audit")
    [restore] = [a["details"] for a in trail if a["action"] == "store.restored"]
    assert restore["open_drafts"] == 1
    [posted] = [a["details"] for a in trail if a["action"] == "draft.posted"]
    assert (posted["found_after_restore"], posted["approved_by"]) == (True, DANA)
    assert (await stage.run("audit", "verify"))[0] == 0
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "Undone by")
    assert not stage.jira.posted("ECD-1")


async def test_61_nothing_is_decided_until_jira_has_answered(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    old = card.snapshot()
    backup = await backed_up(stage)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    await restored(stage, backup)
    stage.jira.fail(COMMENTS, *[Fault("answer", 503)] * 500)
    await stage.start_bot()
    await stage.slack.changes(card, "Looking in Jira whether this was posted since")
    assert card.buttons == []
    for button in ("Approve", "Skip"):
        await stage.slack.click(SAM, old, button)
        assert await stage.slack.whispered(SAM, "Jira is being asked whether this reply was posted since")
    assert await state(stage) == "waiting"
    # Another start in between changes nothing about that.
    await stage.stop_bot()
    await stage.start_bot()
    await stage.slack.click(DANA, old, "Approve")
    assert await stage.slack.whispered(DANA, "Jira is being asked whether this reply was posted since")
    stage.jira.mend()
    await stage.slack.changes(card, "Found in Jira after a backup was restored", seconds=70)
    assert len(stage.jira.calls(POST)) == len(stage.jira.posted("ECD-1")) == 1


async def test_61_a_draft_that_was_not_posted_since_can_be_decided_again(stage: Stage) -> None:
    await stage.start_bot()
    card = await waiting_card(stage)
    await restored(stage, await backed_up(stage))
    await stage.start_bot()
    await settled(stage)
    await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.calls(POST)) == len(stage.jira.posted("ECD-1")) == 1


async def test_61_what_was_approved_before_the_backup_takes_a_new_click(stage: Stage) -> None:
    """It was posted and undone after the backup: in Jira it looks as if it had never been posted."""
    await stage.start_bot(PMAGENT_FAILPOINT="publish.before_intent")
    card = await waiting_card(stage)
    await stage.slack.click(DANA, card, "Approve")
    assert await stage.ended() == -9
    backup = await backed_up(stage)
    await stage.start_bot()
    await stage.slack.changes(card, "Posted", seconds=20)
    await stage.slack.click(DANA, card, "Undo")
    await stage.slack.changes(card, "Undone by")
    await restored(stage, backup)
    await stage.start_bot()
    await stage.slack.changes(card, "Please decide on it again", seconds=20)
    assert "Approve" in card.buttons
    assert not stage.jira.posted("ECD-1")
    await stage.slack.click(SAM, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert len(stage.jira.posted("ECD-1")) == 1


async def test_61_what_had_no_card_and_no_draft_yet_gets_no_second_one(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_FAILPOINT="answer.before_draft")
    stage.claude.script(YES, YES, YES)
    await ask(stage)
    assert await stage.ended() == -9
    backup = await backed_up(stage)
    await stage.start_bot()
    card: Message = await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    await restored(stage, backup)
    await stage.start_bot()
    await stage.slack.changes(card, "Found in Jira after a backup was restored", seconds=20)
    assert len(await stage.slack.cards()) == 1
    assert len(stage.jira.calls(POST)) == len(stage.jira.posted("ECD-1")) == 1


async def test_61_an_internal_reply_that_is_public_by_now_is_deleted_and_the_card_says_so(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    stage.jira.issue("SUP-1", "Cannot log in", status="Waiting for support", reporter="mira")
    await stage.jira.comment("SUP-1", "mira", "When will this be fixed?")
    card = await stage.slack.card("SUP-1", button="Approve")
    backup = await backed_up(stage)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    await restored(stage, backup)
    [reply] = stage.jira.posted("SUP-1")
    reply.public = True
    await stage.start_bot()
    await stage.slack.changes(card, "deleted at once")
    assert not stage.jira.posted("SUP-1")
    assert await state(stage) == "failed"
    await settled(stage)


async def test_61_many_open_drafts_are_marked_a_batch_at_a_time_also_when_a_start_is_cut_off(stage: Stage) -> None:
    await waiting(stage, 450)
    await restored_as_it_is(stage)
    with suppress(BotFailed):
        await stage.start_bot(PMAGENT_FAILPOINT="restore.marked")
    assert await stage.ended() == -9
    assert len([d for d in await exported(stage, "drafts") if d["restored"]]) == 200
    await stage.start_bot()
    [restore] = [a["details"] for a in await exported(stage, "audit") if a["action"] == "store.restored"]
    assert restore["open_drafts"] == 450
    found = await exported(stage, "drafts")
    assert len(found) == 450
    assert all(draft["version"] > 1 for draft in found), "each was marked"


async def test_61_what_people_do_comes_before_the_looks_for_500_restored_drafts(stage: Stage) -> None:
    messages = await waiting(stage, MANY)
    newest, old = messages[-1], messages[-1].snapshot()  # it is looked for last, and its card redrawn first
    looks = r"GET .*/rest/api/3/issue/WAIT-\d+/comment"
    stage.jira.fail(looks, *(Fault("hang", seconds=1) for _ in range(2 * MANY)))
    await restored_as_it_is(stage)
    await stage.start_bot()
    await stage.slack.changes(newest, "Looking in Jira whether this was posted since")
    await stage.slack.until(lambda: len(stage.jira.calls(looks)) > 4, 15)
    # A new question's card, and the reply to it, wait for none of them.
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    # Nor does one that somebody clicks on: Jira is asked about it at once, and its card follows.
    await stage.slack.click(DANA, old, "Approve")
    await stage.slack.whispered(DANA, "Jira is being asked whether this reply was posted since")
    await settled(stage, "WAIT-500")
    await stage.slack.changes(newest, "Approve posts to Jira")
    assert len(stage.jira.calls(looks)) < MANY / 2
    assert len([message for message in messages if message.versions]) < MANY / 2
