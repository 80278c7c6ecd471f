"""Every row of the webhooks' answer table, through the front door: a real server, a real store."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from bot.limits import MAX_BODY, Gate, Proxies, Rates, Waiting, is_local
from bot.store import Audit
from handlers import openapi
from handlers.body import NotJson, read_object
from tests.sidecar_harness import (
    BITBUCKET_SECRET,
    FIXTURES,
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
        assert sidecar.woken == [event_id]

    async def test_a_pull_request(self, sidecar: Sidecar) -> None:
        found = payload("pullrequest_created", "bitbucket")
        answer = await sidecar.bitbucket("pullrequest:created", found, X_Request_UUID="uuid-1")
        assert answer.status == 202
        [record] = await sidecar.records()
        assert (record["source"], record["kind"], record["delivery_id"]) == ("bitbucket", "pull_request", "uuid-1")
        assert sidecar.woken == [answer.json["event_id"]]

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
        assert sidecar.woken == [first.json["event_id"]]
        assert await sidecar.actions() == ["event.accepted", "event.duplicate"]
        assert len(await sidecar.records()) == 1

    async def test_the_same_body_under_a_new_id(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="one")
        again = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="two")
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}

    async def test_a_comment_that_is_announced_twice(self, sidecar: Sidecar) -> None:
        first = await sidecar.jira(payload(QUESTION), X_Atlassian_Webhook_Identifier="one")
        again = await sidecar.jira(payload("issue_updated__commented"), X_Atlassian_Webhook_Identifier="two")
        assert again.json == {"status": "duplicate", "event_id": first.json["event_id"]}
        edited = await sidecar.jira(payload("comment_updated__words"))
        assert edited.json["status"] == "accepted", "an edit is something new"
        edited_again = await sidecar.jira(payload("issue_updated__comment_edited"))
        assert edited_again.json == {"status": "duplicate", "event_id": edited.json["event_id"]}

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
        assert len(sidecar.woken) == len(await sidecar.records()) == 1

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
        assert sidecar.woken == []

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
        del found["comment"]["author"]
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
        del found["comment"]["author"]["accountId"]
        answer = await sidecar.jira(found)
        assert answer.status == 422
        assert answer.json["status"] == "invalid"
        assert answer.json["reason"] == "comment.author.accountId is missing"
        [record] = await sidecar.records()
        assert (record["id"], record["state"]) == (answer.json["event_id"], "invalid")
        assert (record["reason"], record["kind"]) == ("comment.author.accountId is missing", "comment_created")
        assert record["event"] is None
        assert await sidecar.actions() == ["event.invalid"]
        assert (await sidecar.jira(found)).status == 422, "it is no duplicate of anything"

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
        assert sidecar.woken == []
        assert (await sidecar.get("/health")).status == 200


class TestRate:
    async def test_over_the_limit(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="2/minute") as sidecar:
            statuses = [(await sidecar.jira(numbered(n))).status for n in range(3)]
            assert statuses == [202, 202, 429]
            answer = await sidecar.jira(numbered(4))
            assert 0 < int(answer.headers["Retry-After"]) <= 60
            assert (await sidecar.get("/health")).status == 200, "only deliveries count"

    async def test_no_limit(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="") as sidecar:
            assert {(await sidecar.jira(numbered(n))).status for n in range(20)} == {202}

    async def test_a_proxy_of_ours_says_who_it_is(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="1/minute") as sidecar:
            one, two = {"X_Forwarded_For": "203.0.113.1"}, {"X_Forwarded_For": "198.51.100.7, 203.0.113.2"}
            assert (await sidecar.jira(numbered(1), **one)).status == 202
            assert (await sidecar.jira(numbered(2), **two)).status == 202
            assert (await sidecar.jira(numbered(3), **one)).status == 429
            # The left part of the header is the sender's own invention.
            assert (await sidecar.jira(numbered(4), X_Forwarded_For="192.0.2.9, 203.0.113.2")).status == 429

    async def test_somebody_who_is_no_proxy_of_ours_is_not_believed(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="1/minute", PMAGENT_TRUSTED_PROXIES="10.0.0.1") as sidecar:
            assert (await sidecar.jira(numbered(1), X_Forwarded_For="203.0.113.1")).status == 202
            assert (await sidecar.jira(numbered(2), X_Forwarded_For="203.0.113.2")).status == 429

    def test_windows(self) -> None:
        now = 100.0
        rates = Rates("2/second;3/minute", now=lambda: now)
        assert [rates.wait("a") for _ in range(3)] == [0, 0, 1]
        assert rates.wait("b") == 0
        now = 101.5
        assert [rates.wait("a") for _ in range(2)] == [59, 59], "the third and last of this minute was refused"
        now = 161.0
        assert rates.wait("a") == 0

    def test_many_clients_do_not_fill_the_memory(self) -> None:
        now = 0.0
        rates = Rates("1/second", now=lambda: now)
        for number in range(30_000):
            now += 0.001
            rates.wait(str(number))
        assert len(rates._windows) < 15_000

    @pytest.mark.parametrize(
        ("peer", "forwarded", "client"),
        [
            ("127.0.0.1", [], "127.0.0.1"),
            ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
            ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", ["198.51.100.1, 10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", ["198.51.100.1", "10.1.2.3"], "198.51.100.1"),
            ("127.0.0.1", ["evil, 10.1.2.3"], "10.1.2.3"),
            ("127.0.0.1", ["10.9.9.9"], "10.9.9.9"),
            ("127.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
            ("127.0.0.1", ["198.51.100.1:5000"], "198.51.100.1"),
            ("::ffff:127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", ["", ","], "127.0.0.1"),
            (None, ["198.51.100.1"], "local"),
        ],
    )
    def test_who_it_is(self, peer: str | None, forwarded: list[str], client: str) -> None:
        scope = {
            "type": "http",
            "client": (peer, 1) if peer else None,
            "headers": [(b"x-forwarded-for", line.encode()) for line in forwarded],
        }
        assert Proxies(["127.0.0.1", "10.0.0.0/8", "not an address"]).client(scope) == client

    async def test_a_network_of_ipv6_is_one_client(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="1/minute") as sidecar:
            assert (await sidecar.jira(numbered(1), X_Forwarded_For="2001:db8::1")).status == 202
            assert (await sidecar.jira(numbered(2), X_Forwarded_For="2001:db8::2")).status == 429
            assert (await sidecar.jira(numbered(3), X_Forwarded_For="2001:db8:0:1::1")).status == 202


class TestMemory:
    async def test_the_gate_stops_reading_at_the_limit(self) -> None:
        read = 0

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        status, waiting = await self._through(receive, max_body=10_000)
        assert status == 413
        assert read == 11
        assert waiting.bytes == 0

    async def test_too_much_at_once(self) -> None:
        waiting = Waiting(limit=5000)
        waiting.bytes = 4500

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        status, _ = await self._through(receive, max_body=10_000, waiting=waiting)
        assert status == 503
        assert waiting.bytes == 4500

    async def test_a_sender_who_goes_away(self) -> None:
        first: dict[str, Any] = {"type": "http.request", "body": b"x", "more_body": True}
        messages = iter([first, {"type": "http.disconnect"}])

        async def receive() -> dict[str, Any]:
            return next(messages)

        status, waiting = await self._through(receive, max_body=10_000)
        assert status is None
        assert waiting.bytes == 0

    async def _through(
        self, receive: Any, *, max_body: int, waiting: Waiting | None = None
    ) -> tuple[int | None, Waiting]:
        async def app(*_: Any) -> None:
            raise AssertionError("nothing may come through")

        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        waiting = waiting or Waiting()
        gate = Gate(app, rates=Rates(""), proxies=Proxies([]), waiting=waiting, max_body=max_body)
        await gate({"type": "http", "client": ("127.0.0.1", 1), "headers": []}, receive, send)
        return (sent[0]["status"] if sent else None), waiting


class TestSlowSenders:
    async def test_an_honest_request_among_slow_ones(self, tmp_path: Path) -> None:
        async with running(tmp_path, seconds=1.5) as sidecar:
            starts = [b"", b"POST /webhooks/", b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nX-A: "]
            starts += [b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"]
            starts += [b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
            begun = time.monotonic()
            slow = [asyncio.create_task(drip(sidecar.port, starts[n % len(starts)])) for n in range(200)]
            await asyncio.sleep(0.5)
            answer = await sidecar.jira(payload(QUESTION))
            assert answer.status == 202
            assert answer.ms < 1000
            ended = await asyncio.gather(*slow)
            assert max(at for at, _ in ended) - begun < 4
            assert {said for _, said in ended} <= {b"", b"HTTP/1.1 408"}

    async def test_after_an_answer_the_next_request_has_a_deadline_of_its_own(self, tmp_path: Path) -> None:
        async with running(tmp_path, seconds=1.0) as sidecar:
            reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
            for _ in range(2):
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200 OK" in await reader.readuntil(b"}")
                await asyncio.sleep(0.7)
            writer.write(b"GET /hea")
            begun = time.monotonic()
            assert (await reader.read()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            assert time.monotonic() - begun < 2
            writer.close()

    async def test_who_was_refused_and_sends_on_is_cut_off(self, tmp_path: Path) -> None:
        start = b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
        async with running(tmp_path, seconds=1.0) as sidecar:
            begun = time.monotonic()
            ended, said = await drip(sidecar.port, start)
            assert said == b"HTTP/1.1 413"
            assert 0.9 < ended - begun < 3

    async def test_a_long_answer_is_no_slow_request(self, tmp_path: Path) -> None:
        async with running(tmp_path, seconds=0.3) as sidecar:
            answers = await asyncio.gather(*(sidecar.get("/openapi.json") for _ in range(20)))
            assert {answer.status for answer in answers} == {200}


async def drip(port: int, start: bytes) -> tuple[float, bytes]:
    """Send `start`, then a byte every 0.2 s, until the server hangs up. Returns when, and how its answer begins."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(start)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            await asyncio.wait({answer}, timeout=0.2)
            if start and not answer.done():
                writer.write(b"1")
        return time.monotonic(), answer.result()[:12]
    except ConnectionError:
        return time.monotonic(), b""
    finally:
        writer.close()


class TestStatus:
    async def test_home(self, sidecar: Sidecar) -> None:
        answer = await sidecar.get("/")
        assert answer.json["service"] == "pm-agent"
        assert answer.json["mode"] == "simulation"
        assert answer.json["links"]["docs"] == "/docs"

    async def test_health(self, sidecar: Sidecar) -> None:
        answer = await sidecar.get("/health")
        assert answer.json == {
            "status": "healthy", "timestamp": "2026-11-22T10:00:00Z", "version": "0.1.0", "mode": "simulation",
        }  # fmt: skip

    async def test_ready(self, sidecar: Sidecar) -> None:
        answer = await sidecar.get("/ready")
        assert answer.status == 200
        assert answer.json == {"status": "ready", "parts": {"store": "ok", "slack": "ok", "worker": "ok"}}

    async def test_not_ready_names_the_part(self, sidecar: Sidecar) -> None:
        sidecar.ctx.slack.connection = None
        answer = await sidecar.get("/ready")
        assert answer.status == 503
        assert answer.json["parts"] == {"store": "ok", "slack": "not connected", "worker": "ok"}

    async def test_docs(self, sidecar: Sidecar) -> None:
        assert "swagger" in (await sidecar.get("/docs")).json
        assert "/webhooks/jira" in (await sidecar.get("/openapi.json")).json["paths"]

    async def test_metrics(self, sidecar: Sidecar) -> None:
        await sidecar.jira(payload(QUESTION))
        await sidecar.jira(payload(QUESTION))
        answer = await sidecar.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = answer.json.splitlines()
        assert "pmagent_events_total 1" in lines
        assert "pmagent_duplicates_total 1" in lines
        assert 'pmagent_ready{part="store"} 1' in lines
        assert all(line.startswith(("# HELP ", "# TYPE ", "pmagent_")) for line in lines)

    async def test_metrics_are_for_this_machine(self, tmp_path: Path) -> None:
        async with running(tmp_path) as sidecar:
            assert (await sidecar.get("/metrics", X_Forwarded_For="203.0.113.1")).status == 403
        async with running(tmp_path, PMAGENT_OPEN_METRICS="true") as sidecar:
            assert (await sidecar.get("/metrics", X_Forwarded_For="203.0.113.1")).status == 200

    @pytest.mark.parametrize(
        ("peer", "headers", "local"),
        [
            ("127.0.0.1", [], True), ("::1", [], True), ("::ffff:127.0.0.1", [], True), ("10.0.0.1", [], False),
            ("127.0.0.1", [(b"x-forwarded-for", b"127.0.0.1")], True),
            ("127.0.0.1", [(b"x-forwarded-for", b"127.0.0.1, 10.0.0.1")], False),
            ("10.0.0.1", [(b"x-forwarded-for", b"127.0.0.1")], False),
            ("127.0.0.1", [(b"forwarded", b"for=10.0.0.1")], False),
        ],
    )  # fmt: skip
    def test_what_this_machine_is(self, peer: str, headers: list[tuple[bytes, bytes]], local: bool) -> None:
        assert is_local({"type": "http", "client": (peer, 1), "headers": headers}) is local


class TestStrictJson:
    @given(st.recursive(st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(), st.lists))
    def test_what_json_can_say_is_read(self, value: object) -> None:
        assert read_object(json.dumps({"a": value}).encode()) == {"a": value}

    @given(st.binary(max_size=200))
    def test_anything_else_is_refused_with_a_sentence(self, body: bytes) -> None:
        try:
            said = read_object(body) and "the body is fine"
        except NotJson as error:
            said = str(error)
        assert not said or said.startswith("the body ")

    def test_pairs_of_surrogates_are_characters(self) -> None:
        assert read_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}

    def test_the_last_of_two_equal_names_counts(self) -> None:
        assert read_object(b'{"a": 1, "a": 2}') == {"a": 2}

    def test_two_hundred_levels(self) -> None:
        assert read_object(b'{"a":' * 200 + b"1" + b"}" * 200)
        with pytest.raises(NotJson, match="more than 200 levels"):
            read_object(b'{"a":' * 201 + b"1" + b"}" * 201)

    def test_many_short_lists_are_not_deep(self) -> None:
        assert read_object(b'{"a": [' + b",".join([b"[]"] * 5000) + b"]}")


@contextmanager
def in_a_thread(folder: Path) -> Iterator[str]:
    """The sidecar's address; it runs on a loop of its own, for clients that block."""
    ready, stop, address = Event(), Event(), []

    async def serve() -> None:
        async with running(folder) as sidecar:
            address.append(sidecar.url)
            ready.set()
            while not stop.is_set():  # noqa: ASYNC110 - the other side is a thread
                await asyncio.sleep(0.02)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield address[0]
    finally:
        stop.set()
        thread.join(20)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_a_thread(tmp_path_factory.mktemp("sidecar")) as found:
        yield found


class Signed(AuthBase):
    """Signs what requests is about to send."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body: Any = request.body or b""
        secret = {"/webhooks/bitbucket": BITBUCKET_SECRET}.get(request.path_url)
        encoded = body.encode() if isinstance(body, str) else body
        request.headers["X-Hub-Signature"] = sign(encoded, secret) if secret else sign(encoded)
        return request


JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just([]) | st.just({})
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes, str]:
    """(path, body, event key): one of our payloads with a few places removed or replaced."""
    file = draw(st.sampled_from(sorted(FIXTURES.glob("*/*.json"))))
    found: Any = json.loads(file.read_text())
    for _ in range(draw(st.integers(1, 3))):
        target, last = found, draw(st.sampled_from(sorted(found) or ["x"]))
        while isinstance(target.get(last), dict) and target[last] and draw(st.integers(0, 3)):
            target = target[last]
            last = draw(st.sampled_from(sorted(target)))
        if draw(st.booleans()):
            target.pop(last, None)
        else:
            target[last] = copy.deepcopy(draw(JUNK))
    return f"/webhooks/{file.parent.name}", raw(found), file.stem.partition("__")[0].replace("_", ":", 1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=damaged())
def test_damaged_deliveries_are_answered(address: str, case: tuple[str, bytes, str]) -> None:
    path, body, event_key = case
    headers = {"Content-Type": "application/json", "X-Event-Key": event_key}
    answer = requests.post(address + path, body, headers=headers, auth=Signed(), timeout=10)
    assert answer.status_code in (200, 202, 422), (answer.status_code, answer.text)
    assert answer.json()["event_id"]


schema = schemathesis.openapi.from_dict(openapi())
LENIENT = [
    positive_data_acceptance,  # what a delivery needs depends on its kind, which no schema can say: 422 is fine
    negative_data_rejection,  # a kind that is not handled is ignored unread
    ignored_auth,  # the wrong signatures that it makes are replaced by right ones here
]


@schema.parametrize()
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_document_is_true(case: schemathesis.Case[Any], address: str) -> None:
    """Schemathesis makes requests from the OpenAPI document, good ones and bad ones; each is signed."""
    session = requests.Session()
    if case.path.startswith("/webhooks/"):
        session.auth = Signed()
    answer = case.call(base_url=address, session=session)
    case.validate_response(answer, excluded_checks=LENIENT)


async def test_an_audit_line_holds_no_text(sidecar: Sidecar) -> None:
    await sidecar.jira(payload("comment_created__hostile"))
    lines = await sidecar.ctx.store.find("audit")
    assert [type(line["details"]) for line in lines] == [dict]
    assert "admin mode" not in json.dumps(lines)
    assert Audit("system", "x").details == {}
