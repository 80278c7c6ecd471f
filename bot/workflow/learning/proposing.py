"""The weekly proposal: Claude suggests one change of the prompts, and an admin accepts or declines it.

The last one stands in `state/learning`: `number`, `at`, `state` (open, accepted, declined; dropped: it was none that
can be carried out, none: Claude saw no reason for one), and the proposal. The message goes to the approvals channel:
direct messages to this app are off (`app_manifest.yml`), and what it quotes stood there as cards. A process that dies
between Claude's answer and the record asks again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.access.origin import Spot
from bot.cards import CorrectionRow, ProposalOutcome, proposal_message
from bot.clients.claude.errors import Unanswerable
from bot.domain.corrections import Correction
from bot.errors import UserError
from bot.log import get_logger
from bot.prompting import Proposal, chosen, diff_of, proposal_request, read_proposal
from bot.store import Audit, Conflict, Expect, Job, Put, Record
from bot.workflow.drafting.asking import ask_for
from bot.workflow.learning.corrections import corrections
from bot.workflow.pausing import paused
from bot.workflow.presenting.announcing import is_message, message_record, revise

if TYPE_CHECKING:
    from bot.context import Context
    from bot.workflow.actor import Actor

log = get_logger(__name__)
STATE_ID = "learning"
AGAIN_AFTER = timedelta(days=7)
AT_LEAST = 10
"""Corrections since the last one."""
QUOTED = 400
"""Characters of each text that is kept for the message."""


async def propose(ctx: Context, mine: tuple[Expect, ...] = ()) -> None:
    """Propose a change, if a week is over and enough was corrected.

    Raises `RetryLater` while Claude is not to be asked. `mine`: true while nobody else has this turn.
    """
    last, now = await ctx.store.get("state", STATE_ID), ctx.clock.now()
    since = datetime.fromisoformat(last["at"]) if last else None
    if await paused(ctx) or (since and timedelta(0) <= now - since < AGAIN_AFTER):
        return
    found = chosen([one for one in await corrections(ctx) if since is None or one.at > since])
    if len(found) < AT_LEAST:
        return
    ctx.outages.claude.hold()
    request = proposal_request(ctx.prompts, ctx.settings, found)
    proposal, reason = None, ""
    try:
        proposal, calls = await ask_for(ctx.claude, request, lambda text: read_proposal(text, ctx.prompts, found))
    except Unanswerable as error:
        calls, reason = error.calls, error.reason
    number = last["number"] + 1 if last else 1
    state = "open" if proposal else "dropped" if reason else "none"
    record = {
        "id": STATE_ID, "at": now.isoformat(), "number": number, "state": state,
        "proposal": proposal.model_dump(mode="json") if proposal else None, **_quoted(proposal, found),
    }  # fmt: skip
    details: dict[str, Any] = {
        "number": number, "corrections": len(found), "prompt": request.prompt, "model": request.model,
        "cost_usd": round(sum(call.cost_usd for call in calls), 8), **({"reason": reason} if reason else {}),
    }  # fmt: skip
    action = {"open": "learning.proposed", "dropped": "learning.dropped", "none": "learning.nothing"}[state]
    message = message_record(ctx, _key(number), ctx.settings.slack_channel_approvals, _message(ctx, record))
    try:
        await ctx.store.commit(
            Put("state", record),
            *([Put("messages", message)] if proposal else []),
            expect=(Expect("state", STATE_ID, last), *mine),
            audit=[Audit("system", action, details=details)],
            jobs=[Job("message", _key(number))] if proposal else [],
        )
    except Conflict:
        return  # another process was faster
    log.info(action, number=number, reason=reason)


async def settle(ctx: Context, number: int, by: Actor, *, accept: bool) -> str:
    """What an admin says to a proposal: accepted, it shows its diff, and writes nothing. Returns a sentence.

    Raises `UserError` for one that is settled, or that does not fit the prompts any more.
    """
    before = await ctx.store.get("state", STATE_ID)
    if before is None or before["number"] != number or before["state"] != "open":
        raise UserError("This proposal is settled already, or a newer one took its place.")
    diff = diff_of(Proposal.model_validate(before["proposal"]), ctx.prompts) if accept else None
    if accept and not diff:
        raise UserError("The prompts have changed since this was proposed, and it does not fit them any more.")
    state = "accepted" if accept else "declined"
    after = {**before, "state": state, "by": by.account}
    line = Audit(by.account, f"learning.{state}", details={"number": number})
    try:
        await ctx.store.commit(Put("state", after), expect=(Expect("state", STATE_ID, before),), audit=(line,))
    except Conflict:
        raise UserError("Somebody else was faster. Please look at the message as it is now.") from None
    await revise(ctx, _key(number), _message(ctx, after, ProposalOutcome(by.name, diff)))
    return "The diff stands in the message now; nothing was written." if accept else "Noted."


async def is_proposal(ctx: Context, number: int, spot: Spot | None) -> bool:
    """Whether this message in Slack is the one of the proposal."""
    return await is_message(ctx, _key(number), spot)


def _key(number: int) -> str:
    return f"learning:{number}"


def _quoted(proposal: Proposal | None, found: tuple[Correction, ...]) -> dict[str, Any]:
    """The corrections that it rests on, for its message; `issues` by the name under which an erasure looks for them."""
    used = [one for one in found if proposal and one.id in proposal.pairs]
    rows = [CorrectionRow(one.issue, one.wrote[:QUOTED], one.made[:QUOTED])._asdict() for one in used]
    return {"issues": [one.issue for one in used], "rests_on": rows}


def _message(ctx: Context, record: Record, outcome: ProposalOutcome | None = None) -> Any:
    proposal = Proposal.model_validate(record["proposal"]) if record["proposal"] else None
    rows = [CorrectionRow(**row) for row in record["rests_on"]]
    return proposal_message(
        record["number"], proposal.path if proposal else "", proposal.why if proposal else "", rows,
        site=ctx.settings.site, outcome=outcome,
    )  # fmt: skip
