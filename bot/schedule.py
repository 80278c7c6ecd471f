"""What happens by the clock: one table of (name, rule, function), and the loop that keeps it.

A timed run belongs to a date, and is settled once for that date, whatever is restarted: its claim is the record
`schedule:<name>:<date>` in `keys` ::

    (absent) ─ due, or late within the grace ─→ started ─→ done
        └──── missed ─────────────────────────────┴──────→ skipped

`started` under a lease that has ended means a crash: look whether it happened, then go on. The function itself settles
the claim, in the same write as the record of what it did. `state/schedule:<name>` remembers the last settled date, so
that several missed days are each recorded. The arithmetic is in `due` and `next_at`, which are pure.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bot.errors import RetryLater
from bot.leases import Lease
from bot.log import bound, get_logger
from bot.settings import Settings
from bot.standup_time import StandupTime
from bot.store import Conflict, Expect, Put, StoreUnavailable
from bot.store.retention import delete_old

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
GRACE = timedelta(hours=2)
"""How late a missed standup is still worth posting."""
LEASE = 300.0
"""Seconds for one attempt at a run: Jira is read, Claude writes, Slack is told."""
LOOK = 30.0
"""Seconds after which the wall clock is read again at the latest: it can be set, and a laptop can sleep."""
LONGEST = 100_000.0
"""Days: more than any retention, and few enough for a calendar."""
LONGEST_WAIT = 3600.0
"""Seconds: a `Retry-After` is obeyed up to here."""
MEMORY = 10
"""Missed dates that are recorded one by one; of a longer absence, the last ones."""


@dataclass(frozen=True)
class Every:
    """Again and again, `seconds` after the last run ended."""

    seconds: float


@dataclass(frozen=True)
class At:
    """On these weekdays at this local time. `asked`: somebody chose it, rather than that it is so by default."""

    time: StandupTime
    zone: ZoneInfo
    grace: timedelta = GRACE
    asked: bool = True


@dataclass(frozen=True)
class Run:
    """One occurrence of a timed entry. `day` is its local date; `missed`: too late, to be recorded as a skip."""

    name: str
    day: date
    planned: datetime
    missed: bool

    @property
    def key(self) -> str:
        return f"schedule:{self.name}:{self.day.isoformat()}"


@dataclass(frozen=True)
class Entry:
    """A line of the table. `rule` reads the settings (None: off). Timed entries are given their `Run`, others None."""

    name: str
    rule: Callable[[Settings], At | Every | None]
    run: Callable[[Context, Run | None], Awaitable[None]]


def occurrence(rule: At, day: date) -> datetime | None:
    """When the rule falls on this local day, in UTC; None on other weekdays.

    A time that the clock change leaves out (02:30 in spring) is read with the offset before it, so it falls an hour
    later by the wall; of a time that comes twice, the first counts.
    """
    if day.weekday() not in rule.time.days:
        return None
    return datetime.combine(day, time(rule.time.hour, rule.time.minute), rule.zone).astimezone(UTC)


def due(now: datetime, last: date | None, rule: At, name: str = "") -> tuple[Run, ...]:
    """The occurrences up to `now` that are not settled, oldest first. `last`: the last settled local date.

    Without `last` (a new data folder, or a clock that was set back) only today's counts, and yesterday's while its
    grace lasts: nobody missed what was due before there was a program.
    """
    today = now.astimezone(rule.zone).date()
    first = today - timedelta(days=1) if last is None or last > today else last + timedelta(days=1)
    runs: list[Run] = []
    for back in range(min((today - first).days, 400), -1, -1):
        day = today - timedelta(days=back)
        planned = occurrence(rule, day)
        if planned is None or planned > now:
            continue
        missed = now - planned > rule.grace
        if missed and last is None and day != today:
            continue
        runs.append(Run(name, day, planned, missed))
    return tuple(runs[-MEMORY:])


def next_at(now: datetime, rule: At) -> datetime | None:
    """The next occurrence after `now`, in UTC; None when no weekday is chosen."""
    today = now.astimezone(rule.zone).date()
    for ahead in range(9):
        planned = occurrence(rule, today + timedelta(days=ahead))
        if planned is not None and planned > now:
            return planned
    return None


def settled(run: Run, outcome: str, now: datetime) -> tuple[Put, Put]:
    """The changes that settle a run (`done` or `skipped`), for the commit that records what was done."""
    at = now.isoformat()
    return (
        Put("keys", {"id": run.key, "at": at, "state": outcome}),
        Put("state", {"id": f"schedule:{run.name}", "at": at, "date": run.day.isoformat()}),
    )


@contextlib.asynccontextmanager
async def claim(ctx: Context, run: Run) -> AsyncIterator[datetime | None]:
    """Take this run: when it was first started (now, or before a crash); None: it is settled, or somebody has it."""
    with ctx.leases.take(LEASE) as lease:
        yield await _claimed(ctx, run, lease)


async def _claimed(ctx: Context, run: Run, lease: Lease) -> datetime | None:
    now = started = ctx.clock.now()
    found = await ctx.store.get("keys", run.key)
    if found and found["state"] == "started":
        if ctx.leases.left(Lease.model_validate(found["lease"])) > 0:
            return None
        started = datetime.fromisoformat(found["at"])  # whoever started it is gone
    # A skip from the future was recorded while the clock was wrong: the day it spoke of has not come yet.
    elif found and not (found["state"] == "skipped" and datetime.fromisoformat(found["at"]) > now):
        return None
    mine = {"id": run.key, "at": started.isoformat(), "state": "started", "lease": lease.model_dump(mode="json")}
    try:
        await ctx.store.commit(Put("keys", mine), expect=(Expect("keys", run.key, found),))
    except Conflict:
        return None  # another process was faster
    return started


async def last_settled(ctx: Context, name: str) -> date | None:
    """The local date of the last settled run, or None: never, or written by a clock that was ahead of today's."""
    found = await ctx.store.get("state", f"schedule:{name}")
    if found is None or datetime.fromisoformat(found["at"]) > ctx.clock.now():
        return None
    return date.fromisoformat(found["date"])


async def tick(ctx: Context, entry: Entry) -> float:
    """Do what is due of this entry now. Returns the seconds until it has to be looked at again."""
    rule = entry.rule(ctx.settings)
    if rule is None:
        return 3600.0
    if isinstance(rule, Every):
        await entry.run(ctx, None)
        return rule.seconds
    if not rule.asked:
        await _begin(ctx, entry.name, rule)
    for run in due(ctx.clock.now(), await last_settled(ctx, entry.name), rule, entry.name):
        await entry.run(ctx, run)
    now = ctx.clock.now()
    following = next_at(now, rule)
    return min(LOOK, max(0.05, (following - now).total_seconds())) if following else LOOK


async def _begin(ctx: Context, name: str, rule: At) -> None:
    """A new data folder owes nothing: a program that was just installed does not report a morning it was not there for.

    Where somebody has set the time themselves, today's late standup is what they can expect.
    """
    if await ctx.store.get("state", f"schedule:{name}") is not None:
        return
    now = ctx.clock.now()
    today = now.astimezone(rule.zone).date()
    planned = occurrence(rule, today)
    settled_until = today if planned is not None and planned <= now else today - timedelta(days=1)
    first = {"id": f"schedule:{name}", "at": now.isoformat(), "date": settled_until.isoformat()}
    with contextlib.suppress(Conflict):
        await ctx.store.commit(Put("state", first), expect=(Expect("state", first["id"]),))


async def _keep(ctx: Context, entry: Entry) -> None:
    tries, said = 0, ""
    while True:
        reason = ""
        try:
            with bound(schedule=entry.name):
                wait = await tick(ctx, entry)
            tries = 0
        except RetryLater as error:
            reason = error.reason
            tries += 1
            wait = (
                min(max(error.after, 1.0), LONGEST_WAIT)
                if error.after is not None
                else min(2.0 ** min(tries, 10), LOOK)
            )
        except StoreUnavailable:
            reason = "the store does not take writes"
            wait = LOOK
        except Exception:
            # One entry's bug must not stop the others, nor this one's next day.
            log.exception("schedule.failed", name=entry.name)
            wait = LOOK
        if reason and reason != said:  # once for each change, however often it is tried
            log.warning("schedule.waits", name=entry.name, reason=reason, next_try_in=round(wait, 1))
        said = reason
        await _sleep(ctx, wait)


async def _sleep(ctx: Context, seconds: float) -> None:
    """Until so much time is over by the wall clock or by the other one, which stands still while a laptop sleeps."""
    ends, stops = ctx.clock.now() + timedelta(seconds=seconds), ctx.clock.monotonic() + seconds
    while (left := min((ends - ctx.clock.now()).total_seconds(), stops - ctx.clock.monotonic())) > 0:  # noqa: ASYNC110 - there is no event for a clock
        await asyncio.sleep(min(left, LOOK))  # in steps: nobody tells when a clock was set


async def run_schedule(ctx: Context) -> None:
    """Keep the table, each entry by itself, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for entry in entries():
            group.create_task(_keep(ctx, entry), name=f"schedule:{entry.name}")


async def delete_old_records(ctx: Context, _: Run | None) -> None:
    """Delete closed records that are older than the retention, once a day; at start when that is overdue."""
    days = ctx.settings.pmagent_retention_days
    now, last = ctx.clock.now(), await ctx.store.get("state", "retention")
    if days is None or (last and timedelta(0) <= now - datetime.fromisoformat(last["at"]) < timedelta(days=1)):
        return
    deleted = await delete_old(ctx.store, now, now - timedelta(days=min(days, LONGEST)))
    if deleted:
        log.info("retention.deleted", **deleted)
    await ctx.store.commit(Put("state", {"id": "retention", "at": now.isoformat()}))


def entries() -> tuple[Entry, ...]:
    """The table. A function, because the use cases in it import half of the program."""
    from bot.reports.standup import standup_due
    from bot.workflow import expire
    from bot.workflow.reconciling import reconcile
    from bot.workflow.reconciling_development import reconcile_development

    async def expire_drafts(ctx: Context, _: Run | None) -> None:
        await expire(ctx)

    async def look_at_outage(ctx: Context, _: Run | None) -> None:
        await ctx.outages.claude.look()
        await ctx.outages.jira.look()

    return (
        Entry("standup", _standup_rule, standup_due),
        Entry("expiry", lambda _: Every(60.0), expire_drafts),
        Entry("outage", lambda _: Every(30.0), look_at_outage),
        Entry("retention", lambda _: Every(600.0), delete_old_records),
        Entry("reconcile", lambda _: Every(3600.0), reconcile),
        Entry("pull_requests", lambda _: Every(3600.0), reconcile_development),
    )


def _standup_rule(settings: Settings) -> At | None:
    asked = "pmagent_standup_at" in settings.model_fields_set
    return At(settings.standup_time, settings.timezone, asked=asked) if settings.standup_time else None
