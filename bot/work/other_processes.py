"""What other processes have changed and this one has to follow: a pause that was begun or ended, an outage.

What holds work back is stored, and found by every attempt at a job. But a job that was held is not tried again before
its time; so each process looks every few seconds whether what holds its own jobs is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.store import Record

if TYPE_CHECKING:
    from bot.context import Context


class OtherProcesses:
    """What was seen of the others last. Made once for each process."""

    def __init__(self) -> None:
        self._looked = False
        self._pause: Record | None = None

    async def follow(self, ctx: Context, _: object) -> None:
        """Look, and let the jobs go on whose time has come."""
        if ctx.leases.alone:
            return
        before, self._pause = self._pause, await ctx.store.get("state", "pause")
        if self._looked and before != self._pause:
            ctx.queue.lift("answer")
        self._looked = True
        await ctx.outages.follow()
