"""What a request may cost before we know who sent it: how many, how large, how long."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from bot.http.limits import MANY_CLIENTS, Limits, Proxies, Rates, RequestRefused
from tests.sidecar_harness import (
    payload,
    running,
)

QUESTION = "comment_created__question"
SCOPE = {"type": "http", "client": ("127.0.0.1", 1), "headers": []}
CLOSED = 15.0
"""Seconds within which slow senders are to be gone (row 15). Here their deadline is shorter."""


def numbered(number: int) -> dict[str, Any]:
    """The question again, as another comment."""
    found = payload(QUESTION)
    found["comment"]["id"] = str(30000 + number)
    return found


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

    async def test_windows(self) -> None:
        rates = Rates("2/second;3/minute")
        assert [await rates.wait("a") for _ in range(3)] == [0, 0, 1]
        assert await rates.wait("b") == 0
        await asyncio.sleep(1.1)
        assert 55 <= await rates.wait("a") <= 60, "the refused one counted too: three in this minute"

    async def test_a_flood_of_addresses_shares_a_window_and_takes_nobodys(self) -> None:
        rates = Rates("3/minute")
        assert await rates.wait("jira") == 0
        waits = [await rates.wait(str(number)) for number in range(MANY_CLIENTS + 10)]
        assert waits[: MANY_CLIENTS - 1] == [0] * (MANY_CLIENTS - 1)
        assert all(wait > 0 for wait in waits[-5:]), "those that came last share one"
        assert [await rates.wait("jira") for _ in range(3)][:2] == [0, 0], "who was known is counted alone"

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
        assert Proxies(["127.0.0.1", "10.0.0.0/8"]).client(scope) == client

    async def test_a_network_of_ipv6_is_one_client(self, tmp_path: Path) -> None:
        async with running(tmp_path, PMAGENT_RATE_LIMIT="1/minute") as sidecar:
            assert (await sidecar.jira(numbered(1), X_Forwarded_For="2001:db8::1")).status == 202
            assert (await sidecar.jira(numbered(2), X_Forwarded_For="2001:db8::2")).status == 429
            assert (await sidecar.jira(numbered(3), X_Forwarded_For="2001:db8:0:1::1")).status == 202


class TestMemory:
    async def test_reading_stops_at_the_limit(self) -> None:
        read = 0

        async def receive() -> dict[str, Any]:
            nonlocal read
            read += 1
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        limits = Limits("", [], max_body=10_000)
        assert await self._read(limits, receive) == 413
        assert read == 11
        assert limits.waiting == 0

    async def test_too_much_at_once(self) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

        limits = Limits("", [], max_waiting=5000)
        limits.waiting = 4500
        assert await self._read(limits, receive) == 503
        assert limits.waiting == 4500

    async def test_a_body_is_in_hand_until_its_answer(self) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * 1000, "more_body": False}

        limits = Limits("", [])
        body = await limits.body(Request(SCOPE, receive))
        assert (len(body), limits.waiting) == (1000, 1000)
        limits.done(body)
        assert limits.waiting == 0

    async def test_a_sender_who_goes_away(self) -> None:
        first: dict[str, Any] = {"type": "http.request", "body": b"x", "more_body": True}
        messages = iter([first, {"type": "http.disconnect"}])

        async def receive() -> dict[str, Any]:
            return next(messages)

        limits = Limits("", [])
        with pytest.raises(ClientDisconnect):
            await self._read(limits, receive)
        assert limits.waiting == 0

    async def _read(self, limits: Limits, receive: Any) -> int:
        with pytest.raises(RequestRefused) as refused:
            await limits.body(Request(SCOPE, receive))
        return refused.value.status


class TestSlowSenders:
    async def test_15_an_honest_request_among_slow_ones(self, tmp_path: Path) -> None:
        async with running(tmp_path, seconds=5.5) as sidecar:
            starts = [b"", b"POST /webhooks/", b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nX-A: "]
            starts += [b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"]
            starts += [b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
            connections = [await asyncio.open_connection("127.0.0.1", sidecar.port) for _ in range(200)]
            slow = [asyncio.create_task(drip(c, starts[n % len(starts)])) for n, c in enumerate(connections)]
            await asyncio.sleep(0.5)
            answer = await sidecar.jira(payload(QUESTION))
            assert answer.status == 202
            assert not any(task.done() for task in slow), "it was answered while all of them were there"
            # Each would go on for ever: the deadline ends it.
            assert set(await asyncio.wait_for(asyncio.gather(*slow), CLOSED)) <= {b"", b"HTTP/1.1 408"}

    async def test_after_an_answer_the_next_request_has_a_deadline_of_its_own(self, tmp_path: Path) -> None:
        async with running(tmp_path, seconds=2.0) as sidecar:
            reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
            for _ in range(2):
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b"200 OK" in await reader.readuntil(b"}")
                await asyncio.sleep(1.2)
            writer.write(b"GET /hea")
            assert (await asyncio.wait_for(reader.read(), CLOSED)).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
            writer.close()

    async def test_who_was_refused_and_sends_on_is_cut_off(self, tmp_path: Path) -> None:
        start = b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
        async with running(tmp_path, seconds=1.0) as sidecar:
            begun = time.monotonic()
            connection = await asyncio.open_connection("127.0.0.1", sidecar.port)
            assert await asyncio.wait_for(drip(connection, start), CLOSED) == b"HTTP/1.1 413"
            assert time.monotonic() - begun > 0.9, "the sender had its time to see the answer"

    async def test_a_long_answer_is_no_slow_request(self, tmp_path: Path) -> None:
        async with running(tmp_path, seconds=0.3) as sidecar:
            answers = await asyncio.gather(*(sidecar.get("/openapi.json") for _ in range(20)))
            assert {answer.status for answer in answers} == {200}


async def drip(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], start: bytes) -> bytes:
    """Send `start`, then a byte every 0.4 s, until the server hangs up. Returns how its answer begins."""
    reader, writer = connection
    try:
        writer.write(start)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            await asyncio.wait({answer}, timeout=0.4)
            if start and not answer.done():
                writer.write(b"1")
        return answer.result()[:12]
    except ConnectionError:
        return b""
    finally:
        writer.close()
