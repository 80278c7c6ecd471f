"""Runs what is due. The record is the job: what has to be done stands in the store, and is found there after a crash.

In memory there is only *when*: one entry per event, draft, card or message that somebody woke, its task while it runs
and its timer while it waits. Events of one issue are drafted one after the other, those of several side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

from bot.cards import budget_notice
from bot.clients.claude import BudgetReached, ClaudeDown
from bot.errors import RetryLater
from bot.events import EVENT
from bot.log import get_logger
from bot.outage import Outage
from bot.store import StoreUnavailable
from bot.workflow.answering import answer, fail_event, may_lead_to_draft
from bot.workflow.controls import HealthLine, paused
from bot.workflow.messages import announce, deliver
from bot.workflow.presenting import close_undo, present
from bot.workflow.publishing import advance

if TYPE_CHECKING:
    from bot.context import Context

Kind = Literal["event", "draft", "card", "message"]
log = get_logger(__name__)

AT_ONCE = 8
"""Events that are drafted at the same time: each holds a Jira and a Claude call, none of them much memory."""
SETTLING = 0.3
"""Seconds in which an approved draft is usually posted."""
LONGEST_WAIT = 60.0
UNEXPECTED_TRIES = 5
"""After so many unexpected errors an event becomes a failure that a person can retry."""


@dataclass
class _Job:
    kind: Kind
    id: str
    tries: int = 0
    unexpected: int = 0
    again: bool = False
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None


class Worker:
    """See the module's docstring. All `wake_` methods return at once and may be called as often as one likes."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._jobs: dict[tuple[Kind, str], _Job] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._started = self._stopping = False
        self._waking: asyncio.Future[None] | None = None
        self.outage = Outage(ctx)
        self.waiting: dict[str, str] = {}

    # What there is to do

    def wake_event(self, event_id: str) -> None:
        """An event was received, or may go on."""
        self._wake("event", event_id, 0.0)

    def wake_draft(self, draft_id: str, after: float = 0.0, *, settling: bool = False) -> None:
        """A draft changed: its publishing and its card are looked at.

        `settling`: its next state is a moment away. The card waits that moment, so that a quick outcome is one update
        in Slack, which takes about one a second, and is seen at once.
        """
        self._wake("draft", draft_id, after)
        self._wake("card", draft_id, after + (SETTLING if settling else 0.0))

    def wake_card(self, draft_id: str, *, settling: bool = False) -> None:
        """A draft changed by the publisher itself: only its card is looked at."""
        self._wake("card", draft_id, SETTLING if settling else 0.0)

    def wake_message(self, key: str, after: float = 0.0) -> None:
        """A message is to be posted or changed."""
        self._wake("message", key, after)

    def wake_all_events(self) -> None:
        """Something that held events back may be over (pause, outage)."""
        self._waking = asyncio.ensure_future(self._wake_received())  # held: asyncio itself holds tasks weakly
        self._waking.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _wake_received(self) -> None:
        for record in await self._ctx.store.find("webhook_events", state="received"):
            self.wake_event(record["id"])

    async def start(self) -> None:
        """Take up everything that the store says is unfinished."""
        await self.outage.load()
        self._started = True
        await self._wake_received()
        for record in await self._ctx.store.find("drafts", open=True):
            self.wake_draft(record["id"])
        for record in await self._ctx.store.find("messages", pending=True):
            self.wake_message(record["id"])

    async def drain(self, seconds: float) -> None:
        """Finish what runs within `seconds`; what is left stays in the store for the next start."""
        self._stopping = True
        for job in self._jobs.values():
            if job.timer:
                job.timer.cancel()
        running = [job.task for job in self._jobs.values() if job.task and not job.task.done()]
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
        for job in self._jobs.values():
            if job.task:
                job.task.cancel()

    def ready(self) -> str | None:
        """None when work is taken; else why not."""
        if self._stopping:
            return "stopping"
        return None if self._started else "starting"

    def health(self) -> list[HealthLine]:
        """For `/pmagent health`."""
        running = sum(1 for job in self._jobs.values() if job.task)
        later = sum(1 for job in self._jobs.values() if job.timer)
        return [HealthLine("worker", self.ready() is None, self.ready() or f"{running} running, {later} waiting")]

    # When it is done

    def _wake(self, kind: Kind, job_id: str, after: float) -> None:
        if self._stopping:
            return
        job = self._jobs.get((kind, job_id))
        if job is None:
            job = self._jobs[kind, job_id] = _Job(kind, job_id)
        if job.task is not None:
            if after <= 0:
                job.again = True
            else:
                self._at(job, after)
            return
        if after > 0:
            self._at(job, after)
        else:
            self._begin(job)

    def _at(self, job: _Job, after: float) -> None:
        due = asyncio.get_running_loop().time() + after
        if job.timer is not None:
            if job.timer.when() <= due:
                return
            job.timer.cancel()
        job.timer = asyncio.get_running_loop().call_later(after, self._begin, job)

    def _begin(self, job: _Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None
        if self._stopping:
            return
        if job.task is not None:
            job.again = True
            return
        job.task = asyncio.create_task(self._run(job), name=f"{job.kind}:{job.id}")

    async def _run(self, job: _Job) -> None:
        try:
            while True:
                job.again = False
                after = await self._try(job)
                if not job.again or self._stopping:
                    break
        finally:
            job.task = None
        if after is not None and not self._stopping:
            self._at(job, after)
        elif job.timer is None:
            self._jobs.pop((job.kind, job.id), None)

    async def _try(self, job: _Job) -> float | None:
        """One attempt. Returns the seconds until the next one; None: nothing is left to do."""
        after = None
        try:
            await self._do(job)
        except Exception as error:
            job.tries += 1
            try:
                after = await self._after(job, error)
            except Exception:
                # Even noting it failed (the disk is full, say). That is no reason to forget the job.
                log.exception("worker.not_noted", kind=job.kind, job=job.id)
                return _backoff(job.tries)
        if after is None:
            self.waiting.pop(job.id, None)
        return after

    async def _after(self, job: _Job, error: Exception) -> float | None:
        """What an error means for the job: the seconds until its next attempt; None: it has come to an end."""
        if isinstance(error, RetryLater):
            self._note(job, error.reason)
        match error:
            case BudgetReached():
                await self._announce_budget(error)
                seconds = (error.until - self._ctx.clock.now()).total_seconds()
                # A look now and then, for a budget that was raised, costs nothing: no call is made.
                return min(max(seconds, 1.0), 300.0)
            case ClaudeDown():
                return await self.outage.down(error)
            case RetryLater():
                # Never at once: a `Retry-After` of nothing is no reason to hurry.
                return max(error.after, 1.0) if error.after is not None else _backoff(job.tries)
            case StoreUnavailable():
                log.error("worker.store_unavailable", kind=job.kind, job=job.id)
                return _backoff(job.tries)
        job.unexpected += 1
        log.error("worker.unexpected", kind=job.kind, job=job.id, tries=job.unexpected, exc_info=error)
        if job.kind == "event" and job.unexpected >= UNEXPECTED_TRIES:
            await self._give_up(job, error)
            return None
        return _backoff(job.tries)

    async def _do(self, job: _Job) -> None:
        match job.kind:
            case "event":
                await self._do_event(job.id)
            case "draft":
                await close_undo(self._ctx, job.id)
                await advance(self._ctx, job.id)
            case "card":
                await present(self._ctx, job.id)
            case "message":
                await deliver(self._ctx, job.id)

    async def _do_event(self, event_id: str) -> None:
        record = await self._ctx.store.get("webhook_events", event_id)
        if record is None or record["state"] != "received":
            return
        if not may_lead_to_draft(EVENT.validate_python(record["event"])):
            await answer(self._ctx, event_id)
            return
        async with self._turn(record["issue"]):
            halted = await paused(self._ctx)
            if halted:
                # Until somebody resumes, which wakes all events; a timer keeps it among what waits.
                left = 3600.0 if halted is True else (halted - self._ctx.clock.now()).total_seconds() + 0.05
                raise RetryLater("drafting is paused", after=left)
            await answer(self._ctx, event_id)

    @contextlib.asynccontextmanager
    async def _turn(self, issue: str) -> AsyncIterator[None]:
        """One event of an issue at a time, and not too many in all."""
        # Whoever has the turn or waits for it holds the lock; with the last of them it goes.
        lock = self._locks.setdefault(issue, asyncio.Lock())
        async with lock, self._slots:
            yield

    def _note(self, job: _Job, reason: str) -> None:
        if self.waiting.get(job.id) != reason:
            log.info("worker.waits", kind=job.kind, job=job.id, reason=reason)
        self.waiting[job.id] = reason

    async def _announce_budget(self, error: BudgetReached) -> None:
        settings = self._ctx.settings
        day = self._ctx.clock.now().astimezone(settings.timezone).date()
        limit = settings.pmagent_daily_budget_usd
        notice = budget_notice(error.spent, limit, error.until, timezone=settings.timezone)
        await announce(self._ctx, f"budget:{day}", notice)

    async def _give_up(self, job: _Job, error: Exception) -> None:
        record = await self._ctx.store.get("webhook_events", job.id)
        if record is not None and record["state"] == "received":
            reason = f"an internal error ({type(error).__name__}); the log has it under {job.id}"
            await fail_event(self._ctx, record, self._ctx.clock.now(), reason, [])


def _backoff(tries: int) -> float:
    """1, 2, 4 … 60 seconds, each a little off, so that what failed together does not come back together."""
    return float(min(2 ** min(tries - 1, 10), LONGEST_WAIT) * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
