"""Corrections: kept when an edited draft ends, looked up for the next request, and forgotten when told to.

A correction is written by `bot.workflow.records.save_draft`, in the commit that posts or simulates the draft, and goes
with Undo, an erasure, the retention, when its issue is not for the channel any more, or when an admin says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.corrections import Correction, place
from bot.errors import UserError
from bot.log import get_logger
from bot.rules.learning import may_learn, nearest_corrections
from bot.rules.policy import Audience
from bot.store import Audit, Conflict, Delete, Expect, Record

if TYPE_CHECKING:
    from bot.context import Context
    from bot.workflow.actor import Actor

log = get_logger(__name__)
NEWEST = 200
"""Corrections of one project and audience that are looked through: older ones tell how people wrote once."""


def read_correction(record: Record) -> Correction:
    """A correction from its record."""
    return Correction.model_validate({k: v for k, v in record.items() if k in Correction.model_fields})


async def lessons(ctx: Context, project: str, seen_by: Audience, asked: str) -> tuple[Correction, ...]:
    """The nearest corrections for a reply in this project to this audience; none where a customer will see it."""
    if not may_learn(seen_by):
        return ()
    where = place(project, seen_by.audience)
    found = await ctx.store.find("corrections", place=where, newest_first=True, limit=NEWEST)
    return nearest_corrections(asked, [read_correction(record) for record in found], ctx.clock.now())


async def corrections(ctx: Context, project: str | None = None) -> list[Correction]:
    """Those in use, newest first: of one project, or of all that are watched."""
    if project is None:
        found = await ctx.store.find("corrections", newest_first=True, limit=NEWEST)
    else:
        found = []
        for where in (place(project, "public"), place(project, "internal")):
            found += await ctx.store.find("corrections", place=where, newest_first=True, limit=NEWEST)
    read = [read_correction(record) for record in found]
    return sorted((one for one in read if ctx.settings.watches(one.project)), key=lambda one: one.at, reverse=True)


async def forget(ctx: Context, correction_id: str, by: Actor) -> str:
    """Take a correction out of use for good. Returns a sentence; raises `UserError` when it is not there any more."""
    record = await ctx.store.get("corrections", correction_id)
    if record is not None:
        line = Audit(by.account, "learned.forgotten", record["event_id"], correction_id, record["issue"])
        try:
            await ctx.store.commit(
                Delete("corrections", correction_id), expect=(Expect("corrections", correction_id, {}),), audit=(line,)
            )
        except Conflict:
            record = None
    if record is None:
        raise UserError("This was forgotten already.")
    return f"Forgotten: what was changed on {record['issue']} is not shown to Claude any more."


async def forget_issue(ctx: Context, key: str, reason: str) -> None:
    """The same for all that was learned on an issue which is not for the channel any more."""
    found = await ctx.store.find("corrections", issue=key)
    if found:
        log.info("learned.dropped", issue=key, reason=reason)
        await ctx.store.commit(
            *(Delete("corrections", record["id"]) for record in found),
            audit=[
                Audit("system", "learned.forgotten", record["event_id"], record["id"], key, {"reason": reason})
                for record in found
            ],
        )
