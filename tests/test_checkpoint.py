"""How far Jira is known, what a search asks for, and what is known again. Pure rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.clients.jira.changes import ChangedIssue, NewQuestion
from bot.domain.events import IssueChanged, IssueCommented, IssueCreated
from bot.domain.issues import Comment, Person
from bot.workflow.reconciling.checkpoint import MAX_LISTED, OVERLAP, Checkpoint, KnownEvents, Missed, jql, missed_events

NOW = datetime(2026, 11, 23, 8, 30, 20, tzinfo=UTC)  # a Monday
OWN = "712020:own"


def back(**span: float) -> datetime:
    return NOW - timedelta(**span)


def comment(number: int, at: datetime, *, edited: datetime | None = None, **more: Any) -> Comment:
    author = Person(account_id="5c:ben", name="Ben")
    return Comment(id=str(number), author=author, text="When?", created=at, updated=edited or at, **more)


def issue(
    *, created: datetime | None = None, text: str = "", reporter: str = "5c:ben", key: str = "ECD-1"
) -> ChangedIssue:
    return ChangedIssue(
        key=key, project="ECD", summary="Export", text=text, created=created or back(days=90), updated=NOW,
        reporter=Person(account_id=reporter, name="Ben"),
    )  # fmt: skip


def commented(number: int, at: datetime) -> IssueCommented:
    return IssueCommented(issues=("ECD-1",), project="ECD", summary="Export", comment=comment(number, at), at=at)


def record(event: Missed | None, **more: Any) -> dict[str, Any]:
    found = {"kind": event.kind if event else "x", "source": "jira", "at": NOW.isoformat()}
    return {**found, "event": event.model_dump(mode="json") if event else None, **more}


def asked_for(comment_id: str | None, source: str) -> dict[str, Any]:
    event = {"kind": "draft_requested", "issues": ["ECD-1"], "comment_id": comment_id, "by": "x", "at": NOW.isoformat()}
    return {"kind": "draft_requested", "source": source, "at": NOW.isoformat(), "event": event}


def test_a_description_that_asks_is_known_again_by_its_words() -> None:
    asked = NewQuestion(text="Who *has* it?", by=Person(account_id="5c:ben", name="Ben"), at=back(minutes=5))
    changed = issue().model_copy(update={"asked": asked})
    [event] = missed_events(changed, (), OWN, since=back(hours=1), until=NOW)
    assert isinstance(event, IssueChanged)
    assert (event.asks, event.at, event.by) == (asked.text, asked.at, asked.by)
    same = event.model_copy(update={"asks": "who has it", "at": back(minutes=4)})
    assert event in KnownEvents([record(same)])
    assert event not in KnownEvents([record(event.model_copy(update={"asks": "Why?"})), record(event, kind="x")])
    mine = asked.model_copy(update={"by": Person(account_id=OWN, name="PM Agent")})
    assert missed_events(issue().model_copy(update={"asked": mine}), (), OWN, since=back(hours=1), until=NOW) == []


def test_nothing_is_owed_from_before_the_first_start() -> None:
    first = Checkpoint(since=NOW, floor=NOW)
    assert first.owed == NOW
    later = first.begun(NOW + timedelta(minutes=5)).ended()
    assert (later.since, later.owed) == (NOW + timedelta(minutes=5), NOW)
    assert later.begun(NOW + timedelta(hours=5)).ended().owed == NOW + timedelta(hours=5) - OVERLAP
    assert Checkpoint(since=NOW).owed == NOW - OVERLAP, "a folder from before this was recorded"
    wrong = Checkpoint(since=back(hours=-5), floor=back(hours=-5)).begun(NOW)
    assert wrong.floor == NOW, "the future was recorded by a wrong clock"


@pytest.mark.parametrize(
    ("checkpoint", "expected"),
    [
        # An hour since the last checkpoint, and the overlap; a part of a minute counts as one.
        (Checkpoint(since=back(hours=1)), "-91m"),
        (Checkpoint(since=back(days=2.5)), "-3631m"),
        # It goes on from where it was cut off, a little before.
        (Checkpoint(since=back(days=9), started=NOW, reached=back(hours=3)), "-191m"),
        # A clock that was set back never makes a window of nothing.
        (Checkpoint(since=back(hours=-5)), "-30m"),
    ],
)
def test_the_window_is_minutes_before_now(checkpoint: Checkpoint, expected: str) -> None:
    assert jql(checkpoint, NOW, ()) == f'updated >= "{expected}" ORDER BY updated ASC'
    scoped = jql(checkpoint, NOW, ("ECD", "IN"))
    assert scoped == f'project in ("ECD", "IN") AND updated >= "{expected}" ORDER BY updated ASC'


def test_a_run_begins_once_and_ends_where_it_began() -> None:
    begun = Checkpoint(since=back(hours=2), trouble="Jira is down").begun(NOW)
    again = begun.counted(found=2).begun(NOW + timedelta(hours=3))
    assert (again.started, again.counts, again.trouble) == (NOW, {"found": 2}, "Jira is down")
    ended = again.model_copy(update={"trouble": ""}).ended()
    assert (ended.since, ended.done, ended.started, ended.done_counts) == (NOW, NOW, None, {"found": 2})
    assert Checkpoint(since=back(hours=-5)).begun(NOW).since == NOW, "the future was recorded by a wrong clock"


def test_one_issue_that_cannot_be_read_is_stuck_since_its_first_failure() -> None:
    found = Checkpoint(since=back(days=3)).kept_up("ECD-7", back(minutes=50)).kept_up("ECD-8", back(minutes=20))
    found = found.kept_up("ECD-7", NOW)
    assert found.stuck == {"ECD-7": back(minutes=50), "ECD-8": back(minutes=20)}
    assert found.begun(NOW).stuck == {}


def test_the_newest_late_ones_are_listed_and_all_are_counted() -> None:
    found = Checkpoint(since=back(days=3))
    for number in range(MAX_LISTED + 5):
        found = found.with_late(commented(number, back(days=2, minutes=number)), f"evt_{number}")
    assert found.counts["late"] == MAX_LISTED + 5
    assert [event_id for _, event_id in found.late] == [f"evt_{number}" for number in range(MAX_LISTED)]


def test_what_webhooks_would_have_told_oldest_first() -> None:
    new, old = comment(2, back(hours=1)), comment(1, back(days=40), edited=back(minutes=5))
    ours = comment(3, back(hours=2), by_us=True)
    fresh = issue(created=back(hours=3), text="Where do exports go?")
    found = missed_events(fresh, (old, ours, new), OWN, since=back(hours=4), until=NOW)
    assert [(e.kind, e.at) for e in found] == [
        ("issue_created", back(hours=3)), ("issue_commented", back(hours=1)), ("issue_commented", back(minutes=5)),
    ]  # fmt: skip
    assert [e.edited for e in found if isinstance(e, IssueCommented)] == [False, True]
    assert missed_events(issue(created=back(hours=3), text="Exports"), (), OWN, since=back(hours=4), until=NOW) == []
    assert missed_events(issue(created=back(hours=5), text="Where?"), (), OWN, since=back(hours=4), until=NOW) == []
    assert (
        missed_events(
            issue(created=back(hours=3), text="Where?", reporter=OWN), (), OWN, since=back(hours=4), until=NOW
        )
        == []
    )


def test_what_comes_while_we_listen_is_left_to_its_webhook() -> None:
    before, after = comment(1, back(minutes=1)), comment(2, NOW + timedelta(seconds=1))
    [found] = missed_events(issue(), (after, before), OWN, since=back(hours=4), until=NOW)
    assert found.at == before.updated


def test_known_is_the_same_version_however_it_came() -> None:
    first, second = commented(1, back(days=5)), commented(2, back(hours=2))
    known = KnownEvents([record(first), record(None), record(second, source="reconcile")])
    assert first in known
    assert second in known
    assert commented(1, back(days=4)) not in known
    created = IssueCreated(issues=("ECD-1",), project="ECD", summary="Export", text="Where?", at=NOW)
    assert created not in known
    assert created in KnownEvents([record(created)])


def test_where_automation_rules_stand_in_for_webhooks_nothing_comes_twice() -> None:
    for_one, for_newest = asked_for("7", "automation"), asked_for(None, "automation")
    assert commented(7, back(minutes=1)) in KnownEvents([for_one])
    assert commented(8, back(minutes=1)) not in KnownEvents([for_one])
    assert commented(7, NOW + timedelta(hours=1)) not in KnownEvents([for_one]), "it was edited since"
    assert commented(8, back(minutes=1)) in KnownEvents([for_newest])
    assert commented(8, back(minutes=1)) not in KnownEvents([asked_for(None, "slack")])
