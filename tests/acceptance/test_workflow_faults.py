"""What happens between the steps: switches, newer drafts, lost writes and restarts while something is under way.

Most of it drives the program's own parts on the stage in this process, so that a test can have a hand in between; what
is about the process itself starts one.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from bot.cards import Message as Said
from bot.clients.claude.errors import ClaudeDown
from bot.context import Context
from bot.demo.slack.people import DANA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import PATIENCE, Fault
from bot.domain.draft_states import DraftState
from bot.domain.drafts import Draft
from bot.domain.events import BuildReported, DraftRequested, IssueCommented, PullRequestChanged
from bot.domain.issues import Comment, Person, PullRequest
from bot.intake.accept import Delivery, accept
from bot.settings import load
from bot.store import Audit, Delete, Expect, Job, Put, StoreUnavailable
from bot.store.embedded.store import TinyStore
from bot.store.postgres.store import PostgresStore
from bot.wiring import build
from bot.work.kinds import TABLE
from bot.work.outage import ServiceOutage
from bot.workflow import Actor, LostRace, decide, load_draft, pause, retry_event, switch_mode, why
from bot.workflow.development import pull_requests
from bot.workflow.presenting.announcing import announce, deliver
from bot.workflow.presenting.card import present
from bot.workflow.publishing.approved import advance
from bot.workflow.records import draft_record, read_draft
from tests import quick_time
from tests.acceptance.test_main_path import NO, YES
from tests.acceptance.test_publishing import POST
from tests.stores import both

anyio_backend = quick_time.backend

D, S = Actor(DANA, "Dana Petrova"), Actor(SAM, "Sam Whitfield")
READ = r"GET .*/rest/api/3/issue/ECD-\d+\?"
ISSUE = r"GET .*/rest/api/3/issue/ECD-1(\?|$)"
COMMENTS = r"GET .*/rest/api/3/issue/ECD-1/comment\?"


class Clock:
    """The wall clock, put forward by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


class Between:
    """The real store, with a place for something to happen just before a commit or a search."""

    def __init__(self, store: TinyStore | PostgresStore) -> None:
        self._store = store
        self.before_commit: Callable[[Sequence[Put | Delete]], Awaitable[None]] | None = None
        self.before_find: Callable[[str, dict[str, Any]], Awaitable[None]] | None = None
        self.read = 0  # records that were given by `find`

    async def commit(
        self,
        *changes: Put | Delete,
        expect: Sequence[Expect] = (),
        audit: Sequence[Audit] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        if self.before_commit:
            await self.before_commit(changes)
        await self._store.commit(*changes, expect=expect, audit=audit, jobs=jobs)

    async def find(self, table: Any, **how: Any) -> Any:
        if self.before_find:
            await self.before_find(table, how)
        found = await self._store.find(table, **how)
        self.read += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Program:
    """The program's parts on the stage, with its queue and without its doors."""

    def __init__(
        self, stage: Stage, store: TinyStore | PostgresStore | None = None, clock: Clock | None = None, **changes: str
    ) -> None:
        """`store`: by default the one in the stage's folder."""
        self.stage = stage
        self.clock = clock or Clock()
        self.store = Between(store or TinyStore.open(stage.data, clock=self.clock))
        self._numbers = itertools.count()
        self.set(**changes)

    def set(self, **changes: str) -> None:
        """The same store under other settings, as after a restart."""
        self.ctx: Context = build(load({**self.stage.env, **changes}), cast(TinyStore, self.store), self.clock)

    async def start(self) -> None:
        await self.ctx.slack.start()
        await self.ctx.outages.load()
        await self.ctx.queue.start()

    async def restart(self, **changes: str) -> None:
        """Everything but the store anew."""
        await self.close()
        self.set(**changes)
        await self.start()

    async def close(self) -> None:
        await self.ctx.queue.drain(5.0)
        for part in (self.ctx.slack, self.ctx.jira, self.ctx.bitbucket, self.ctx.claude):
            await part.close()

    async def asked(self, key: str = "ECD-1", text: str = "Is anybody looking at this?") -> str:
        """Ben writes a comment and its webhook is taken in. Returns the event's id."""
        jira = self.stage.jira
        if key not in jira.issues:
            jira.issue(key, status="In Progress", assignee="ana", reporter="ben")
        found = jira.write(key, "ben", text)
        author = Person(account_id=found.author.account_id, name=found.author.name)
        comment = Comment(id=found.id, author=author, text=text, created=found.created, updated=found.updated)
        event = IssueCommented(
            issues=(key,), project=key.partition("-")[0], summary="Export", comment=comment, at=self.clock.now()
        )
        return (await accept(self.ctx, Delivery("jira", f"d{found.id}", None, self.clock.now()), event)).event_id

    async def requested(self, key: str = "ECD-1") -> str:
        """A Jira Automation rule asks for a draft."""
        event = DraftRequested(issues=(key,), by="jira:automation", at=self.clock.now())
        delivery = Delivery("automation", f"r{next(self._numbers)}", None, self.clock.now())
        return (await accept(self.ctx, delivery, event)).event_id

    async def card(self, key: str = "ECD-1") -> tuple[Draft, Message]:
        """The newest draft on the issue with its card, once it waits."""
        card = await self.stage.slack.card(key, button="Approve")
        [draft] = [d for d in await self.drafts() if d.card.ts == card.ts] or [await self.newest(key)]
        return draft, card

    async def waiting(self, key: str = "ECD-1") -> tuple[Draft, Message]:
        self.stage.claude.script(YES)
        await self.asked(key)
        return await self.card(key)

    async def drafts(self) -> list[Draft]:
        return [read_draft(record) for record in await self.ctx.store.find("drafts")]

    async def newest(self, key: str = "ECD-1") -> Draft:
        return (await self.drafts())[-1]

    async def event(self, event_id: str) -> dict[str, Any]:
        return await self.ctx.store.get("webhook_events", event_id) or {}

    async def click(self, draft: Draft, action: str, by: Actor = D) -> Draft:
        return await decide(self.ctx, draft.id, action, by=by, seen=(await load_draft(self.ctx, draft.id)).fingerprint)

    async def approved_and_read(self, draft: Draft) -> asyncio.Event:
        """Approve while the issue has moved on; it is being read again, until the event is set."""
        over = asyncio.Event()
        reading = Fault("hang", over=over)
        self.stage.jira.fail(ISSUE, reading)
        await self.stage.jira.move("ECD-1", "Done", announce=False)
        await self.click(draft, "approve")
        await self.stage.jira.until(lambda: reading.met)
        return over

    async def until(self, look: Callable[[], Awaitable[Any]], seconds: float = 10.0) -> Any:
        end = time.monotonic() + seconds * PATIENCE
        while not (found := await look()):
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain; drafts: {[(d.id, str(d.state)) for d in await self.drafts()]}")
            await asyncio.sleep(0.1)
        return found

    async def state(self, draft: Draft, *states: DraftState, seconds: float = 10.0) -> Draft:
        async def look() -> Draft | None:
            now = await load_draft(self.ctx, draft.id)
            return now if now.state in states else None

        return cast(Draft, await self.until(look, seconds))


# While an approved reply is in the program's hands


async def test_24_the_mode_is_switched_while_the_issue_is_read_again(program: Program) -> None:
    draft, card = await program.waiting()
    over = await program.approved_and_read(draft)
    await switch_mode(program.ctx, "simulation", S)
    over.set()
    held = await program.state(draft, DraftState.HELD, DraftState.WAITING)
    await program.stage.slack.changes(card, "Simulation")
    await program.click(held, "approve" if held.state is DraftState.WAITING else "post_anyway")
    await program.until(lambda: is_state(program, draft, DraftState.SIMULATED, DraftState.HELD))
    assert not program.stage.jira.posted()


async def is_state(program: Program, draft: Draft, *states: DraftState) -> bool:
    return (await load_draft(program.ctx, draft.id)).state in states


async def test_a_newer_draft_retires_one_that_comes_back_to_be_decided(program: Program) -> None:
    older, card = await program.waiting()
    over = await program.approved_and_read(older)
    program.stage.claude.script({**YES, "response_text": "The newer one."})
    await program.requested()
    newer = await program.stage.slack.card("ECD-1", shows="The newer one.", button="Approve")
    over.set()
    retired = await program.state(older, DraftState.SUPERSEDED)
    await program.stage.slack.changes(card, "Replaced by a newer draft")
    assert retired.superseded_by == (await program.newest()).id
    assert newer.ts != card.ts


async def test_a_draft_that_comes_back_while_a_newer_one_is_stored_is_retired_too(program: Program) -> None:
    older, card = await program.waiting()
    over = await program.approved_and_read(older)

    async def come_back(changes: Sequence[Put | Delete]) -> None:
        drafts = [c.record for c in changes if isinstance(c, Put) and c.table == "drafts"]
        if any(d["id"] != older.id for d in drafts):
            program.store.before_commit = None
            over.set()
            await program.state(older, DraftState.HELD)
            await program.stage.slack.changes(card, "Held")

    program.store.before_commit = come_back
    program.stage.claude.script({**YES, "response_text": "The newer one."})
    await program.requested()
    await program.stage.slack.card("ECD-1", shows="The newer one.", button="Approve")
    await program.state(older, DraftState.SUPERSEDED)
    await program.stage.slack.changes(card, "Replaced by a newer draft")


async def test_24_a_draft_is_never_stored_under_a_mode_that_is_over(program: Program) -> None:
    async def switch(table: str, how: dict[str, Any]) -> None:
        if table == "drafts" and "open" in how:
            program.store.before_find = None
            await switch_mode(program.ctx, "simulation", S)

    program.store.before_find = switch
    draft, _ = await program.waiting()
    await program.until(lambda: has_mode(program, draft, "simulation"), 3.0)


async def test_24_a_draft_that_is_made_during_the_switch_follows_it(program: Program) -> None:
    async def make(changes: Sequence[Put | Delete]) -> None:
        if any(isinstance(c, Put) and c.record["id"] == "mode" for c in changes):
            program.store.before_commit = None
            await program.waiting()

    program.store.before_commit = make
    await switch_mode(program.ctx, "simulation", S)
    draft = await program.newest()
    await program.until(lambda: has_mode(program, draft, "simulation"), 3.0)


async def has_mode(program: Program, draft: Draft, mode: str) -> bool:
    return (await load_draft(program.ctx, draft.id)).mode == mode


async def test_who_sees_the_reply_is_settled_anew_before_the_post(stage: Stage) -> None:
    program = Program(stage, JIRA_PUBLIC_REPLIES="SUP")
    await program.start()
    stage.jira.issue("SUP-1", "Cannot log in", status="Waiting for support", reporter="mira")
    draft, card = await program.waiting("SUP-1")
    assert "the customer will see it" in card.words
    await program.restart(JIRA_PUBLIC_REPLIES="")
    await program.click(draft, "approve")
    await stage.slack.changes(card, "Who will see the reply changed")
    assert not stage.jira.posted()
    await program.click(draft, "post_anyway")
    await stage.slack.changes(card, "Posted")
    assert [c.public for c in stage.jira.posted("SUP-1")] == [False]
    await program.close()
    await program.ctx.store.close()


async def test_two_people_ask_for_a_new_draft_and_get_one(program: Program) -> None:
    draft, card = await program.waiting()
    await program.stage.jira.move("ECD-1", "Done", announce=False)
    await program.click(draft, "approve")
    held = await program.state(draft, DraftState.HELD)
    program.stage.claude.script({**YES, "response_text": "Anew."})
    clicks = [decide(program.ctx, draft.id, "draft_anew", by=by, seen=held.fingerprint) for by in (D, S)]
    ended = await asyncio.gather(*clicks, return_exceptions=True)
    [lost] = [e for e in ended if isinstance(e, LostRace)]
    assert "asked for a new draft" in str(lost)
    await program.stage.slack.card("ECD-1", shows="Anew.")
    await program.state(draft, DraftState.SUPERSEDED)
    events = await program.ctx.store.find("webhook_events")
    assert [e["kind"] for e in events] == ["issue_commented", "draft_requested"]
    del card


async def test_a_new_draft_that_was_asked_for_survives_a_stop(program: Program) -> None:
    draft, _ = await program.waiting()
    await program.stage.jira.move("ECD-1", "Done", announce=False)
    await program.click(draft, "approve")
    await program.state(draft, DraftState.HELD)
    await program.close()  # from here on nothing is worked on: as if killed right after the click was stored
    await program.click(draft, "draft_anew")
    program.stage.claude.script({**YES, "response_text": "Anew."})
    await program.restart()
    await program.stage.slack.card("ECD-1", shows="Anew.")
    assert len(await program.ctx.store.find("webhook_events", kind="draft_requested")) == 1


@both
async def test_33_a_lost_comment_that_shows_up_late_is_not_posted_again(program: Program) -> None:
    """Three looks over 5 s, though Jira is silent at first; and a later refusal leaves the first in mind."""
    jira = program.stage.jira
    draft, _ = await program.waiting()
    jira.fail(POST, Fault("drop"), Fault("answer", status=403))
    await program.click(draft, "approve")
    await program.until(lambda: is_state(program, draft, DraftState.POSTING))
    jira.fail(COMMENTS, *(Fault("answer", status=503) for _ in range(3)))
    unknown = await program.state(draft, DraftState.UNKNOWN, seconds=30)
    looks = [e.at for e in jira.calls(COMMENTS) if e.status == 200][-3:]
    assert (looks[-1] - looks[0]).total_seconds() * quick_time.SPEED >= 4.9
    await program.click(unknown, "post_again")
    await program.state(draft, DraftState.FAILED)
    late = jira.write("ECD-1", "PM Agent", "late")
    late.properties["pm-agent"] = {"draft_id": draft.id}
    await program.click(draft, "retry")
    await program.state(draft, DraftState.POSTED)
    assert len(jira.calls(POST)) == 2


@both
async def test_35_a_retry_after_of_nothing_is_no_reason_to_hurry(program: Program) -> None:
    draft, _ = await program.waiting()
    program.stage.jira.fail(POST, *(Fault("answer", 503, {"Retry-After": "0"}) for _ in range(500)))
    await program.click(draft, "approve")
    await asyncio.sleep(2.5)
    assert len(program.stage.jira.calls(POST)) <= 4
    program.stage.jira.mend()
    await program.state(draft, DraftState.POSTED)


async def test_undo_is_taken_away_in_time_though_restarted(program: Program) -> None:
    draft, card = await program.waiting()
    await program.click(draft, "approve")
    await program.stage.slack.changes(card, "Posted")
    assert card.buttons == ["Undo"]
    program.clock.ahead = timedelta(minutes=10, seconds=-1)
    await program.restart()
    program.clock.ahead += timedelta(seconds=0.5)
    await program.stage.slack.until(lambda: not card.buttons, 5.0)
    await program.until(lambda: closed(program, draft))


async def test_24_an_undo_that_takes_long_ends_with_a_switch_to_simulation(program: Program) -> None:
    draft, card = await program.waiting()
    await program.click(draft, "approve")
    posted = await program.state(draft, DraftState.POSTED)
    jira = program.stage.jira
    jira.fail("DELETE ", *(Fault("answer", status=503) for _ in range(9)))
    await program.click(posted, "undo")
    await jira.until(lambda: jira.calls("DELETE "))
    await switch_mode(program.ctx, "simulation", S)
    await program.until(lambda: noted(program, draft, "the mode was switched"))
    await program.stage.slack.changes(card, "still in Jira")
    assert len(jira.calls("DELETE ")) == 1
    assert len(jira.posted()) == 1


async def test_the_loser_hears_what_the_winner_did(program: Program) -> None:
    draft, _ = await program.waiting()
    await program.click(draft, "approve")
    posted = await program.state(draft, DraftState.POSTED)
    program.stage.jira.fail("DELETE ", Fault("answer", status=403))
    await program.click(posted, "undo", S)
    await program.until(lambda: noted(program, draft, "could not be deleted"))
    with pytest.raises(LostRace, match="Dana Petrova already approved this, and it was posted"):
        await decide(program.ctx, draft.id, "approve", by=S, seen="")


async def noted(program: Program, draft: Draft, words: str) -> bool:
    return words in (await load_draft(program.ctx, draft.id)).note


async def test_what_is_being_posted_is_left_to_who_posts_it(program: Program) -> None:
    """Another caller finds the intent while its lease lives: that is no crash."""
    draft, _ = await program.waiting()
    over = asyncio.Event()
    program.stage.jira.fail(POST, Fault("hang", over=over))
    await program.click(draft, "approve")
    await program.state(draft, DraftState.POSTING)
    before = len(program.stage.jira.exchanges)
    left = await advance(program.ctx, draft.id)
    assert left is not None
    assert 30.0 < left <= 60.0
    assert len(program.stage.jira.exchanges) == before
    over.set()
    posted = await program.state(draft, DraftState.POSTED)
    assert posted.lease is None
    assert len(program.stage.jira.posted()) == 1


async def test_24_a_switch_does_not_wait_for_drafts_that_keep_changing(program: Program) -> None:
    """With thousands of drafts, cards are redrawn all the time while the switch is being written."""
    draft, _ = await program.waiting()
    switches = 0

    async def redrawn(changes: Sequence[Put | Delete]) -> None:
        nonlocal switches
        if not any(isinstance(change, Put) and change.record["id"] == "mode" for change in changes):
            return
        switches += 1
        now = await load_draft(program.ctx, draft.id)
        card = now.card.model_copy(update={"sending_since": program.clock.now()})
        await program.store.commit(Put("drafts", draft_record(now.model_copy(update={"card": card}))))

    program.store.before_commit = redrawn
    await switch_mode(program.ctx, "simulation", D)
    assert switches == 1
    program.store.before_commit = None
    await program.until(lambda: in_mode(program, draft, "simulation"))


async def in_mode(program: Program, draft: Draft, mode: str) -> bool:
    return (await load_draft(program.ctx, draft.id)).mode == mode


# Cards


async def test_a_card_and_a_message_that_are_being_sent_are_left_to_who_sends_them(program: Program) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    posts = [Fault("hang", over=first), Fault("hang", over=second)]
    program.stage.slack.fail("chat.postMessage", *posts)
    program.stage.claude.script(YES)
    await program.asked()
    await program.stage.slack.until(lambda: posts[0].met)
    draft = await program.newest()
    await announce(program.ctx, "a", Said([], "Something happened."))  # its turn in the channel comes after the card's
    again = asyncio.create_task(present(program.ctx, draft.id))
    await asyncio.sleep(0.1 * quick_time.SPEED)
    assert not again.done(), "a process sends a card once at a time"
    first.set()
    await program.stage.slack.card("ECD-1", button="Approve")
    assert await again is None
    await program.stage.slack.until(lambda: posts[1].met)
    left = await deliver(program.ctx, "a")
    assert left is not None
    assert 15.0 < left <= 30.0
    second.set()
    await program.stage.slack.notice("Something happened.")
    assert len(program.stage.slack.messages()) == 2


async def test_29_a_card_that_was_posted_and_not_recorded_is_retired_too(program: Program) -> None:
    draft, card = await program.waiting()
    await program.close()
    # Killed between the post and its record, and a newer draft is there before anybody looked for the message.
    unseen = draft.card.model_copy(update={"ts": None, "shown": 0, "sending_since": program.clock.now()})
    lost = draft.model_copy(update={"card": unseen})
    await program.store.commit(Put("drafts", draft_record(lost)))
    program.stage.claude.script({**YES, "response_text": "The newer one."})
    program.set()
    await program.start()
    await program.requested()
    await program.stage.slack.card("ECD-1", shows="The newer one.")
    await program.stage.slack.changes(card, "Replaced by a newer draft")
    assert len(await program.stage.slack.cards()) == 2


async def test_a_draft_that_retired_before_it_was_shown_is_closed(program: Program) -> None:
    program.stage.slack.fail("chat.postMessage", Fault("answer", 429, {"Retry-After": "40"}))
    program.stage.claude.script(YES, {**YES, "response_text": "The newer one."})
    await program.asked()
    await program.until(lambda: count(program, 1))
    older = await program.newest()
    await program.requested()
    await program.until(lambda: count(program, 2))
    await program.restart()
    await program.stage.slack.card("ECD-1", shows="The newer one.")
    await program.until(lambda: closed(program, older))
    assert len(await program.stage.slack.cards()) == 1


async def count(program: Program, number: int) -> bool:
    return len(await program.drafts()) == number


async def closed(program: Program, draft: Draft) -> bool:
    record = await program.ctx.store.get("drafts", draft.id) or {}
    return record["open"] is False


async def test_a_failure_that_is_tried_again_says_so(program: Program) -> None:
    program.stage.claude.script("not json", "not json")
    event_id = await program.asked()
    message = await program.stage.slack.notice("No draft could be made")
    assert message.buttons == ["Retry"]
    program.stage.claude.script(YES)
    await retry_event(program.ctx, event_id, D)
    await program.stage.slack.changes(message, "Dana Petrova asked for another try")
    assert message.buttons == []
    await program.stage.slack.card("ECD-1", button="Approve")


async def test_a_switch_and_its_announcement_are_one(program: Program) -> None:
    async def ends(changes: Sequence[Put | Delete]) -> None:
        if stored:
            raise StoreUnavailable("killed")
        stored.append(changes)

    stored: list[Any] = []
    program.store.before_commit = ends
    with suppress(StoreUnavailable):
        await switch_mode(program.ctx, "simulation", D)
    program.store.before_commit = None
    await program.restart()
    await program.stage.slack.notice("The mode is simulation now")


# Events


async def test_events_of_one_issue_are_answered_one_after_the_other(program: Program) -> None:
    program.stage.jira.issue("ECD-1", reporter="ben")
    program.stage.claude.delay = 0.4
    program.stage.claude.script(*[NO] * 8)
    for _ in range(3):
        await program.requested()
    await program.stage.claude.until(lambda: len(program.stage.claude.requests) == 2)
    await program.requested()
    await program.until(lambda: none_received(program), 30.0)
    calls = sorted(program.stage.claude.calls("POST /claude/v1/messages"), key=lambda e: e.at)
    for first, second in itertools.pairwise(calls):
        assert second.at >= first.at + timedelta(milliseconds=first.ms - 30)


async def none_received(program: Program) -> bool:
    return not await program.ctx.store.find("webhook_events", state="received")


@both
@pytest.mark.parametrize("comments", [150, pytest.param(1000, marks=pytest.mark.soak)])
async def test_45_a_flood_of_comments_is_answered_by_the_newest(program: Program, comments: int) -> None:
    events = [await program.asked(text=f"And now? {n}") for n in range(comments - 1)]
    other = await program.asked("ECD-2")  # behind all of them, and on another issue: its card is not the last
    events.append(await program.asked(text="And now, at last?"))
    await program.until(lambda: none_received(program), 30.0 + comments / 10)
    records = [await program.event(e) for e in events]
    assert all(r["state"] == "done" and r["reason"] for r in records)
    assert records[-1]["reason"] == (await program.event(other))["reason"] == "draft"
    assert len(program.stage.claude.requests) <= 26
    waiting = [d.issue.key for d in await program.drafts() if d.state is DraftState.WAITING]
    assert sorted(waiting) == ["ECD-1", "ECD-2"]
    assert len(await program.ctx.store.find("agent_cycles")) == comments + 1


async def test_an_older_comment_does_not_retire_the_answer_to_a_newer_one(program: Program) -> None:
    program.stage.jira.fail(ISSUE, Fault("answer", 503))
    older = await program.asked(text="First?")
    await program.until(lambda: waits(program, older))
    draft, _ = await program.waiting()
    await program.until(lambda: none_received(program))
    assert (await program.event(older))["reason"] == "a newer comment has a draft"
    assert (await load_draft(program.ctx, draft.id)).state is DraftState.WAITING


@both
async def test_51_a_clock_that_is_set_back_makes_nobody_late(program: Program) -> None:
    program.clock.ahead = timedelta(days=1)
    older, _ = await program.waiting()
    program.clock.ahead = timedelta()
    program.stage.claude.script({**YES, "response_text": "The newer one."})
    await program.asked()
    await program.stage.slack.card("ECD-1", shows="The newer one.", button="Approve")
    await program.state(older, DraftState.SUPERSEDED)
    await asyncio.sleep(0.2 * quick_time.SPEED)
    assert (await program.newest()).state is DraftState.WAITING


async def waits(program: Program, event_id: str) -> bool:
    return program.ctx.queue.waits_for(event_id) is not None


async def test_a_request_without_a_comment_is_about_the_newest(program: Program) -> None:
    jira = program.stage.jira
    jira.issue("ECD-1", "Export fails", status="Open", reporter="ben")
    newest = jira.write("ECD-1", "ben", "Who looks at it?")
    program.stage.claude.script(YES)
    await program.requested()
    draft, _ = await program.card()
    assert draft.answered == newest.id


async def test_what_jira_refuses_for_good_is_a_failure_in_its_words(program: Program) -> None:
    program.stage.jira.fail(ISSUE, Fault("answer", 400, body={"errorMessages": ["The fields are not there."]}))
    event_id = await program.asked()
    message = await program.stage.slack.notice("No draft could be made", seconds=3)
    assert "The fields are not there." in message.words
    assert (await program.event(event_id))["state"] == "failed"


async def test_why_says_that_drafting_is_paused(program: Program) -> None:
    await pause(program.ctx, None, D)
    await program.asked()
    await asyncio.sleep(0.2 * quick_time.SPEED)
    [line] = await why(program.ctx, "ECD-1")
    assert line.reason == "drafting is paused"


async def test_builds_that_are_reported_together_are_both_kept(program: Program) -> None:
    now = program.clock.now()
    known = PullRequest(id="a/b#1", repository="a/b", number=1, title="ECD-1 x", url="https://bitbucket.org/a/b/1",
                        state="OPEN", branch="x", keys=("ECD-1",), updated=now)  # fmt: skip
    opened = PullRequestChanged(issues=("ECD-1",), action="created", pull_request=known, at=now)
    await accept(program.ctx, Delivery("bitbucket", "w0", None, now), opened)
    await program.until(lambda: none_received(program))
    builds = [
        BuildReported(issues=("ECD-1",), repository="a/b", branch="x", commit="c", name=name, state="FAILED", at=now)
        for name in ("unit", "lint")
    ]
    reports = [Delivery("bitbucket", f"w{number}", None, now) for number in (1, 2)]
    await asyncio.gather(*(accept(program.ctx, *report) for report in zip(reports, builds, strict=True)))
    await program.until(lambda: none_received(program))
    [found] = await pull_requests(program.ctx, "ECD-1")
    assert found.builds == {"unit": "FAILED", "lint": "FAILED"}
    earlier = builds[0].model_copy(update={"state": "INPROGRESS", "at": now - timedelta(minutes=1)})
    await accept(program.ctx, Delivery("bitbucket", "w3", None, now), earlier)
    await program.until(lambda: none_received(program))
    [found] = await pull_requests(program.ctx, "ECD-1")
    assert (found.builds["unit"], found.built["unit"]) == ("FAILED", now), "an older report undoes no newer one"


# Claude away, the disk full


async def test_44_a_retry_after_of_nothing_is_no_reason_to_hurry(program: Program) -> None:
    program.stage.claude.script(*[Fault("answer", 529, {"retry-after": "0"})] * 200)
    await program.asked()
    await asyncio.sleep(3.0)
    assert len(program.stage.claude.requests) <= 2


async def test_44_who_waits_for_claude_leaves_jira_alone(program: Program) -> None:
    program.stage.claude.script(*[Fault("answer", 529)] * 200)
    await program.asked("ECD-1")
    await program.stage.claude.until(lambda: program.stage.claude.requests)
    await program.until(lambda: down(program))
    before = len(program.stage.jira.exchanges)
    waiting = await program.asked("ECD-2")
    await program.until(lambda: waits(program, waiting))
    assert len(program.stage.jira.exchanges) == before


async def down(program: Program) -> bool:
    return program.ctx.outages.claude.said() is not None


async def test_48_what_failed_while_it_was_noted_is_tried_again(program: Program) -> None:
    """The disk is full in the very moment in which a failure is put down: the work goes on all the same."""

    async def full(changes: Sequence[Put | Delete]) -> None:
        if any(c.table == "state" and isinstance(c, Put) and c.record["id"] == "outage" for c in changes):
            raise StoreUnavailable("disk full")

    program.store.before_commit = full
    program.stage.claude.script(Fault("answer", 529))
    await program.asked()
    await program.stage.claude.until(lambda: program.stage.claude.requests)
    await asyncio.sleep(0.3 * quick_time.SPEED)
    program.store.before_commit = None
    program.stage.claude.script(YES)
    await program.stage.slack.card("ECD-1", button="Approve", seconds=12)


async def test_44_a_notice_that_could_not_be_stored_comes_later(program: Program) -> None:
    async def full(changes: Sequence[Put | Delete]) -> None:
        if any(c.table == "messages" for c in changes):
            raise StoreUnavailable("disk full")

    program.stage.claude.script(*[Fault("answer", 529)] * 20)
    await program.asked()
    await program.until(lambda: down(program))
    program.clock.ahead = timedelta(minutes=16)
    program.store.before_commit = full
    with pytest.raises(StoreUnavailable):
        await program.ctx.outages.claude.remind()
    program.store.before_commit = None
    await program.ctx.outages.claude.remind()
    await program.stage.slack.notice("Claude cannot be asked")


async def test_44_an_outage_that_ends_while_its_notice_is_being_stored(program: Program) -> None:
    """The notice says that it is over, and the next outage gets one of its own."""
    outage, ending = program.ctx.outages.claude, set[asyncio.Task[None]]()

    async def over(changes: Sequence[Put | Delete]) -> None:
        if not ending and any(c.table == "messages" for c in changes):
            ending.add(asyncio.create_task(outage.up()))
            await asyncio.sleep(0.05)

    await outage.down(ClaudeDown("server", "Claude is overloaded"))
    program.clock.ahead = timedelta(minutes=16)
    program.store.before_commit = over
    await outage.remind()
    await asyncio.gather(*ending)
    assert not await down(program)
    await program.stage.slack.notice("Claude answers again")
    await outage.down(ClaudeDown("server", "Claude is overloaded"))
    program.clock.ahead = timedelta(minutes=40)
    await outage.remind()
    await program.stage.slack.notice("Claude cannot be asked")


async def test_44_killed_right_after_the_notice_was_stored(program: Program) -> None:
    async def full(changes: Sequence[Put | Delete]) -> None:
        if any(c.table == "state" and isinstance(c, Put) and c.record.get("announced") for c in changes):
            raise StoreUnavailable("as good as killed")

    await program.ctx.outages.claude.down(ClaudeDown("server", "Claude is overloaded"))
    program.clock.ahead = timedelta(minutes=16)
    program.store.before_commit = full
    with pytest.raises(StoreUnavailable):
        await program.ctx.outages.claude.remind()
    program.store.before_commit = None
    notice = await program.stage.slack.notice("Claude cannot be asked")
    after_the_restart = ServiceOutage(program.ctx, "Claude", program.ctx.claude.probe, key="outage", first_wait=5.0)
    await after_the_restart.load()
    await after_the_restart.up()
    await program.stage.slack.changes(notice, "answers again")


async def test_44_an_outage_that_nobody_waits_for_any_more_is_found_to_be_over(program: Program) -> None:
    program.stage.claude.script(Fault("answer", 500))
    program.stage.jira.issue("ECD-1", status="In Progress", reporter="ben")
    asked = await program.asked()
    await program.until(lambda: down(program), 30.0)
    program.clock.ahead = timedelta(minutes=16)
    await program.ctx.outages.claude.look()  # while an event waits it only reminds
    notice = await program.stage.slack.notice("Claude cannot be asked")
    assert not program.stage.claude.calls("GET /v1/models")
    program.stage.jira.issues["ECD-1"].comments.clear()  # what was to be answered is gone
    program.ctx.queue.lift("answer")
    await program.until(lambda: is_done(program, asked), 30.0)
    await program.until(lambda: nothing_to_ask(program), 30.0)
    program.stage.claude.fail("GET .*/models", Fault("answer", 500))
    await program.ctx.outages.claude.look()
    assert await down(program)
    await program.ctx.outages.claude.look()
    await program.stage.slack.changes(notice, "answers again")
    assert not await down(program)


async def is_done(program: Program, event_id: str) -> bool:
    return bool((await program.event(event_id))["state"] == "done")


async def nothing_to_ask(program: Program) -> bool:
    return program.ctx.queue.idle("answer")


@both
async def test_46_with_the_budget_spent_one_event_asks_for_all(program: Program) -> None:
    day = f"spend:{program.ctx.claude.budget.day()}"
    spent = {"id": day, "at": program.clock.now().isoformat(), "usd": 10.0, "calls": 9, "version": 1, "reserved": {}}
    await program.store.commit(Put("state", spent))
    events = [await program.asked(f"ECD-{number}") for number in range(1, 21)]
    for event_id in events:
        await program.until(lambda event_id=event_id: waits(program, event_id))  # type: ignore[misc]  # bound at once
    assert len(program.stage.jira.calls(READ)) <= TABLE["answer"][1]
    assert not program.stage.claude.requests
    before = len(program.stage.jira.exchanges)
    program.ctx.queue.lift("answer")
    await program.until(lambda: asked_jira(program, before))
    await asyncio.sleep(0.3 * quick_time.SPEED)
    assert len(program.stage.jira.calls(READ)) <= TABLE["answer"][1] + 1
    await program.store.commit(Put("state", {**spent, "usd": 0.0, "version": 2}))
    program.ctx.queue.lift("answer")
    await program.until(lambda: none_received(program), 30.0)
    await program.stage.slack.notice("budget")


async def asked_jira(program: Program, before: int) -> bool:
    return len(program.stage.jira.exchanges) > before


@both
async def test_45_a_busy_issue_makes_its_next_event_no_dearer(program: Program) -> None:
    """Counted in records that are read to settle one: hundreds of events and drafts on the issue are not among them."""
    first = await program.asked()
    await program.until(lambda: is_done(program, first), 30.0)
    [record], [draft] = await program.store.find("webhook_events"), await program.store.find("drafts")
    before = (program.clock.now() - timedelta(hours=2)).isoformat()
    for number in range(300):
        old = {**record, "id": f"evt_{number}", "event_id": f"evt_{number}", "at": before, "comment": f"9{number}",
               "keys": []}  # fmt: skip
        skipped = {**draft, "id": f"drf_{number}", "event_id": f"evt_{number}", "at": before, "state": "skipped",
                   "answered": f"9{number}", "open": False}  # fmt: skip
        await program.store.commit(Put("webhook_events", old), Put("drafts", skipped))
    program.store.read = 0
    second = await program.asked()
    await program.until(lambda: is_done(program, second), 30.0)
    assert (await program.event(second))["reason"] == "draft"
    assert program.store.read <= 60


async def test_a_webhook_and_an_automation_rule_on_one_comment_make_one_draft(program: Program) -> None:
    for number, first in enumerate(("webhook", "rule"), 1):
        key = f"ECD-{number}"
        program.stage.jira.issue(key, status="In Progress", reporter="ben")
        if first == "webhook":
            await program.asked(key)
        else:
            program.stage.jira.write(key, "ben", "Is anybody looking at this?")
        comment = program.stage.jira.comments(key)[0]
        event = DraftRequested(issues=(key,), by="jira:automation", comment_id=comment.id, at=program.clock.now())
        delivery = Delivery("automation", f"a{number}", None, program.clock.now())
        await accept(program.ctx, delivery, event)
        if first == "rule":
            await program.until(lambda: none_received(program), 30.0)
            told = Comment(id=comment.id, author=Person(account_id="712020:ben", name="Ben"), text=comment.text,
                           created=comment.created, updated=comment.updated)  # fmt: skip
            late = IssueCommented(issues=(key,), project="ECD", summary="x", comment=told, at=program.clock.now())
            await accept(program.ctx, Delivery("jira", f"w{number}", None, program.clock.now()), late)
        await program.until(lambda: none_received(program), 30.0)
        ends = [r["reason"] for r in await program.store.find("webhook_events", issue=key)]
        assert ends == ["draft", "it has a draft"]
    assert [d.state for d in await program.drafts()] == [DraftState.WAITING] * 2


async def test_a_card_that_slack_refuses_is_tried_less_and_less_and_health_says_so(program: Program) -> None:
    refusals = [Fault("answer", 200, body={"ok": False, "error": "msg_blocks_too_long"})] * 50
    program.stage.slack.fail("POST .*chat.postMessage", *refusals)
    await program.asked()
    await program.until(lambda: says_cards(program))
    [line] = [line for line in program.ctx.queue.health() if line.name == "cards"]
    assert not line.ok
    assert "is refused by Slack" in line.text
    assert len(program.stage.slack.calls("chat.postMessage")) == 1
    program.stage.slack.mend()
    [draft] = await program.drafts()
    await program.ctx.queue.defer(Job("card", draft.id))
    await program.stage.slack.card("ECD-1", button="Approve")
    await program.until(lambda: says_no_cards(program))


async def says_cards(program: Program) -> bool:
    return any(line.name == "cards" for line in program.ctx.queue.health())


async def says_no_cards(program: Program) -> bool:
    return not await says_cards(program)
