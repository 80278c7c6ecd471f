"""How many connections there may be, and who gives way."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from bot.http.connections import FILES_KEPT, MAX_CONNECTIONS, most_connections
from bot.http.server import listen, make_server
from tests.sidecar_harness import Sidecar, payload, running
from tests.test_server import Connection, request

FEW = 12
"""Connections that the sidecar of these tests takes."""
QUESTION = "comment_created__question"


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    async with running(tmp_path, seconds=1.5, most=FEW) as found:
        yield found


async def connect(sidecar: Sidecar, begun: bytes = b"") -> Connection:
    found = Connection(*await asyncio.open_connection("127.0.0.1", sidecar.port))
    if begun:
        await found.send(begun)
    return found


async def hung_up(connection: Connection) -> bytes:
    """What was said last to this connection."""
    with contextlib.suppress(ConnectionResetError):
        return await asyncio.wait_for(connection.reader.read(), 2)
    return b""


async def test_the_oldest_idle_one_gives_way_and_then_who_keeps_us_waiting_longest(sidecar: Sidecar) -> None:
    idle = [await connect(sidecar, request(number)) for number in range(2)]
    for one in idle:
        assert (await one.answer())[0] == 202
    slow = [await connect(sidecar, request(9)[:300]) for _ in range(FEW - 2)]
    new = [await connect(sidecar, request(10 + number)) for number in range(4)]
    for one in new:
        assert (await one.answer())[0] == 202
    for one in idle:
        assert await hung_up(one) == b"", "nobody is answered who has asked nothing"
    # The new ones are idle now, and are the next ones to go; the slow ones stay as long as there is anybody else.
    last = [await connect(sidecar, request(9)[:300]) for _ in range(4)]
    gone = await asyncio.gather(*map(hung_up, [*slow[:2], *new]))
    assert gone.count(b"") == 4
    assert sum(said.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1" in said for said in gone) == 2
    for one in (*slow, *new, *last, *idle):
        one.writer.transport.abort()
    assert (await sidecar.get("/health")).status == 200


async def test_who_does_not_read_has_a_time_too() -> None:
    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 400_000})

    listening = listen("127.0.0.1", 0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # and so have the connections
    server = make_server(much, seconds=0.5, drain_seconds=1)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    reader, writer = await asyncio.open_connection(*listening.getsockname(), limit=1000)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.sleep(1.5)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(400_000), 10)
    writer.transport.abort()
    server.should_exit = True
    await serving


@pytest.mark.parametrize("endless", ["X-A: 1\r\n" * 500, "X-A: " + "a" * 4000, "X-A: 1\r\nX-B: " + "b" * 4000])
async def test_headers_have_a_limit(sidecar: Sidecar, endless: str) -> None:
    connection = await connect(sidecar, b"POST /webhooks/jira HTTP/1.1\r\nHost: x\r\n")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while not connection.reader.at_eof() and sent < 4_000_000:
            await connection.send(endless.encode())
            sent += len(endless)
            await asyncio.sleep(0)
    assert sent < 4_000_000
    assert (await sidecar.get("/health")).status == 200
    assert (await sidecar.jira(payload(QUESTION))).status == 202


@pytest.mark.parametrize(("files", "most"), [(64, 21), (1024, 579), (8192, MAX_CONNECTIONS), (2**20, MAX_CONNECTIONS)])
def test_connections_stay_below_the_file_limit(files: int, most: int) -> None:
    assert most_connections(files) == most
    assert most * 5 // 4 < files
    assert files < 1024 or files - most * 5 // 4 >= FILES_KEPT


def test_the_file_limit_is_raised_as_far_as_it_may() -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (100, int(sys.argv[1])));"
        "from bot.http.connections import raise_file_limit as r;"
        "print(r(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for allowed in (100, 500, 100_000):
        if hard != resource.RLIM_INFINITY and allowed > hard:
            continue
        done = subprocess.run([sys.executable, "-c", code, str(allowed)], capture_output=True, text=True, check=True)
        got = min(allowed, 8192)
        assert done.stdout.split() == [str(got), str(got), str(allowed)]
