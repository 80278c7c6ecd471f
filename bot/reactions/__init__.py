"""Reactions: what an event leads to: `answer` (in steps: `look`, `subject`, `drafting`) or `note`.

A new one also needs its row in `bot.work.kinds`.

The door asks `jobs_for` and stores the jobs with the event. An event that the door can settle
(`bot.intake.silence.at_the_door`) leads to none. Its end in `webhook_events` is that of its answer, or, where no answer
is possible, of its note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.events import BranchPushed, BuildReported, Event, IssueCommented, PullRequestChanged
from bot.intake.silence import may_lead_to_draft
from bot.store import Delete, Job


@dataclass(frozen=True)
class Reaction:
    """One thing that an event may lead to. `kinds`: of its jobs, of which the first one follows from `job`."""

    name: str
    concerns: Callable[[Event], bool]
    job: Callable[[str, Event], Job]
    kinds: tuple[str, ...]


def answer_job(event_id: str, event: Event) -> Job:
    """The answer itself: one at a time of an issue, in order."""
    return Job("answer", event_id, event.issues[0])


def _look_first(event_id: str, event: Event) -> Job:
    """Most edits are settled by the comment's other versions, for which nobody should wait in line."""
    if isinstance(event, IssueCommented) and event.edited:
        return Job("look", event_id)
    return answer_job(event_id, event)


def _note_job(event_id: str, event: Event) -> Job:
    """One at a time of what the event tells about."""
    match event:
        case PullRequestChanged():
            return Job("note", event_id, event.pull_request.id)
        case BranchPushed() | BuildReported():
            return Job("note", event_id, f"{event.repository}:{event.branch}")
    return Job("note", event_id, event.issues[0] if event.issues else "")


ANSWER = Reaction("answer", may_lead_to_draft, _look_first, ("look", "answer"))
NOTE = Reaction("note", lambda event: not may_lead_to_draft(event), _note_job, ("note",))
REACTIONS = (ANSWER, NOTE)


def jobs_for(event_id: str, event: Event) -> tuple[Job, ...]:
    """The jobs of an event's reactions, for the commit that stores it."""
    return tuple(reaction.job(event_id, event) for reaction in REACTIONS if reaction.concerns(event))


def done(reaction: Reaction, event_id: str) -> tuple[Delete, ...]:
    """The end of a reaction's jobs, for the commit that ends its work."""
    return tuple(Delete("jobs", Job(kind, event_id).id) for kind in reaction.kinds)
