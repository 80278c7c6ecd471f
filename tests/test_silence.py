"""What an event alone settles, and how that is recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.domain.events import (
    BranchPushed,
    BuildReported,
    DraftRequested,
    Event,
    FieldChange,
    IssueChanged,
    IssueCommented,
    IssueCreated,
)
from bot.domain.issues import Comment, Person
from bot.intake.silence import CONTEXT, at_the_door, by_its_words, silence_records

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
BASE: dict[str, Any] = {"issues": ("ECD-1",), "project": "ECD", "summary": "Export", "at": NOW}


def comment(text: str = "Is anybody looking?", account: str = "712020:ben", kind: str = "atlassian") -> IssueCommented:
    who = Person(account_id=account, name="Ben", kind=kind)
    return IssueCommented(comment=Comment(id="1", author=who, text=text, created=NOW, updated=NOW), **BASE)


def described(asks: str, account: str = "712020:ben", kind: str = "atlassian") -> IssueChanged:
    by = Person(account_id=account, name="Ben", kind=kind)
    return IssueChanged(changes=(FieldChange(field="description", after=asks),), asks=asks, by=by, **BASE)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (IssueChanged(changes=(FieldChange(field="status", before="a", after="b"),), **BASE), CONTEXT),
        (described("Why?"), None),
        (described("Why?", account="712020:bot"), "our own change"),
        (described("Why?", kind="app"), "written by an app"),
        (IssueCreated(text="Export fails. It is slow.", **BASE), CONTEXT),
        (IssueCreated(text="Export fails. Why?", **BASE), None),
        (comment(), None),
        (comment(" \n"), "no words"),
        (comment(account="712020:bot"), "our own comment"),
        (comment(kind="app"), "written by an app"),
        (DraftRequested(issues=("ECD-1",), by="jira:automation", at=NOW), None),
    ],
)
def test_what_jira_sends_is_settled_at_the_door_or_may_deserve_an_answer(event: Event, reason: str | None) -> None:
    found = at_the_door(event, "712020:bot")
    assert (found.reason if found else None) == reason


@pytest.mark.parametrize(
    "event",
    [
        BranchPushed(issues=("ECD-1",), repository="a/b", branch="x", at=NOW),
        BuildReported(issues=("ECD-1",), repository="a/b", branch="x", commit="c", name="unit", state="FAILED", at=NOW),
    ],
)
def test_bitbuckets_events_are_context_and_have_something_to_change_first(event: Event) -> None:
    assert at_the_door(event, None) is None
    silence = by_its_words(event, None)
    assert silence is not None
    assert silence.reason == CONTEXT


def test_a_settled_event_has_its_three_records() -> None:
    record = {
        "id": "evt_1",
        "issue": "ECD-1",
        "attempts": 0,
        "state": "received",
        "reason": "",
        "kind": "issue_changed",
    }
    silence = at_the_door(IssueCreated(text="Export fails.", **BASE), None)
    assert silence is not None
    after, cycle, audit = silence_records(record, silence, started=NOW, ended=NOW + timedelta(seconds=1))
    assert (after["state"], after["reason"], record["state"]) == ("done", CONTEXT, "received")
    assert (cycle["id"], cycle["event_id"], cycle["outcome"], cycle["calls"]) == ("cyc_1", "evt_1", "silence", [])
    assert cycle["reasoning"] == "a new issue that asks nothing"
    assert (audit.action, audit.event_id, audit.issue, audit.details) == (
        "cycle.silence", "evt_1", "ECD-1", {"reason": CONTEXT},
    )  # fmt: skip
