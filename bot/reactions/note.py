"""The note of an event that no answer is due to: what it says of pull requests, branches, builds and levels is kept.

Most of what Jira says was settled at the door already (`bot.intake.silence.at_the_door`). What comes here is
Bitbucket's events, which change what is known of pull requests, and new security levels, which end what waits on an
issue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.events import EVENT
from bot.intake.silence import CONTEXT, Silence, sets_security_level, silence_records
from bot.log import get_logger
from bot.reactions import NOTE, done
from bot.rules.policy import SECURITY_LEVEL
from bot.store import Conflict, Expect, Put
from bot.workflow.development import learn
from bot.workflow.withholding import withhold

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


async def note(ctx: Context, event_id: str) -> None:
    """Keep what the event tells, and end it, in one write. Where it tells of a new security level, what waits on the
    issue ends first."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return
    event, started = EVENT.validate_python(record["event"]), ctx.clock.now()
    if sets_security_level(event):
        await withhold(ctx, event.issues[0], SECURITY_LEVEL)
    while True:
        learned = await learn(ctx, event)
        after, cycle, line = silence_records(record, Silence(CONTEXT), started=started, ended=ctx.clock.now())
        cycle["reactions"] = [NOTE.name]
        try:
            await ctx.store.commit(
                Put("webhook_events", after), Put("agent_cycles", cycle), *learned.puts, *done(NOTE, event_id),
                expect=(Expect("webhook_events", event_id, {"state": "received"}), *learned.expect), audit=(line,),
            )  # fmt: skip
        except Conflict as conflict:
            if isinstance(conflict.expect, Expect) and conflict.expect.table == "development":
                continue  # an event about something else (a build) has changed the same pull request
            return
        log.debug("event.silence", event_id=event_id, issue=record["issue"], reason=CONTEXT)
        return
