"""The first look at a received event: what a rule can settle ends here, in one write; the rest has to be answered.

Most of what Jira says was settled at the door already (`bot.silence.at_the_door`). What comes here is what needs the
store's view: Bitbucket's events, which change what is known of pull requests, and comments, which may be an edit that
changed no words. The rules that depend on what else waits come right before the answer (`settling`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.events import EVENT, IssueCommented
from bot.log import get_logger
from bot.silence import by_its_words, settled
from bot.store import Conflict, Expect, Put
from bot.workflow.development import learn
from bot.workflow.settling import by_versions

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


async def first_look(ctx: Context, event_id: str) -> str | None:
    """End the event if a rule settles it. Returns the key of its issue if it has to be answered, else None."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return None
    event = EVENT.validate_python(record["event"])
    started = ctx.clock.now()
    while True:
        learned = await learn(ctx, event)
        silence = by_its_words(event, ctx.jira.account_id)
        if silence is None and isinstance(event, IssueCommented):
            silence = await by_versions(ctx, event, record)
        if silence is None:
            return event.issues[0]
        after, cycle, line = settled(record, silence, started=started, ended=ctx.clock.now())
        try:
            await ctx.store.commit(
                Put("webhook_events", after), Put("agent_cycles", cycle), *learned.puts,
                expect=(Expect("webhook_events", event_id, {"state": "received"}), *learned.expect), audit=(line,),
            )  # fmt: skip
        except Conflict as conflict:
            if isinstance(conflict.expect, Expect) and conflict.expect.table == "development":
                continue  # somebody else learned something of the same pull request just now
            return None
        log.debug("event.silence", event_id=event_id, issue=record["issue"], reason=silence.reason)
        return None
