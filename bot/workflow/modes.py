"""The mode: simulation or production, stored, switched for all drafts that wait in one write."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from bot.cards import mode_notice
from bot.domain.drafts import RETIRABLE, Mode
from bot.failpoints import failpoint
from bot.store import Audit, Conflict, Expect, Job, Put
from bot.workflow.actor import Actor
from bot.workflow.messages import message_record
from bot.workflow.records import draft_record, open_drafts

if TYPE_CHECKING:
    from bot.context import Context


TOGETHER = 3
"""Tries at which the drafts that wait are switched in the same write."""


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
    """Switch, redraw the cards that wait, announce it; all or nothing. Returns a sentence for the person.

    Where drafts keep changing while that is written, the switch does not wait for them: the job `mode`, which is stored
    with it, comes to each.
    """
    for tries in itertools.count():
        before = await ctx.store.get("state", "mode")
        current = await mode(ctx)
        if current.mode == wanted:
            return f"The mode is {wanted} already."
        now = ctx.clock.now()
        record = {"id": "mode", "at": now.isoformat(), "mode": wanted, "by": by.id, "name": by.name}
        # A draft whose POST may have happened keeps the mode in which it was sent.
        drafts = [draft for draft in await open_drafts(ctx) if draft.state in RETIRABLE]
        together = drafts if tries < TOGETHER else []
        redrawn = [d.model_copy(update={"mode": wanted, "version": d.version + 1}) for d in together]
        key = f"mode:{now.isoformat()}"
        notice = message_record(
            ctx, key, ctx.settings.slack_channel_approvals, mode_notice(wanted, by.name, len(drafts))
        )
        jobs = [Job("message", key), Job("mode", "mode"), *(Job("card", draft.id) for draft in together)]
        expect = [Expect("state", "mode", {"at": before["at"]} if before else None)]
        for draft in together:
            old = draft_record(draft)
            expect.append(Expect("drafts", draft.id, {"version": old["version"], "card": old["card"]}))
        try:
            await ctx.store.commit(
                Put("state", record),
                Put("messages", notice),
                *(Put("drafts", draft_record(d)) for d in redrawn),
                expect=expect,
                audit=(Audit(by.account, "mode.switched", details={"from": current.mode, "to": wanted}),),
                jobs=jobs,
            )
        except Conflict:
            continue
        failpoint("mode.stored")
        break
    return f"The mode is {wanted} now, which is being announced in the approvals channel."


async def follow_mode(ctx: Context, _: str) -> None:
    """Look again at the drafts that were made, or came back to be decided, while a switch was on its way."""
    now = (await mode(ctx)).mode
    await ctx.queue.defer(*(Job("draft", draft.id) for draft in await open_drafts(ctx) if draft.mode != now))
