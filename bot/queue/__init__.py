"""The queue: carries out the jobs that commits have stored.

`embedded.EmbeddedQueue` is the engine of one process, `procrastinate.engine.ProcrastinateQueue` that of any number of
processes on PostgreSQL.

A job (`bot.store.Job`) is stored with the change that asks for it, by `Store.commit(jobs=…)`, and its record stays
until its work is done. A crash in between repeats the work: every handler looks at the records first and does what is
left. The workflow knows this port and no engine; which kinds of jobs there are stands in `bot.work.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.domain.health import HealthLine
from bot.queue.keyed import Attempt, Entry, Hold, Outcome
from bot.store import Job

__all__ = ["Attempt", "Entry", "Hold", "Job", "Kind", "Kinds", "Outcome", "Queue"]


@dataclass(frozen=True)
class Kind:
    """How jobs of one kind are carried out.

    `attempt`: one attempt at a job. `limit`: attempts at once in a process. `told`: the name under which `health` shows
    a job of this kind that waits for a reason.
    """

    attempt: Attempt
    limit: int
    told: str = ""


Kinds = Mapping[str, Kind]


class Queue(Protocol):
    """See the module's docstring."""

    async def defer(self, *jobs: Job) -> None:
        """Store these jobs by themselves, where no change asks for them. Raises `StoreUnavailable`."""
        ...

    def hold(self, kind: str, hold: Hold) -> None:
        """Let a whole kind rest. The longer of two holds counts."""
        ...

    def lift(self, kind: str) -> None:
        """What held jobs of this kind back may be over: all of them are due now."""
        ...

    def idle(self, kind: str) -> bool:
        """Whether there is no job of this kind that this process runs, or that waits for its turn or its time."""
        ...

    def waits_for(self, key: str) -> str | None:
        """Why the job with this key waits, in words; None when it does not, or for its turn only."""
        ...

    def ready(self) -> str | None:
        """None when jobs are carried out; else why not."""
        ...

    def health(self) -> list[HealthLine]:
        """For `/pmagent health`."""
        ...

    async def start(self) -> None:
        """Take up what is stored, and from now on what will be."""
        ...

    async def drain(self, seconds: float) -> None:
        """Finish what runs within `seconds`; what is left stays stored for the next start."""
        ...

    def park(self) -> None:
        """Leave what runs to the next start, now."""
        ...
