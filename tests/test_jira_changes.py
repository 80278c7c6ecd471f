"""What changed in Jira since a time, over the wire: pages, long threads, and a Jira that answers oddly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiohttp import web

from bot.clients.jira.client import Jira
from bot.demo.jira.stand_in import JiraStandIn
from tests.test_jira_client import jira, other_jira, standin

__all__ = ["jira", "standin"]  # fixtures

SINCE = datetime.now(UTC) - timedelta(hours=2)
WINDOW = 'updated >= "-121m" ORDER BY updated ASC'


async def test_a_page_has_what_was_said_since_then_and_the_token_of_the_next(standin: JiraStandIn, jira: Jira) -> None:
    old, new = SINCE - timedelta(days=9), SINCE + timedelta(hours=1)
    for number in range(2, 62):
        standin.issue(f"ECD-{number}", "Where?", description="Is it known?", at=new + timedelta(seconds=number))
    standin.issue("ECD-1", "Old", description="Long known?", at=old)
    standin.write("ECD-1", "ben", "Old words", at=old)
    edited = standin.write("ECD-1", "ben", "Old words, edited", at=old)
    edited.updated = new
    ours = standin.write("ECD-1", "agent", "Our words", at=new)
    for number in range(25):
        standin.write("ECD-2", "ben", f"c{number}", at=new)
    first = await jira.changed(WINDOW, SINCE)
    assert len(first.issues) == 50
    assert first.following
    second = await jira.changed(WINDOW, SINCE, first.following)
    assert (len(second.issues), second.following) == (11, None)
    one, two = first.issues[0], first.issues[1]
    assert (one.key, one.text) == ("ECD-1", ""), "an old issue's description is no news"
    assert [(c.id, c.by_us) for c in one.comments or ()] == [(edited.id, False), (ours.id, True)]
    assert (two.key, two.text, two.comments) == ("ECD-2", "Where?\n\nIs it known?", None), "a search cuts threads off"
    assert [c.text for c in await jira.comments_since("ECD-2", SINCE)][:2] == ["c24", "c23"]
    assert first.issues[2].comments == ()


async def test_a_question_written_into_a_description_is_noticed(standin: JiraStandIn, jira: Jira) -> None:
    old = SINCE - timedelta(days=9)
    for key, before, after in (
        ("ECD-2", "Slow.", "Slow. Why?"),
        ("ECD-3", "Why?", "Why not?"),
        ("ECD-4", "Slow.", "S"),
    ):
        standin.issue(key, description=before, at=old)
        await standin.change(key, "description", after, by="ben", announce=False)
    standin.issue("ECD-5", description="Slow.", at=old)
    await standin.change("ECD-5", "description", "Slow. Why?", announce=False, at=old)
    await standin.move("ECD-5", "Done", announce=False)
    found = {issue.key: issue.asked for issue in (await jira.changed(WINDOW, SINCE)).issues}
    asked = found.pop("ECD-2")
    assert asked is not None
    assert (asked.text, asked.by and asked.by.name) == ("Slow. Why?", "Ben Okafor")
    assert set(found.values()) == {None}


async def test_edits_are_noticed_among_the_newest_thousand(standin: JiraStandIn, jira: Jira) -> None:
    old = SINCE - timedelta(days=9)
    thread = [standin.write("ECD-1", "ben", f"Old {n}", at=old + timedelta(seconds=n)) for n in range(1100)]
    for number in (10, 1090):
        thread[number].updated = SINCE + timedelta(minutes=1)
    found = await jira.comments_since("ECD-1", SINCE)
    assert [c.text for c in found] == ["Old 1090"]
    assert len(standin.calls("/comment")) == 10


async def test_a_jira_that_answers_oddly() -> None:
    def found(_: web.Request) -> dict[str, object]:
        odd = {"key": "ECD-1", "fields": None}
        unread = {"comments": [{"id": 7, "updated": "soon", "body": "Hi"}, "x"], "total": 1}
        return {"issues": [odd, {"id": "2"}, {"key": "ECD-2", "fields": {"comment": unread}}], "nextPageToken": ""}

    async with other_jira({"GET /myself": lambda _: {"accountId": "me"}, "POST /search/jql": found}) as jira:
        page = await jira.changed(WINDOW, SINCE)
    assert [(i.key, i.project, i.comments and [c.text for c in i.comments]) for i in page.issues] == [
        ("ECD-1", "ECD", None), ("ECD-2", "ECD", ["Hi"]),
    ]  # fmt: skip


async def test_comments_in_the_other_order_are_all_read() -> None:
    times = [(SINCE - timedelta(days=3) + timedelta(minutes=5 * n)).isoformat() for n in range(1500)]
    comments = [{"id": str(n), "created": at, "updated": at, "body": "x"} for n, at in enumerate(times)]

    def page(request: web.Request) -> dict[str, object]:
        start = int(request.query.get("startAt", 0))
        return {"comments": comments[start : start + 100], "total": len(comments)}

    async with other_jira({"GET /myself": lambda _: {"accountId": "me"}, "GET /issue/ECD-1/comment": page}) as jira:
        assert len(await jira.comments_since("ECD-1", SINCE)) == sum(at >= SINCE.isoformat() for at in times)


async def test_marked_comments(standin: JiraStandIn, jira: Jira) -> None:
    first, second = (standin.write("ECD-1", "ben", text) for text in ("a", "b"))
    second.properties["pm-agent"] = {"draft_id": "drf_1"}
    assert await jira.marked([first.id, second.id]) == {second.id}
    assert await jira.marked([]) == frozenset()
