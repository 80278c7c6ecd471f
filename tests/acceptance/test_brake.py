"""The brake: a switch of the mode is in force at once, however many drafts wait, and none of them gets past it."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import ClientSession

from bot.demo.slack.people import DANA, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from bot.domain.draft_states import DraftState
from bot.workflow import LostRace, decide, expire, load_draft, switch_mode
from tests.acceptance.test_main_path import YES
from tests.acceptance.test_workflow_faults import D, Program, S
from tests.stores import both
from tests.waiting import waiting

MANY = 500


def redrawn(messages: list[Message]) -> list[int]:
    """The places of those that were changed."""
    return [place for place, message in enumerate(messages) if message.versions]


async def mode_in_health(stage: Stage) -> str:
    async with ClientSession() as session, session.get(f"{stage.bot_url}/health") as answer:
        return str((await answer.json())["mode"])


@both
async def test_the_brake_with_500_drafts_that_wait(stage: Stage) -> None:
    messages = await waiting(stage, MANY)
    oldest, newest = messages[0], messages[-1]
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    stage.claude.script(YES)
    await stage.start_bot()
    ack = await stage.slack.command(DANA, text="mode simulation")
    assert ack.acked
    await stage.slack.whispered(DANA, "The mode is simulation now")
    assert await mode_in_health(stage) == "simulation"
    # The answer did not wait for the cards, and neither does a new one.
    await stage.jira.comment("ECD-1", "ben", "Is anybody looking at this?")
    await stage.slack.card("ECD-1", shows="Simulation", button="Approve")
    assert len(redrawn(messages)) < MANY / 4
    # A card that was not redrawn yet decides nothing, and is redrawn before others.
    assert "Simulation" not in oldest.words
    await stage.slack.click(DANA, oldest, "Approve")
    await stage.slack.whispered(DANA, "this card was made for production, so nothing was done")
    await stage.slack.changes(oldest, "Simulation")
    assert "Approve" in oldest.buttons
    assert len(redrawn(messages)) < MANY / 4
    # The others follow, the newest first.
    await stage.slack.changes(newest, "Simulation")
    await stage.slack.until(lambda: len(redrawn(messages)) > 5)
    [first, *rest] = redrawn(messages)
    assert (first, rest) == (0, [*range(rest[0], MANY)])
    assert stage.jira.posted() == []


@both
async def test_a_draft_whose_card_cannot_be_redrawn_decides_nothing_under_the_other_mode(program: Program) -> None:
    draft, card = await program.waiting()
    shown = draft.fingerprint
    program.stage.slack.fail("chat.update", *(Fault("answer", status=500) for _ in range(500)))
    await switch_mode(program.ctx, "simulation", S)
    for action in ("approve", "edit", "skip", "approve"):
        try:
            await decide(program.ctx, draft.id, action, by=D, seen=shown, text="Other words.")
        except LostRace as error:
            said = str(error)
        else:
            raise AssertionError(f"{action} was carried out")
        assert "The mode is simulation now, and this card was made for production" in said
    assert (await load_draft(program.ctx, draft.id)).state is DraftState.WAITING
    assert "Simulation" not in card.words
    assert program.stage.jira.posted() == []
    program.stage.slack.mend()
    # It counts again once it is back in the mode that the card shows.
    await switch_mode(program.ctx, "production", S)
    await program.until(lambda: stands_under(program, draft.id, "production"))
    await decide(program.ctx, draft.id, "approve", by=D, seen=shown)
    await program.state(draft, DraftState.POSTED)


async def stands_under(program: Program, draft_id: str, mode: str) -> bool:
    return (await load_draft(program.ctx, draft_id)).mode == mode


async def test_edit_on_a_card_of_the_other_mode_opens_no_window(stage: Stage) -> None:
    stage.claude.script(YES)
    await stage.start_bot()
    stage.jira.issue("ECD-1", status="In Progress", assignee="ana", reporter="ben")
    await stage.jira.comment("ECD-1", "ben", "Is anybody looking at this?")
    card = await stage.slack.card("ECD-1", button="Edit")
    stage.slack.fail("chat.update", *(Fault("answer", status=500) for _ in range(500)))
    await stage.slack.command(DANA, text="mode simulation")
    await stage.slack.whispered(DANA, "The mode is simulation now")
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.until(lambda: len(stage.slack.whispers(DANA)) > 1)
    assert stage.slack.modal(DANA) is None
    assert "this card was made for production, so nothing was done" in stage.slack.whispers(DANA)[-1].words


async def test_a_card_that_slack_refuses_does_not_hold_up_the_others(program: Program) -> None:
    older, _ = await program.waiting("ECD-1")
    newer, card = await program.waiting("ECD-2")
    await program.stage.slack.changes(card, "ECD-2")
    program.stage.slack.fail("chat.update", Fault("answer", 200, body={"ok": False, "error": "cant_update_message"}))
    await switch_mode(program.ctx, "simulation", S)
    await program.until(lambda: stands_under(program, older.id, "simulation"))
    await program.stage.slack.card("ECD-1", shows="Simulation")
    assert "Simulation" not in card.words
    assert newer.id in {job["key"] for job in await program.ctx.store.find("jobs") if job["kind"] == "card"}


async def test_many_that_expire_at_once_are_redrawn_in_turn(program: Program) -> None:
    drafts = [await program.waiting(f"ECD-{number}") for number in (1, 2, 3)]
    await program.ctx.queue.drain(5.0)  # nothing is carried out any more
    program.clock.ahead = timedelta(days=8)
    assert await expire(program.ctx) == 3
    assert [job["id"] for job in await program.ctx.store.find("jobs")] == ["redraw:cards"]
    await program.restart()
    for _, card in drafts:
        await program.stage.slack.changes(card, "Expired")
    await program.until(lambda: none_is_behind(program))


async def none_is_behind(program: Program) -> bool:
    return await program.ctx.store.find("drafts", behind="card") == []
