"""Many who send slowly, or never read: honest deliveries get through, and the log stays small."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path

import aiohttp

from bot.demo.hooks import signature
from bot.demo.process import Running
from bot.demo.stage import Stage
from bot.demo.wire import PATIENCE
from tests.acceptance.test_main_path import YES
from tests.caddy import caddy_before, need
from tests.hostile.support import question, raw, request, until

FILES = 256
"""Files that the program may have open: few, so that few connections are many."""
SLOW = 400


async def with_few_files(*arguments: str, folder: Path, environment: dict[str, str], apart: bool = False) -> Running:
    """Start the program under a limit that it cannot raise."""
    return await asyncio.create_subprocess_exec(
        "sh", "-c", f'ulimit -n {FILES} && exec "$0" "$@"', sys.executable, "-m", *arguments,
        cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if apart else asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


async def slowly(port: int, begun: bytes, opened: set[int], number: int) -> None:
    """Send the beginning of a request and then nothing; once hung up on, begin anew."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(begun)
                opened.add(number)
                await reader.read()
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.5)


async def test_more_slow_senders_than_files(stage: Stage, tmp_path: Path) -> None:
    """1,300 of them under the usual 1,024 files kept a delivery waiting for 12.6 s and wrote 89,938 tracebacks."""
    need("caddy")
    stage.starter = with_few_files
    await stage.start_bot(PMAGENT_RATE_LIMIT="")
    folder = tmp_path / "caddy"
    folder.mkdir()
    async with caddy_before(f"127.0.0.1:{stage.bot_port}", folder) as door:
        before = len(stage.output)
        port, there = int(door.rpartition(":")[2]), set[int]()
        begun = request(stage, question(stage, "ECD-1"), 0.9).replace(b"Host: x", f"Host: 127.0.0.1:{port}".encode())
        slow = [asyncio.create_task(slowly(port, begun, there, number)) for number in range(SLOW)]
        try:
            await until(lambda: len(there) == SLOW, 30)
            await asyncio.sleep(1.5)
            took = [await honest(stage, door, f"ECD-{number}") for number in range(2, 7)]
            stage.claude.script(*[YES] * 5)
            await stage.slack.card("ECD-2", button="Approve")
        finally:
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
    assert max(took) < 2.0 * PATIENCE, took
    said = stage.output[before:].decode()
    assert said.count("Traceback") <= 3
    assert len(said) < 50_000


async def honest(stage: Stage, door: str, key: str) -> float:
    """A delivery by a connection of its own; the seconds until its 202."""
    body = raw(question(stage, key))
    headers = {"Content-Type": "application/json", "X-Hub-Signature": signature(stage.jira.secret, body)}
    started = time.monotonic()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{door}/webhooks/jira", data=body, headers=headers) as answer,
    ):
        assert answer.status == 202, await answer.text()
    return time.monotonic() - started
