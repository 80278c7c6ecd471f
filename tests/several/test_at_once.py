"""Row 58: what reaches two processes at once happens once, and both say the same."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from bot.cards import Message, paragraph
from bot.clients.claude.errors import ClaudeBusy
from bot.clients.slack.pace import RESERVED, SharedWritePace, WritePace
from bot.demo.wire import Fault
from bot.domain.draft_states import DraftState
from bot.errors import Down, RetryLater
from bot.reactions.answer import answer
from bot.reports.standup import standup_due
from bot.schedule.loop import tick
from bot.schedule.rules import Run
from bot.schedule.table import entries
from bot.schedule.turns import turn
from bot.spending.budget import BudgetReached, BudgetReserved
from bot.store import Conflict, Put
from bot.work.other_processes import OtherProcesses
from bot.workflow import LostRace, decide, is_window, pause, remember_window, resume, switch_mode, why
from bot.workflow.presenting.announcing import announce
from tests import quick_time
from tests.acceptance.test_main_path import YES
from tests.several.processes import D, Process, passes

anyio_backend = quick_time.backend

RATE_LIMIT = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
Pair = tuple[Process, Process]


async def test_58_the_same_delivery(pair: Pair) -> None:
    one, two = pair
    found = await asyncio.gather(one.told(), two.told(), one.told(), two.told())
    assert sorted(accepted.status for accepted in found) == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert len({accepted.event_id for accepted in found}) == 1
    assert len(await one.ctx.store.find("webhook_events")) == 1


async def test_58_one_event_one_draft_one_card_one_comment(pair: Pair) -> None:
    """Both carry out every job at the same time, as when one was believed to be dead."""
    one, two = pair
    one.stage.claude.script(YES, YES)
    event = (await one.told()).event_id
    await asyncio.gather(*(process.do("answer", event) for process in pair))
    [record] = await one.ctx.store.find("drafts")
    await asyncio.gather(*(process.do("card", record["id"]) for process in pair))
    [card] = one.stage.slack.messages()
    draft = await one.draft()
    assert draft.card.ts == card.ts
    clicks = await asyncio.gather(one.approve(draft), two.approve(draft), return_exceptions=True)
    [lost] = [click for click in clicks if isinstance(click, LostRace)]
    assert "You already approved this" in str(lost)
    await asyncio.gather(*(process.do("draft", draft.id) for process in pair))
    assert (await one.draft()).state == DraftState.POSTED
    assert len(one.stage.jira.posted()) == 1
    await asyncio.gather(*(process.work() for process in pair))
    assert "Posted" in card.words
    assert len(one.stage.slack.messages()) == 1


async def test_58_a_notice(pair: Pair) -> None:
    one, _ = pair
    told = [await announce(process.ctx, "a", Message([paragraph("Something")], "Something")) for process in pair]
    assert told == [True, False]
    await asyncio.gather(*(process.do("message", "a") for process in pair))
    assert len(one.stage.slack.messages()) == 1


async def test_58_the_same_standup_time(pair: Pair) -> None:
    one, _ = pair
    now = one.clock.now()
    run = Run("standup", now.date(), now, missed=False)
    await asyncio.gather(*(standup_due(process.ctx, run) for process in pair))
    assert len(one.stage.slack.messages()) == 1
    [done] = [line for line in await one.ctx.store.find("audit") if line["action"].startswith("standup.")]
    assert done["action"] == "standup.posted"


async def test_a_window_that_one_opened_is_sent_to_the_other(pair: Pair) -> None:
    one, two = pair
    draft = await one.waiting()
    await asyncio.gather(*(remember_window(process.ctx, "V1", D.id, draft) for process in pair))
    assert await is_window(two.ctx, "V1", D.id, draft.id, await one.seen(draft))
    later = draft.model_copy(update={"mode": "simulation"})
    await asyncio.gather(remember_window(one.ctx, "V1", D.id, later), remember_window(two.ctx, "V1", D.id, draft))
    for shown in (draft, later):
        assert await is_window(one.ctx, "V1", D.id, draft.id, shown.fingerprint)


async def test_a_mode_that_one_switched_is_in_force_for_the_other(pair: Pair) -> None:
    one, two = pair
    draft = await one.waiting()
    seen = await two.seen(draft)
    await switch_mode(one.ctx, "simulation", D)
    with pytest.raises(LostRace, match="The mode is simulation now, and this card was made for production"):
        await decide(two.ctx, draft.id, "approve", by=D, seen=seen)


async def test_a_pause_that_one_ended_holds_the_other_up_no_longer(pair: Pair) -> None:
    one, two = pair
    others = OtherProcesses()
    await pause(one.ctx, None, D)
    await others.follow(two.ctx, None)
    event = (await two.told()).event_id
    assert (await two.do("answer", event) or 0.0) > 3000.0
    [line] = await why(two.ctx, "ECD-1")
    assert line.reason == "drafting is paused"
    await resume(one.ctx, D)
    await others.follow(two.ctx, None)
    assert two.lifted == ["answer"]
    await others.follow(two.ctx, None)
    assert two.lifted == ["answer"]


async def test_an_outage_is_one_of_both(pair: Pair) -> None:
    """Both find it, one tells of it, and what one finds to be over is over for the other, which tells of it no more."""
    one, two = pair
    for process in pair:
        await process.ctx.outages.jira.down(Down("Jira", "Jira cannot be reached"))
    passes(16 * 60, *pair)
    for process in pair:
        await process.ctx.outages.jira.down(Down("Jira", "Jira cannot be reached"))
    await asyncio.gather(*(process.work() for process in pair))
    [notice] = one.stage.slack.messages()
    await one.ctx.outages.jira.up()
    assert two.ctx.outages.away
    await two.ctx.outages.follow()
    assert two.ctx.outages.away == {}
    assert two.lifted == ["answer"]
    await two.work()
    assert "Jira answers again" in notice.words


async def test_an_outage_that_is_over_is_not_announced_by_who_did_not_hear_of_it(pair: Pair) -> None:
    one, two = pair
    for process in pair:
        await process.ctx.outages.jira.down(Down("Jira", "Jira cannot be reached"))
    await one.ctx.outages.jira.up()
    passes(16 * 60, *pair)
    await two.ctx.outages.jira.down(Down("Jira", "Jira cannot be reached"))
    await two.work()
    assert one.stage.slack.messages() == []
    await one.ctx.outages.follow()
    assert "jira" in one.ctx.outages.away  # it has begun anew, for both


async def test_money_that_the_other_has_reserved_is_not_spent(pair: Pair) -> None:
    one, two = pair
    budget = one.ctx.claude.budget
    reserved = await budget.reserve(budget.limit * 0.75)
    with pytest.raises(BudgetReserved):
        await two.ctx.claude.budget.reserve(budget.limit / 2)
    passes(180, *pair)  # nobody knows any more whether that call was billed
    with pytest.raises(BudgetReached):
        await two.ctx.claude.budget.reserve(budget.limit / 2)
    await budget.charge(reserved, 0.01)
    await two.ctx.claude.budget.reserve(budget.limit / 2)


async def test_the_wait_that_claude_asked_one_for_is_the_others_too(pair: Pair) -> None:
    one, two = pair
    one.stage.claude.fail("/v1/messages", Fault("answer", 429, {"retry-after": "30"}, RATE_LIMIT))
    events = [(await process.told(key)).event_id for process, key in zip(pair, ("ECD-1", "ECD-2"), strict=True)]
    with pytest.raises(ClaudeBusy):
        await answer(one.ctx, events[0])
    with pytest.raises(ClaudeBusy) as held:
        await answer(two.ctx, events[1])
    assert 20 < (held.value.after or 0.0) <= 30
    assert len(one.stage.claude.calls("/v1/messages")) == 1


async def test_the_pace_in_a_channel_is_one_of_both(pair: Pair) -> None:
    """Time stands still here: after the burst, nobody's turn comes."""
    one, _ = pair
    still = Still(one.clock.now())
    paces = [SharedWritePace(5, "pace:chat.postMessage:C1", process.ctx.store, still) for process in pair]
    await asyncio.gather(*(paces[n % 2].turn() for n in range(5)))
    sixth, seventh = [asyncio.create_task(pace.turn()) for pace in paces]
    await asyncio.wait({sixth, seventh}, timeout=1.5)
    assert not sixth.done()
    assert not seventh.done()
    still.at += timedelta(seconds=1)
    await asyncio.wait({sixth, seventh}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({sixth, seventh}, timeout=1.5)
    assert [sixth.done(), seventh.done()].count(True) == 1
    still.at += timedelta(seconds=1)
    await asyncio.gather(sixth, seventh)
    await paces[0].wait(60.0)  # Slack asked one of them
    with pytest.raises(RetryLater) as asked:
        await paces[1].turn()
    assert 60.0 <= (asked.value.after or 0.0) <= 62.0


async def test_a_clock_that_was_ahead_holds_nobody_up(pair: Pair) -> None:
    one, two = pair
    ahead, still = Still(one.clock.now() + timedelta(hours=1)), Still(one.clock.now())
    await SharedWritePace(5, "pace:x", one.ctx.store, ahead).turn()
    pace = SharedWritePace(5, "pace:x", two.ctx.store, still)
    await asyncio.wait_for(pace.turn(), 20)
    still.at += timedelta(seconds=1)
    await asyncio.wait_for(pace.turn(), 20)


async def test_what_is_asked_for_once_in_a_period_is_asked_for_by_one(pair: Pair) -> None:
    one, _ = pair
    found = {entry.name: entry for entry in entries()}
    for _ in range(2):  # the first run says where it begins
        await asyncio.gather(*(tick(process.ctx, found["reconcile"]) for process in pair))
        passes(3600, *pair)
    waits = await asyncio.gather(*(tick(process.ctx, found["reconcile"]) for process in pair))
    assert sorted(wait < 3600 for wait in waits) == [False, True]
    done = [line for line in await one.ctx.store.find("audit") if line["action"] == "reconcile.done"]
    assert len(done) == 2


async def test_a_turn_that_failed_is_anybodys_and_one_that_hangs_is_taken_over(pair: Pair) -> None:
    one, two = pair
    with pytest.raises(RetryLater):
        async with turn(one.ctx, "x", 3600):
            raise RetryLater("not now")
    async with turn(two.ctx, "x", 3600) as hung:
        assert hung.wait == 0
        async with turn(one.ctx, "x", 3600) as early:
            assert early.wait > 0
        passes(900, *pair)
        async with turn(one.ctx, "x", 3600) as after:
            assert after.wait == 0
            with pytest.raises(Conflict):
                await two.ctx.store.commit(Put("state", {"id": "found by who hung"}), expect=hung.mine)
    async with turn(two.ctx, "x", 3600) as early:
        assert early.wait > 0


class Still:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


async def test_who_is_patient_leaves_room_for_others(pair: Pair) -> None:
    """In one process, and in the other of two."""
    pace = WritePace(RESERVED + 2)
    shared = [
        SharedWritePace(RESERVED + 2, "pace:chat.update:C1", process.ctx.store, process.clock) for process in pair
    ]
    for writes, patient in ((pace, pace), (shared[0], shared[1])):
        await writes.turn()
        await asyncio.wait_for(patient.room(), 5)
        await writes.turn()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(patient.room(), 0.1 * quick_time.SPEED)  # as the store answers in real time
        for _ in range(RESERVED):
            await asyncio.wait_for(writes.turn(), 5)  # these do not wait
