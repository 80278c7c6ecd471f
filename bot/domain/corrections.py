"""A correction: what was asked, what Claude wrote, and what a person made of it before it was approved. Pure data.

Each is a small record of its own (`corrections`), made in the commit in which the draft is posted or simulated: the
next request looks through the newest of a project, and a whole draft holds its issue, which is many times as much.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from bot.domain.issues import Frozen

SkipReason = Literal["not_needed", "wrong", "too_late", "answers_oneself", "other"]
SKIP_REASONS: dict[SkipReason, str] = {
    "not_needed": "Not needed", "wrong": "Wrong", "too_late": "Too late", "answers_oneself": "I answer myself",
    "other": "Other",
}  # fmt: skip
"""Why a person skipped a draft, each with its words on the button."""


class Lesson(Frozen):
    """What Claude is shown of a correction."""

    asked: str
    wrote: str
    made: str

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.asked) + len(self.wrote) + len(self.made)


class Correction(Lesson):
    """`id` is the draft's. `desk`: from a service desk, where customers ask. `by`: who edited it, `asked_by`: who asked
    (a Jira account), `people`: the accounts of all in the issue, so that an erasure finds them."""

    id: str
    at: datetime
    event_id: str
    issue: str
    project: str
    audience: Literal["public", "internal"]
    desk: bool
    prompt: str
    by: str
    asked_by: str
    people: tuple[str, ...] = ()

    @property
    def lesson(self) -> Lesson:
        return Lesson(asked=self.asked, wrote=self.wrote, made=self.made)

    @property
    def place(self) -> str:
        """Where it counts: in this project, for this audience, and nowhere else."""
        return place(self.project, self.audience)


def place(project: str, audience: str) -> str:
    return f"{project}|{audience}"
