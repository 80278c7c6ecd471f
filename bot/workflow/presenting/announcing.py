"""Messages that must appear in Slack once, whatever is restarted: an outage, a switched mode, an event that failed.

A message is a record first (`messages`, with a key of its own), then a post. A crash between posting and recording is
settled by the message's metadata, as for the cards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from bot.access.origin import Spot
from bot.cards import Message
from bot.domain.leases import Lease
from bot.errors import OutcomeUnknown, Permanent
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.store import Conflict, Expect, Job, Put, Record

if TYPE_CHECKING:
    from bot.context import Context
    from bot.domain.leases import Deadline, OwnLease

EVENT_TYPE = "pmagent_message"
LEASE = 30.0
"""Seconds for one message to Slack and the record of its answer."""
LOOKUP_DELAY = 2.0
"""Seconds after a lost answer of Slack's until it is looked whether the message is there."""
log = get_logger(__name__)


def message_record(ctx: Context, key: str, channel: str, message: Message) -> Record:
    """The record of a message to be posted, for a commit of the caller's with `Job("message", key)`."""
    return {
        "id": key,
        "at": ctx.clock.now().isoformat(),
        "channel": channel,
        "blocks": message.blocks,
        "text": message.text,
        "ts": None,
        "sending_since": None,
        "lease": None,
        "version": 1,
        "shown": 0,
        "pending": True,
    }


async def announce(ctx: Context, key: str, message: Message, channel: str | None = None) -> bool:
    """Post `message` once under `key`; False when a message of this key was already announced."""
    record = message_record(ctx, key, channel or ctx.settings.slack_channel_approvals, message)
    try:
        await ctx.store.commit(Put("messages", record), expect=(Expect("messages", key),), jobs=[Job("message", key)])
    except Conflict:
        return False
    return True


async def revise(ctx: Context, key: str, message: Message) -> None:
    """Change what the message under `key` says, where there is one."""

    def changed(record: Record) -> Record:
        return {"blocks": message.blocks, "text": message.text, "version": record["version"] + 1, "pending": True}

    await _change(ctx, key, changed, jobs=[Job("message", key)])


async def deliver(ctx: Context, key: str) -> float | None:
    """Bring Slack to what the record says. Raises `RetryLater` while Slack does not take it.

    Returns the seconds until it has to be looked at again, where it has to.
    """
    with ctx.leases.take(LEASE) as own:
        return await _Delivery(ctx, key, own).deliver()


class _Delivery:
    """One attempt at a message. `record`: as it is stored."""

    def __init__(self, ctx: Context, key: str, own: OwnLease) -> None:
        self._ctx = ctx
        self._key = key
        self._own = own
        self._record: Record = {}
        self._ts: str | None = None

    async def deliver(self) -> float | None:
        ctx, key = self._ctx, self._key
        record = await ctx.store.get("messages", key)
        if record is None or not record["pending"]:
            return None
        self._record, self._ts = record, record["ts"]
        if record["lease"] and (left := self._own.left(Lease.model_validate(record["lease"]))) > 0:
            return left  # somebody is sending it
        channel, since = record["channel"], record["sending_since"]
        message = Message(record["blocks"], record["text"], {"event_type": EVENT_TYPE, "event_payload": {"id": key}})
        try:
            if not self._ts and since:
                # Taken over before it is looked for: whoever was sending it cannot any more.
                await self._lease()
                self._ts = await ctx.slack.find(channel, key, datetime.fromisoformat(since), event_type=EVENT_TYPE)
            if self._ts:
                await ctx.slack.update(channel, self._ts, message, self._begin)
                failpoint("message.after_update")
            else:
                self._ts = await ctx.slack.post(channel, message, self._begin)
                failpoint("message.after_post")
        except Conflict:
            return 0.0  # it was changed meanwhile, or somebody else sends it
        except OutcomeUnknown:
            return LOOKUP_DELAY
        except Permanent as error:
            log.error("message.refused", message_id=key, reason=error.reason)
        await self._done()
        return None  # one that was changed meanwhile has another job

    async def _begin(self) -> Deadline | None:
        """Its turn in the channel has come. The intent is first, so that a crash after the post is found by the
        message's metadata. One process by itself sends a message once at a time, and needs no lease to change it."""
        if not (self._ts and self._ctx.leases.alone):
            await self._lease()
        if self._ts:
            failpoint("message.before_update")
        else:
            failpoint("message.before_post")
        return self._own.by

    async def _lease(self) -> None:
        """Put the message under a lease of this attempt from now on. Raises `Conflict`."""
        before = self._record
        after = {**before, "lease": self._own.renew().model_dump(mode="json")}
        if not before["ts"]:
            after["sending_since"] = before["sending_since"] or self._ctx.clock.now().isoformat()
        await self._ctx.store.commit(Put("messages", after), expect=(Expect("messages", self._key, before),))
        self._record = after

    async def _done(self) -> None:
        sent, ts = self._record, self._ts

        def done(record: Record) -> Record:
            if record["lease"] != sent["lease"]:  # somebody has taken it over
                return {}
            pending = record["version"] != sent["version"]
            return {"ts": ts, "shown": sent["version"], "pending": pending, "lease": None}

        await _change(self._ctx, self._key, done)


async def is_message(ctx: Context, key: str, spot: Spot | None) -> bool:
    """Whether this message in Slack is the one under `key`; one that is not recorded yet is looked for in Slack."""
    record = await ctx.store.get("messages", key)
    if record is None or spot is None or record["channel"] != spot.channel:
        return False
    ts, since = record["ts"], record["sending_since"]
    if not ts and since:
        ts = await ctx.slack.find(spot.channel, key, datetime.fromisoformat(since), event_type=EVENT_TYPE)
    return bool(ts == spot.ts)


async def _change(
    ctx: Context, key: str, change: Callable[[Record], Record], jobs: Sequence[Job] = ()
) -> Record | None:
    """Change some fields of a message's record: compare and set. None when there is no such record."""
    while True:
        before = await ctx.store.get("messages", key)
        if before is None:
            return None
        after = {**before, **change(before)}
        try:
            await ctx.store.commit(Put("messages", after), expect=(Expect("messages", key, before),), jobs=jobs)
        except Conflict:
            continue
        return after
