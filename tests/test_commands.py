"""`/pmagent`: what was typed becomes what is meant, or a sentence that says why not; and the pages that it answers."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cards import Message
from bot.cards.parts import MAX_MESSAGE, size
from bot.demo.slack.limits import check_message, walk
from bot.demo.slack.people import words
from bot.domain.drafts import Card, Draft, Revision
from bot.domain.issues import Issue
from bot.errors import UserError
from bot.workflow import HealthLine, ModeSetting, WhyLine
from handlers.slash_command import pages as answers
from handlers.slash_command.arguments import read_days, read_duration, read_key
from handlers.slash_command.dispatch import nearest_word
from handlers.slash_command.words import COMMANDS, Who

NOW = datetime(2026, 11, 20, 9, 42, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
NASTY = "<!channel> *x* <https://evil.example|y>"


def watches(project: str) -> bool:
    return project in ("ECD", "OPS_2")


def draft(number: int = 1) -> Draft:
    issue = Issue(key=f"ECD-{number}", project="ECD", summary=NASTY, url="https://x.example", status="Open")
    return Draft(
        id=f"drf_{number:08}", event_id="e", cycle_id="c", issue=issue, mode="production", model="m", prompt="p",
        revisions=(Revision(text="t", by="claude", at=NOW),), created=NOW, expires=NOW,
        card=Card(channel="C1", ts="1.2"),
    )  # fmt: skip


def check(message: Message) -> str:
    assert check_message(message.blocks) == []
    assert size(message.blocks) <= MAX_MESSAGE
    assert not any(item.get("type") in ("mrkdwn", "markdown", "user", "broadcast") for item in walk(message.blocks))
    assert "<" not in message.text
    return words(message.blocks)


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("ECD-142", "ECD-142"), ("ecd-142", "ECD-142"), ("<ECD-1>", "ECD-1"), ("ops_2-7", "OPS_2-7"),
        ("https://x.atlassian.net/browse/ECD-9?focusedCommentId=1", "ECD-9"),
    ],
)  # fmt: skip
def test_keys(typed: str, key: str) -> None:
    assert read_key(typed, watches) == key


@pytest.mark.parametrize(
    "typed", ["", "ECD", "ECD-0", "142", "ECD-1x", "E-1", "<!channel>", "ECD-١", "ECD-" + "1" * 30]
)
def test_malformed_keys_are_explained(typed: str) -> None:
    with pytest.raises(UserError, match="not an issue key such as ECD-142"):
        read_key(typed, watches)


def test_keys_of_other_projects_are_refused() -> None:
    with pytest.raises(UserError, match="SEC-1 is in project SEC, which this bot does not look after"):
        read_key("SEC-1", watches)


@pytest.mark.parametrize(
    ("typed", "minutes"), [("30m", 30), ("30min", 30), ("2h", 120), ("1d", 1440), ("1h30m", 90), ("1D2H", 1560)]
)
def test_durations(typed: str, minutes: int) -> None:
    assert read_duration(typed) == timedelta(minutes=minutes)


@pytest.mark.parametrize("typed", ["", "30", "0m", "-5m", "1w", "m", "91d", "9999h9999m", "1h 30m", "٣m", "1e3m"])
def test_other_durations_are_explained(typed: str) -> None:
    with pytest.raises(UserError):
        read_duration(typed)


@pytest.mark.parametrize("typed", ["0", "-1", "abc", "1e3", "nan", "inf", "9999", "٣"])
def test_days(typed: str) -> None:
    assert read_days("7") == 7
    assert read_days("0.5") == 0.5
    with pytest.raises(UserError, match="not a number of days"):
        read_days(typed)


@given(st.text())
def test_reading_raises_nothing_else(typed: str) -> None:
    for read in (lambda: read_key(typed, watches), lambda: read_duration(typed), lambda: read_days(typed)):
        with suppress(UserError):
            read()
    nearest_word(typed)


@pytest.mark.parametrize(
    ("typed", "meant"), [("stat", "stats"), ("pendign", "pending"), ("HEALT", "health"), ("xyzzy", None), ("", None)]
)
def test_the_nearest_word(typed: str, meant: str | None) -> None:
    assert nearest_word(typed) == meant


def test_who_may_say_what() -> None:
    """As the README's table of commands has it."""
    assert {name: (word.who, word.asks_for(("x",))) for name, word in COMMANDS.items()} == {
        "help": (Who.EVERYBODY, Who.EVERYBODY),
        "health": (Who.EVERYBODY, Who.EVERYBODY),
        "stats": (Who.MEMBER, Who.MEMBER),
        "pending": (Who.MEMBER, Who.MEMBER),
        "why": (Who.MEMBER, Who.MEMBER),
        "standup": (Who.MEMBER, Who.APPROVER),
        "draft": (Who.APPROVER, Who.APPROVER),
        "pause": (Who.APPROVER, Who.APPROVER),
        "resume": (Who.APPROVER, Who.APPROVER),
        "learned": (Who.APPROVER, Who.APPROVER),
        "mode": (Who.EVERYBODY, Who.ADMIN),
    }


def test_help_shows_every_word_and_what_was_probably_meant() -> None:
    page = check(
        answers.help_page([(w.usage, w.does) for w in COMMANDS.values()], unknown="stat" + NASTY, nearest="stats")
    )
    assert "Did you mean /pmagent stats?" in page
    assert all(word.usage in page for word in COMMANDS.values())
    assert "sprint" not in page


def test_the_pages() -> None:
    where = {"site": "https://x.example", "now": NOW, "timezone": BERLIN}
    stats = check(answers.stats_page({"mode": "production", "events": 3, "drafts": {"posted": 2, "skipped": 0}}, 7))
    assert "The last 7 days, mode production" in stats
    assert "Drafts: 2 posted" in stats
    assert "set by dana" in check(answers.mode_page(ModeSetting("simulation", "Dana", NOW), NOW, BERLIN)).lower()
    assert "No draft waits" in check(answers.pending_page([], 0, team_url="", **where))
    many = check(answers.pending_page([draft(n) for n in range(1, 60)], 59, team_url="https://t.slack.com/", **where))
    assert "59 drafts wait for a decision" in many
    assert "and 39 more" in many
    lines = [WhyLine(NOW, "issue_commented", "silence", NASTY * 30, "drf_123456")] * 60
    assert "issue commented: silence" in check(answers.why_page("ECD-1", lines, **where))
    assert "No event of ECD-1" in check(answers.why_page("ECD-1", [], **where))
    assert "Something needs a look" in check(answers.health_page([HealthLine("jira", False, NASTY * 90)] * 30))
