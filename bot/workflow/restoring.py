"""After a restore: what may have been sent since the backup is looked for in Jira and Slack before anything goes out.

`restore` leaves a record in the store. At the first start after it, before anybody can click, every draft that is not
at its end is marked (`Draft.restored`): `publishing` then looks for its marker in Jira, and until Jira has answered no
click on it counts. There may be thousands, so these looks have places of their own: what people do comes first. Cards
and messages that the backup knows as not sent yet are looked for in Slack first.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bot.domain.draft_states import BUSY, OPEN
from bot.domain.drafts import Draft
from bot.failpoints import failpoint
from bot.log import get_logger
from bot.store import Audit, Conflict, Expect, Job, Put, Record
from bot.store.paging import each
from bot.workflow.records import REDRAW, draft_record, read_draft

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
BATCH = 200
"""Drafts, and messages, that are marked in one commit."""


async def mark_restored(ctx: Context) -> None:
    """At start: mark all that a restored backup left open, once for each restore.

    A batch at a time, as there may be many, and one write of them all could take longer than a database allows. Nobody
    can decide on anything yet; a start that is cut off here is made good by the next one.
    """
    while True:
        restore = await ctx.store.get("state", "restored")
        if restore is None or restore["seen"]:
            return
        try:
            open_drafts = await _mark_drafts(ctx, restore)
            await _mark_messages(ctx, restore)
            details = {"backup_of": restore["created"], "open_drafts": open_drafts}
            await ctx.store.commit(
                Put("state", {**restore, "seen": True}),
                expect=(Expect("state", "restored", restore),),
                audit=(Audit("system", "store.restored", details=details),),
                jobs=[REDRAW],
            )
        except Conflict:
            continue  # another process was first, or works already
        log.info("store.restored", **details)
        return


async def _mark_drafts(ctx: Context, restore: Record) -> int:
    """Mark what is open. How many drafts that are, with those that were marked before a start was cut off."""
    count = 0
    batch: list[Record] = []

    async def write() -> None:
        marked = [_behind(_marked(draft, draft.created)) for draft in map(read_draft, batch)]
        await ctx.store.commit(
            *(Put("drafts", draft_record(draft)) for draft in marked),
            expect=[
                Expect("state", "restored", restore),
                *(Expect("drafts", draft["id"], {"version": draft["version"]}) for draft in batch),
            ],
            jobs=[
                *(Job("search", draft.id) for draft in marked),
                *(Job("card", draft.id) for draft in marked if not draft.card.behind),
            ],
        )
        batch.clear()

    async for record in each(ctx.store, "drafts", by="at", page=BATCH, open=True):
        if not _is_open(read_draft(record)):
            continue
        count += 1
        if record["restored"] is None:
            batch.append(record)
        if len(batch) == BATCH:
            await write()
            failpoint("restore.marked")
    if batch:
        await write()
    return count


async def _mark_messages(ctx: Context, restore: Record) -> None:
    """Messages that the backup knows as not sent yet: they are looked for in Slack first."""
    pending = [m for m in await ctx.store.find("messages", pending=True) if not m["ts"] and not m["sending_since"]]
    for start in range(0, len(pending), BATCH):
        some = pending[start : start + BATCH]
        await ctx.store.commit(
            *(Put("messages", {**message, "sending_since": message["at"]}) for message in some),
            expect=[
                Expect("state", "restored", restore),
                *(Expect("messages", message["id"], message) for message in some),
            ],
            jobs=[Job("message", message["id"]) for message in some],
        )


async def marked_if_restored(ctx: Context, draft: Draft, event: Record) -> Draft:
    """A new draft for this event; marked where the event came with a backup, after which it may have been drafted."""
    restore = await ctx.store.get("state", "restored")
    received = datetime.fromisoformat(event["at"])
    if restore is None or received > datetime.fromisoformat(restore["at"]):
        return draft
    return _marked(draft, received)


def _marked(draft: Draft, since: datetime) -> Draft:
    card = draft.card
    if card.ts is None and card.sending_since is None:
        card = card.model_copy(update={"sending_since": since})
    return draft.model_copy(update={"restored": since, "card": card})


def _behind(draft: Draft) -> Draft:
    """One version on; a card that Slack has waits for its turn, as there may be many."""
    card = draft.card.model_copy(update={"behind": draft.card.ts is not None})
    return draft.model_copy(update={"version": draft.version + 1, "card": card})


def _is_open(draft: Draft) -> bool:
    return draft.state in OPEN or draft.state in BUSY
