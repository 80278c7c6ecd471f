"""The sync checkpoint: up to when Jira is known, and which of its answers are new. Pure; `jira` does the I/O.

A comment is known again by its id and the time of its last change, a new issue by having been created, a description
that asks something by its words. What a Jira
Automation rule asked for counts as known too: where rules stand in for webhooks, nothing else tells of a comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from bot.clients.jira.changes import ChangedIssue
from bot.domain.events import FieldChange, IssueChanged, IssueCommented, IssueCreated
from bot.domain.issues import Comment, Frozen
from bot.rules.policy import normalised
from bot.rules.questions import asks_something
from bot.store import Record

Missed = IssueCommented | IssueCreated | IssueChanged

OVERLAP = timedelta(minutes=30)
"""How far before the last checkpoint is asked: for Jira's late index, its whole minutes, and clocks that differ."""
CLOCK_SKEW = timedelta(minutes=10)
"""Our clock and Jira's may differ by this much."""
MAX_LISTED = 20
"""Late ones that are listed by name, the newest; the rest is counted."""


class Checkpoint(Frozen):
    """How far Jira is known: the record `state/reconcile`.

    `since`: all before was seen. `floor`: the first start (None in a folder that is older than this field). `started`:
    the run that goes on, `reached`: how far it came, by Jira's clock. `late`: its newest late events as (time, id).
    `stuck`: issues that could not be read, and since when each. `done`: the last complete run's start. `trouble`: what
    kept one from its end. `version` grows with each change of the record (compare and set is on it); 0: there is none.
    """

    since: datetime
    floor: datetime | None = None
    started: datetime | None = None
    reached: datetime | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    late: tuple[tuple[datetime, str], ...] = ()
    stuck: dict[str, datetime] = Field(default_factory=dict)
    done: datetime | None = None
    done_counts: dict[str, int] = Field(default_factory=dict)
    trouble: str = ""
    version: int = 0

    def begun(self, now: datetime) -> Checkpoint:
        """With a run on record: a new one, or the one that was cut off."""
        if self.started is not None:
            return self
        # A checkpoint in the future was recorded while the clock was wrong.
        fresh: dict[str, Any] = {"since": min(self.since, now), "started": now}
        fresh["floor"] = self.floor and min(self.floor, now)
        return self.model_copy(update={**fresh, "reached": None, "counts": {}, "late": (), "stuck": {}})

    @property
    def owed(self) -> datetime:
        """From when on things are taken in: a little before the last checkpoint, and never before the first start."""
        overlapping = self.since - OVERLAP
        return max(overlapping, self.floor) if self.floor else overlapping

    def came_to(self, issues: Sequence[ChangedIssue]) -> Checkpoint:
        """After all of these, the last ones of the search so far, were taken in."""
        return self.model_copy(update={"reached": max(i.updated for i in issues)}).counted(issues=len(issues))

    def counted(self, **more: int) -> Checkpoint:
        """With these added to the counts."""
        return self.model_copy(
            update={"counts": {**self.counts, **{k: self.counts.get(k, 0) + v for k, v in more.items()}}}
        )

    def kept_up(self, key: str, now: datetime) -> Checkpoint:
        """With this issue on record as not to be read, since now or since when it first was."""
        return self.model_copy(update={"stuck": {key: now, **self.stuck}})

    def with_late(self, event: Missed, event_id: str) -> Checkpoint:
        """With one more that is too late to be answered."""
        newest = tuple(sorted((*self.late, (event.at, event_id)), reverse=True)[:MAX_LISTED])
        return self.model_copy(update={"late": newest}).counted(late=1)

    def ended(self) -> Checkpoint:
        """What is known after the run: everything before its start. What the next one asks for overlaps with it."""
        counts = {name: count for name, count in self.counts.items() if count}
        started = self.started or self.since
        return Checkpoint(
            since=started,
            floor=self.floor,
            done=started,
            done_counts=counts,
            trouble=self.trouble,
            version=self.version,
        )


def jql(checkpoint: Checkpoint, now: datetime, projects: Sequence[str]) -> str:
    """The search for what changed. Minutes before now: a time would be read in the zone of the account's profile."""
    begin = checkpoint.reached - CLOCK_SKEW if checkpoint.reached else checkpoint.since - OVERLAP
    minutes = max(int((now - begin).total_seconds() // 60) + 1, int(OVERLAP.total_seconds() // 60))
    names = ", ".join(f'"{key}"' for key in projects)  # quoted: a key may be a word of JQL, such as IN
    scope = f"project in ({names}) AND " if names else ""
    # The longest ago first: an issue that changes while this is read moves to where it is still to come.
    return f'{scope}updated >= "-{minutes}m" ORDER BY updated ASC'


def missed_events(
    issue: ChangedIssue, comments: Iterable[Comment], own: str | None, *, since: datetime, until: datetime
) -> list[Missed]:
    """What webhooks would have told, oldest first: other people's comments, and an issue that asks something since it
    was created or its description was changed.

    `own`: our account's id, where it is known. `until`: when we began to ask; what came later came while we listened,
    so its webhook is on its way, and the next run sees to it.
    """
    about: dict[str, Any] = {"issues": (issue.key,), "project": issue.project, "summary": issue.summary}
    found: list[Missed] = [
        IssueCommented(**about, comment=comment, edited=comment.updated > comment.created, at=comment.updated)
        for comment in comments
        if not comment.by_us
    ]
    mine = own is not None and issue.reporter is not None and issue.reporter.account_id == own
    if issue.created >= since and not mine and asks_something(issue.text):
        found.append(IssueCreated(**about, text=issue.text, reporter=issue.reporter, at=issue.created))
    if issue.asked and (own is None or issue.asked.by is None or issue.asked.by.account_id != own):
        changed = (FieldChange(field="description"),)
        found.append(
            IssueChanged(
                **about,
                changes=changed,
                asks=issue.asked.text,
                added=issue.asked.added,
                by=issue.asked.by,
                at=issue.asked.at,
            )
        )
    return sorted((event for event in found if event.at <= until), key=lambda event: event.at)


class KnownEvents:
    """What the store's events of one issue tell about it, however long ago they came."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._created = False
        self._versions: set[tuple[str, datetime]] = set()
        self._asked_for: list[tuple[str | None, datetime]] = []
        self._descriptions: set[bytes] = set()
        for record in records:
            event = record["event"]
            if not event:
                continue
            if record["kind"] == "issue_commented":
                self._versions.add((event["comment"]["id"], datetime.fromisoformat(event["comment"]["updated"])))
            elif record["kind"] == "issue_created":
                self._created = True
            elif record["kind"] == "issue_changed" and event.get("asks"):
                self._descriptions.add(normalised(event["asks"]))
            elif record["kind"] == "draft_requested" and record["source"] == "automation":
                self._asked_for.append((event["comment_id"], datetime.fromisoformat(record["at"]) + CLOCK_SKEW))

    def __contains__(self, event: Missed) -> bool:
        if isinstance(event, IssueCreated):
            return self._created or any(comment is None for comment, _ in self._asked_for)
        if isinstance(event, IssueChanged):
            return normalised(event.asks) in self._descriptions
        comment = event.comment
        return (comment.id, comment.updated) in self._versions or any(
            asked in (None, comment.id) and comment.updated <= until for asked, until in self._asked_for
        )
