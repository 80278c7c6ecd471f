"""The audit trail is verified while the program runs: at its start and once a day, in the background.

It is read a few records at a time, with a rest after each few that is three times as long: nobody who comes meanwhile
waits for more than a few milliseconds, no read of the store is kept open, and a million records need no more memory
than ten. What comes of it is the record `state/trail`, for `/ready`, `/pmagent health`, `/metrics` and `check`. A trail
that is broken is told in the approvals channel, once; and so is each erasure, because the record of one can be forged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from bot.cards import erasure_message, trail_message
from bot.domain.health import HealthLine
from bot.log import get_logger
from bot.store import Put, Record
from bot.store.audit import UnreadableRecord
from bot.store.examining import examine
from bot.workflow.presenting.announcing import announce

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
SLICE = 16
"""Records between two rests: 2 ms of work, with the texts that they are about."""
REST = 3.0
"""How many times as long as the work a rest is."""
VERIFIED = "trail"


async def verify_trail(ctx: Context, _: object) -> None:
    """Verify all of it, record what came of that, and tell people what they should know. Raises `StoreUnavailable`."""
    found = await examine(_lines(ctx), ctx.store)
    verdict = found.verdict
    record = {
        "id": VERIFIED, "at": ctx.clock.now().isoformat(), "records": verdict.records, "head": verdict.head,
        "broken_at": verdict.broken_at, "why": verdict.why,
    }  # fmt: skip
    await ctx.store.commit(Put("state", record))
    if verdict.broken_at is not None:
        log.error("trail.broken", seq=verdict.broken_at, reason=verdict.why)
        same = sha256(verdict.why.encode("utf-8", "replace")).hexdigest()[:12]
        await announce(ctx, f"trail:{verdict.broken_at}:{same}", trail_message(verdict.broken_at, verdict.why))
    for erasure in found.chain.erasures:
        blanked = sum(last - first + 1 for spans in erasure.blanked.values() for first, last in spans)
        await announce(ctx, f"erasure:{erasure.seq}", erasure_message(erasure.seq, erasure.at, blanked))


async def broken_trail(ctx: Context) -> str:
    """What the last verification found wrong, as a sentence, or nothing. Raises `StoreUnavailable`."""
    found = await ctx.store.get("state", VERIFIED)
    return _sentence(found) if found else ""


async def trail_health(ctx: Context) -> HealthLine:
    """For `/pmagent health`."""
    found = await ctx.store.get("state", VERIFIED)
    if found is None:
        return HealthLine("audit trail", True, "is being verified for the first time")
    broken, at = _sentence(found), datetime.fromisoformat(found["at"]).astimezone(ctx.settings.timezone)
    return HealthLine("audit trail", not broken, broken or f"{found['records']} records verified {at:%Y-%m-%d %H:%M}")


def _sentence(found: Record) -> str:
    return f"broken at seq {found['broken_at']}: {found['why']}" if found["broken_at"] is not None else ""


async def _lines(ctx: Context) -> AsyncIterator[Record | UnreadableRecord]:
    """The trail, oldest first, until there is no more of it."""
    seq, began = 0, time.monotonic()
    while seq < (await ctx.store.audit_head())[0]:
        seq += 1
        try:
            line = await ctx.store.get("audit", str(seq))
        except ValueError:
            line = None
        yield line if isinstance(line, dict) else UnreadableRecord(f"record {seq} is not there, or cannot be read")
        if seq % SLICE == 0:
            await asyncio.sleep(REST * (time.monotonic() - began))
            began = time.monotonic()
