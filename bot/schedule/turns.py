"""Turns: what all processes together do once in a period, such as asking Jira for what was missed.

A turn is the record `state/turn:<name>`: when the last complete one began, and the lease of the one that is under way.
A process by itself needs none: it does everything at its start and then in each period, whatever was done before it.
Several processes do it a period after the last one began, also where one has just started; but the first one that
comes after all were gone does it at once. A turn that fails is given back, and that of a process that was killed is
taken over after its lease.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bot.domain.leases import Lease
from bot.store import Conflict, Expect, Put, StoreUnavailable

if TYPE_CHECKING:
    from bot.context import Context

LEASE = 900.0
"""Seconds for one turn. One that takes longer goes on: its writes expect that nobody has taken it over."""


@dataclass(frozen=True)
class Turn:
    """Whose turn it is. `wait`: seconds until it is to be looked at again, where it is somebody else's.

    `mine`: true while nobody has taken the turn over: for the commits of what it leads to.
    """

    wait: float = 0.0
    mine: tuple[Expect, ...] = ()


@asynccontextmanager
async def turn(ctx: Context, name: str, seconds: float) -> AsyncIterator[Turn]:
    """Take the next turn if it is due, `seconds` after the last one began."""
    if ctx.leases.alone:
        yield Turn()
        return
    key, now = f"turn:{name}", ctx.clock.now()
    found = await ctx.store.get("state", key)
    with ctx.leases.take(LEASE) as own:
        left = own.left(Lease.model_validate(found["lease"])) if found and found["lease"] else 0.0
        # A turn in the future began while the clock was wrong.
        began = datetime.fromisoformat(found["began"]) if found and found["began"] else None
        ago = (now - began).total_seconds() if began else -1.0
        rests = 0 <= ago < seconds and not (began and ctx.first_since and began < ctx.first_since)
        if left > 0 or rests:
            yield Turn(wait=max(left, seconds - ago if rests else 0.0))
            return
        lease = own.renew().model_dump(mode="json")
        begun = {"id": key, "at": now.isoformat(), "began": found["began"] if found else None, "lease": lease}
        try:
            await ctx.store.commit(Put("state", begun), expect=(Expect("state", key, found),))
        except Conflict:  # another process was faster
            yield Turn(wait=1.0)
            return
        mine = Expect("state", key, begun)
        ended = {**begun, "lease": None}
        try:
            yield Turn(mine=(mine,))
            ended["began"] = begun["at"]
        finally:
            with suppress(Conflict, StoreUnavailable):  # it was taken over, or ends with its lease
                await ctx.store.commit(Put("state", ended), expect=(mine,))
