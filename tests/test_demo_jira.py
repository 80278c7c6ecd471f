"""The Jira and Bitbucket stand-ins: as strict as the real ones, and their webhooks in today's shape."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.demo.bitbucket import BitbucketStandIn
from bot.demo.hooks import signature
from bot.demo.jira import adf
from bot.demo.jira.jql import JqlError, compile_jql
from bot.demo.jira.stand_in import JiraStandIn
from bot.demo.wire import Server


def document(*content: Any) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": list(content)}


def paragraph(text: str = "Hi") -> dict[str, Any]:
    return {"type": "paragraph", "content": [{"type": "text", "text": text}]}


class Receiver:
    """What the program is to the stand-ins: keeps each delivery, answers what it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 202
        return web.json_response({"status": "accepted", "event_id": f"evt_{len(self.got)}"}, status=status)

    def payloads(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
async def jira() -> AsyncIterator[JiraStandIn]:
    found, bitbucket, server, receiver = JiraStandIn(), BitbucketStandIn(), Server(), Receiver()
    hooks = web.Application()
    hooks.router.add_post("/{name}", receiver.handle)
    server.mount("/jira/", found.application())
    server.mount("/bitbucket/", bitbucket.application())
    server.mount("/hooks/", hooks)
    await server.start()
    found.base, found.target, found.secret = f"{server.url}/jira", f"{server.url}/hooks/jira", "It's a Secret"
    bitbucket.base, bitbucket.target, bitbucket.secret = f"{server.url}/bb", f"{server.url}/hooks/bitbucket", "other"
    found.retry_wait = 0.01
    found.issue("ECD-1", "Export fails", status="In Progress", assignee="ana")
    found.__dict__["receiver"], found.__dict__["bitbucket"] = receiver, bitbucket
    yield found
    await found.close()
    await bitbucket.close()
    await server.stop()


@pytest.fixture
def receiver(jira: JiraStandIn) -> Receiver:
    found: Receiver = jira.__dict__["receiver"]
    return found


@pytest.fixture
def bitbucket(jira: JiraStandIn) -> BitbucketStandIn:
    found: BitbucketStandIn = jira.__dict__["bitbucket"]
    return found


async def ask(jira: JiraStandIn, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
    login = more.pop("login", f"{jira.email}:{jira.token}")
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"{jira.base}/rest/api/3{path}", json=body, **more) as answer,
    ):
        text = await answer.text()
        return answer.status, json.loads(text) if text else None


# REST


async def test_only_the_service_account_gets_in(jira: JiraStandIn) -> None:
    assert (await ask(jira, "GET", "/myself"))[1]["accountType"] == "app"
    for login in ("", f"{jira.email}:wrong", f"x:{jira.token}", "é"):
        assert (await ask(jira, "GET", "/myself", login=login))[0] == 401


async def test_a_service_accounts_token_works_only_through_the_gateway(jira: JiraStandIn) -> None:
    jira.email = "a@serviceaccount.atlassian.com"
    assert (await ask(jira, "GET", "/myself"))[0] == 401
    site, jira.base = jira.base, f"{jira.base}/ex/jira/{jira.cloud_id}"
    assert (await ask(jira, "GET", "/myself"))[0] == 200
    jira.base = f"{site}/ex/jira/another"
    assert (await ask(jira, "GET", "/myself"))[0] == 404


BAD_BODIES: list[tuple[Any, str]] = [
    ({"body": "a string"}, "Atlassian Document"),
    ({"body": {}}, "can not be empty"),
    ({}, "can not be empty"),
    ({"body": {"type": "doc", "content": [paragraph()]}}, "version"),
    ({"body": document({"type": "paragraph", "content": [{"type": "text", "text": ""}]})}, "empty text"),
    ({"body": document({"type": "bulletList", "content": []})}, "bulletList"),
    ({"body": document({"type": "listItem", "content": [paragraph()]})}, "listItem inside doc"),
    ({"body": document({"type": "codeBlock", "content": [{"type": "hardBreak"}]})}, "hardBreak inside codeBlock"),
    ({"body": document(paragraph("x" * 32_768))}, "too long"),
    ({"body": document(paragraph()), "properties": {"key": "a"}}, "list"),
    ({"body": document(paragraph()), "properties": [{"key": "a", "value": "x" * 32_768}]}, "32768"),
    ({"body": document(paragraph()), "visibility": {"type": "team", "value": "x"}}, "role or group"),
    ({"body": document(paragraph()), "public": True}, "Unrecognized field"),
]


@pytest.mark.parametrize(("body", "said"), BAD_BODIES)
async def test_what_jira_refuses_is_refused(jira: JiraStandIn, body: Any, said: str) -> None:
    status, answer = await ask(jira, "POST", "/issue/ECD-1/comment", body)
    assert status == 400
    assert said in json.dumps(answer)
    assert jira.comments("ECD-1") == []


async def test_comments_pages_orders_and_properties(jira: JiraStandIn) -> None:
    for number in range(5):
        jira.write("ECD-1", "ben", f"c{number}")
    properties = [{"key": "pm-agent", "value": {"draft_id": "d"}}]
    body = {"body": document(paragraph()), "properties": properties}
    status, posted = await ask(jira, "POST", "/issue/ECD-1/comment", body)
    assert status == 201
    assert "properties" not in posted
    _, page = await ask(jira, "GET", "/issue/ECD-1/comment?orderBy=-created&maxResults=2&startAt=1")
    assert [c["body"]["content"][0]["content"][0]["text"] for c in page["comments"]] == ["c4", "c3"]
    assert (page["total"], page["startAt"]) == (6, 1)
    assert (await ask(jira, "GET", "/issue/ECD-1/comment?orderBy=author"))[0] == 400
    _, listed = await ask(jira, "POST", "/comment/list?expand=properties", {"ids": [int(posted["id"])]})
    assert listed["values"][0]["properties"] == properties
    assert (await ask(jira, "POST", "/comment/list", {"ids": [posted["id"]]}))[0] == 400
    assert (await ask(jira, "GET", f"/comment/{posted['id']}/properties/pm-agent"))[1]["value"] == {"draft_id": "d"}
    assert (await ask(jira, "GET", f"/comment/{posted['id']}/properties/x"))[0] == 404
    assert (await ask(jira, "DELETE", f"/issue/ECD-1/comment/{posted['id']}"))[0] == 204
    assert (await ask(jira, "DELETE", f"/issue/ECD-1/comment/{posted['id']}"))[0] == 404
    assert (await ask(jira, "DELETE", f"/issue/ECD-1/comment/{jira.comments('ECD-1')[0].id}"))[0] == 403
    assert (await ask(jira, "POST", "/issue/ECD-9/comment", body))[0] == 404


async def test_writes_to_one_issue_are_limited(jira: JiraStandIn) -> None:
    body = {"body": document(paragraph())}
    statuses = [(await ask(jira, "POST", "/issue/ECD-1/comment", body))[0] for _ in range(21)]
    assert statuses == [201] * 20 + [429]


async def test_search_is_as_narrow_as_jiras(jira: JiraStandIn) -> None:
    assert (await ask(jira, "POST", "/search/jql", {"jql": "project = ECD"}))[1]["issues"] == [
        {"id": jira.issues["ECD-1"].id}
    ]
    for body in ({"jql": ""}, {"jql": "ORDER BY key"}, {"jql": "project = ECD", "startAt": 0}, {"jql": "colour = red"},
                 {"jql": "project = ECD", "expand": ["changelog"]}):  # fmt: skip
        assert (await ask(jira, "POST", "/search/jql", body))[0] == 400, body
    assert (await ask(jira, "GET", "/search?jql=project=ECD"))[0] == 410


@pytest.mark.parametrize(
    ("jql", "keys"),
    [
        ("project in (ECD, SUP)", ["ECD-1", "ECD-2", "SUP-1"]),
        ('project = "ECD" AND statusCategory != Done', ["ECD-1"]),
        ("project = ECD and statuscategory = Done", ["ECD-2"]),
        ("assignee is EMPTY", ["SUP-1"]),
        ("assignee = currentUser()", ["ECD-2"]),
        ("due <= 3d AND due is not EMPTY", ["ECD-1"]),
        ("duedate >= startOfDay() AND duedate <= endOfDay(7d)", ["ECD-1"]),
        ("updated >= -1d", ["ECD-2", "SUP-1"]),
        # Whole minutes, and a time without its zone is read in that of the profile of whoever asks (Berlin).
        ('updated >= "-180m" ORDER BY updated ASC', ["ECD-2", "SUP-1"]),
        ('updated >= "-179m"', ["SUP-1"]),
        ('updated >= "2026-01-05 10:00"', ["ECD-2", "SUP-1"]),
        ('updated >= "2026-01-05 10:01"', ["SUP-1"]),
        ('updated < "2026-01-03 12:00"', ["ECD-1"]),
        ("NOT (project = ECD OR labels in (vip))", []),
        ("sprint in openSprints() ORDER BY key DESC", ["ECD-2", "ECD-1"]),
        ('summary ~ "login" OR key = ECD-1', ["ECD-1", "SUP-1"]),
    ],
)
def test_jql(jql: str, keys: list[str]) -> None:
    jira, now = JiraStandIn(), datetime(2026, 1, 5, 12, tzinfo=UTC)
    jira.issue("ECD-1", status="In Progress", assignee="ana", due="2026-01-07", at=now - timedelta(days=3))
    jira.issue("ECD-2", status="Done", assignee="agent", at=now - timedelta(hours=3))
    jira.issue("SUP-1", "No login", labels=["vip"], at=now)
    run = compile_jql(jql, now=now, own_account=jira.account_id)
    assert [issue.key for issue in run(list(jira.issues.values()))] == keys


@pytest.mark.parametrize(
    "jql", ["project =", "project = ECD AND", "due ~ x", "updated >= soon", "(project = ECD", "a b"]
)
def test_bad_jql(jql: str) -> None:
    with pytest.raises(JqlError):
        compile_jql(jql, now=datetime.now(UTC), own_account="x")


def test_own_documents_are_valid() -> None:
    made = adf.from_wiki("Hi [~accountid:5:a],\nany news?\n\nThanks")
    assert adf.problems(made) == []
    assert adf.text_of(made) == "Hi [~accountid:5:a],\nany news?\nThanks\n"


# Webhooks


async def test_a_comments_webhook_has_todays_shape(jira: JiraStandIn, receiver: Receiver) -> None:
    written = await jira.comment("ECD-1", "ben", "h3. Status?\nwhen is this *due*?")
    ((headers, body),) = receiver.got
    assert headers["X-Hub-Signature"] == signature("It's a Secret", body)
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Atlassian-Webhook-Identifier"]
    payload = json.loads(body)
    assert set(payload) == {"timestamp", "webhookEvent", "comment", "issue", "eventType"}
    assert payload["webhookEvent"] == "comment_created"
    assert payload["comment"]["body"] == "h3. Status?\nwhen is this *due*?"
    assert payload["comment"]["jsdPublic"] is True
    assert payload["comment"]["author"]["accountType"] == "atlassian"
    assert "emailAddress" not in payload["comment"]["author"]
    assert set(payload["issue"]["fields"]) == {"summary", "issuetype", "project", "assignee", "priority", "status"}
    assert written.deliveries[0].status == 202
    assert written.deliveries[0].event_id == "evt_1"


def test_the_signature_is_jiras() -> None:
    known = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    assert signature("It's a Secret to Everybody", b"Hello World!") == known


async def test_webhooks_are_tried_again_as_jira_does(jira: JiraStandIn, receiver: Receiver) -> None:
    receiver.statuses = [503, 429, 202]
    (delivery,) = (await jira.comment("ECD-1", "ben", "Hi")).deliveries
    assert (delivery.attempts, delivery.status) == (3, 202)
    assert len({body for _, body in receiver.got}) == 1
    assert len({headers["X-Atlassian-Webhook-Identifier"] for headers, _ in receiver.got}) == 1
    receiver.statuses = [401]
    assert (await jira.comment("ECD-1", "ben", "Hi")).deliveries[0].attempts == 1, "any other 4xx loses the event"
    jira.target = "http://127.0.0.1:9/"
    (delivery,) = (await jira.comment("ECD-1", "ben", "Hi", retries=2)).deliveries
    assert (delivery.attempts, delivery.status) == (3, 0)


async def test_what_is_lost_may_come_late(jira: JiraStandIn, bitbucket: BitbucketStandIn, receiver: Receiver) -> None:
    jira.losing = bitbucket.losing = True
    written = await jira.comment("ECD-1", "ben", "Hi")
    await bitbucket.open("ECD-1 Stream")
    assert (receiver.got, written.deliveries[0].status) == ([], 0)
    [late] = await jira.redeliver()
    assert (late.status, late.identifier) == (202, written.deliveries[0].identifier)
    assert receiver.payloads()[0]["comment"]["id"] == written.id


async def test_a_search_gives_at_most_a_hundred_issues_and_knows_new_ones_late(jira: JiraStandIn) -> None:
    for number in range(2, 130):
        jira.issue(f"ECD-{number}")
    jira.unindexed = {"ECD-1"}
    body = {"jql": 'updated >= "-5m"', "fields": ["summary"], "maxResults": 500}
    _, first = await ask(jira, "POST", "/search/jql", body)
    assert (len(first["issues"]), first["isLast"]) == (100, False)
    _, rest = await ask(jira, "POST", "/search/jql", {**body, "nextPageToken": first["nextPageToken"]})
    assert (len(rest["issues"]), rest["isLast"]) == (28, True)
    assert len((await ask(jira, "POST", "/search/jql", {**body, "fields": ["key"]}))[1]["issues"]) == 128


async def test_duplicates_and_the_old_style(jira: JiraStandIn, receiver: Receiver) -> None:
    written = await jira.comment("ECD-1", "ben", "Hi", duplicates=1, old_style=True)
    first, second, third = receiver.payloads()
    assert first == second
    assert third["webhookEvent"] == "jira:issue_updated"
    assert third["issue_event_type_name"] == "issue_commented"
    assert third["comment"]["id"] == written.id


async def test_changes_are_in_changelog_and_webhook(jira: JiraStandIn, receiver: Receiver) -> None:
    await jira.move("ECD-1", "Done", by="dana")
    await jira.assign("ECD-1", "chen")
    moved, assigned = receiver.payloads()
    assert moved["user"]["displayName"] == "Dana Petrova"
    assert moved["changelog"]["items"][0]["toString"] == "Done"
    assert assigned["issue_event_type_name"] == "issue_assigned"
    assert assigned["changelog"]["items"][0]["fromString"] == "Ana Ruiz"
    _, log = await ask(jira, "GET", "/issue/ECD-1/changelog")
    assert [h["items"][0]["field"] for h in log["values"]] == ["status", "assignee"]
    _, issue = await ask(jira, "GET", "/issue/ECD-1?expand=changelog&fields=status")
    assert [h["items"][0]["field"] for h in issue["changelog"]["histories"]] == ["assignee", "status"]
    assert list(issue["fields"]) == ["status"]


async def test_creating_editing_and_deleting_are_announced(jira: JiraStandIn, receiver: Receiver) -> None:
    await jira.create("ECD-5", "Why is it slow?", description="Is it?")
    written = jira.write("ECD-5", "ben", "Hi")
    await jira.edit_comment("ECD-5", written.id, "Hi there")
    await jira.remove_comment("ECD-5", written.id)
    assert [p["webhookEvent"] for p in receiver.payloads()] == [
        "jira:issue_created", "comment_updated", "comment_deleted",
    ]  # fmt: skip


async def test_the_service_accounts_own_comments_are_announced(jira: JiraStandIn, receiver: Receiver) -> None:
    await ask(jira, "POST", "/issue/ECD-1/comment", {"body": document(paragraph("Posted"))})
    await jira.settled()
    (payload,) = receiver.payloads()
    assert payload["comment"]["author"]["accountId"] == jira.account_id
    assert payload["comment"]["body"] == "Posted"
    assert [c.text for c in jira.posted("ECD-1")] == ["Posted"]


async def test_bitbuckets_webhooks(bitbucket: BitbucketStandIn, receiver: Receiver) -> None:
    found = await bitbucket.open("ECD-1 Stream", reviewers=["ben"])
    await bitbucket.approve(found, "ben")
    await bitbucket.push("feature/ECD-1", "ECD-1 second", "ECD-1 first")
    await bitbucket.build("feature/ECD-1", "FAILED")
    await bitbucket.merge(found)
    assert [headers["X-Event-Key"] for headers, _ in receiver.got] == [
        "pullrequest:created", "pullrequest:approved", "repo:push", "repo:commit_status_updated",
        "pullrequest:fulfilled",
    ]  # fmt: skip
    headers, body = receiver.got[1]
    assert headers["X-Hub-Signature"] == signature("other", body)
    assert headers["X-Attempt-Number"] == "1"
    payload = json.loads(body)
    assert payload["pullrequest"]["participants"][0]["approved"] is True
    assert payload["approval"]["user"]["display_name"] == "Ben Okafor"
    receiver.statuses = [404]
    assert (await bitbucket.merge(found)).attempts == 1
    receiver.statuses = [500, 500, 500]
    assert (await bitbucket.merge(found)).attempts == 3
