"""Accepting a delivery: one commit stores its record, its keys and its jobs, before it is answered.

One commit holds the record, with the keys under which it must not be seen again, its line in the audit trail, and the
jobs of its reactions (`bot.reactions`). The keys are the delivery's id and the body's hash (the id is not covered by
the signature), each source for itself, and for a comment its id, time of change, author and words: Jira may announce it
twice. What comes again within 72 hours is a duplicate. So is what `bot.workflow.reconciling` has found by asking
(source `reconcile`) when its webhook comes after all: then id and time of change decide alone, because wiki markup and
ADF need not agree in every word.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, NamedTuple

from bot.domain.events import (
    DraftRequested,
    Event,
    Ignored,
    IssueChanged,
    IssueCommented,
    IssueCreated,
    PullRequestChanged,
)
from bot.domain.issues import Comment
from bot.failpoints import failpoint
from bot.intake.silence import Silence, at_the_door, silence_records
from bot.reactions import jobs_for
from bot.rules.policy import normalised
from bot.store import DELIVERY_KEYS_KEPT, Audit, Condition, Conflict, Expect, Job, Put, Record, Unseen
from bot.store.text_hashes import event_sha256

if TYPE_CHECKING:
    from bot.context import Context

Source = Literal["jira", "bitbucket", "automation", "slack", "reconcile"]
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32: sorts as its numbers do
_PLAIN_ID = re.compile(r"[\x21-\x7e]{1,128}")
_ACTIONS = {"received": "event.accepted", "ignored": "event.ignored", "invalid": "event.invalid"}


class Delivery(NamedTuple):
    """How something reached us. `delivery_id`: the sender's id for it; `body_sha256`: hex, of the raw body."""

    source: Source
    delivery_id: str | None
    body_sha256: str | None
    received: datetime


@dataclass(frozen=True)
class Ended:
    """The end that an event has with its arrival. `also`: what else belongs into the write, by the event's id, and
    `expect`: what must be so for that."""

    silence: Silence
    also: Callable[[str], Sequence[Put]] = lambda _: ()
    expect: Sequence[Expect] = ()


class Receipt(NamedTuple):
    """What became of a delivery. `event_id` is the first one's for a duplicate. `reason`: why it was ignored."""

    event_id: str
    status: Literal["accepted", "duplicate", "ignored", "invalid"]
    reason: str = ""


async def accept(
    ctx: Context,
    delivery: Delivery,
    event: Event | Ignored,
    malformed: str | None = None,
    *,
    ended: Ended | None = None,
    expect: Sequence[Condition] = (),
) -> Receipt:
    """Record this delivery and the jobs of its reactions. Returns after all of it is on stable storage.

    `malformed` names the field that was wrong; `event` is then an `Ignored` with what is known (`invalid`; it never
    counts as seen before, and none of it is kept). `ended`: it is accepted and left unanswered, in one write. Raises
    `StoreUnavailable`, and `Conflict` where something that `expect` or `ended` names is not so: nothing was recorded.
    """
    record = _record(delivery, event, malformed)
    event_id: str = record["id"]
    keys: list[str] = record.pop("keys")
    told = {"source": delivery.source, "kind": event.kind, "delivery_id": record["delivery_id"]}
    told["body_sha256"] = delivery.body_sha256
    details = {name: text for name, text in told.items() if text is not None}
    if record["state"] == "received":
        details["event_sha256"] = event_sha256(record["event"])
    lines = [Audit(_actor(event), _ACTIONS[record["state"]], event_id, None, record["issue"], details)]
    puts = [Put("webhook_events", record), *_known_by(record, keys)]
    if record["state"] == "invalid":
        await ctx.store.commit(*puts, audit=lines)
        return Receipt(event_id, "invalid", record["reason"])
    jobs: tuple[Job, ...] = ()
    if not isinstance(event, Ignored):
        if ended is None and (silence := at_the_door(event, ctx.jira.account_id)):
            ended = Ended(silence)  # context needs no work, and so no second write
        if ended is not None:
            after, cycle, line = silence_records(
                record, ended.silence, started=delivery.received, ended=ctx.clock.now()
            )
            puts = [Put("webhook_events", after), *puts[1:], Put("agent_cycles", cycle), *ended.also(event_id)]
            lines.append(line)
        else:
            jobs = jobs_for(event_id, event)
    found = keys if delivery.source == "reconcile" else [*keys, *_versions(event)]
    unseen = Unseen(tuple(found), delivery.received - DELIVERY_KEYS_KEPT)
    first = await _commit_unseen(ctx, puts, lines, jobs, [unseen, *expect, *(ended.expect if ended else ())])
    if first is not None:
        return Receipt(first, "duplicate")
    if isinstance(event, Ignored):
        return Receipt(event_id, "ignored", record["reason"])
    failpoint("intake.stored")
    return Receipt(event_id, "accepted")


async def _commit_unseen(
    ctx: Context, puts: Sequence[Put], lines: Sequence[Audit], jobs: Sequence[Job], expect: Sequence[Condition]
) -> str | None:
    """Commit what nobody has sent before; else count it with the first one, whose id is given back.

    The first one is on stable storage by the time that the store tells of it, also where both came in one moment.
    """
    try:
        await ctx.store.commit(*puts, expect=expect, audit=lines, jobs=jobs)
    except Conflict as conflict:
        if not isinstance(conflict.expect, Unseen):
            raise
        found, audit = conflict.found or {}, lines[0]
        first = str(found["event_id"])
        details = {name: text for name, text in audit.details.items() if name != "event_sha256"}  # it is not stored
        line = Audit(audit.actor, "event.duplicate", first, issue=audit.issue, details=details)
        await ctx.store.commit(audit=(line,))
        return first
    return None


def _known_by(record: Record, keys: Sequence[str]) -> list[Put]:
    """The records by which this delivery is known again."""
    return [Put("deliveries", {"id": key, "at": record["at"], "event_id": record["id"]}) for key in keys]


def new_event_id(at: datetime) -> str:
    """`evt_` and 20 characters that sort by time: 10 of milliseconds, 10 of chance."""
    return f"evt_{_base32(int(at.timestamp() * 1000))}{_base32(random.getrandbits(50))}"


def _base32(number: int) -> str:
    """The last 50 bits of a number, in 10 characters."""
    return "".join([_ALPHABET[number >> shift & 31] for shift in range(45, -1, -5)])


def _record(delivery: Delivery, event: Event | Ignored, malformed: str | None) -> Record:
    event_id = new_event_id(delivery.received)
    delivery_id = plain_id(delivery.delivery_id)
    state, reason = ("ignored", event.reason) if isinstance(event, Ignored) else ("received", "")
    if malformed:
        state, reason = "invalid", malformed
    return {
        "id": event_id,
        "event_id": event_id,
        "at": delivery.received.isoformat(),
        "source": delivery.source,
        "kind": event.kind,
        "delivery_id": delivery_id,
        "body_sha256": delivery.body_sha256,
        "issue": event.issues[0] if event.issues else None,
        "issues": [*event.issues],
        "comment": event.comment.id if isinstance(event, IssueCommented) else None,
        "state": state,
        "reason": reason,
        "event": None if isinstance(event, Ignored) else event.model_dump(mode="json"),
        "attempts": 0,
        "due": None,
        "keys": [] if malformed else _keys(delivery, delivery_id, event),
    }


def _keys(delivery: Delivery, delivery_id: str | None, event: Event | Ignored) -> list[str]:
    source: str = delivery.source
    if source == "reconcile":  # what is found by asking is what a webhook would have told
        source = "bitbucket" if isinstance(event, PullRequestChanged) else "jira"
    keys = [f"{source}:delivery:{delivery_id}"] if delivery_id else []
    if delivery.body_sha256:
        keys.append(f"{source}:body:{delivery.body_sha256}")
    if isinstance(event, IssueCommented):
        keys.append(f"{source}:comment:{_said(event.comment)}")
    if delivery.source == "reconcile":
        keys += _versions(event)
    return keys


def _said(comment: Comment) -> str:
    """What one version of a comment is known by: its id, time, author and words.

    The words too: what says something else is something else, whatever its id and time. Their letters alone, because
    one announcement may carry wiki markup and the other ADF.
    """
    said = sha256(comment.author.account_id.encode("utf-8", "replace") + b" " + normalised(comment.text)).hexdigest()
    return f"{comment.id}:{comment.updated.isoformat()}:{said[:32]}"


def _versions(event: Event | Ignored) -> tuple[str, ...]:
    if isinstance(event, IssueCommented):
        return (f"reconcile:comment:{event.comment.id}:{event.comment.updated.isoformat()}",)
    if isinstance(event, IssueChanged) and event.asks:
        return (f"reconcile:asks:{event.issues[0]}:{sha256(normalised(event.asks)).hexdigest()[:32]}",)
    return (f"reconcile:created:{event.issues[0]}",) if isinstance(event, IssueCreated) else ()


def plain_id(value: str | None) -> str | None:
    """A sender's id as a key: itself if it is short and plain, else its hash; None for none."""
    if not value:
        return None
    return value if _PLAIN_ID.fullmatch(value) else "sha256-" + sha256(value.encode("utf-8", "replace")).hexdigest()


def _actor(event: Event | Ignored) -> str:
    """Who caused it, for the audit trail; `system` where Jira names no account."""
    if isinstance(event, DraftRequested):
        return event.by
    match event:
        case IssueCommented(comment=Comment(author=person)) | IssueCreated(reporter=person) | IssueChanged(by=person):
            return f"jira:{person.account_id}" if person and person.account_id else "system"
    return "system"
