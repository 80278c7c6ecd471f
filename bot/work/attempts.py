"""Retries: what an error of a job means, and when it is tried again, for this job or for all of its kind."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from bot.cards import budget_message
from bot.clients.claude.errors import ClaudeBusy, ClaudeDown
from bot.domain.outages import OnHold
from bot.errors import Down, RetryLater
from bot.log import get_logger
from bot.queue import Attempt, Entry, Hold, Outcome
from bot.spending.budget import BudgetReached, BudgetReserved
from bot.store import StoreUnavailable
from bot.work.outage import TOLD_BY_MODELS
from bot.workflow.drafting.ending import fail_event
from bot.workflow.presenting.announcing import announce
from bot.workflow.presenting.card import CardRefused

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)

Handler = Callable[["Context", str], Awaitable[float | None]]
"""What carries out a job of a kind, by its key: None when it is done, or seconds until it has to be looked at again."""
MAX_BACKOFF = 60.0
LOOK_AT_BUDGET = 300.0
"""Seconds between two looks whether the day's budget was raised: one event finds out for all."""
BEHIND = 0.05
"""Seconds by which the event that found a service away comes after the others when that is tried again."""
UNEXPECTED_TRIES = 5
"""After so many unexpected errors an event becomes a failure that a person can retry."""


class Attempts:
    """Attempts of one process. `_said`: what each kind waits for, which the log has once for all its jobs."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._said: dict[str, str] = {}

    def of(self, kind: str, handler: Handler) -> Attempt:
        """An attempt that does not raise: its errors say when the next one is."""

        async def attempt(entry: Entry) -> Outcome:
            try:
                outcome = await handler(self._ctx, entry.key)
            except Exception as error:
                entry.tries += 1
                try:
                    return await self._after(kind, entry, error)
                except Exception:
                    # Even noting it failed (the disk is full, say). That is no reason to forget the job.
                    log.exception("job.not_noted", kind=kind, key=entry.key)
                    return _backoff(entry.tries)
            entry.tries, entry.reason = 0, ""
            self._said.pop(kind, None)
            return outcome

        return attempt

    async def _after(self, kind: str, entry: Entry, error: Exception) -> Outcome:
        """What an error means for the job: its next attempt, everybody's, or its end (None)."""
        match error:
            case BudgetReached() if error.spent >= error.limit:
                await self._announce_budget(error)
                # A look now and then, for a budget that was raised.
                left = (error.until - self._ctx.clock.now()).total_seconds()
                return self._hold(kind, entry, min(max(left, 1.0), LOOK_AT_BUDGET), error.reason)
            case BudgetReached():  # a long one: others may be cheap enough
                await self._announce_budget(error)
                return self._wait(kind, entry, LOOK_AT_BUDGET, error.reason)
            case ClaudeDown():
                wait = await self._ctx.outages.claude.down(error, told_by_probe=error.kind in TOLD_BY_MODELS)
                return self._rest(kind, entry, error, wait)
            case Down() if kind == "answer":
                return self._rest(kind, entry, error, await self._ctx.outages.jira.down(error))
            case OnHold() | ClaudeBusy() | BudgetReserved():
                return self._hold(kind, entry, max(error.after or 0.0, 0.05), error.reason)
            case CardRefused():
                return self._wait(kind, entry, _growing(entry.tries), error.reason)
            case RetryLater():
                # Never at once: a `Retry-After` of nothing is no reason to hurry.
                wait = max(error.after, 1.0) if error.after is not None else _backoff(entry.tries)
                if kind == "answer" and self._ctx.outages.jira.failed_in_a_row():
                    await self._ctx.outages.jira.down(error)
                    return self._rest(kind, entry, error, wait)
                return self._wait(kind, entry, wait, error.reason)
            case StoreUnavailable():
                log.error("job.store_unavailable", kind=kind, key=entry.key)
                return _backoff(entry.tries)
        entry.unexpected += 1
        log.error("job.unexpected", kind=kind, key=entry.key, tries=entry.unexpected, exc_info=error)
        if entry.unexpected >= UNEXPECTED_TRIES and await self._give_up(entry, error):
            return None
        return _backoff(entry.tries)

    def _rest(self, kind: str, entry: Entry, error: RetryLater, seconds: float) -> float:
        """A service is away: the whole kind rests. Another event is tried next, if there is one: should it be away for
        this event alone after all, the others go on."""
        entry.reason = error.reason
        self._ctx.queue.hold(kind, Hold(min(seconds, MAX_BACKOFF), error.reason))
        return seconds + BEHIND

    def _hold(self, kind: str, entry: Entry, seconds: float, reason: str) -> Hold:
        return Hold(self._wait(kind, entry, seconds, reason), reason)

    def _wait(self, kind: str, entry: Entry, seconds: float, reason: str) -> float:
        """Why a job waits. The log has it once for all jobs of a kind that wait for the same."""
        entry.reason = reason
        if self._said.get(kind) != reason:
            self._said[kind] = reason
            log.info("job.waits", kind=kind, key=entry.key, reason=reason)
        return seconds

    async def _announce_budget(self, error: BudgetReached) -> None:
        settings = self._ctx.settings
        day = self._ctx.clock.now().astimezone(settings.timezone).date()
        limit = settings.pmagent_daily_budget_usd
        message = budget_message(error.spent, limit, error.until, timezone=settings.timezone)
        await announce(self._ctx, f"budget:{day}", message)

    async def _give_up(self, entry: Entry, error: Exception) -> bool:
        """End an event that fails in ways nobody foresaw. False: the key is none of an event's."""
        record = await self._ctx.store.get("webhook_events", entry.key)
        if record is None or record["state"] != "received":
            return False
        reason = f"an internal error ({type(error).__name__}); the log has it under {entry.key}"
        await fail_event(self._ctx, record, self._ctx.clock.now(), reason, [])
        return True


def _backoff(tries: int) -> float:
    """1, 2, 4 … 60 seconds, each a little off, so that what failed together does not come back together."""
    return float(min(2 ** min(tries - 1, 10), MAX_BACKOFF) * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def _growing(tries: int) -> float:
    """1, 2, 4 … 60 minutes: for what will not be taken until a person changes something."""
    return float(60.0 * min(2 ** min(tries - 1, 6), 60))
