"""The Jira client against the stand-in, over the wire: what it reads, what it sends, and what each failure means."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from bot.clients.jira.client import Jira
from bot.clients.responses import own_words, retry_after
from bot.clock import SystemClock
from bot.demo.jira.stand_in import JiraStandIn
from bot.demo.wire import Fault, Server
from bot.domain.issues import Visibility
from bot.domain.leases import Deadline
from bot.errors import Down, Gone, OutcomeUnknown, Permanent, PMAgentError, RetryLater, TooLate
from bot.settings import Settings, load

ADF = {
    "type": "doc",
    "version": 1,
    "content": [{"type": "paragraph", "content": [{"type": "text", "text": "In review."}]}],
}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def marker(draft_id: str = "drf_1") -> list[dict[str, Any]]:
    return [{"key": "pm-agent", "value": {"draft_id": draft_id}}]


def settings_for(base: str, standin: JiraStandIn, **changes: str) -> Settings:
    return load(
        {
            "ANTHROPIC_API_KEY": "sk-ant-x",
            "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": standin.email,
            "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": standin.token,
            "JIRA_URL": base,
            "JIRA_WEBHOOK_SECRET": "a-secret-of-jiras",
            "SLACK_BOT_TOKEN": "xoxb-x",
            "SLACK_APP_TOKEN": "xapp-x",
            "SLACK_CHANNEL_APPROVALS": "C0001",
            "PMAGENT_APPROVERS": "U0001",
            **changes,
        }
    )


@pytest.fixture
async def standin() -> AsyncIterator[JiraStandIn]:
    found, server = JiraStandIn(), Server()
    server.mount("/jira/", found.application())
    await server.start()
    found.base = f"{server.url}/jira"
    found.issue("ECD-1", "Export fails", status="In Progress", assignee="ana", reporter="ben")
    yield found
    await found.close()
    await server.stop()


@pytest.fixture
async def jira(standin: JiraStandIn) -> AsyncIterator[Jira]:
    client = Jira(settings_for(standin.base, standin), deadline=6.0)
    yield client
    await client.close()


@contextlib.asynccontextmanager
async def other_jira(routes: dict[str, Callable[[web.Request], Any]]) -> AsyncIterator[Jira]:
    """A Jira of somebody else's making: only these "METHOD /path" answer, everything else is 404."""

    async def handle(request: web.Request) -> web.StreamResponse:
        found = routes.get(f"{request.method} {request.path.removeprefix('/rest/api/3')}")
        if found is None:
            return web.json_response({"errorMessages": ["no"]}, status=404)
        answer = found(request)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    app, server = web.Application(), Server()
    app.router.add_route("*", "/{rest:.*}", handle)
    server.root = app
    await server.start()
    client = Jira(settings_for(server.url, JiraStandIn()), deadline=6.0)
    yield client
    await client.close()
    await server.stop()


# Reading


async def test_an_issue_is_read_whole(standin: JiraStandIn, jira: Jira) -> None:
    standin.issue("ECD-7", "The exporter itself", status="Done")
    standin.issue(
        "ECD-2", "Streaming", description="Rows are kept in memory.", status="In Review", assignee="chen",
        reporter="mira",
        priority="High", labels=["export", "urgent"], due="2026-12-01", links=[("is blocked by", "ECD-7")],
    )  # fmt: skip
    ana = standin.people["ana"]
    standin.write("ECD-2", "ben", f"Any news, [~accountid:{ana.account_id}]?")
    standin.write("ECD-2", "agent", "In review.")
    await standin.move("ECD-2", "In Progress", by="dana", announce=False)

    issue = await jira.issue("ECD-2")

    assert (issue.key, issue.project, issue.summary) == ("ECD-2", "ECD", "Streaming")
    assert issue.url == f"{standin.base}/browse/ECD-2"
    assert (issue.status, issue.status_category, issue.priority) == ("In Progress", "indeterminate", "High")
    assert issue.description == "Rows are kept in memory."
    assert issue.assignee is not None
    assert issue.assignee.name == "Chen Wei"
    assert issue.reporter is not None
    assert (issue.reporter.name, issue.reporter.kind) == ("Mira Lang", "customer")
    assert issue.labels == ("export", "urgent")
    assert str(issue.due) == "2026-12-01"
    assert issue.links[0].model_dump() == {
        "relation": "is blocked by", "key": "ECD-7", "summary": "The exporter itself", "status": "Done",
        "status_category": "done", "issue_type": "Story", "assignee": None,
    }  # fmt: skip
    assert [c.by_us for c in issue.comments] == [False, True]
    assert issue.comments[0].text == f"Any news, [~accountid:{ana.account_id}](@{ana.name})?"
    assert issue.comment_total == 2
    assert [(c.field, c.before, c.after, c.by) for c in issue.changes] == [
        ("status", "In Review", "In Progress", "Dana Petrova")
    ]
    assert not issue.service_desk
    assert issue.created is not None
    assert issue.created.tzinfo == UTC


async def test_of_many_comments_and_changes_the_newest_are_read_oldest_first(standin: JiraStandIn, jira: Jira) -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    for number in range(60):
        standin.write("ECD-1", "ben", f"comment {number}", at=start + timedelta(minutes=number))
    for number in range(130):
        at = start + timedelta(minutes=number)
        await standin.change("ECD-1", "priority", f"P{number}", announce=False, at=at)
    issue = await jira.issue("ECD-1")
    assert [c.text for c in issue.comments] == [f"comment {n}" for n in range(10, 60)]
    assert issue.comment_total == 60
    assert [c.after for c in issue.changes] == [f"P{n}" for n in range(110, 130)]


async def test_service_desk_and_restrictions_are_seen(standin: JiraStandIn, jira: Jira) -> None:
    standin.issue("SUP-1", "Cannot log in", reporter="mira")
    standin.write("SUP-1", "mira", "Please help.")
    restricted = {"type": "role", "value": "Administrators", "identifier": "Administrators"}
    standin.write("SUP-1", "ana", "Known bug.", public=False, visibility=restricted)
    issue = await jira.issue("SUP-1")
    assert issue.service_desk
    assert [c.public for c in issue.comments] == [True, False]
    assert issue.comments[1].visibility == Visibility(**restricted)
    assert (await jira.project("SUP")).service_desk
    assert (await jira.project("ECD")).name == "Export and Connectors"


async def test_an_issue_of_nothing_but_key_summary_and_status_is_enough() -> None:
    minimal = {"key": "X-1", "fields": {"summary": "Small", "status": {"name": "Open"}}}
    routes = {"GET /issue/X-1": lambda _: minimal, "GET /myself": lambda _: {"accountId": "me"}}
    async with other_jira(routes) as jira:
        issue = await jira.issue("X-1")
    assert (issue.key, issue.project, issue.summary, issue.status) == ("X-1", "X", "Small", "Open")
    assert issue.comments == ()
    assert issue.changes == ()


async def test_odd_fields_are_empty_values_and_never_an_exception() -> None:
    odd = {
        "key": "X-1",
        "fields": {
            "summary": None, "status": "Open", "assignee": [], "reporter": {"displayName": "Gone"}, "labels": {},
            "duedate": "soon", "created": "yesterday", "issuelinks": [1, {"type": None}], "description": 7,
            "project": {"key": 5},
        },
    }  # fmt: skip
    comments = {"comments": [{"id": 5, "body": "h1. wiki", "created": 1767600000000}, 3], "total": "many"}
    routes: dict[str, Callable[[web.Request], Any]] = {
        "GET /issue/X-1": lambda _: odd,
        "GET /issue/X-1/comment": lambda _: comments,
        "GET /issue/X-1/changelog": lambda _: {"values": [{"items": [{"field": "x"}, None]}]},
        "GET /myself": lambda _: {"accountId": "me"},
    }
    async with other_jira(routes) as jira:
        issue = await jira.issue("X-1")
    assert issue.due is None
    assert issue.comments[0].id == "5"
    assert "wiki" in issue.comments[0].text
    assert issue.comments[0].author.name == "somebody"
    assert len(issue.changes) == 1


async def test_comments_are_found_where_the_order_asked_for_is_not_kept() -> None:
    made = [
        {"id": str(n), "body": f"c{n}", "created": f"2026-01-05T10:{n // 60:02d}:{n % 60:02d}.000+0000",
         "author": {"accountId": "a", "displayName": "A"}}
        for n in range(120)
    ]  # fmt: skip

    def page(request: web.Request) -> Any:
        start, most = int(request.query.get("startAt", 0)), int(request.query.get("maxResults", 50))
        return {"comments": made[start : start + most], "total": len(made)}

    routes: dict[str, Callable[[web.Request], Any]] = {
        "GET /issue/X-1": lambda _: {"key": "X-1", "fields": {}},
        "GET /issue/X-1/comment": page,
        "GET /myself": lambda _: {"accountId": "me"},
    }
    async with other_jira(routes) as jira:
        issue = await jira.issue("X-1")
    assert [c.text for c in issue.comments] == [f"c{n}" for n in range(70, 120)]


async def test_one_comment(standin: JiraStandIn, jira: Jira) -> None:
    written = standin.write("ECD-1", "ben", "Any news?")
    assert (await jira.comment("ECD-1", written.id)).text == "Any news?"
    with pytest.raises(Gone, match="no such comment"):
        await jira.comment("ECD-1", "1")


async def test_a_key_cannot_lead_to_another_address(standin: JiraStandIn, jira: Jira) -> None:
    with pytest.raises(Gone):
        await jira.issue("ECD-1/../../myself?x=")
    assert not standin.calls("myself.x")


async def test_myself_is_asked_once(standin: JiraStandIn, jira: Jira) -> None:
    assert jira.account_id is None
    await jira.issue("ECD-1")
    await jira.issue("ECD-1")
    assert jira.account_id == standin.account_id
    assert len(standin.calls("/myself")) == 1


async def test_search_reads_all_pages_with_changes_and_comments(standin: JiraStandIn, jira: Jira) -> None:
    for number in range(2, 130):
        standin.issue(f"ECD-{number}", f"Issue {number}")
    for number in range(30):
        standin.write("ECD-5", "ben", f"c{number}")
    await standin.move("ECD-5", "Done", announce=False)
    found = await jira.search("project in (ECD) AND updated >= -1d ORDER BY key", limit=150)
    assert len(found) == 129
    five = next(issue for issue in found if issue.key == "ECD-5")
    assert [c.text for c in five.comments] == [f"c{n}" for n in range(30)]
    assert five.changes[-1].after == "Done"
    assert len(standin.calls("POST .*/search/jql")) == 2
    assert len(standin.calls("/comment")) == 1, "only the issue whose comments the search cut off is read by itself"
    assert len(await jira.search("project = ECD", limit=7)) == 7


async def test_an_unbounded_search_is_refused_in_words(jira: Jira) -> None:
    with pytest.raises(Permanent, match="Unbounded JQL"):
        await jira.search("ORDER BY created")


async def test_permissions(standin: JiraStandIn, jira: Jira) -> None:
    standin.denied.add("ADD_COMMENTS")
    found = await jira.permissions("ECD", ("ADD_COMMENTS", "BROWSE_PROJECTS"))
    assert found == {"ADD_COMMENTS": False, "BROWSE_PROJECTS": True}


# Writing


async def test_a_comment_is_one_post_with_text_and_marker(standin: JiraStandIn, jira: Jira) -> None:
    reply = await jira.post_comment("ECD-1", ADF, marker())
    (posted,) = standin.posted("ECD-1")
    assert (reply.comment_id, reply.public) == (posted.id, True)
    assert posted.body == ADF
    assert posted.properties == {"pm-agent": {"draft_id": "drf_1"}}
    assert len(standin.calls("POST")) == 1
    assert jira.comment_url("ECD-1", reply.comment_id) == f"{standin.base}/browse/ECD-1?focusedCommentId={posted.id}"


async def test_internal_and_restricted_replies(standin: JiraStandIn, jira: Jira) -> None:
    standin.issue("SUP-1")
    internal = {"key": "sd.public.comment", "value": {"internal": True}}
    assert (await jira.post_comment("SUP-1", ADF, [*marker(), internal])).public is False
    assert (await jira.post_comment("SUP-1", ADF, marker())).public is True
    await jira.post_comment("ECD-1", ADF, marker(), Visibility(type="role", value="Developers"))
    assert standin.posted("ECD-1")[0].visibility == {"type": "role", "value": "Developers"}


async def test_deleting_twice_is_fine(standin: JiraStandIn, jira: Jira) -> None:
    reply = await jira.post_comment("ECD-1", ADF, marker())
    await jira.delete_comment("ECD-1", reply.comment_id)
    await jira.delete_comment("ECD-1", reply.comment_id)
    assert standin.posted() == []


async def test_a_refused_deletion_is_told_in_jiras_words(standin: JiraStandIn, jira: Jira) -> None:
    standin.may_delete = False
    reply = await jira.post_comment("ECD-1", ADF, marker())
    with pytest.raises(Permanent, match="You do not have permission to delete") as refusal:
        await jira.delete_comment("ECD-1", reply.comment_id)
    assert refusal.value.status == 403


# The marker


async def test_the_marker_is_found_among_our_own_comments(standin: JiraStandIn, jira: Jira) -> None:
    since = datetime.now(UTC)
    for number in range(130):
        standin.write("ECD-1", "ben", f"c{number}")
    stranger = standin.write("ECD-1", "robot", "me too")
    stranger.properties["pm-agent"] = {"draft_id": "drf_2"}
    reply = await jira.post_comment("ECD-1", ADF, marker("drf_2"))
    await jira.post_comment("ECD-1", ADF, marker("drf_3"))
    for number in range(130):
        standin.write("ECD-1", "ben", f"later {number}")
    found = await jira.find_marked("ECD-1", "drf_2", since)
    assert found is not None
    assert found.comment_id == reply.comment_id
    assert await jira.find_marked("ECD-1", "drf_9", since) is None
    assert await jira.has_marker(stranger.id)
    assert not await jira.has_marker(standin.comments("ECD-1")[0].id)


async def test_the_look_goes_back_to_the_intent_and_no_further(standin: JiraStandIn, jira: Jira) -> None:
    old = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(250):
        standin.write("ECD-1", "agent", f"c{number}", at=old + timedelta(minutes=number))
    assert await jira.find_marked("ECD-1", "drf_1", datetime.now(UTC)) is None
    assert len(standin.calls("GET .*/comment")) == 1
    assert not standin.calls("comment/list")


@pytest.mark.parametrize("status", [404, 405])
async def test_the_marker_is_found_without_the_list_by_ids(standin: JiraStandIn, jira: Jira, status: int) -> None:
    reply = await jira.post_comment("ECD-1", ADF, marker())
    standin.write("ECD-1", "agent", "no marker")
    standin.fail("comment/list", *[Fault("answer", status)] * 4)
    found = await jira.find_marked("ECD-1", "drf_1", LONG_AGO)
    assert found is not None
    assert found.comment_id == reply.comment_id
    assert await jira.has_marker(reply.comment_id)
    assert await jira.find_marked("ECD-1", "drf_2", LONG_AGO) is None


@pytest.mark.parametrize("path", ["GET .*/comment", "comment/list", "/myself"])
@pytest.mark.parametrize(
    "fault", [Fault("answer", 401), Fault("answer", 503), Fault("drop"), Fault("hang", seconds=30)]
)
async def test_a_look_that_jira_did_not_answer_does_not_count(standin: JiraStandIn, path: str, fault: Fault) -> None:
    standin.write("ECD-1", "agent", "something")
    standin.fail(path, fault)
    jira = Jira(settings_for(standin.base, standin), deadline=0.5)
    with pytest.raises(RetryLater):
        await jira.find_marked("ECD-1", "drf_1", LONG_AGO)
    await jira.close()


# What each failure means

Verb = Callable[[Jira], Awaitable[Any]]


async def read(jira: Jira) -> None:
    await jira.comment("ECD-1", "1")


async def write(jira: Jira) -> None:
    await jira.post_comment("ECD-1", ADF, marker())


async def delete(jira: Jira) -> None:
    await jira.delete_comment("ECD-1", "10001")


ANSWERS: list[tuple[int, dict[str, str], type[PMAgentError], type[PMAgentError]]] = [
    # status, headers, reading, writing
    (400, {}, Permanent, Permanent),
    (401, {}, Down, Permanent),
    (403, {}, Gone, Permanent),
    (404, {}, Gone, Permanent),
    (413, {}, Permanent, Permanent),
    (429, {"Retry-After": "7"}, RetryLater, RetryLater),
    (429, {}, RetryLater, RetryLater),
    (503, {"Retry-After": "7"}, RetryLater, RetryLater),
    (503, {}, RetryLater, OutcomeUnknown),
    (503, {"Retry-After": "later"}, RetryLater, OutcomeUnknown),
    (500, {}, RetryLater, OutcomeUnknown),
    (502, {}, RetryLater, OutcomeUnknown),
    (504, {"Retry-After": "7"}, RetryLater, OutcomeUnknown),
    (302, {"Location": "https://elsewhere.example.net/"}, Down, Permanent),
]
PAGE = "<html>Page unavailable</html>"
FOREIGN: list[tuple[int, dict[str, str], Any]] = [
    (404, {}, PAGE),
    (403, {}, PAGE),
    (400, {}, PAGE),
    (410, {}, PAGE),
    (451, {}, {"message": "not here"}),
    (404, {}, {"code": 404, "message": "No message available"}),
    (404, {}, {"errorMessages": "x"}),
    (404, {}, {}),
    (403, {}, ["errorMessages"]),
    (200, {}, PAGE),
    (200, {}, {"status": "maintenance"}),
    (200, {}, None),
]
READS: list[tuple[str, str, Callable[[Jira], Awaitable[Any]]]] = [
    ("an issue", r"issue/ECD-1\?", lambda jira: jira.issue("ECD-1")),
    ("its fields", r"issue/ECD-1\?", lambda jira: jira.fields("ECD-1")),
    ("its comments", r"ECD-1/comment\?", lambda jira: jira.issue("ECD-1")),
    ("its changes", r"ECD-1/changelog", lambda jira: jira.issue("ECD-1")),
    ("a comment", r"ECD-1/comment/1", lambda jira: jira.comment("ECD-1", "1")),
    ("comments since", r"ECD-1/comment", lambda jira: jira.comments_since("ECD-1", LONG_AGO)),
    ("a marked comment", r"ECD-1/comment", lambda jira: jira.find_marked("ECD-1", "drf_1", LONG_AGO)),
    ("markers", r"comment/list", lambda jira: jira.marked(["1"])),
    ("a project", r"/project/", lambda jira: jira.project("ECD")),
    ("permissions", r"/mypermissions", lambda jira: jira.permissions("ECD", ("ADD_COMMENTS",))),
    ("a search", r"/search/jql", lambda jira: jira.search("updated >= -1d")),
    ("changes", r"/search/jql", lambda jira: jira.changed("updated >= -1d", LONG_AGO)),
    ("who we are", r"/myself", lambda jira: jira.myself()),
]


@pytest.mark.parametrize(("status", "headers", "reading", "writing"), ANSWERS)
async def test_what_an_answer_means(
    standin: JiraStandIn,
    jira: Jira,
    status: int,
    headers: dict[str, str],
    reading: type[PMAgentError],
    writing: type[PMAgentError],
) -> None:
    await jira.myself()
    body = {"errorMessages": ["Jira's own words."], "errors": {}}
    for verb, expected in ((read, reading), (write, writing)):
        standin.fail("/comment", Fault("answer", status, headers, body))
        with pytest.raises(expected) as caught:
            await verb(jira)
        assert type(caught.value) is expected
        if status >= 400:
            assert "Jira's own words." in str(caught.value)
        if isinstance(caught.value, Permanent) and status >= 400:
            assert caught.value.status == status
        if isinstance(caught.value, RetryLater):
            assert caught.value.after == (7 if headers.get("Retry-After") == "7" else None)
            assert caught.value.nothing_sent
    assert len(standin.calls("/comment")) == 2, "nothing is sent again by itself"
    assert standin.posted() == []


@pytest.mark.parametrize(("path", "verb"), [read[1:] for read in READS], ids=[read[0] for read in READS])
async def test_what_somebody_else_answers_says_nothing_about_what_was_asked_for(
    standin: JiraStandIn, jira: Jira, path: str, verb: Verb
) -> None:
    """A gateway's, a proxy's or a login page's answer: Jira is away, whatever its status says."""
    standin.write("ECD-1", "agent", "something")
    await jira.issue("ECD-1")
    await jira.marked(["1"])
    for status, headers, body in FOREIGN:
        fault = Fault("answer", status, headers, body)
        standin.fail(path, *[fault] * 3)
        with pytest.raises(Down) as caught:
            await verb(jira)
        assert caught.value.service == "Jira", fault
        standin.mend()


@pytest.mark.parametrize("status", [403, 404])
async def test_gone_needs_a_jira_that_knows_us(standin: JiraStandIn, jira: Jira, status: int) -> None:
    """In Jira's own words, and still not so while `/myself` does not answer: a wrong cloud id, a dead account."""
    await jira.issue("ECD-1")
    words = {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}
    for answer in (Fault("answer", 404, body=words), Fault("answer", 403, body=words), Fault("answer", 401)):
        standin.fail("/issue/", *[Fault("answer", status, body=words)] * 3)
        standin.fail("/myself", *[answer] * 3)
        with pytest.raises(Down):
            await jira.issue("ECD-1")
        standin.mend()
    standin.fail("/issue/", *[Fault("answer", status, body=words)] * 3)
    with pytest.raises(Gone):
        await jira.issue("ECD-1")


@pytest.mark.parametrize("body", [PAGE, {"code": 404}])
async def test_a_comment_is_deleted_only_when_jira_says_so(standin: JiraStandIn, jira: Jira, body: Any) -> None:
    reply = await jira.post_comment("ECD-1", ADF, marker())
    standin.fail("DELETE", Fault("answer", 404, body=body))
    with pytest.raises(Permanent, match="a gateway, a proxy or a login page"):
        await jira.delete_comment("ECD-1", reply.comment_id)
    standin.fail("/comment/", *[Fault("answer", 404, body=body)] * 2)
    with pytest.raises(Down):
        await jira.delete_comment("ECD-1", reply.comment_id)
    assert len(standin.posted()) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_write_that_a_gateway_refused_says_so(standin: JiraStandIn, jira: Jira, status: int) -> None:
    standin.fail("POST", Fault("answer", status, body=PAGE))
    with pytest.raises(Permanent) as caught:
        await write(jira)
    assert caught.value.status == status
    assert ("gateway" in caught.value.reason) == (status != 401)


async def test_links_to_projects_that_are_not_watched_are_not_read(standin: JiraStandIn) -> None:
    standin.issue("SUP-1", "A secret project")
    standin.issue("ECD-8", "Another")
    standin.issue("ECD-9", links=[("is blocked by", "SUP-1"), ("relates to", "ECD-8")])
    jira = Jira(settings_for(standin.base, standin, JIRA_PROJECTS="ECD"))
    for issue in (await jira.issue("ECD-9"), await jira.fields("ECD-9"), *(await jira.search("key = ECD-9"))):
        assert [link.key for link in issue.links] == ["ECD-8"]
    await jira.close()


# What is around an issue


def family(standin: JiraStandIn) -> None:
    """ECD-10 with a parent, a sub-task, a child, a linked issue, versions, components and sprints."""
    standin.issue("ECD-5", "Exports", issue_type="Epic", assignee="dana")
    standin.issue(
        "ECD-8", "The parser", status="In Review", assignee="chen",
    )  # fmt: skip
    standin.issue(
        "ECD-10", "Streaming", status="Done", parent="ECD-5", links=[("is blocked by", "ECD-8")], components=["Export"],
        fix_versions=[{"name": "4.2.1", "released": True, "releaseDate": "2026-11-20"}, {"name": "4.3"}],
        resolution="Fixed",
        sprints=[{"name": "Sprint 12", "state": "active", "startDate": "2026-11-20T08:00:00.000Z",
                  "endDate": "2026-12-04T16:00:00.000Z"}],
    )  # fmt: skip
    standin.issue("ECD-11", "Tests", issue_type="Sub-task", parent="ECD-10", status="Done")
    standin.issue("ECD-12", "Docs", parent="ECD-10", assignee="ana")


async def test_what_is_around_an_issue_is_read_in_one_search(standin: JiraStandIn, jira: Jira) -> None:
    family(standin)
    issue = await jira.issue("ECD-10")
    assert issue.parent is not None
    assert (issue.parent.key, issue.parent.assignee and issue.parent.assignee.name) == ("ECD-5", "Dana Petrova")
    assert [(c.key, c.status, c.assignee and c.assignee.name) for c in issue.children] == [
        ("ECD-12", "To Do", "Ana Ruiz"), ("ECD-11", "Done", None),
    ]  # fmt: skip
    [link] = issue.links
    assert (link.relation, link.key, link.status, link.assignee and link.assignee.name) == (
        "is blocked by", "ECD-8", "In Review", "Chen Wei",
    )  # fmt: skip
    assert issue.related == "all"
    assert (issue.resolution, issue.components) == ("Fixed", ("Export",))
    assert [(v.name, v.released, str(v.on)) for v in issue.fix_versions] == [
        ("4.2.1", True, "2026-11-20"), ("4.3", False, "None"),
    ]  # fmt: skip
    assert issue.sprints is not None
    assert [(s.name, s.state, str(s.end)) for s in issue.sprints] == [("Sprint 12", "active", "2026-12-04")]
    await jira.issue("ECD-1")
    assert len(standin.calls("/field$")) == 1, "the field's id is asked for once"
    assert len(standin.calls("/search/jql")) == 2


async def test_only_what_may_be_told_of_is_around_an_issue(standin: JiraStandIn) -> None:
    family(standin)
    standin.issue("SUP-1", "Another customer", parent="ECD-10")
    standin.issue("ECD-13", "A breach", parent="ECD-10", security="Board")
    standin.issue("ECD-14", "A breach too", issue_type="Sub-task", parent="ECD-10", security="Board")
    standin.issues["ECD-8"].security = standin.issues["ECD-5"].security = "Board"
    for field, after in (("Link", "This issue is blocked by ECD-8"), ("Link", "This issue relates to ECD-12")):
        await standin.change("ECD-10", "labels", [], announce=False)
        standin.issues["ECD-10"].history[-1]["items"][0].update(field=field, toString=after)
    jira = Jira(settings_for(standin.base, standin, JIRA_PROJECTS="ECD"))
    issue = await jira.issue("ECD-10")
    await jira.close()
    assert [c.key for c in issue.children] == ["ECD-12", "ECD-11"]
    assert (issue.parent, issue.links) == (None, ())
    assert [c.after for c in issue.changes] == ["This issue relates to ECD-12"]


async def test_of_many_children_the_unfinished_come_first_and_the_rest_is_counted(
    standin: JiraStandIn, jira: Jira
) -> None:
    for number in range(200, 230):
        standin.issue(f"ECD-{number}", f"Part {number}", parent="ECD-1", status="Done" if number < 210 else "To Do")
    issue = await jira.issue("ECD-1")
    assert {c.status for c in issue.children} == {"To Do"}
    assert (len(issue.children), issue.more_children, issue.related) == (20, {"Done": 10}, "all")
    for number in range(230, 310):
        standin.issue(f"ECD-{number}", parent="ECD-1")
    standin.issue("ECD-9", "Old", at=LONG_AGO)
    standin.issues["ECD-1"].links.append(("relates to", standin.issues["ECD-9"]))
    issue = await jira.issue("ECD-1")
    assert issue.related == "some"
    assert [link.key for link in issue.links] == ["ECD-9"], "what is named is found behind many children too"


async def test_a_search_that_jira_refuses_costs_no_more_than_what_it_was_for(standin: JiraStandIn, jira: Jira) -> None:
    family(standin)
    gone = standin.issues.pop("ECD-8")
    assert gone
    issue = await jira.issue("ECD-10")
    assert ([c.key for c in issue.children], issue.links, issue.related) == (["ECD-12", "ECD-11"], (), "unread")
    standin.fail(
        "/search/jql", *[Fault("answer", 400, body={"errorMessages": ["The field 'parent' is not there."]})] * 3
    )
    issue = await jira.issue("ECD-10")
    assert (issue.summary, issue.children, issue.parent, issue.related) == ("Streaming", (), None, "unread")
    standin.fail("/search/jql", Fault("answer", 503))
    with pytest.raises(RetryLater):
        await jira.issue("ECD-10")


@pytest.mark.parametrize(("status", "again"), [(403, False), (401, True)])
async def test_fields_that_are_not_told_cost_no_draft(
    standin: JiraStandIn, jira: Jira, status: int, again: bool
) -> None:
    family(standin)
    standin.fail("/field$", Fault("answer", status, body={"errorMessages": ["no"]}))
    assert (await jira.issue("ECD-10")).sprints is None
    assert ((await jira.issue("ECD-10")).sprints is not None) == again


async def test_days_in_the_history_are_days(standin: JiraStandIn, jira: Jira) -> None:
    await standin.change("ECD-1", "duedate", "2026-12-01", announce=False)
    standin.issues["ECD-1"].history[-1]["items"][0].update({"to": "2026-12-01", "toString": "2026-12-01 00:00:00.0"})
    await standin.change("ECD-1", "summary", "2026-12-01 00:00 is when it began", announce=False)
    changes = (await jira.issue("ECD-1")).changes
    assert [(c.before, c.after) for c in changes] == [
        ("", "2026-12-01"), ("Export fails", "2026-12-01 00:00 is when it began"),
    ]  # fmt: skip


async def test_retry_after_may_be_a_date(standin: JiraStandIn, jira: Jira) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    standin.fail("/comment", Fault("answer", 503, {"Retry-After": when}))
    with pytest.raises(RetryLater) as caught:
        await write(jira)
    assert caught.value.after is not None
    assert 80 < caught.value.after <= 90


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("-5", 0.0), ("1.5", 1.5), ("", None), ("soon", None), ("nan", None), ("inf", 86400.0),
     ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("99999999", 86400.0)],
)  # fmt: skip
def test_retry_after_values(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"errorMessages":["A.","B."],"errors":{"comment":"C"}}', "A. B. comment: C"),
        ('{"code":401,"message":"Unauthorized; scope does not match"}', "Unauthorized; scope does not match"),
        ('{"type":"error","error":{"message":"Not found","detail":"No such thing"}}', "Not found No such thing"),
        ("<html>Bad gateway</html>", ""),
        ("[1]", ""),
        ('{"errorMessages":"x","errors":[1],"message":5}', ""),
    ],
)
def test_the_other_sides_own_words(body: str, said: str) -> None:
    assert own_words(body) == said


async def test_wrong_credentials_that_jira_calls_404_are_a_401(standin: JiraStandIn, jira: Jira) -> None:
    await jira.myself()
    standin.fail("/comment", Fault("answer", 404, {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}))
    with pytest.raises(RetryLater, match="e-mail and token"):
        await read(jira)


@pytest.mark.parametrize("verb", [write, delete])
@pytest.mark.parametrize("fault", [Fault("drop"), Fault("swallow"), Fault("hang", seconds=30)])
async def test_a_lost_answer_to_a_write_is_an_unknown_outcome(standin: JiraStandIn, verb: Verb, fault: Fault) -> None:
    standin.write("ECD-1", "agent", "to be deleted")
    jira = Jira(settings_for(standin.base, standin), deadline=0.5)
    standin.fail("/comment", fault)
    started = time.monotonic()
    with pytest.raises(OutcomeUnknown):
        await verb(jira)
    assert time.monotonic() - started < 2
    assert len(standin.calls("/comment")) == 1
    await jira.close()


async def test_a_swallowed_answer_leaves_a_comment_that_the_marker_finds(standin: JiraStandIn, jira: Jira) -> None:
    before = datetime.now(UTC)
    standin.fail("POST .*/comment$", Fault("swallow"))
    with pytest.raises(OutcomeUnknown):
        await write(jira)
    found = await jira.find_marked("ECD-1", "drf_1", before)
    assert found is not None
    assert [c.id for c in standin.posted()] == [found.comment_id]


async def test_an_unreadable_answer_to_a_write_is_an_unknown_outcome(standin: JiraStandIn, jira: Jira) -> None:
    standin.fail("/comment", Fault("answer", 201, body="<html>"), Fault("answer", 200, body={}))
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await write(jira)


@pytest.mark.parametrize("verb", [read, write, delete])
async def test_a_refused_connection_sent_nothing(standin: JiraStandIn, verb: Verb) -> None:
    with socket.socket() as taken:  # bound, not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        jira = Jira(settings_for(f"http://127.0.0.1:{taken.getsockname()[1]}", standin))
        with pytest.raises(RetryLater, match="connection refused") as caught:
            await verb(jira)
        await jira.close()
    assert caught.value.nothing_sent


async def test_a_name_that_does_not_resolve_sent_nothing(standin: JiraStandIn) -> None:
    jira = Jira(settings_for("https://jira.invalid", standin))
    with pytest.raises(RetryLater) as caught:
        await write(jira)
    assert caught.value.nothing_sent
    await jira.close()


async def test_a_dripping_answer_does_not_outlive_the_deadline(standin: JiraStandIn) -> None:
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1024)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
            while not over.is_set():
                writer.write(b" ")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0.05)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    jira = Jira(settings_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", standin), deadline=0.5)
    for verb, expected in ((read, RetryLater), (write, OutcomeUnknown)):
        started = time.monotonic()
        with pytest.raises(expected):
            await verb(jira)
        assert time.monotonic() - started < 1.5
    over.set()
    await asyncio.sleep(0.2)
    await jira.close()
    server.close()


async def test_many_hanging_calls_do_not_stop_the_others(standin: JiraStandIn) -> None:
    jira = Jira(settings_for(standin.base, standin), deadline=0.4)
    standin.fail("comment/1$", *[Fault("hang", seconds=3)] * 14)
    outcomes = await asyncio.gather(*(read(jira) for _ in range(14)), return_exceptions=True)
    assert all(isinstance(outcome, (RetryLater, Gone)) for outcome in outcomes)
    assert (await jira.project("ECD")).key == "ECD"
    await jira.close()


async def test_the_gateway_is_used_with_a_cloud_id(standin: JiraStandIn) -> None:
    standin.email = "pm-agent-1@serviceaccount.atlassian.com"
    gateway = {"ATLASSIAN_CLOUD_ID": standin.cloud_id, "ATLASSIAN_API_URL": standin.base}
    jira = Jira(settings_for(standin.base, standin, **gateway))
    assert (await jira.myself()).name == "PM Agent"
    assert standin.exchanges[-1].path == f"/jira/ex/jira/{standin.cloud_id}/rest/api/3/myself"
    assert jira.comment_url("ECD-1", "5") == f"{standin.base}/browse/ECD-1?focusedCommentId=5"
    await jira.close()


async def test_debug_logs_hold_neither_bodies_nor_the_token(
    standin: JiraStandIn, jira: Jira, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    standin.write("ECD-1", "ben", "a confidential comment")
    await jira.issue("ECD-1")
    await write(jira)
    assert "confidential" not in caplog.text
    assert "In review." not in caplog.text
    assert standin.token not in caplog.text


class Suspended:
    """A clock that goes on by a minute before a certain look at it: the process was stopped in between."""

    def __init__(self, before_look: int) -> None:
        self._looks = -1  # the first one says when the deadline is
        self._before = before_look

    def now(self) -> datetime:
        self._looks += 1
        return LONG_AGO + timedelta(minutes=1 if self._looks >= self._before else 0)

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.parametrize("before_look", [1, 2, 3], ids=["at once", "before the headers", "before the body"])
async def test_what_comes_too_late_is_not_sent(standin: JiraStandIn, jira: Jira, before_look: int) -> None:
    """The clock is looked at on the open connection, before each part: a request without its body is none."""
    with pytest.raises(TooLate):
        await jira.post_comment("ECD-1", ADF, marker(), by=Deadline(Suspended(before_look), 10.0))
    await jira.post_comment("ECD-1", ADF, marker("drf_2"), by=Deadline(Suspended(99), 10.0))
    [posted] = standin.posted()
    assert posted.properties["pm-agent"]["draft_id"] == "drf_2"


async def test_a_deadline_ends_the_wait_for_the_answer(standin: JiraStandIn, jira: Jira) -> None:
    standin.fail("POST .*/comment$", Fault("hang", over=asyncio.Event()))
    with pytest.raises(OutcomeUnknown):
        await jira.post_comment("ECD-1", ADF, marker(), by=Deadline(SystemClock(), 0.3))
