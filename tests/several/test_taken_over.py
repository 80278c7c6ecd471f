"""Row 59: who holds a lease is killed, or hangs and comes back after it. Taken over, once; nothing is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from bot.cards import Message, paragraph
from bot.domain.draft_states import DraftState
from bot.reports.standup import standup_due
from bot.schedule.rules import Run
from bot.store import Record
from bot.workflow import decide, switch_mode
from bot.workflow.presenting.announcing import announce, revise
from tests import quick_time
from tests.acceptance.test_main_path import YES
from tests.several.processes import D, Hang, Process, passes

anyio_backend = quick_time.backend

Pair = tuple[Process, Process]
S = DraftState


def posting(record: Record) -> bool:
    return bool(record["state"] == S.POSTING)


def renewed(record: Record) -> bool:
    """The second write of a draft that is being posted: right before its POST."""
    return posting(record) and _times(record) > 1


_seen: dict[str, int] = {}


def _times(record: Record) -> int:
    key = f"{record['id']}:{record['lease']['owner']}"
    _seen[key] = _seen.get(key, 0) + 1
    return _seen[key]


def leased(record: Record) -> bool:
    return bool(record["lease"])


def card_leased(record: Record) -> bool:
    return bool(record["card"]["lease"])


async def hung(hang: Hang, work: Awaitable[object]) -> asyncio.Task[object]:
    """Begin this work, which hangs."""
    task = asyncio.ensure_future(work)
    await asyncio.wait_for(hang.met.wait(), 20)
    return task


async def back(hang: Hang, task: asyncio.Task[object]) -> None:
    """The process goes on where it hung."""
    hang.over.set()
    await asyncio.wait_for(task, 60)


@pytest.mark.parametrize("stands_still", [False, True], ids=["its clock went on", "its clock stood still"])
@pytest.mark.parametrize("before", [True, False], ids=["before the lease was renewed", "after the intent"])
async def test_59_who_hangs_before_the_post_does_not_post(pair: Pair, stands_still: bool, before: bool) -> None:
    """Whatever its own clock says, as in a virtual machine that was paused: the store knows."""
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    hang = one.hang("drafts", renewed, before=True) if before else one.hang("drafts", posting)
    task = await hung(hang, one.do("draft", draft.id))
    left = await two.do("draft", draft.id)
    assert left is not None
    assert 0 < left <= 60  # it is waited for
    passes(61, *([two] if stands_still else pair))
    await two.work()
    assert (await two.draft()).state == S.UNKNOWN
    await back(hang, task)
    await asyncio.gather(*(process.work() for process in pair))
    assert one.stage.jira.posted() == []
    assert (await two.draft()).state == S.UNKNOWN
    assert two.stage.jira.calls(r"POST .*/comment$") == []


async def test_59_who_hangs_right_before_the_post_does_not_post(pair: Pair) -> None:
    """Its lease was renewed already: now the clock keeps it from posting."""
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    hang = one.hang("drafts", renewed)
    task = await hung(hang, one.do("draft", draft.id))
    passes(61, *pair)
    await two.do("draft", draft.id)  # the job of a process that is believed to be dead is given again
    await back(hang, task)
    assert one.stage.jira.calls(r"POST .*/comment$") == []
    assert (await two.draft()).state == S.UNKNOWN


async def test_59_who_comes_back_before_anybody_took_over_tries_again(pair: Pair) -> None:
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    hang = one.hang("drafts", renewed)
    task = await hung(hang, one.do("draft", draft.id))
    passes(50, *pair)
    await back(hang, task)
    assert one.stage.jira.posted() == []
    passes(10, *pair)
    await two.work()
    assert (await two.draft()).state == S.POSTED
    assert len(one.stage.jira.posted()) == 1


async def test_59_what_is_sent_all_the_same_is_recorded_and_not_sent_twice(pair: Pair) -> None:
    """What no lease can prevent: both clocks stood still, and right after the lease was renewed."""
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    hang = one.hang("drafts", renewed)
    task = await hung(hang, one.do("draft", draft.id))
    passes(61, two)
    await two.do("draft", draft.id)  # the job of a process that is believed to be dead is given again
    assert (await two.draft()).state == S.UNKNOWN
    await back(hang, task)
    after = await two.draft()
    assert (after.state, len(one.stage.jira.posted())) == (S.POSTED, 1)


async def test_59_killed_after_the_post(pair: Pair) -> None:
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    hang = one.hang("drafts", lambda record: record["state"] == S.POSTED, before=True)
    task = await hung(hang, one.do("draft", draft.id))
    task.cancel()
    assert (await two.do("draft", draft.id) or 0.0) > 0
    passes(61, two)
    await two.work()
    assert (await two.draft()).state == S.POSTED
    assert len(one.stage.jira.posted()) == 1


async def test_59_who_hangs_before_an_undo_does_not_delete(pair: Pair) -> None:
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    await one.work()
    await decide(one.ctx, draft.id, "undo", by=D, seen=await one.seen(draft))
    hang = one.hang("drafts", lambda record: record["state"] == S.UNDOING and leased(record))
    task = await hung(hang, one.do("draft", draft.id))
    passes(61, two)
    await switch_mode(two.ctx, "simulation", D)
    await two.work()
    passes(61, one)
    await back(hang, task)
    assert (await two.draft()).state == S.POSTED
    assert len(one.stage.jira.posted()) == 1


async def test_59_a_card(pair: Pair) -> None:
    one, two = pair
    one.stage.claude.script(YES)
    event = (await one.told()).event_id
    await one.do("answer", event)
    draft = await one.draft()
    hang = one.hang("drafts", card_leased)
    task = await hung(hang, one.do("card", draft.id))
    left = await two.do("card", draft.id)
    assert left is not None
    assert 0 < left <= 30
    passes(31, *pair)
    await two.work()
    assert len(one.stage.slack.messages()) == 1
    await back(hang, task)
    await asyncio.gather(*(process.work() for process in pair))
    assert len(one.stage.slack.calls("chat.postMessage")) == 1


async def test_59_an_old_card_is_not_drawn_over_a_newer_one(pair: Pair) -> None:
    one, two = pair
    draft = await one.waiting()
    await one.approve(draft)
    hang = one.hang("drafts", card_leased)
    task = await hung(hang, one.do("card", draft.id))
    passes(31, *pair)
    await two.work()
    [card] = one.stage.slack.messages()
    assert "Posted" in card.words
    await back(hang, task)
    assert "Posted" in card.words
    assert (await two.draft()).card.ts == card.ts


async def test_59_a_card_whose_answer_is_recorded_late(pair: Pair) -> None:
    """It was sent in time; who sent it hangs then, and somebody else has found it meanwhile."""
    one, two = pair
    one.stage.claude.script(YES)
    event = (await one.told()).event_id
    await one.do("answer", event)
    draft = await one.draft()
    hang = one.hang("drafts", lambda record: record["card"]["ts"] is not None, before=True)
    task = await hung(hang, one.do("card", draft.id))
    passes(31, two)
    await two.work()
    await back(hang, task)
    [card] = one.stage.slack.messages()
    assert (await two.draft()).card.ts == card.ts


async def test_59_a_message(pair: Pair) -> None:
    one, two = pair
    await announce(one.ctx, "a", Message([paragraph("It began")], "It began"))
    hang = one.hang("messages", leased)
    task = await hung(hang, one.do("message", "a"))
    assert (await two.do("message", "a") or 0.0) > 0
    passes(31, *pair)
    await two.work()
    await back(hang, task)
    [message] = one.stage.slack.messages()
    await revise(one.ctx, "a", Message([paragraph("It is over")], "It is over"))
    hang = one.hang("messages", leased)
    task = await hung(hang, one.do("message", "a"))
    await revise(two.ctx, "a", Message([paragraph("It is long over")], "It is long over"))
    passes(31, *pair)
    await two.work()
    await back(hang, task)
    assert message.words == "It is long over"
    assert len(one.stage.slack.messages()) == 1


@pytest.mark.parametrize("where", ["before it is written", "before it is posted", "after it is posted"])
async def test_59_a_standup(pair: Pair, where: str) -> None:
    one, two = pair
    now = one.clock.now()
    run = Run("standup", now.date(), now, missed=False)
    if where == "before it is written":
        hang = one.hang("keys", lambda record: record.get("state") == "started")
    elif where == "before it is posted":
        hang = one.hang("state", lambda record: record["id"] == "standup:written")
    else:
        hang = one.hang("keys", lambda record: record.get("state") == "done", before=True)
    task = await hung(hang, standup_due(one.ctx, run))
    await standup_due(two.ctx, run)
    already = len(one.stage.slack.messages())
    passes(301, *pair)
    await standup_due(two.ctx, run)
    assert len(one.stage.slack.messages()) == 1
    await back(hang, task)
    assert len(one.stage.slack.messages()) == 1
    assert already == (where == "after it is posted")
    done = [line for line in await one.ctx.store.find("audit") if line["action"] == "standup.posted"]
    assert len(done) == 1
