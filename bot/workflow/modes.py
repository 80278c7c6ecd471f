"""The mode: simulation or production, stored, in force from the moment of that write.

A switch writes the mode and nothing of the drafts that wait, however many there are. Each draft holds the mode under
which its card was drawn; while that is another one, a click on it decides nothing. `presenting.redrawing` comes to all
of them.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from bot.cards import mode_message
from bot.domain.drafts import Mode
from bot.failpoints import failpoint
from bot.store import Audit, Conflict, Expect, Job, Put
from bot.workflow.actor import Actor
from bot.workflow.presenting.announcing import message_record
from bot.workflow.records import REDRAW

if TYPE_CHECKING:
    from bot.context import Context


@dataclass(frozen=True)
class ModeSetting:
    """The mode in force, who set it (their name, or "the settings") and when."""

    mode: Mode
    by: str
    at: datetime | None


async def mode(ctx: Context) -> ModeSetting:
    """The mode in force: the stored one, or the settings' for a data folder that has none yet."""
    record = await ctx.store.get("state", "mode")
    if record is None:
        return ModeSetting(ctx.settings.pmagent_mode, "the settings", None)
    return ModeSetting(record["mode"], record["name"], datetime.fromisoformat(record["at"]))


async def adopt_mode(ctx: Context) -> ModeSetting:
    """At start: a new data folder takes the settings' mode for good; afterwards the stored one wins."""
    record = {
        "id": "mode", "at": ctx.clock.now().isoformat(), "mode": ctx.settings.pmagent_mode, "by": "system",
        "name": "the settings",
    }  # fmt: skip
    with contextlib.suppress(Conflict):
        await ctx.store.commit(Put("state", record), expect=(Expect("state", "mode"),))
    return await mode(ctx)


async def switch_mode(ctx: Context, wanted: Literal["simulation", "production"], by: Actor) -> str:
    """Switch, announce it, have the cards that wait redrawn; all or nothing. Returns a sentence for the person."""
    while True:
        before = await ctx.store.get("state", "mode")
        current = await mode(ctx)
        if current.mode == wanted:
            return f"The mode is {wanted} already."
        now = ctx.clock.now()
        record = {"id": "mode", "at": now.isoformat(), "mode": wanted, "by": by.id, "name": by.name}
        key = f"mode:{now.isoformat()}"
        message = message_record(ctx, key, ctx.settings.slack_channel_approvals, mode_message(wanted, by.name))
        try:
            await ctx.store.commit(
                Put("state", record),
                Put("messages", message),
                expect=(Expect("state", "mode", {"at": before["at"]} if before else None),),
                audit=(Audit(by.account, "mode.switched", details={"from": current.mode, "to": wanted}),),
                jobs=(Job("message", key), REDRAW),
            )
        except Conflict:
            continue
        failpoint("mode.stored")
        return f"The mode is {wanted} now, which is being announced in the approvals channel."
