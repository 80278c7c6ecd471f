"""The first look at a received event: where it goes, or its end, where a rule can settle it.

Most of what Jira says was settled at the door already (`bot.silence.at_the_door`). What comes here is what needs the
store's view: Bitbucket's events, which change what is known of pull requests, and comments, which may be an edit that
changed no words. The rules that depend on what else waits come right before the answer (`settling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bot.events import EVENT, BranchPushed, BuildReported, Event, IssueCommented, PullRequestChanged
from bot.log import get_logger
from bot.policy import LEVEL
from bot.silence import CONTEXT, Silence, by_its_words, may_lead_to_draft, sets_security_level, settled
from bot.store import Conflict, Expect, Put
from bot.workflow.development import learn
from bot.workflow.ending import end_in_silence
from bot.workflow.settling import by_versions
from bot.workflow.withholding import withhold

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)


@dataclass(frozen=True)
class Next:
    """What an event needs, and what it is about: one event at a time of a pull request, or of an issue."""

    what: Literal["answer", "note"]
    about: str


async def first_look(ctx: Context, event_id: str) -> Next | None:
    """End the event if its words or its comment's versions settle it; else say what it needs."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return None
    event = EVENT.validate_python(record["event"])
    if not may_lead_to_draft(event):
        return Next("note", _subject(event))
    silence = by_its_words(event, ctx.jira.account_id)
    if silence is None and isinstance(event, IssueCommented):
        silence = await by_versions(ctx, event, record)
    if silence is None:
        return Next("answer", event.issues[0])
    await end_in_silence(ctx, record, silence, [], started=ctx.clock.now())
    return None


async def note(ctx: Context, event_id: str) -> None:
    """Context: what it says of pull requests, branches and builds is kept, and the event ends, in one write. Where it
    tells of a new security level, what waits on the issue ends first."""
    record = await ctx.store.get("webhook_events", event_id)
    if record is None or record["state"] != "received":
        return
    event, started = EVENT.validate_python(record["event"]), ctx.clock.now()
    if sets_security_level(event):
        await withhold(ctx, event.issues[0], LEVEL)
    while True:
        learned = await learn(ctx, event)
        after, cycle, line = settled(record, Silence(CONTEXT), started=started, ended=ctx.clock.now())
        try:
            await ctx.store.commit(
                Put("webhook_events", after), Put("agent_cycles", cycle), *learned.puts,
                expect=(Expect("webhook_events", event_id, {"state": "received"}), *learned.expect), audit=(line,),
            )  # fmt: skip
        except Conflict as conflict:
            if isinstance(conflict.expect, Expect) and conflict.expect.table == "development":
                continue  # an event about something else (a build) has changed the same pull request
            return
        log.debug("event.silence", event_id=event_id, issue=record["issue"], reason=CONTEXT)
        return


def _subject(event: Event) -> str:
    match event:
        case PullRequestChanged():
            return event.pull_request.id
        case BranchPushed() | BuildReported():
            return f"{event.repository}:{event.branch}"
    return event.issues[0] if event.issues else ""
