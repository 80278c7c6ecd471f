"""Every row of the webhooks' answer table, through the front door: a real server, a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from bot.domain.events import EVENT, IssueCommented
from bot.http.limits import MAX_BODY
from tests.sidecar_harness import (
    BITBUCKET_SECRET,
    NOW,
    Sidecar,
    payload,
    raw,
    running,
    sign,
)

QUESTION = "comment_created__question"


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    async with running(tmp_path) as started:
        yield started


def numbered(number: int) -> dict[str, Any]:
    """The question again, as another comment."""
    found = payload(QUESTION)
    found["comment"]["id"] = str(30000 + number)
    return found


class TestAccepted:
    async def test_a_new_event(self, sidecar: Sidecar) -> None:
        answer = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="delivery-1")
        assert answer.status == 202
        event_id = answer.json["event_id"]
        assert answer.json == {"status": "accepted", "event_id": event_id}
        assert len(event_id) == 24
        assert event_id.startswith("evt_")
        [record] = await sidecar.records()
        assert (record["id"], record["event_id"]) == (event_id, event_id)
        assert (record["source"], record["kind"], record["state"]) == ("jira", "issue_commented", "received")
        assert (record["delivery_id"], record["issue"], record["issues"]) == ("delivery-1", "ECD-142", ["ECD-142"])
        assert (record["attempts"], record["due"], record["at"]) == (0, None, NOW.isoformat())
        assert record["event"]["comment"]["id"] == "20001"
        [line] = await sidecar.ctx.store.find("audit")
        assert (line["action"], line["event_id"], line["issue"]) == ("event.accepted", event_id, "ECD-142")
        assert line["actor"] == "jira:712020:b0b0b0b0-2222-4222-8222-bbbbbbbbbbbb"
        assert "anybody" not in json.dumps(line)
        assert await sidecar.jobs() == [event_id]

    async def test_a_pull_request(self, sidecar: Sidecar) -> None:
        found = payload("pullrequest_created", "bitbucket")
        answer = await sidecar.bitbucket("pullrequest:created", found, X_Request_UUID="uuid-1")
        assert answer.status == 202
        [record] = await sidecar.records()
        assert (record["source"], record["kind"], record["delivery_id"]) == ("bitbucket", "pull_request", "uuid-1")
        assert await sidecar.jobs() == [answer.json["event_id"]]

    async def test_a_request_of_a_rule(self, sidecar: Sidecar) -> None:
        answer = await sidecar.automation(payload("automation__comment"))
        assert answer.status == 202
        [record] = await sidecar.records()
        assert (record["source"], record["kind"], record["delivery_id"]) == (
            "automation", "draft_requested", "rule-77-20001",
        )  # fmt: skip
        assert record["event"]["comment_id"] == "20001"
        [line] = await sidecar.ctx.store.find("audit")
        assert line["actor"] == "jira:automation"

    async def test_a_comment_is_stored_as_markdown(self, sidecar: Sidecar) -> None:
        found = payload(QUESTION)
        found["comment"]["body"] = "h3. When?\r\nIs it *due* on Monday?\u200b"
        await sidecar.jira(found)
        [record] = await sidecar.records()
        event = EVENT.validate_python(record["event"])
        assert isinstance(event, IssueCommented)
        assert event.comment.text == "### When?\n\nIs it **due** on Monday?"

    @pytest.mark.parametrize(
        "body",
        [
            "+sk+-ant-api03-abcdefghijkl", "s{color:red}k{color}-ant-api03-abcdefghijkl",
            "[sk|#a]-ant-api03-abcdefghijkl", "sk-ant-api03-abcdefghijkl", "s\u200bk-ant-api03-abcdefghijkl",
        ],
    )  # fmt: skip
    async def test_a_secret_that_marks_divide_is_not_stored(self, sidecar: Sidecar, tmp_path: Path, body: str) -> None:
        found = payload(QUESTION)
        found["comment"]["body"] = f"Is the key still {body}?"
        assert (await sidecar.jira(found)).status == 202
        [record] = await sidecar.records()
        assert record["event"]["comment"]["text"] == "Is the key still [redacted secret]?"
        written = "".join(p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file())  # noqa: ASYNC240  # a test has nothing else to do
        assert "Is the key still" in written
        assert "api03" not in written

    async def test_event_ids_sort_by_time(self, sidecar: Sidecar) -> None:
        first = (await sidecar.jira(numbered(1))).json["event_id"]
        sidecar.clock.forward(milliseconds=1)
        assert first < (await sidecar.jira(numbered(2))).json["event_id"]

    @pytest.mark.parametrize(
        "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
    )
    async def test_content_types(self, sidecar: Sidecar, content_type: str) -> None:
        assert (await sidecar.jira(payload(QUESTION), Content_Type=content_type)).status == 202

    async def test_identity_is_no_encoding(self, sidecar: Sidecar) -> None:
        assert (await sidecar.jira(payload(QUESTION), Content_Encoding="identity")).status == 202


class TestDuplicates:
    async def test_the_same_delivery_id(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(numbered(1), X_Atlassian_Webhook_Identifier="same")
        again = await sidecar.jira(numbered(2), X_Atlassian_Webhook_Identifier="same")
        assert again.status == 200
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}
        assert await sidecar.jobs() == [first.json["event_id"]]
        assert await sidecar.actions() == ["event.accepted", "event.duplicate"]
        assert len(await sidecar.records()) == 1

    async def test_the_same_body_under_a_new_id(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="one")
        again = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="two")
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}

    async def test_other_words_under_the_same_comment_are_another_event(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(payload(QUESTION))
        other = payload(QUESTION)
        other["comment"]["body"] = "Something else is asked here. What is the plan?"
        second = await sidecar.jira(other)
        assert (first.status, second.status) == (202, 202)

    async def test_a_comment_that_is_announced_twice(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="one")
        again = await sidecar.jira(payload("issue_updated__commented"), X_Atlassian_Webhook_Identifier="two")
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}
        edited = await sidecar.jira(payload("comment_updated__words"))
        assert edited.json["status"] == "accepted", "an edit is something new"
        edited_again = await sidecar.jira(payload("issue_updated__comment_edited"))
        assert edited_again.json == {"status": "duplicate", "event_id": edited.json["event_id"]}

    async def test_a_comment_that_is_announced_in_two_notations(self, sidecar: Sidecar) -> None:
        wiki, adf = payload(QUESTION), payload(QUESTION)
        wiki["comment"]["body"] = "h3. Status\nIs it *due*?\n{code:java}x = 1{code}"
        adf["comment"]["body"] = {
            "type": "doc", "version": 1, "content": [
                {"type": "heading", "attrs": {"level": 3}, "content": [{"type": "text", "text": "Status"}]},
                {"type": "paragraph", "content": [{"type": "text", "text": "Is it due?"}]},
                {"type": "codeBlock", "attrs": {"language": "java"}, "content": [{"type": "text", "text": "x = 1"}]},
            ],
        }  # fmt: skip
        first = await sidecar.jira(wiki)
        assert (await sidecar.jira(adf)).json == {"status": "duplicate", "event_id": first.json["event_id"]}

    async def test_each_source_for_itself(self, sidecar: Sidecar) -> None:
        found = payload("pullrequest_created", "bitbucket")
        await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="same")
        answer = await sidecar.bitbucket("pullrequest:created", found, X_Request_UUID="same")
        assert answer.json["status"] == "accepted"

    async def test_a_rules_id(self, sidecar: Sidecar) -> None:
        first = await sidecar.automation({"issue": "ECD-1", "id": 7})
        again = await sidecar.automation({"issue": "ECD-2", "id": "7"})
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}

    async def test_twenty_at_once(self, sidecar: Sidecar) -> None:
        same = [sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier=f"{n % 3}") for n in range(20)]
        answers = await asyncio.gather(*same)
        assert sorted(a.status for a in answers) == [200] * 19 + [202]
        assert len({a.json["event_id"] for a in answers}) == 1
        assert len(await sidecar.jobs()) == len(await sidecar.records()) == 1

    async def test_after_a_restart_and_75_minutes_later(self, tmp_path: Path) -> None:
        async with running(tmp_path) as sidecar:
            first = await sidecar.jira(payload(QUESTION))
        async with running(tmp_path) as sidecar:
            again = await sidecar.jira(payload(QUESTION))
            assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}
            sidecar.clock.forward(minutes=75)
            assert (await sidecar.jira(payload(QUESTION))).json["status"] == "duplicate"

    async def test_what_was_seen_too_long_ago_does_not_count(self, sidecar: Sidecar) -> None:
        found = payload("pullrequest_created", "bitbucket")
        first = await sidecar.bitbucket("pullrequest:created", found, X_Request_UUID="same")
        sidecar.clock.forward(hours=71, minutes=59)
        assert (await sidecar.bitbucket("pullrequest:created", found)).json["status"] == "duplicate"
        sidecar.clock.forward(minutes=2)
        later = await sidecar.bitbucket("pullrequest:created", found, X_Request_UUID="same")
        assert later.json["status"] == "accepted"
        assert later.json["event_id"] != first.json["event_id"]
        assert (await sidecar.bitbucket("pullrequest:created", found)).json["event_id"] == later.json["event_id"]

    async def test_a_delivery_id_that_is_none(self, sidecar: Sidecar) -> None:
        await sidecar.jira(numbered(1), X_Atlassian_Webhook_Identifier="x" * 5000)
        answer = await sidecar.jira(numbered(2), X_Atlassian_Webhook_Identifier="x" * 5000)
        assert answer.json["status"] == "duplicate"
        assert all(len(r["delivery_id"]) < 100 for r in await sidecar.records())


class TestIgnored:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("comment_deleted", "comment_deleted is a kind of event that is not handled"),
            ("comment_created__other_project", "project OPS is not among those that are watched"),
            ("comment_created__by_us", "our own comment"),
        ],
    )
    async def test_recorded_with_its_reason(self, sidecar: Sidecar, name: str, reason: str) -> None:
        answer = await sidecar.jira(payload(name))
        assert answer.status == 200
        assert answer.json["status"] == "ignored"
        assert answer.json["reason"] == reason
        [record] = await sidecar.records()
        assert (record["state"], record["reason"], record["event"]) == ("ignored", reason, None)
        assert await sidecar.actions() == ["event.ignored"]
        assert await sidecar.jobs() == []

    async def test_deleted_before_created(self, sidecar: Sidecar) -> None:
        assert (await sidecar.jira(payload("comment_deleted"))).json["status"] == "ignored"
        assert (await sidecar.jira(payload(QUESTION))).json["status"] == "accepted", "Jira says that it is gone"

    async def test_too_old_by_its_own_time(self, sidecar: Sidecar) -> None:
        sidecar.clock.at = NOW + timedelta(hours=71, minutes=9)
        assert (await sidecar.jira(payload(QUESTION))).json["status"] == "accepted"
        sidecar.clock.at = NOW + timedelta(hours=71, minutes=15)
        answer = await sidecar.jira(payload("comment_created__small_talk"))
        assert answer.json["status"] == "ignored"
        assert answer.json["reason"] == "older than 72 hours by its own timestamp"

    async def test_fields_are_checked_before_age(self, sidecar: Sidecar) -> None:
        sidecar.clock.forward(days=30)
        found = payload(QUESTION)
        del found["comment"]["created"]
        assert (await sidecar.jira(found)).status == 422

    async def test_bitbucket_has_no_age(self, sidecar: Sidecar) -> None:
        sidecar.clock.forward(days=30)
        found = payload("pullrequest_created", "bitbucket")
        assert (await sidecar.bitbucket("pullrequest:created", found)).status == 202

    async def test_a_ping(self, sidecar: Sidecar) -> None:
        answer = await sidecar.bitbucket("diagnostics:ping", {"test": True})
        assert answer.json["reason"] == "a test of the connection"

    async def test_what_was_ignored_is_known_again(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(payload("comment_deleted"))
        again = await sidecar.jira(payload("comment_deleted"))
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}


class TestRefused:
    async def test_a_body_at_the_limit(self, sidecar: Sidecar) -> None:
        body = raw(payload(QUESTION))
        assert (await sidecar.jira(body + b" " * (MAX_BODY - len(body)))).status == 202

    async def test_a_body_over_the_limit_declared(self, sidecar: Sidecar) -> None:
        body = raw(payload(QUESTION))
        answer = await sidecar.jira(body + b" " * (MAX_BODY + 1 - len(body)))
        assert answer.status == 413
        assert await sidecar.records() == []

    async def test_a_body_over_the_limit_in_chunks(self, sidecar: Sidecar) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(6 * 16):
                yield b" " * 65536

        answer = await sidecar.send("/webhooks/jira", chunks(), {"Content-Type": "application/json"})
        assert answer.status == 413
        assert (await sidecar.jira(payload(QUESTION))).status == 202, "the next one is welcome"

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content_Type": "text/plain"}, {"Content_Type": "application/x-www-form-urlencoded"}, {"Content_Type": ""},
            {"Content_Type": "application/json; charset=latin-1"}, {"Content_Type": "application/jsonp"},
            {"Content_Type": "application/json, text/html"}, {"Content_Encoding": "gzip"},
            {"Content_Encoding": "identity, br"},
        ],
    )  # fmt: skip
    async def test_another_content(self, sidecar: Sidecar, headers: dict[str, str]) -> None:
        answer = await sidecar.jira(b"\x1f\x8b", **headers)
        assert answer.status == 415
        assert await sidecar.records() == []

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"1", b'"text"', b"null", b"\xff\xfe", b'{"a": NaN}', b'{"a": -Infinity}',
            b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b"[" * 100_000, b'{"a":' * 100_000,
            b'{"a":' * 300 + b"1" + b"}" * 300,
            b'{"a": ' + b"7" * 5000 + b"}", b"\xef\xbb\xbf{}", b'{"a": 1} x', b"{'a': 1}",
        ],
    )  # fmt: skip
    async def test_no_json_object(self, sidecar: Sidecar, body: bytes) -> None:
        answer = await sidecar.jira(body)
        assert answer.status == 400
        assert answer.json["status"] == "refused"
        assert answer.ms < 500
        assert await sidecar.records() == []

    async def test_a_field_that_is_missing(self, sidecar: Sidecar) -> None:
        found = payload(QUESTION)
        del found["comment"]["id"]
        answer = await sidecar.jira(found)
        assert answer.status == 422
        assert answer.json["status"] == "invalid"
        assert answer.json["reason"] == "comment.id is missing"
        [record] = await sidecar.records()
        assert (record["id"], record["state"]) == (answer.json["event_id"], "invalid")
        assert (record["reason"], record["kind"]) == ("comment.id is missing", "comment_created")
        assert record["event"] is None
        assert await sidecar.actions() == ["event.invalid"]
        assert (await sidecar.jira(found)).status == 422, "it is no duplicate of anything"

    async def test_what_is_missing_is_told_for_the_issue_it_is_about(self, sidecar: Sidecar) -> None:
        """So that `/pmagent why` shows it, as far as the delivery itself names an issue."""
        comment, changed, pull = payload(QUESTION), payload(QUESTION), payload("pullrequest_created", "bitbucket")
        del comment["comment"]["created"]
        changed["issue"] = {"key": "not a key"}
        del pull["pullrequest"]["id"]
        for body in (comment, changed, {"id": "1", "issue": 7}):
            assert (await sidecar.jira(body)).status == 422
        body = raw(pull)
        signed = {"X-Hub-Signature": sign(body, BITBUCKET_SECRET), "X-Event-Key": "pullrequest:created"}
        answer = await sidecar.send("/webhooks/bitbucket", body, {"Content-Type": "application/json", **signed})
        assert answer.status == 422
        key = payload(QUESTION)["issue"]["key"]
        assert key in pull["pullrequest"]["title"]
        assert [r["issue"] for r in await sidecar.records()] == [key, None, None, key]

    async def test_bitbuckets_event_key(self, sidecar: Sidecar) -> None:
        body = raw(payload("repo_push__tag", "bitbucket"))
        headers = {"Content-Type": "application/json", "X-Hub-Signature": sign(body, BITBUCKET_SECRET)}
        answer = await sidecar.send("/webhooks/bitbucket", body, headers)
        assert answer.status == 422
        assert answer.json["reason"] == "the header X-Event-Key is missing, or is there twice"

    async def test_the_order_of_the_checks(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="7/minute") as sidecar:
            large = b" " * (MAX_BODY + 1)
            wrong = {"X_Hub_Signature": "sha256=" + "0" * 64}
            text = {"Content_Type": "text/plain"}
            assert (await sidecar.jira(large, **wrong, **text)).status == 413
            assert (await sidecar.jira(b"{", **wrong, **text)).status == 401
            assert (await sidecar.jira(b"{", **text)).status == 415
            assert (await sidecar.jira(b"{")).status == 400
            assert (await sidecar.jira({})).status == 422
            assert (await sidecar.jira(payload("comment_created__other_project"))).status == 200
            assert (await sidecar.jira(payload(QUESTION))).status == 202
            assert (await sidecar.jira(large, **wrong)).status == 429

    async def test_other_methods(self, sidecar: Sidecar) -> None:
        assert (await sidecar.get("/webhooks/jira")).status == 405

    async def test_a_store_that_cannot_write(self, sidecar: Sidecar) -> None:
        await sidecar.ctx.store.close()
        answer = await sidecar.jira(payload(QUESTION))
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json == {"status": "refused", "reason": "the event cannot be stored at the moment"}
        assert await sidecar.jobs() == []
        assert (await sidecar.get("/health")).status == 200


async def test_an_error_that_nobody_expected_says_nothing_outside_and_all_in_the_log(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        async def commit(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("a sentence of the inside")

    store, sidecar.ctx.store = sidecar.ctx.store, cast(Any, Broken())
    answer = await sidecar.jira(payload(QUESTION))
    sidecar.ctx.store = store
    assert answer.status == 500
    assert answer.json == {"status": "refused", "reason": "an error of the program, which its log describes"}
    assert "a sentence of the inside" in caplog.text + capsys.readouterr().out
    assert (await sidecar.jira(payload(QUESTION))).status == 202, "and the door goes on"


async def test_an_audit_line_holds_no_text(sidecar: Sidecar) -> None:
    await sidecar.jira(payload("comment_created__hostile"))
    lines = await sidecar.ctx.store.find("audit")
    assert [type(line["details"]) for line in lines] == [dict]
    assert "admin mode" not in json.dumps(lines)
