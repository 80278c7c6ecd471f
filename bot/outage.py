"""When Claude is down: nobody calls before its time, one notice after 15 minutes, and everything goes on by itself.

One event at a time is the probe. It tries when the time has come, while all others wait for what it finds out. When
none is left that waits, a free look at the models finds out instead, where that tells anything.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.cards import Message, outage_notice
from bot.clients.claude import ClaudeBusy, ClaudeDown, Unanswerable
from bot.errors import RetryLater
from bot.store import Put
from bot.workflow.controls import HealthLine
from bot.workflow.messages import announce, revise

if TYPE_CHECKING:
    from bot.context import Context


class Held(RetryLater):
    """Nobody's turn: what holds this event holds all that wait for an answer."""


NOTICE_AFTER = timedelta(minutes=15)
FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
"""Seconds between probes: doubling from the first to the longest, unless Claude named a time."""
TOLD_BY_MODELS = frozenset({"unreachable", "timeout", "server", "key", "model"})
"""Kinds of outage whose end a look at the models tells. It is answered in the midst of the others (overload, billing,
the spend limit): their notice stays until the next event is answered."""


class Outage:
    """What is known about Claude's being away. In memory, with its beginning on stable storage."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._since: datetime | None = None
        self._cause = self._kind = ""
        self._announced = False
        self._wait = FIRST_WAIT
        self._next_probe = 0.0
        self._telling = asyncio.Lock()  # an outage does not end while its notice is being stored

    async def load(self) -> None:
        """Take up an outage that began before a restart."""
        record = await self._ctx.store.get("state", "outage")
        if record and record["since"]:
            self._since, self._cause = datetime.fromisoformat(record["since"]), record["cause"]
            self._announced, self._kind = record["announced"], record.get("kind", "")

    def hold(self) -> None:
        """Raise `Held` while nobody is to call Claude: before anything else is done for a call."""
        left = self._next_probe - self._ctx.clock.monotonic()
        if self._since is not None and left > 0:
            raise Held(f"Claude cannot be reached: {self._cause}", after=left + 0.05)

    def turn(self) -> None:
        """Return when a call to Claude may be made now; raise `Held` when somebody else is the probe."""
        self.hold()
        self._next_probe = self._ctx.clock.monotonic() + self._wait  # in an outage, this caller is the probe

    async def down(self, error: ClaudeDown) -> float:
        """A call found Claude down. Returns the seconds until the next probe."""
        now = self._ctx.clock.now()
        first = self._since is None
        self._since = self._since or now
        changed = first or self._cause != error.reason
        self._cause, self._kind = error.reason, error.kind
        wait = max(error.after or 0.0, self._wait)  # a `retry-after` of nothing is no reason to hurry
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        self._next_probe = self._ctx.clock.monotonic() + wait
        if changed:
            await self._save()
        await self.remind()
        return wait

    async def remind(self) -> None:
        """Post the one notice once the outage is old enough. The schedule calls it too: probes may be far apart."""
        async with self._telling:
            if self._since is None or self._announced or self._ctx.clock.now() - self._since < NOTICE_AFTER:
                return
            # Its key keeps it to one; until it is stored, it is tried again.
            await announce(self._ctx, self._key, self._notice())
            self._announced = True
            await self._save()

    async def look(self) -> None:
        """For the schedule: remind, and find out whether Claude is back when no event is there to do it."""
        await self.remind()
        if self._since is None or self._kind not in TOLD_BY_MODELS or not self._ctx.worker.nothing_to_ask:
            return
        with suppress(ClaudeDown, ClaudeBusy, Unanswerable):
            await self._ctx.claude.probe()
            await self.up()

    async def up(self) -> None:
        """A call was answered: an outage is over, its notice says so, and everything that waits goes on."""
        async with self._telling:
            if self._since is None:
                return
            # Whether it was announced or not: a kill may have come between the notice and the note of it.
            await revise(self._ctx, self._key, self._notice(ended=self._ctx.clock.now()))
            self._since, self._cause, self._kind, self._announced, self._wait = None, "", "", False, FIRST_WAIT
            await self._save()
        self._ctx.worker.wake_all_events()

    def health(self) -> HealthLine:
        """For `/pmagent health`."""
        if self._since is None:
            return HealthLine("claude", True, "answering")
        local = self._since.astimezone(self._ctx.settings.timezone)
        return HealthLine("claude", False, f"down since {local:%H:%M}: {self._cause}")

    def _notice(self, ended: datetime | None = None) -> Message:
        since = self._since or self._ctx.clock.now()
        return outage_notice(since, self._cause, ended, timezone=self._ctx.settings.timezone)

    @property
    def _key(self) -> str:
        return f"outage:{self._since.isoformat() if self._since else ''}"

    async def _save(self) -> None:
        since = self._since.isoformat() if self._since else None
        record = {
            "id": "outage", "at": self._ctx.clock.now().isoformat(), "since": since, "cause": self._cause,
            "kind": self._kind, "announced": self._announced,
        }  # fmt: skip
        await self._ctx.store.commit(Put("state", record))
