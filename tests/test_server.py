"""How requests reach the doors: whole, in pieces, one behind another. Raw sockets: a client hides all of this."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.sidecar_harness import Sidecar, payload, raw, running, sign

QUESTION = "comment_created__question"


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    async with running(tmp_path) as started:
        yield started


def request(number: int, *more: str, signature: str | None = None, chunked: bool = False, size: int = 0) -> bytes:
    """A delivery as bytes: the question again, as another comment. `more`: header lines; `size`: bytes to fill up."""
    content: dict[str, Any] = payload(QUESTION)
    content["comment"]["id"] = str(40000 + number)
    content["comment"]["body"] += " " + "x" * size
    body = raw(content)
    lines = ["POST /webhooks/jira HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"X-Hub-Signature: {signature or sign(body)}", *more]
    lines += ["Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"]
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """One connection to the sidecar."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """The next answer: status and content."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        status, lines = int(head.split()[1]), head.lower().splitlines()
        if status == 100:
            return status, {}
        length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
        return status, json.loads(await self.reader.readexactly(length))


@pytest.fixture
async def connection(sidecar: Sidecar) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
    yield Connection(reader, writer)
    writer.close()


async def test_deliveries_behind_each_other_are_answered_in_their_order(
    sidecar: Sidecar, connection: Connection
) -> None:
    wrong = "sha256=" + 64 * "0"
    sent = [request(n, signature=wrong if n % 3 == 1 else None) for n in range(12)]
    await connection.send(b"".join(sent))
    answers = [await connection.answer() for _ in sent]
    assert [status for status, _ in answers] == [401 if n % 3 == 1 else 202 for n in range(12)]
    ids = [content["event_id"] for _, content in answers if "event_id" in content]
    comments = {record["id"]: int(record["comment"]) - 40000 for record in await sidecar.records()}
    assert [comments[event_id] for event_id in ids] == [n for n in range(12) if n % 3 != 1]


async def test_thousands_that_are_refused_behind_each_other(sidecar: Sidecar, connection: Connection) -> None:
    one = b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    sending = asyncio.create_task(connection.send(3000 * one))
    assert {(await connection.answer())[0] for _ in range(3000)} == {401}
    await sending
    await connection.send(request(1))
    assert (await connection.answer())[0] == 202


@pytest.mark.parametrize("cut", [1, 40, 200, 500, 1500])
async def test_a_delivery_in_pieces(sidecar: Sidecar, connection: Connection, cut: int) -> None:
    for number in range(2):
        whole = request(number)
        await connection.send(whole[:cut])
        await asyncio.sleep(0.05)
        await connection.send(whole[cut:])
        assert (await connection.answer())[0] == 202
    assert len(await sidecar.records()) == 2


@pytest.mark.parametrize(
    ("how", "wait_for"),
    [({"chunked": True}, None), ({"size": 60_000}, None), ({"size": 180_000}, None), ({}, "Expect: 100-continue")],
)
async def test_a_delivery_in_chunks_or_large_or_that_asks_first(
    sidecar: Sidecar, connection: Connection, how: dict[str, Any], wait_for: str | None
) -> None:
    for number in range(2):
        whole = request(number, *([wait_for] if wait_for else []), **how)
        if wait_for:
            head, _, body = whole.partition(b"\r\n\r\n")
            await connection.send(head + b"\r\n\r\n")
            assert (await connection.answer())[0] == 100
            whole = body
        await connection.send(whole)
        assert (await connection.answer())[0] == 202
        await connection.send(request(10 + number))
        assert (await connection.answer())[0] == 202, "and the connection goes on"
    assert len(await sidecar.records()) == 4


async def test_a_sender_who_goes_away_in_the_middle(sidecar: Sidecar) -> None:
    for at in (100, 700):
        _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
        writer.write(request(at)[:at])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await sidecar.jira(payload(QUESTION))).status == 202
    assert len(await sidecar.records()) == 1


async def test_a_sender_who_goes_away_before_the_answer(sidecar: Sidecar) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
    writer.write(request(1))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await sidecar.jira(payload(QUESTION))).status == 202
    assert len(await sidecar.records()) == 2, "it came whole, so it counts"
    assert len(await sidecar.jobs()) == 2


async def test_who_says_that_this_is_the_last_request_is_hung_up_on(connection: Connection) -> None:
    await connection.send(request(1, "Connection: close"))
    assert (await connection.answer())[0] == 202
    assert await asyncio.wait_for(connection.reader.read(), 10) == b""


async def test_one_too_many_is_refused_before_its_body_is_here(tmp_path: Path) -> None:
    async with running(tmp_path, PMAGENT_RATE_LIMIT="1/minute") as sidecar:
        connection = Connection(*await asyncio.open_connection("127.0.0.1", sidecar.port))
        await connection.send(request(1))
        assert (await connection.answer())[0] == 202
        head, _, body = request(2).partition(b"\r\n\r\n")
        await connection.send(head + b"\r\n\r\n")
        assert (await connection.answer())[0] == 429
        await connection.send(body)
        await connection.send(request(3))
        assert (await connection.answer())[0] == 429
        connection.writer.close()


UNSIGNED = b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"


async def test_a_request_behind_a_refused_one_has_its_own_time(sidecar: Sidecar, connection: Connection) -> None:
    """uvicorn's idle time of 5 s begins with an answer; what came with the question must end it."""
    whole = request(1)
    await connection.send(UNSIGNED + whole[:300])
    assert (await connection.answer())[0] == 401
    await asyncio.sleep(6)
    await connection.send(whole[300:])
    assert (await connection.answer())[0] == 202


async def test_who_does_not_read_the_answers_is_not_listened_to(sidecar: Sidecar) -> None:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", sidecar.port))
    many, stands_still = 1000 * UNSIGNED, False
    for _ in range(400):  # 28 MB, far more than the kernel keeps of both directions
        try:
            await asyncio.wait_for(loop.sock_sendall(client, many), 2)
        except TimeoutError:
            stands_still = True
            break
    client.close()
    assert stands_still
    assert (await sidecar.get("/health")).status == 200


class Broken:
    """A store that fails as none should."""

    async def commit(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")


async def test_after_an_error_of_ours_the_next_delivery_of_that_connection_counts(
    sidecar: Sidecar, connection: Connection
) -> None:
    store, sidecar.ctx.store = sidecar.ctx.store, cast(Any, Broken())
    await connection.send(request(1))
    assert (await connection.answer())[0] == 500
    sidecar.ctx.store = store
    await connection.send(request(1))
    assert (await connection.answer())[0] == 202
    assert len(await sidecar.records()) == 1
