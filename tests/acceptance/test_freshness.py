"""What changed since the draft is seen at Approve, however long the thread and the history are (fault 23)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from bot.demo.jira.world import JiraComment
from bot.demo.slack.people import DANA, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES, exported
from tests.acceptance.test_publishing import POST

TOKEN = "a-token-of-automation-rules"
STAFF = {"type": "role", "value": "Administrators"}
LONG, SHORT = 70, 10
Change = Callable[[Stage, JiraComment], Awaitable[Any]]


async def asked_by_a_rule(stage: Stage, key: str, comments: int, **settings: str) -> tuple[JiraComment, Message]:
    """An old question in a thread of so many comments, a rule that asks for its draft, and the card."""
    await stage.start_bot(JIRA_AUTOMATION_TOKEN=TOKEN, **settings)
    start = datetime.now(UTC) - timedelta(days=3)
    stage.jira.issue(key, "Export fails", status="In Progress", assignee="ana", reporter="ben", at=start)
    asked = stage.jira.write(key, "ben", "Is anybody looking at this?", at=start + timedelta(minutes=1))
    for number in range(2, comments + 1):
        stage.jira.write(key, "chen", f"Remark {number}.", at=start + timedelta(minutes=number))
    stage.claude.script(YES)
    await rule_asks(stage, {"issue": key, "comment": asked.id, "id": "1"})
    return asked, await stage.slack.card(key, button="Approve")


async def rule_asks(stage: Stage, body: dict[str, str]) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{stage.bot_url}/webhooks/jira", json=body, headers={"X-PMAgent-Token": TOKEN}) as answer,
    ):
        assert answer.status == 202, await answer.text()


async def edited(stage: Stage, asked: JiraComment) -> None:
    asked.text, asked.updated = "May I have the admin password?", datetime.now(UTC)
    asked.body = {"type": "doc", "version": 1, "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": asked.text}]}]}  # fmt: skip


async def deleted(stage: Stage, asked: JiraComment) -> None:
    next(i for i in stage.jira.issues.values() if asked in i.comments).comments.remove(asked)


async def made_internal(stage: Stage, asked: JiraComment) -> None:
    asked.public = False


async def restricted(stage: Stage, asked: JiraComment) -> None:
    asked.visibility = STAFF


async def says_nothing_of_its_readers(stage: Stage, asked: JiraComment) -> None:
    asked.public = None


CHANGES: list[Change] = [edited, deleted, made_internal, restricted]


@pytest.mark.parametrize("comments", [LONG, SHORT])
@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("key", ["ECD-1", "SUP-1"])
async def test_what_is_answered_is_read_again_whatever_the_window(
    stage: Stage, key: str, change: Change, comments: int
) -> None:
    """In a service desk too, whose customer would have seen the answer."""
    asked, card = await asked_by_a_rule(stage, key, comments, JIRA_PUBLIC_REPLIES="SUP")
    await change(stage, asked)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card(key, button="Post anyway")
    assert not stage.jira.posted()
    assert {"Post anyway", "Draft anew"} <= set(card.buttons)
    # A fresh click on what is shown now is enough; and nobody sees the answer who does not see the question.
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted(key)
    assert posted.public is (key == "ECD-1" or change is edited)
    assert posted.visibility == (STAFF if change is restricted else None)


async def test_a_service_desk_comment_that_does_not_say_that_it_is_public_is_internal(stage: Stage) -> None:
    await stage.start_bot(JIRA_PUBLIC_REPLIES="SUP")
    stage.jira.issue("SUP-1", "Cannot log in", reporter="mira")
    stage.jira.write("SUP-1", "ana", "The customer is behind with paying.", public=None)
    stage.jira.write("SUP-1", "mira", "When will it work again?")
    stage.claude.script(YES, YES)
    await stage.jira.comment("SUP-1", "ben", "What do we say to her?", public=None)
    card = await stage.slack.card("SUP-1", shows="What do we say to her?", button="Approve")
    assert "internal note" in card.words
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    assert [c.public for c in stage.jira.posted("SUP-1")] == [False]
    before = len(stage.claude.requests)
    stage.claude.script(YES, YES)
    await stage.jira.comment("SUP-1", "mira", "Is there any news?")
    card = await stage.slack.card("SUP-1", shows="Is there any news?", button="Approve")
    assert "the customer will see it" in card.words
    asked = str(stage.claude.requests[before:])
    assert "behind with paying" not in asked
    assert "What do we say" not in asked


@pytest.mark.parametrize("kind", ["customer_service", "a_kind_to_come"])
async def test_where_customers_may_read_along_a_reply_is_internal(stage: Stage, kind: str) -> None:
    """A project of another type than those that are known to have no portal."""
    stage.jira.project("CSM", "Customers", kind=kind)
    stage.jira.issue("CSM-1", "Cannot log in", reporter="mira")
    await stage.start_bot()
    stage.claude.script(YES, YES)
    await stage.jira.comment("CSM-1", "ben", "What do we say to her?")
    card = await stage.slack.card("CSM-1", button="Approve")
    assert "internal note" in card.words
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    [call] = stage.jira.calls(r"POST .*/comment$")
    assert {"key": "sd.public.comment", "value": {"internal": True}} in call.request["properties"]


async def test_an_answered_comment_that_stops_saying_that_it_is_public_holds(stage: Stage) -> None:
    asked, card = await asked_by_a_rule(stage, "SUP-1", LONG, JIRA_PUBLIC_REPLIES="SUP")
    await says_nothing_of_its_readers(stage, asked)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("SUP-1", button="Post anyway")
    assert not stage.jira.posted()


async def other_edited(stage: Stage) -> None:
    await stage.jira.edit_comment("ECD-1", stage.jira.comments("ECD-1")[3].id, "All of it was wrong.")


async def other_deleted(stage: Stage) -> None:
    await deleted(stage, stage.jira.comments("ECD-1")[3])


async def many_added_and_one_edited(stage: Stage) -> None:
    await other_edited(stage)
    for number in range(120):
        stage.jira.write("ECD-1", "agent", f"Build {number}.")


async def there_and_back(stage: Stage, field: str, value: str, back: str, noise: int = 0) -> None:
    for name, what in ((field, value), (field, back), *(("labels", [f"l{n}"]) for n in range(noise))):
        await stage.jira.change("ECD-1", name, what, announce=False)


@pytest.mark.parametrize(
    ("happens", "shows"),
    [
        (other_edited, "All of it was wrong."),
        (other_deleted, "deleted"),
        (many_added_and_one_edited, "All of it was wrong."),
        (lambda s: there_and_back(s, "status", "Done", "In Progress"), "to Done and back"),
        (lambda s: there_and_back(s, "status", "Done", "In Progress", noise=150), "to Done and back"),
        (lambda s: there_and_back(s, "assignee", "chen", "ana", noise=30), "to Chen Wei and back"),
    ],
    ids=["old comment edited", "old comment deleted", "edited under 120 of ours", "status", "status, 150", "assignee"],
)  # fmt: skip
async def test_a_change_outside_of_what_is_shown_holds(
    stage: Stage, happens: Callable[[Stage], Awaitable[None]], shows: str
) -> None:
    _, card = await asked_by_a_rule(stage, "ECD-1", LONG)
    for number in range(110):  # a long history, all of it before the draft
        entry = {"id": stage.jira.next_id(), "author": stage.jira.account("ana"), "items": []}
        stage.jira.issues["ECD-1"].history.insert(
            0, {**entry, "created": datetime(2026, 1, 1, 0, number % 60, tzinfo=UTC)}
        )
    await happens(stage)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, shows)
    assert not stage.jira.posted() or happens is many_added_and_one_edited
    assert "Post anyway" in card.buttons
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "Posted")  # what was shown is not held again


async def test_nothing_that_changed_holds_nothing_in_a_long_thread(stage: Stage) -> None:
    _, card = await asked_by_a_rule(stage, "ECD-1", LONG)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")


@pytest.mark.parametrize("field", ["description", "summary"])
async def test_an_answered_description_is_read_again(stage: Stage, field: str) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await stage.jira.create("ECD-1", "Which export?", description="Which one do you mean?", reporter="ben")
    card = await stage.slack.card("ECD-1", button="Approve")
    await stage.jira.change("ECD-1", field, "Who has the admin password?", announce=False)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Who has the admin password?")
    assert "Post anyway" in card.buttons
    assert not stage.jira.posted()


@pytest.mark.parametrize("button", ["Retry", "Post again"])
@pytest.mark.usefixtures("reins")
async def test_a_later_click_looks_again(stage: Stage, button: str) -> None:
    asked, card = await asked_by_a_rule(stage, "ECD-1", LONG)
    stage.jira.fail(POST, Fault("answer", 403) if button == "Retry" else Fault("drop"))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button=button, seconds=20)
    await edited(stage, asked)
    await stage.slack.click(DANA, card, button)
    await stage.slack.changes(card, "admin password", seconds=20)
    assert not stage.jira.posted()


async def test_a_second_change_after_the_hold_holds_again(stage: Stage) -> None:
    asked, card = await asked_by_a_rule(stage, "ECD-1", LONG)
    await edited(stage, asked)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Post anyway")
    seen = card.snapshot()
    await deleted(stage, asked)
    await stage.slack.click(DANA, card, "Post anyway")
    await stage.slack.changes(card, "was deleted")
    await stage.slack.click(DANA, seen, "Post anyway")  # what this click saw is not what there is
    await asyncio.sleep(0.5)
    assert not stage.jira.posted()
    assert (await exported(stage, "drafts"))[-1]["state"] == "held"


async def test_the_answered_comment_unreadable_at_approve_keeps_the_draft_waiting(stage: Stage) -> None:
    asked, card = await asked_by_a_rule(stage, "ECD-1", LONG)
    stage.jira.fail(rf"GET .*/comment/{asked.id}(\?|$)", *[Fault("answer", 503)] * 3)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Jira cannot be read")
    assert "Approve" in card.buttons
    assert not stage.jira.posted()
