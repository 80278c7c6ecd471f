"""The table: every entry of the schedule, when it is due and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.log import get_logger
from bot.schedule.rules import At, Every, Run
from bot.schedule.turns import Turn
from bot.settings import Settings
from bot.store import Put
from bot.store.retention import delete_old
from bot.work.other_processes import OtherProcesses
from bot.workflow import expire, propose
from bot.workflow.reconciling.bitbucket import reconcile_development
from bot.workflow.reconciling.jira import reconcile
from bot.workflow.trail import verify_trail

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
MAX_DAYS = 100_000.0
"""Days: more than any retention, and few enough for a calendar."""


@dataclass(frozen=True)
class ScheduleEntry:
    """A line of the table. `rule` reads the settings (None: off).

    Timed entries are given their `Run`, and those that all processes do `in_turn` their `Turn`; the others, which each
    process does for itself, None.
    """

    name: str
    rule: Callable[[Settings], At | Every | None]
    run: Callable[[Context, Any], Awaitable[None]]
    in_turn: bool = False


async def delete_old_records(ctx: Context, _: object) -> None:
    """Delete closed records that are older than the retention, once a day; at start when that is overdue."""
    days = ctx.settings.pmagent_retention_days
    now, last = ctx.clock.now(), await ctx.store.get("state", "retention")
    if days is None or (last and timedelta(0) <= now - datetime.fromisoformat(last["at"]) < timedelta(days=1)):
        return
    deleted = await delete_old(ctx.store, now, now - timedelta(days=min(days, MAX_DAYS)))
    if deleted:
        log.info("retention.deleted", **deleted)
    await ctx.store.commit(Put("state", {"id": "retention", "at": now.isoformat()}))


def entries() -> tuple[ScheduleEntry, ...]:
    """The table."""

    async def expire_drafts(ctx: Context, _: object) -> None:
        await expire(ctx)

    async def look_at_outage(ctx: Context, _: object) -> None:
        await ctx.outages.claude.look()
        await ctx.outages.jira.look()

    async def propose_change(ctx: Context, taken: Turn) -> None:
        await propose(ctx, taken.mine)

    async def standup(ctx: Context, run: Run) -> None:
        from bot.reports.standup import standup_due  # here: it is due once a day, and many have it turned off

        await standup_due(ctx, run)

    return (
        ScheduleEntry("standup", _standup_rule, standup),
        ScheduleEntry("expiry", lambda _: Every(60.0), expire_drafts),
        ScheduleEntry("outage", lambda _: Every(30.0), look_at_outage),
        ScheduleEntry("others", lambda _: Every(5.0), OtherProcesses().follow),
        ScheduleEntry("retention", lambda _: Every(600.0), delete_old_records, in_turn=True),
        ScheduleEntry("reconcile", lambda _: Every(3600.0), reconcile, in_turn=True),
        ScheduleEntry("pull_requests", lambda _: Every(3600.0), reconcile_development, in_turn=True),
        ScheduleEntry("learning", lambda _: Every(3600.0), propose_change, in_turn=True),
        ScheduleEntry("trail", lambda _: Every(86_400.0), verify_trail, in_turn=True),
    )


def _standup_rule(settings: Settings) -> At | None:
    asked = "pmagent_standup_at" in settings.model_fields_set
    return At(settings.standup_time, settings.timezone, asked=asked) if settings.standup_time else None
