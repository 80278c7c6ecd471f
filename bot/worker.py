"""Runs what is due. The record is the job: what has to be done stands in the store, and is found there after a crash.

In memory there is only *when*, in six lanes (`bot.lanes`)::

    looks        every received event: where it goes, or its end, in a moment
    notes        Bitbucket's, by pull request or branch: what they say is kept, and they end
    answers      what deserves one, by issue: Jira, Claude, a draft. Rests as a whole while nobody may call Claude
    drafts       publishing, undo
    cards        the cards in Slack
    messages     the notices in Slack

So an event that deserves a card never waits behind those that a rule settles, a flood on one issue takes one place of
`AT_ONCE`, and what people click has lanes of its own.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from bot.budget import BudgetHeld
from bot.cards import budget_notice
from bot.clients.claude import BudgetReached, ClaudeDown
from bot.clients.claude_errors import ClaudeBusy
from bot.errors import Down, RetryLater
from bot.lanes import Attempt, Hold, Job, Lane
from bot.log import get_logger
from bot.outage import TOLD_BY_MODELS, Held, Outage
from bot.store import StoreUnavailable
from bot.workflow.answering import answer
from bot.workflow.controls import HealthLine, paused
from bot.workflow.ending import fail_event
from bot.workflow.first_look import first_look, note
from bot.workflow.messages import announce, deliver
from bot.workflow.presenting import Refused, close_undo, present
from bot.workflow.publishing import advance

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)

AT_ONCE = 8
"""Events that are answered at the same time: each holds a Jira and a Claude call, none of them much memory."""
LOOKS_AT_ONCE = NOTES_AT_ONCE = 16
"""So many ends share one synced write."""
DRAFTS_AT_ONCE, CARDS_AT_ONCE = 16, 8
"""A POST to Jira may hang for 15 s, and must not keep the others from theirs; Slack takes one message after another."""
SETTLING = 0.3
"""Seconds in which an approved draft is usually posted."""
LONGEST_WAIT = 60.0
LOOK_AT_BUDGET = 300.0
"""Seconds between two looks whether the day's budget was raised: one event finds out for all."""
IN_A_ROW = 3
"""Attempts that fail one after another before all wait: then it is Jira that is away, and not one issue of it."""
BEHIND = 0.05
"""Seconds by which the event that found a service away comes after the others when that is tried again."""
UNEXPECTED_TRIES = 5
"""After so many unexpected errors an event becomes a failure that a person can retry."""


class Worker:
    """See the module's docstring. All `wake_` methods return at once and may be called as often as one likes."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._started = self._stopping = False
        self._waking: asyncio.Future[None] | None = None
        self._failed_in_a_row = 0
        self.claude = Outage(ctx, "Claude", ctx.claude.probe, key="outage", first_wait=5.0)
        self.jira = Outage(ctx, "Jira", ctx.jira.probe, key="outage:jira", first_wait=1.0)
        self._waits_said: dict[Lane, str] = {}
        self._looks = Lane("look", LOOKS_AT_ONCE, self._trying(self._look))
        self._notes = Lane("note", NOTES_AT_ONCE, self._trying(self._note_down))
        self._answers = Lane("answer", AT_ONCE, self._trying(self._answer))
        self._drafts = Lane("draft", DRAFTS_AT_ONCE, self._trying(self._advance))
        self._cards = Lane("card", CARDS_AT_ONCE, self._trying(self._present))
        self._messages = Lane("message", CARDS_AT_ONCE, self._trying(self._deliver))
        self._lanes = (self._looks, self._notes, self._answers, self._drafts, self._cards, self._messages)

    # What there is to do

    def wake_event(self, event_id: str) -> None:
        """An event was received, or may go on."""
        self._lane_of(event_id).wake(event_id)

    def _lane_of(self, event_id: str) -> Lane:
        """Where the event stands; the lane of looks for one that is new."""
        for lane in (self._answers, self._notes):
            if lane.job(event_id) is not None:
                return lane
        return self._looks

    def wake_draft(self, draft_id: str, after: float = 0.0, *, settling: bool = False) -> None:
        """A draft changed: its publishing and its card are looked at.

        `settling`: its next state is a moment away. The card waits that moment, so that a quick outcome is one update
        in Slack, which takes about one a second, and is seen at once.
        """
        self._drafts.wake(draft_id, after)
        self._cards.wake(draft_id, after + (SETTLING if settling else 0.0))

    def wake_card(self, draft_id: str, *, settling: bool = False) -> None:
        """A draft changed by the publisher itself: only its card is looked at."""
        self._cards.wake(draft_id, SETTLING if settling else 0.0)

    def wake_message(self, key: str, after: float = 0.0) -> None:
        """A message is to be posted or changed."""
        self._messages.wake(key, after)

    def wake_all_events(self) -> None:
        """Something that held events back may be over (pause, outage)."""
        self._answers.lift()
        self._waking = asyncio.ensure_future(self._wake_received())  # held: asyncio itself holds tasks weakly
        self._waking.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _wake_received(self) -> None:
        for event in await self._ctx.store.find("webhook_events", state="received"):
            self.wake_event(event["id"])

    async def recall(self) -> None:
        """Take up the outages that were going on. Before anybody asks Jira or Claude: else they would begin anew."""
        for outage in (self.claude, self.jira):
            await outage.load()

    async def start(self) -> None:
        """Take up everything that the store says is unfinished."""
        self._started = True
        await self._wake_received()
        for draft in await self._ctx.store.find("drafts", open=True):
            self.wake_draft(draft["id"])
        for message in await self._ctx.store.find("messages", pending=True):
            self.wake_message(message["id"])

    async def drain(self, seconds: float) -> None:
        """Finish what runs within `seconds`; what is left stays in the store for the next start."""
        self._stopping = True
        running = set().union(*(lane.stop() for lane in self._lanes))
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2.0)
            log.info("worker.parked", jobs=len(late))

    def park(self) -> None:
        """Leave what runs to the next start, now."""
        self._stopping = True
        for lane in self._lanes:
            for task in lane.stop():
                task.cancel()

    # How it is

    def ready(self) -> str | None:
        """None when work is taken; else why not."""
        if self._stopping:
            return "stopping"
        return None if self._started else "starting"

    @property
    def nothing_to_ask(self) -> bool:
        """Whether no event waits for an answer: nobody would find out that Claude or Jira is back."""
        return self._answers.idle

    @property
    def away(self) -> dict[str, str]:
        """The services that events wait for, by name, and since when and why."""
        found = {"claude": self.claude.said(), "jira": self.jira.said()}
        return {name: said for name, said in found.items() if said}

    async def jira_answered(self) -> None:
        """An event's issue was read, or is gone by Jira's own words: whatever was wrong with Jira is over."""
        self._failed_in_a_row = 0
        await self.jira.up()

    def waits_for(self, event_id: str) -> str | None:
        """Why this event waits, in words; None when it does not, or for its turn only."""
        lane = self._lane_of(event_id)
        job = lane.job(event_id)
        return (job.reason or lane.held) if job else None

    def health(self) -> list[HealthLine]:
        """For `/pmagent health`."""
        running, later = sum(lane.running for lane in self._lanes), sum(lane.waiting for lane in self._lanes)
        why = f"; events wait: {self._answers.held}" if self._answers.held else ""
        lines = [HealthLine("worker", self.ready() is None, self.ready() or f"{running} running, {later} waiting{why}")]
        refused = [job for job in self._cards.jobs if job.reason]
        if refused:
            [first, *rest] = refused
            more = f", and {len(rest)} more" if rest else ""
            lines.append(HealthLine("cards", False, f"{first.id} {first.reason}{more}"))
        return lines

    # When it is done

    def _trying(self, attempt: Attempt) -> Attempt:
        """An attempt that does not raise: its errors say when the next one is."""

        async def trying(job: Job) -> float | Hold | None:
            try:
                outcome = await attempt(job)
            except Exception as error:
                job.tries += 1
                try:
                    return await self._after(job, error)
                except Exception:
                    # Even noting it failed (the disk is full, say). That is no reason to forget the job.
                    log.exception("worker.not_noted", job=job.id)
                    return _backoff(job.tries)
            job.reason = ""
            self._waits_said.pop(self._lane(job), None)
            return outcome

        return trying

    async def _after(self, job: Job, error: Exception) -> float | Hold | None:
        """What an error means for the job: its next attempt, everybody's, or its end (None)."""
        match error:
            case BudgetReached() if error.spent >= error.limit:
                await self._announce_budget(error)
                # A look now and then, for a budget that was raised.
                left = (error.until - self._ctx.clock.now()).total_seconds()
                return self._hold(job, min(max(left, 1.0), LOOK_AT_BUDGET), error.reason)
            case BudgetReached():  # a long one: others may be cheap enough
                await self._announce_budget(error)
                self._note(job, error.reason)
                return LOOK_AT_BUDGET
            case ClaudeDown():
                wait = await self.claude.down(error, told_by_probe=error.kind in TOLD_BY_MODELS)
                return self._rest(job, error, wait)
            case Down() if self._lane(job) is self._answers:
                return self._rest(job, error, await self.jira.down(error))
            case Held() | ClaudeBusy() | BudgetHeld():
                return self._hold(job, max(error.after or 0.0, 0.05), error.reason)
            case Refused():
                self._note(job, error.reason)
                return _growing(job.tries)
            case RetryLater():
                # Never at once: a `Retry-After` of nothing is no reason to hurry.
                wait = max(error.after, 1.0) if error.after is not None else _backoff(job.tries)
                if self._lane(job) is self._answers:
                    self._failed_in_a_row += 1
                    if self._failed_in_a_row >= IN_A_ROW:
                        await self.jira.down(error)
                        return self._rest(job, error, wait)
                self._note(job, error.reason)
                return wait
            case StoreUnavailable():
                log.error("worker.store_unavailable", job=job.id)
                return _backoff(job.tries)
        job.unexpected += 1
        log.error("worker.unexpected", job=job.id, tries=job.unexpected, exc_info=error)
        if job.unexpected >= UNEXPECTED_TRIES and await self._give_up(job, error):
            return None
        return _backoff(job.tries)

    def _rest(self, job: Job, error: RetryLater, seconds: float) -> float:
        """A service is away: the lane of answers rests. Another event is tried next, if there is one: should it be away
        for this event alone after all, the others go on."""
        job.reason = error.reason
        self._answers.hold(Hold(min(seconds, LONGEST_WAIT), error.reason))
        return seconds + BEHIND

    def _hold(self, job: Job, seconds: float, reason: str) -> Hold:
        self._note(job, reason)
        return Hold(seconds, reason)

    def _note(self, job: Job, reason: str) -> None:
        """Why a job waits. The log has it once for all jobs of a lane that wait for the same."""
        job.reason = reason
        lane = self._lane(job)
        if self._waits_said.get(lane) != reason:
            self._waits_said[lane] = reason
            log.info("worker.waits", job=job.id, reason=reason)

    def _lane(self, job: Job) -> Lane:
        return next(lane for lane in self._lanes if lane.job(job.id) is job)

    # What is done

    async def _look(self, job: Job) -> None:
        following = await first_look(self._ctx, job.id)
        if following is not None:
            lane = self._answers if following.what == "answer" else self._notes
            lane.wake(job.id, group=following.about)

    async def _note_down(self, job: Job) -> None:
        await note(self._ctx, job.id)

    async def _answer(self, job: Job) -> None:
        halted = await paused(self._ctx)
        if halted:
            # Until somebody resumes, which wakes all events.
            left = 3600.0 if halted is True else (halted - self._ctx.clock.now()).total_seconds() + 0.05
            raise Held("drafting is paused", after=left)
        await answer(self._ctx, job.id)
        self._failed_in_a_row = 0

    async def _advance(self, job: Job) -> None:
        await close_undo(self._ctx, job.id)
        await advance(self._ctx, job.id)

    async def _present(self, job: Job) -> None:
        await present(self._ctx, job.id)

    async def _deliver(self, job: Job) -> None:
        await deliver(self._ctx, job.id)

    async def _announce_budget(self, error: BudgetReached) -> None:
        settings = self._ctx.settings
        day = self._ctx.clock.now().astimezone(settings.timezone).date()
        limit = settings.pmagent_daily_budget_usd
        notice = budget_notice(error.spent, limit, error.until, timezone=settings.timezone)
        await announce(self._ctx, f"budget:{day}", notice)

    async def _give_up(self, job: Job, error: Exception) -> bool:
        """End an event that fails in ways nobody foresaw. False: the job is none."""
        record = await self._ctx.store.get("webhook_events", job.id)
        if record is None or record["state"] != "received":
            return False
        reason = f"an internal error ({type(error).__name__}); the log has it under {job.id}"
        await fail_event(self._ctx, record, self._ctx.clock.now(), reason, [])
        return True


def _backoff(tries: int) -> float:
    """1, 2, 4 … 60 seconds, each a little off, so that what failed together does not come back together."""
    return float(min(2 ** min(tries - 1, 10), LONGEST_WAIT) * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def _growing(tries: int) -> float:
    """1, 2, 4 … 60 minutes: for what will not be taken until a person changes something."""
    return float(60.0 * min(2 ** min(tries - 1, 6), 60))
