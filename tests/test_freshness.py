"""What counts as a change since a person saw the issue, and what a card may say of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.issues import Change, Comment, Issue
from bot.rules.freshness import COMMENT_GONE, HIDDEN, MAX_SENTENCES, freshness
from tests.test_policy import ANA, NOW, ROLE, comment, issue

WINDOW = 5


def read(*comments: Comment, answered: str | None = None, **more: Any) -> Issue:
    """An issue of which the newest few comments were read, and the answered one by itself."""
    newest = comments[-WINDOW:]
    start = newest[0].created if len(comments) > len(newest) else None
    found = issue(*newest, comment_total=len(comments), comments_from=start, updated=NOW + timedelta(hours=1), **more)
    return found.with_comments(*(c for c in comments if c.id == answered))


def test_an_unchanged_issue_is_fresh_whatever_the_bot_wrote() -> None:
    before = issue(comment(1))
    assert freshness(before, before, None) == ()
    assert freshness(before, issue(comment(1), comment(2, by_us=True), labels=("x",), priority="High"), None) == ()


def test_what_makes_a_draft_stale() -> None:
    before = issue(comment(1), comment(2, "Old words"))
    now = issue(comment(2, "New words"), comment(3, "I found it"), status="Done", assignee=None)
    assert freshness(before, now, "2") == (
        "The status went from Open to Done.",
        "The assignee changed from Ana Ruiz to nobody.",
        "Ben Okafor edited a comment: “New words”",
        "Ben Okafor commented: “I found it”",
        "A comment by Ben Okafor was deleted.",
    )


def test_a_comment_whose_readers_changed_is_a_change() -> None:
    assert "who may see" in freshness(issue(comment(1)), issue(comment(1, public=False)), "1")[0]


def test_comments_that_slid_out_of_the_window_were_not_deleted() -> None:
    before = issue(*(comment(n) for n in range(50)), comment_total=50)
    now = issue(*(comment(n) for n in range(1, 51)), comment_total=51)
    assert freshness(before, now, None) == ("Ben Okafor commented: “Hello”",)


def test_comments_that_slid_into_the_window_were_not_added() -> None:
    before = issue(*(comment(n) for n in range(10, 60)), comment_total=60)
    now = issue(*(comment(n) for n in range(9, 59)), comment_total=59)
    assert freshness(before, now, None) == ("A comment by Ben Okafor was deleted.",)


def test_many_changes_are_counted() -> None:
    found = freshness(issue(), issue(*(comment(n) for n in range(20))), None)
    assert len(found) == 9
    assert found[-1] == "And 12 more changes."


def test_what_is_answered_is_compared_whatever_the_window() -> None:
    thread = [comment(n) for n in range(1, 10)]
    before = read(*thread, answered="2")
    assert freshness(before, read(*thread, answered="2"), "2") == ()
    edited = [comment(2, "Other words") if c.id == "2" else c for c in thread]
    assert freshness(before, read(*edited, answered="2"), "2") == ("Ben Okafor edited a comment: “Other words”",)
    shut = [comment(2, visibility=ROLE) if c.id == "2" else c for c in thread]
    assert freshness(before, read(*shut, answered="2"), "2") == ("It changed who may see a comment by Ben Okafor.",)
    touched = [comment(2, updated=NOW + timedelta(days=1)) if c.id == "2" else c for c in thread]
    assert "something else than its words" in freshness(before, read(*touched, answered="2"), "2")[0]
    gone = [c for c in thread if c.id != "2"]
    assert freshness(before, read(*gone, answered="2"), "2") == (COMMENT_GONE,)
    # What was held for it, and shown, is known from then on.
    assert freshness(read(*gone, answered="2"), read(*gone, answered="2"), "2") == ()


def test_a_draft_of_a_version_that_recorded_no_window_is_not_taken_for_fresh() -> None:
    thread = [comment(n) for n in range(1, 10)]
    old = issue(*thread[-WINDOW:], comment_total=9)
    assert freshness(old, read(*thread, answered="2"), "2") != ()
    assert freshness(old, read(*(c for c in thread if c.id != "2"), answered="2"), "2") == (COMMENT_GONE,)
    assert freshness(old, read(*thread, answered="7"), "7") == ()


def test_older_comments_are_counted_and_edits_of_them_are_seen() -> None:
    thread = [comment(n) for n in range(1, 10)]
    before = read(*thread)
    assert freshness(before, read(*thread[1:]), None) == ("1 older comment was deleted.",)
    more = [comment(n, by_us=True) for n in range(10, 20)]
    assert freshness(before, read(*thread, *more), None) == ("5 more comments were added.",)
    assert freshness(before, read(*thread, *more).with_comments(*more), None) == ()
    edited = comment(1, "Wrong", updated=NOW + timedelta(days=1))
    assert freshness(before, read(*thread).with_comments(edited), None) == ("Ben Okafor edited a comment: “Wrong”",)
    assert freshness(before, read(*thread).with_comments(comment(1)), None) == ()  # it only was not read before


def test_a_state_that_came_back_is_a_change() -> None:
    def changed(field: str, to: str, at: int) -> Change:
        return Change(field=field, before="", after=to, at=NOW + timedelta(hours=at), by="Ana")

    first = changed("status", "Open", 0)
    before = issue(changes=(first,))
    after = issue(changes=(first, changed("status", "Done", 1), changed("status", "Open", 2)))
    assert freshness(before, after, None) == ("The status went to Done and back to Open.",)
    assert freshness(after, after, None) == ()
    passed = issue(changes=(first, changed("assignee", "", 1), changed("assignee", ANA.name, 2)))
    assert freshness(before, passed, None) == ("The assignee went to nobody and back to Ana Ruiz.",)
    assert freshness(before, issue(changes=(first, changed("labels", "x", 1))), None) == ()


def test_the_words_of_the_issue_count_where_they_are_answered() -> None:
    before, now = issue(description="Is it done?"), issue(description="Who has the key?", summary="Other")
    assert freshness(before, now, None) == (
        "The summary was changed: “Other”",
        "The description was changed: “Who has the key?”",
    )
    assert freshness(issue(comment(1), description="a"), issue(comment(1), description="b"), "1") == ()


CHANGES = st.sampled_from(["text", "shut", "open", "gone", "new", "new for some"])


@given(st.lists(CHANGES, max_size=8), st.booleans())
def test_nothing_that_not_everybody_may_see_is_quoted(happens: list[str], internal: bool) -> None:
    hidden: dict[str, Any] = {"public": False} if internal else {"visibility": ROLE}
    old, new = [], []
    for number, change in enumerate(happens, 1):
        if not change.startswith("new"):
            was: dict[str, Any] = {} if change == "shut" else hidden
            old.append(comment(number, "canary" if was else "for all", **was))
        if change != "gone":
            now: dict[str, Any] = {} if change in ("open", "new") else hidden
            new.append(comment(number, "for all, now" if not now else "canary, edited", **now))
    found = freshness(issue(*old), issue(*new), None)
    assert "canary" not in " ".join(found)
    assert bool(found) is bool(happens)
    if len(found) <= MAX_SENTENCES:  # else the last one says how many more there are
        assert sum(HIDDEN in sentence.casefold() for sentence in found) >= (1 if "new for some" in happens else 0)
