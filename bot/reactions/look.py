"""The first look at an edited comment: it ends here where its other versions settle it, else it is to be answered.

What needs no view of the store was settled at the door. The rules that depend on what else waits come right before the
answer (`bot.workflow.drafting.rule_skips`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.events import EVENT, IssueCommented
from bot.intake.silence import by_its_words
from bot.reactions import answer_job
from bot.store import Delete, Job
from bot.workflow.drafting.ending import end_in_silence
from bot.workflow.drafting.rule_skips import by_versions

if TYPE_CHECKING:
    from bot.context import Context


async def look(ctx: Context, event_id: str) -> None:
    """End the event if its words or its comment's versions settle it; else let it be answered."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return
    event = EVENT.validate_python(record["event"])
    silence = by_its_words(event, ctx.jira.account_id)
    if silence is None and isinstance(event, IssueCommented):
        silence = await by_versions(ctx, event, record)
    if silence is not None:
        await end_in_silence(ctx, record, silence, [], started=ctx.clock.now())
        return
    await ctx.store.commit(Delete("jobs", Job("look", event_id).id), jobs=[answer_job(event_id, event)])
