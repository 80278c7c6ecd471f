"""The rules: who may decide, what is for the channel, audience, what Claude may know, what counts as a question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.issues import Change, Comment, Issue, LinkedIssue, Person, Visibility
from bot.rules.policy import (
    MOVED,
    SECURITY_LEVEL,
    Audience,
    SlackUser,
    audience,
    audience_now,
    for_customer,
    is_confidential,
    may_decide,
    normalised,
    out_of_bounds,
    standing,
    visible_to,
    words,
    words_changed,
)
from bot.rules.questions import added, asks_something, still_in
from bot.settings import Settings, load

HOME = "T1"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ANA, BEN = Person(account_id="a1", name="Ana Ruiz"), Person(account_id="b1", name="Ben Okafor")
ROLE = Visibility(type="role", value="Developers")


def user(**changes: Any) -> SlackUser:
    return SlackUser(**{"id": "U1", "name": "Dana", "team_id": HOME, **changes})


def comment(number: int, text: str = "Hello", **changes: Any) -> Comment:
    at = NOW + timedelta(minutes=number)
    values = {"id": str(number), "author": BEN, "text": text, "created": at, "updated": at, **changes}
    return Comment(**values)


def issue(*comments: Comment, **changes: Any) -> Issue:
    values = {
        "key": "ECD-1", "project": "ECD", "summary": "Export fails", "url": "https://x.example/browse/ECD-1",
        "status": "Open", "assignee": ANA, "comments": comments, "comment_total": len(comments), **changes,
    }  # fmt: skip
    return Issue(**values)


def settings(**changes: str) -> Settings:
    return load(
        {
            "ANTHROPIC_API_KEY": "k", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "a@b.example",
            "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "t", "JIRA_URL": "https://x.example",
            "JIRA_WEBHOOK_SECRET": "a-secret-of-jiras",
            "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_CHANNEL_APPROVALS": "C123",
            "PMAGENT_APPROVERS": "U123", **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"deleted": True}, "deactivated"),
        ({"is_bot": True}, "Bots"),
        ({"is_guest": True}, "Guests"),
        ({"is_stranger": True}, "another organisation"),
        ({"team_id": "T2"}, "another organisation"),
    ],
)
def test_only_full_living_members_of_the_home_workspace(change: dict[str, Any], says: str) -> None:
    assert says in str(standing(user(**change), HOME))
    assert says in str(may_decide(user(**change), HOME, frozenset({"U1"})))


def test_a_member_decides_only_when_named() -> None:
    assert may_decide(user(), HOME, frozenset({"U1"})) is None
    assert "approvers" in str(may_decide(user(), HOME, frozenset()))


def test_an_issue_is_ours_by_the_project_that_it_is_in_now() -> None:
    ours = settings(JIRA_PROJECTS="ECD,NEW")
    assert out_of_bounds(issue(), ours) is None
    assert out_of_bounds(issue(key="NEW-7", project="NEW"), ours) is None
    assert out_of_bounds(issue(key="SUP-77", project="SUP"), ours) == MOVED
    assert out_of_bounds(issue(key="SUP-77"), ours) == MOVED, "by its key, whatever its project's field says"
    assert out_of_bounds(issue(project="SUP"), ours) == MOVED
    assert out_of_bounds(issue(key="SUP-77", project="SUP"), settings()) is None, "all projects, unless some are named"


def test_audience_is_never_wider_than_what_is_answered() -> None:
    plain, desk = issue(), issue(service_desk=True)
    closed, opened = settings(), settings(JIRA_PUBLIC_REPLIES="ecd")
    internal = Audience(audience="internal")
    assert audience(plain, comment(1), closed) == Audience(audience="public")
    assert audience(plain, comment(1, visibility=ROLE), closed) == Audience(audience="restricted", visibility=ROLE)
    assert audience(desk, comment(1), closed) == internal
    assert audience(desk, None, closed) == internal
    assert audience(desk, comment(1), opened) == Audience(audience="public", customer=True)
    assert audience(desk, None, opened) == Audience(audience="public", customer=True)
    assert audience(desk, comment(1, public=False), opened) == internal
    assert audience(desk, comment(1, visibility=ROLE), opened) == Audience(audience="internal", visibility=ROLE)


INTERNAL, PUBLIC = Audience(audience="internal"), Audience(audience="public")
CUSTOMER, STAFF = Audience(audience="public", customer=True), Audience(audience="restricted", visibility=ROLE)


@pytest.mark.parametrize(
    ("shown", "desk", "answered", "now"),
    [
        (PUBLIC, False, comment(1), PUBLIC),
        (PUBLIC, False, comment(1, visibility=ROLE), STAFF),
        (PUBLIC, False, None, PUBLIC),
        (STAFF, False, comment(1), STAFF),
        (PUBLIC, True, comment(1), INTERNAL),
        (CUSTOMER, True, comment(1), CUSTOMER),
        (CUSTOMER, True, comment(1, public=False), INTERNAL),
        (CUSTOMER, True, comment(1, visibility=ROLE), Audience(audience="internal", visibility=ROLE)),
        (CUSTOMER, True, None, INTERNAL),
        (INTERNAL, True, comment(1), INTERNAL),
        (INTERNAL, True, comment(1, visibility=ROLE), Audience(audience="internal", visibility=ROLE)),
        (STAFF, True, comment(1), Audience(audience="internal", visibility=ROLE)),
        (INTERNAL, False, comment(1), PUBLIC),
    ],
    ids=str,
)
def test_a_reply_is_never_for_more_people_than_it_was_written_for_or_than_see_what_it_answers(
    shown: Audience, desk: bool, answered: Comment | None, now: Audience
) -> None:
    """An issue that left the service desk has no internal notes any more: the card says so before anything is sent."""
    read = issue(*([answered] if answered else []), service_desk=desk)
    assert audience_now(shown, read, "1", settings(JIRA_PUBLIC_REPLIES="ECD")) == now


def test_what_is_not_for_the_channel() -> None:
    assert out_of_bounds(issue(), settings()) is None
    assert out_of_bounds(issue(has_security_level=True), settings()) == SECURITY_LEVEL
    assert not is_confidential(comment(1), issue())
    assert is_confidential(comment(1, visibility=ROLE), issue(service_desk=True))
    assert not is_confidential(comment(1, public=False), issue(service_desk=True))
    assert is_confidential(comment(1, public=False), issue())


def test_claude_is_given_only_what_every_reader_of_the_reply_sees() -> None:
    public, note = comment(1), comment(2, public=False)
    restricted = comment(3, visibility=ROLE)
    other = comment(4, visibility=Visibility(type="group", value="board"))
    everything = (public, note, restricted, other)
    assert visible_to(Audience(audience="public", customer=True), everything) == (public,)
    assert visible_to(Audience(audience="public"), everything) == (public,)
    assert visible_to(Audience(audience="internal"), everything) == (public, note)
    assert visible_to(Audience(audience="restricted", visibility=ROLE), everything) == (public,)


def test_a_customer_hears_nothing_of_linked_issues() -> None:
    link = LinkedIssue(relation="blocks", key="SEC-9", summary="Breach", status="Open")
    changes = (
        Change(field="Link", before="", after="This issue blocks SEC-9", at=NOW, by="Ana"),
        Change(field="status", before="Open", after="Done", at=NOW, by="Ana"),
    )
    found = for_customer(issue(comment(1), comment(2, public=False), links=(link,), changes=changes))
    assert found.links == ()
    assert [c.field for c in found.changes] == ["status"]
    assert [c.id for c in found.comments] == ["1"]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("Is it done", "Is it done?!", False),
        ("Is it  done.", "is it **done**", False),
        ("we ship on 3 May", "we ship on 5 May", True),
        ("it costs 5 €", "it costs 5 $", True),
        ("fertig", "nicht fertig", True),
        ("ถึงแล้ว", "ถึงแล้ว!", False),
        ("कब", "कबी", True),
        ("", "…", False),
    ],
)
def test_an_edit_of_punctuation_is_no_edit(before: str, after: str, changed: bool) -> None:
    assert words_changed(before, after) is changed


@given(st.text(st.characters(max_codepoint=127)))
def test_letters_are_those_of_the_words(text: str) -> None:
    assert normalised(text).decode() == "".join(words(text))
    assert normalised(f"{text} ä").decode() == "".join(words(f"{text} ä"))


@pytest.mark.parametrize(
    "text",
    [
        "Is anybody looking at this?", "¿Cuándo?", "什么时候？", "متى؟", "Պատրաստ է՞", "έτοιμο;", "έτοιμο\u037e",
        "Did you see https://example.net/a?", "Was ist das ⁉", "done ❓", "see `a ? b : c` or not?",
        "いつ終わりますか。", "完成了吗", "まだですか\nよろしく",
    ],
)  # fmt: skip
def test_questions_of_any_script(text: str) -> None:
    assert asks_something(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "All done.", "see https://example.net/?page=2", "`a ? b : c`", "```\nwhy?\n```\nfixed", "~~~\n?\n~~~",
        "[the list](https://example.net/?q=1)", "www.example.net/?x=1", "a; b; c", "```\nnever closed?",
        "これは終わりました。", "明日か明後日",
    ],
)  # fmt: skip
def test_no_question(text: str) -> None:
    assert not asks_something(text)


def test_what_is_new_in_a_text_are_the_sentences_that_were_not_there() -> None:
    before = "It is slow. Since Monday.\nNode 7 only."
    after = "It is slow. Who has it? Since Monday.\n\nNode 7 only.\n- Is it known? よくあるか？"
    assert added(before, after) == "Who has it?\n- Is it known?\nよくあるか？"
    assert added("", after) == "", "nothing was there before: all is new, and stands below"
    # What was taken out again since then is not told. The description is read in another markup than the change.
    assert still_in("It is *slow*. **Who** has it?", "Who has it?\nPassword: none") == "Who has it?"


@given(st.text())
def test_rules_about_texts_never_raise(text: str) -> None:
    asks_something(text)
    assert not words_changed(text, text)


@pytest.mark.timeout(20)  # linear takes a fraction of a second; anything worse than linear takes minutes
def test_rules_about_texts_take_linear_time() -> None:
    for text in ("a" * 200_000, "a.a" * 70_000, "`" * 200_000, "```\n" * 50_000, "www." * 50_000):
        asks_something(text)
