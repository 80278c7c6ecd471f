"""Which edit windows were opened, for whom and with which draft: an edit counts only when it is sent from one of them.

What Slack sends back (`private_metadata`, the user) is a claim. The record was written by us when the window was
opened, so it survives a restart; it lies among the `keys`, which go by themselves when they are old.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot.domain.drafts import Draft
from bot.store import Conflict, Expect, Put

if TYPE_CHECKING:
    from bot.context import Context

TIMEOUT = 0.5
"""Seconds for the record of a window that was opened just now: Slack shows it before we are told its id."""


async def remember_window(ctx: Context, view_id: str, user: str, draft: Draft) -> None:
    """Record that this window shows this draft, as it is now, to this person. A window may come to show a later one."""
    key = f"window:{view_id}"
    while True:
        before = await ctx.store.get("keys", key)
        seen = [*(before["seen"] if before else ()), draft.fingerprint]
        record = {"id": key, "at": ctx.clock.now().isoformat(), "user": user, "draft": draft.id, "seen": seen}
        try:
            await ctx.store.commit(Put("keys", record), expect=(Expect("keys", key, before),))
        except Conflict:
            continue
        return


async def is_window(ctx: Context, view_id: str, user: str, draft_id: str, seen: str) -> bool:
    """Whether we opened this window for this person, and showed them this draft as `seen` in it."""
    deadline = asyncio.get_running_loop().time() + TIMEOUT
    while (record := await ctx.store.get("keys", f"window:{view_id}")) is None:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(0.02)
    return (record["user"], record["draft"]) == (user, draft_id) and seen in record["seen"]
