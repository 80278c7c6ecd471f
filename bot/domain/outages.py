"""The interface of outage tracking, for Claude and Jira. `bot.work.outage` implements it."""

from __future__ import annotations

from typing import Protocol

from bot.errors import RetryLater


class OnHold(RetryLater):
    """Nobody's turn: what holds this event holds all that wait for an answer."""


class Outage(Protocol):
    """One service, which is away or not."""

    def hold(self) -> None:
        """Raise `OnHold` while nobody is to call the service: before anything else is done for a call."""
        ...

    def turn(self) -> None:
        """Return when a call may be made now; raise `OnHold` when somebody else is finding out."""
        ...

    def failed_in_a_row(self) -> bool:
        """Count an attempt that failed for a reason of its own; whether it is the service after so many."""
        ...

    async def down(self, error: RetryLater, *, told_by_probe: bool = True) -> float:
        """A call found the service away. Returns the seconds until the next attempt."""
        ...

    async def up(self) -> None:
        """A call was answered: an outage is over, its message says so, and everything that waits goes on."""
        ...

    async def look(self) -> None:
        """For the schedule: remind, and find out whether the service is back when no event is there to do it."""
        ...

    async def follow(self) -> None:
        """Take up what other processes have found: that an outage began, was announced or is over."""
        ...

    def said(self) -> str | None:
        """Since when it is away, and why; None: it is not."""
        ...


class Outages(Protocol):
    """The services that events wait for."""

    @property
    def claude(self) -> Outage: ...

    @property
    def jira(self) -> Outage: ...

    @property
    def away(self) -> dict[str, str]:
        """Those that are away, by name: since when and why."""
        ...

    async def load(self) -> None:
        """Take up what began before a restart."""
        ...

    async def follow(self) -> None:
        """Take up what other processes have found."""
        ...
