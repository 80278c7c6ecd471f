"""Notice: a delivery becomes a record, once, on stable storage, before anybody is told that it was received.

One commit holds the record, with the keys under which it must not be seen again, and its line in the audit trail. The
keys are the delivery's id and the body's hash (the id is not covered by the signature), each source for itself, and
for a comment its id, time of change, author and words: Jira may announce it twice. What comes again within 72 hours is
a duplicate. So is what `bot.workflow.reconciling` has found by asking (source `reconcile`) when its webhook comes after
all: then id and time of change decide alone, because wiki markup and ADF need not agree in every word.
"""

from __future__ import annotations

import random
import re
from asyncio import Future, Task, create_task, get_running_loop
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bot.clock import isoformat
from bot.events import CommentArrived, DraftRequested, Event, Ignored, IssueCommented, IssueCreated, PullRequestChanged
from bot.failpoints import failpoint
from bot.issues import Person
from bot.policy import letters
from bot.silence import Silence, at_the_door, settled
from bot.store import REMEMBERED, Audit, Conflict, Expect, Put, Record, StoreUnavailable, Unseen

if TYPE_CHECKING:
    from bot.context import Context

Source = Literal["jira", "bitbucket", "automation", "slack", "reconcile"]
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32: sorts as its numbers do
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_chance = random.getrandbits
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
    """The end that an event has with its arrival. `also`: what else belongs into the write, by the event's id."""

    silence: Silence
    also: Callable[[str], Sequence[Put]] = lambda _: ()


class Noticed(NamedTuple):
    """What became of a delivery. `event_id` is the first one's for a duplicate. `reason`: why it was ignored."""

    event_id: str
    status: Literal["accepted", "duplicate", "ignored", "invalid"]
    reason: str = ""


async def notice(
    ctx: Context,
    delivery: Delivery,
    event: Event | CommentArrived | Ignored,
    malformed: str | None = None,
    *,
    ended: Ended | None = None,
) -> Noticed:
    """Record this delivery and, if it is an event, wake the worker. Returns after all of it is on stable storage.

    `malformed` names the field that was wrong; `event` is then an `Ignored` with what is known (`invalid`; it never
    counts as seen before, and none of it is kept). `ended`: it is accepted and left unanswered, in one write. Raises
    `StoreUnavailable`: nothing was recorded.
    """
    noticed: Future[Noticed] = get_running_loop().create_future()
    notice_soon(ctx, delivery, event, malformed, ended=ended, then=partial(_settle, noticed))
    try:
        return await noticed
    finally:
        del noticed  # an error's traceback holds this frame, and the future holds the error


def _settle(future: Future[Noticed], found: Noticed | Exception) -> None:
    if future.done():
        return  # who waited was cancelled
    if isinstance(found, Exception):
        future.set_exception(found)
    else:
        future.set_result(found)


def notice_soon(
    ctx: Context,
    delivery: Delivery,
    event: Event | CommentArrived | Ignored,
    malformed: str | None = None,
    *,
    ended: Ended | None = None,
    then: Callable[[Noticed | Exception], None],
) -> None:
    """The same for who has something else to do: `then` is told on the event loop, what went wrong included."""
    record = _record(delivery, event, malformed)
    event_id: str = record["id"]
    state = record["state"]
    details = {"source": delivery.source, "kind": event.kind}
    if record["delivery_id"] is not None:
        details["delivery_id"] = record["delivery_id"]
    if delivery.body_sha256 is not None:
        details["body_sha256"] = delivery.body_sha256
    lines: tuple[Audit, ...] = (Audit(_actor(event), _ACTIONS[state], event_id, None, record["issue"], details),)
    puts: tuple[Put, ...] = (Put("webhook_events", record, finite=isinstance(event, CommentArrived)),)
    if state == "invalid":
        _store(ctx, Noticed(event_id, "invalid", record["reason"]), puts, lines, (), then)
        return
    known = tuple(record["keys"]) if delivery.source == "reconcile" else (*record["keys"], *_versions(event))
    unseen = (Unseen(known, delivery.received - REMEMBERED),)
    if state == "ignored":
        _store(ctx, Noticed(event_id, "ignored", record["reason"]), puts, lines, unseen, then)
        return
    if ended is None and not isinstance(event, Ignored) and (silence := at_the_door(event, ctx.jira.account_id)):
        ended = Ended(silence)  # context needs no work, and so no second write
    if ended is not None:
        after, cycle, line = settled(record, ended.silence, started=delivery.received, ended=ctx.clock.now())
        puts = Put("webhook_events", after), Put("agent_cycles", cycle), *ended.also(event_id)
        lines = *lines, line
    _store(ctx, Noticed(event_id, "accepted"), puts, lines, unseen, then, is_work=ended is None)


def _store(
    ctx: Context,
    noticed: Noticed,
    puts: Sequence[Put],
    lines: Sequence[Audit],
    unseen: Sequence[Unseen],
    then: Callable[[Noticed | Exception], None],
    *,
    is_work: bool = False,
) -> None:
    """Commit what was noticed, unless it was seen before: then it counts with the first one."""

    def stored(error: Exception | None) -> None:
        if error is None:
            try:
                if is_work:
                    failpoint("intake.stored")
                    ctx.worker.wake_event(noticed.event_id)
            finally:  # whatever becomes of it, it is stored
                then(noticed)
        elif isinstance(error, Conflict):
            task = create_task(seen_before(error))
            _running.add(task)
            task.add_done_callback(_running.discard)
        else:
            then(error)

    async def seen_before(conflict: Conflict) -> None:
        try:
            first = await _count_duplicate(ctx, conflict, lines[0])
        except Exception as error:
            then(error)
            return
        if first is None:  # the first one has gone since, so this is the first one
            _store(ctx, noticed, puts, lines, unseen, then, is_work=is_work)
        else:
            then(Noticed(first, "duplicate"))

    try:
        ctx.store.commit_soon(puts, stored, expect=unseen, audit=lines)
    except StoreUnavailable as error:
        then(error)


_running: set[Task[None]] = set()  # an event loop holds its tasks weakly


async def _count_duplicate(ctx: Context, conflict: Conflict, audit: Audit) -> str | None:
    """Put a duplicate of what was found into the audit trail: the id of the first event. None: it has gone since.

    This is what makes it safe to answer 2xx to the second of two simultaneous deliveries: its own commit succeeds
    only when the first one's record is there.
    """
    found = conflict.found
    if found is None:
        return None
    first = str(found["event_id"])
    line = Audit(audit.actor, "event.duplicate", first, issue=audit.issue, details=audit.details)
    try:
        await ctx.store.commit(expect=(Expect("webhook_events", first, {}),), audit=(line,))
    except Conflict:
        if await ctx.store.get("keys", found["id"]) is None:
            return None
        # A key of an earlier version, which stood in a table of its own: durable, so the event was; it has gone since.
        await ctx.store.commit(audit=(line,))
    return first


def new_event_id(at: datetime) -> str:
    """`evt_` and 20 characters that sort by time: 10 of milliseconds, 10 of chance."""
    return f"evt_{_base32(int(at.timestamp() * 1000))}{_base32(_chance(50))}"


def _base32(number: int) -> str:
    """The last 50 bits of a number, in 10 characters."""
    two = _PAIRS  # each two characters by name: a loop costs three times as much
    return (
        f"{two[number >> 40 & 1023]}{two[number >> 30 & 1023]}{two[number >> 20 & 1023]}"
        f"{two[number >> 10 & 1023]}{two[number & 1023]}"
    )


def _record(delivery: Delivery, event: Event | CommentArrived | Ignored, malformed: str | None) -> Record:
    event_id = new_event_id(delivery.received)
    delivery_id = plain_id(delivery.delivery_id)
    issues = event.issues
    stored: dict[str, Any] | None
    comment_id, state, reason = None, "received", ""
    if isinstance(event, CommentArrived):
        comment_id, stored = event.comment_id, event.stored()
    elif isinstance(event, Ignored):
        state, reason, stored = "ignored", event.reason, None
    else:
        stored = event.model_dump(mode="json")
        comment_id = event.comment.id if isinstance(event, IssueCommented) else None
    if malformed:
        state, reason = "invalid", malformed
    return {
        "id": event_id,
        "event_id": event_id,
        "at": isoformat(delivery.received),
        "source": delivery.source,
        "kind": event.kind,
        "delivery_id": delivery_id,
        "body_sha256": delivery.body_sha256,
        "issue": issues[0] if issues else None,
        "issues": [*issues],
        "comment": comment_id,
        "state": state,
        "reason": reason,
        "event": stored,
        "attempts": 0,
        "due": None,
        "keys": [] if malformed else _keys(delivery, delivery_id, event),
    }


def _keys(delivery: Delivery, delivery_id: str | None, event: Event | CommentArrived | Ignored) -> list[str]:
    source: str = delivery.source
    if source == "reconcile":  # what is found by asking is what a webhook would have told
        source = "bitbucket" if isinstance(event, PullRequestChanged) else "jira"
    keys = [f"{source}:delivery:{delivery_id}"] if delivery_id else []
    if delivery.body_sha256:
        keys.append(f"{source}:body:{delivery.body_sha256}")
    # The words too: what says something else is something else, whatever its id and time. Their letters alone,
    # because one announcement may carry wiki markup and the other ADF.
    if isinstance(event, CommentArrived):
        keys.append(_version_key(source, event.comment_id, event.updated, event.author, event.says))
    elif isinstance(event, IssueCommented):
        comment = event.comment
        keys.append(_version_key(source, comment.id, comment.updated.isoformat(), comment.author, comment.text))
    if delivery.source == "reconcile":
        keys += _versions(event)
    return keys


def _version_key(source: str, comment_id: str, updated: str, author: Person, words: str) -> str:
    said = sha256(author.account_id.encode("utf-8", "replace") + b" " + letters(words)).hexdigest()
    return f"{source}:comment:{comment_id}:{updated}:{said[:32]}"


def _versions(event: Event | CommentArrived | Ignored) -> tuple[str, ...]:
    if isinstance(event, CommentArrived):
        return (f"reconcile:comment:{event.comment_id}:{event.updated}",)
    if isinstance(event, IssueCommented):
        return (f"reconcile:comment:{event.comment.id}:{event.comment.updated.isoformat()}",)
    return (f"reconcile:created:{event.issues[0]}",) if isinstance(event, IssueCreated) else ()


def plain_id(value: str | None) -> str | None:
    """A sender's id as a key: itself if it is short and plain, else its hash; None for none."""
    if not value:
        return None
    return value if _PLAIN_ID.fullmatch(value) else "sha256-" + sha256(value.encode("utf-8", "replace")).hexdigest()


def _actor(event: Event | CommentArrived | Ignored) -> str:
    if isinstance(event, CommentArrived):
        return f"jira:{event.author.account_id}"
    if isinstance(event, DraftRequested):
        return event.by
    if isinstance(event, IssueCommented):
        return f"jira:{event.comment.author.account_id}"
    person = getattr(event, "reporter", None) or getattr(event, "by", None)
    return f"jira:{person.account_id}" if person is not None and event.kind.startswith("issue_") else "system"
