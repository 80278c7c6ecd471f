"""The card in Slack follows the draft in the store: whatever changed, the message is redrawn until it agrees.

Whoever posts or redraws a card has a lease on it, which is renewed when its turn in the channel has come
(`bot.domain.leases`). One process sends a card once at a time, and by itself needs no lease to redraw it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bot.access.origin import Spot
from bot.cards import draft_card
from bot.domain.draft_states import LAPSED, OPEN, DraftState
from bot.domain.drafts import Card, Draft
from bot.errors import OutcomeUnknown, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.store import Conflict, Job
from bot.workflow.presenting.frames import is_refusal, no_boxes, takes_boxes
from bot.workflow.records import load_draft, read_draft, save_draft

if TYPE_CHECKING:
    from bot.context import Context
    from bot.domain.leases import Deadline, OwnLease

log = get_logger(__name__)
LOOKUP_DELAY = 2.0
"""Seconds after a lost answer of Slack's until it is looked whether the card is there."""
LEASE = 30.0
"""Seconds for one message to Slack and the record of its answer."""
NEWER_FIRST = 10.0
"""Seconds until a superseded card is looked at again at the latest, while the newer one is not posted."""
_SENT: dict[str, Any] = {"sending_since": None, "lease": None, "behind": False}


class CardRefused(RetryLater):
    """Slack will not take this card until something is changed by a person: the bot invited, the channel restored."""


async def present(ctx: Context, draft_id: str, *, patient: bool = False) -> float | None:
    """Post or redraw the card of this draft until it shows the stored version. `patient`: nobody waits for it.

    Returns the seconds until it has to be looked at again, where it has to. Raises `RetryLater` while Slack does not
    take it (429 with its time, or unreachable), `CardRefused` when it will not.
    """
    async with ctx.drawing.setdefault(draft_id, asyncio.Lock()):
        with ctx.leases.take(LEASE) as own:
            return await _present(ctx, draft_id, own, patient=patient)


async def _present(ctx: Context, draft_id: str, own: OwnLease, *, patient: bool) -> float | None:
    while True:
        draft = await load_draft(ctx, draft_id)
        card = draft.card
        if card.shown >= draft.version:
            return None
        if (left := own.left(card.lease)) > 0:
            return left  # somebody is sending it
        lapsed, found = draft.state in LAPSED, card.ts
        if found is None and card.sending_since:
            # Taken over before it is looked for: whoever was sending it cannot any more.
            taken = await _leased(ctx, draft, own)
            if taken is None:
                continue
            draft, card = taken, taken.card
            found = await ctx.slack.find(card.channel, draft.id, card.sending_since or draft.created)
        if lapsed and not found:
            # Nobody has seen it, and nobody needs to any more.
            await _save_card(ctx, draft, card.model_copy(update=_SENT | {"shown": draft.version}))
            continue
        newer = await _newer(ctx, draft)
        if newer and newer.card.ts is None and newer.state not in LAPSED:
            return NEWER_FIRST  # and its post asks for this one, which links to it
        sending = _Sending(ctx, draft, own, found, patient=patient)
        try:
            ts = await sending.send(_address(ctx, newer) if newer else None)
        except _Changed:
            continue
        except OutcomeUnknown as error:
            log.warning("card.outcome_unknown", draft_id=draft.id, reason=error.reason)
            return LOOKUP_DELAY
        except Permanent as error:
            log.error("card.refused", draft_id=draft.id, reason=error.reason)
            gone = "message_not_found" in error.reason
            if gone and draft.state in OPEN:
                # Somebody deleted the message while the draft still waits for a decision: it gets a new one.
                await _save_card(ctx, sending.draft, Card(channel=card.channel))
                continue
            if not gone:
                raise CardRefused(f"is refused by Slack: {error.reason}") from None
            ts = found or ""
        card = sending.draft.card
        shown = card.model_copy(update=_SENT | {"ts": ts, "shown": draft.version})
        await _save_card(ctx, sending.draft, shown, [] if card.ts else await _link_superseded(ctx, draft))


class _Changed(Exception):
    """The draft or its card is not what the message was made of: nothing was sent."""


class _Sending:
    """A card that is about to be sent. `draft`: as it is stored. `found`: the message that it is to replace.

    `patient`: as in `present`.
    """

    def __init__(self, ctx: Context, draft: Draft, own: OwnLease, found: str | None, *, patient: bool) -> None:
        self.draft = draft
        self._patient = patient
        self._ctx = ctx
        self._own = own
        self._found = found

    async def send(self, newer_url: str | None) -> str:
        """Post the card or replace it, in a box or, where the workspace takes none, with bars. Returns its `ts`."""
        ctx = self._ctx
        if await takes_boxes(ctx):
            try:
                return await self._send(newer_url, box=True)
            except Permanent as error:
                if not is_refusal(error):
                    raise
            ts = await self._send(newer_url, box=False)
            await no_boxes(ctx)
            return ts
        return await self._send(newer_url, box=False)

    async def _send(self, newer_url: str | None, *, box: bool) -> str:
        ctx, draft, found = self._ctx, self.draft, self._found
        message = draft_card(
            draft, site=ctx.settings.site, now=ctx.clock.now(), timezone=ctx.settings.timezone, newer_url=newer_url,
            box=box,
        )  # fmt: skip
        if found:
            await ctx.slack.update(draft.card.channel, found, message, self.begin, patient=self._patient)
            failpoint("card.after_update")
            return found
        ts = await ctx.slack.post(draft.card.channel, message, self.begin)
        failpoint("card.after_post")
        return ts

    async def begin(self) -> Deadline | None:
        """Its turn in the channel has come. The intent is first, so that a crash after the post is found by the
        message's metadata."""
        if not (self._found and self._ctx.leases.alone):
            leased = await _leased(self._ctx, self.draft, self._own)
            if leased is None:
                raise _Changed
            self.draft = leased
        if self._found:
            failpoint("card.before_update")
        else:
            failpoint("card.before_post")
        return self._own.by


async def _leased(ctx: Context, draft: Draft, own: OwnLease) -> Draft | None:
    """The draft with its card under a lease of this attempt from now on; None: it was changed meanwhile."""
    sending: dict[str, Any] = {"lease": own.renew()}
    if draft.card.ts is None:
        sending["sending_since"] = draft.card.sending_since or ctx.clock.now()
    try:
        return await save_draft(ctx, draft, draft.model_copy(update={"card": draft.card.model_copy(update=sending)}))
    except Conflict:
        return None


async def is_card(ctx: Context, draft: Draft, spot: Spot | None) -> bool:
    """Whether this message is the draft's card.

    A card that Slack shows and that is not recorded yet (its answer is on the way, or was lost with a crash) is looked
    for in Slack, as `present` does it. Raises `RetryLater` when Slack cannot be asked.
    """
    card = draft.card
    if spot is None or spot.channel != card.channel:
        return False
    if card.ts is None and card.sending_since:
        return await ctx.slack.find(card.channel, draft.id, card.sending_since) == spot.ts
    return card.ts == spot.ts


async def _save_card(ctx: Context, seen: Draft, card: Card, jobs: Sequence[Job] = ()) -> None:
    """Record the card's state on whatever the draft has become meanwhile, unless somebody has taken the card over."""
    draft = seen
    while draft.card == seen.card:
        try:
            await save_draft(ctx, draft, draft.model_copy(update={"card": card}), jobs=jobs)
            return
        except Conflict:
            draft = await load_draft(ctx, draft.id)
    log.warning("card.overtaken", draft_id=draft.id)


async def _newer(ctx: Context, draft: Draft) -> Draft | None:
    """The draft that took this one's place in the end (a chain is followed)."""
    newer = draft
    while newer.state == DraftState.SUPERSEDED and newer.superseded_by:
        record = await ctx.store.get("drafts", newer.superseded_by)
        if record is None:
            return None
        newer = read_draft(record)
    return newer if newer.id != draft.id else None


def _address(ctx: Context, draft: Draft) -> str | None:
    """The message's own address in Slack."""
    if not draft.card.ts or not ctx.slack.team_url:
        return None
    return f"{ctx.slack.team_url.rstrip('/')}/archives/{draft.card.channel}/p{draft.card.ts.replace('.', '')}"


async def _link_superseded(ctx: Context, draft: Draft) -> list[Job]:
    """The cards that this one replaced can link to it now."""
    event = await ctx.store.get("webhook_events", draft.event_id)
    keys = {draft.issue.key, event["issue"] if event else draft.issue.key}  # two where the issue was moved
    found = [record for key in keys for record in await ctx.store.find("drafts", issue_key=key, open=True)]
    return [Job("card", record["id"]) for record in found if record["state"] == DraftState.SUPERSEDED]
