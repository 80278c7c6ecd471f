"""What the tests of this folder share."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from bot.demo.hooks import signature
from bot.demo.slack.people import Message
from bot.demo.stage import Stage
from bot.demo.wire import PATIENCE
from tests.acceptance.test_main_path import YES


def question(stage: Stage, key: str, text: str = "Is anybody looking at this?") -> dict[str, Any]:
    """A comment that is in Jira, and its webhook's payload, not delivered yet."""
    if key not in stage.jira.issues:
        stage.jira.issue(key, status="In Progress", assignee="ana", reporter="ben")
    written = stage.jira.write(key, "ben", text)
    found: dict[str, Any] = stage.jira.comment_payload("comment_created", stage.jira.issues[key], written)
    return found


def raw(payload: dict[str, Any]) -> bytes:
    """A payload as it is sent."""
    return json.dumps(payload).encode()


def request(stage: Stage, payload: dict[str, Any], part: float = 1.0) -> bytes:
    """A signed delivery as bytes; `part` of them."""
    body = raw(payload)
    head = (
        "POST /webhooks/jira HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-Hub-Signature: {signature(stage.jira.secret, body)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    whole = head.encode() + body
    return whole[: int(len(whole) * part)]


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of the next answer on this connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    await reader.readexactly(int(headers.get("content-length", "0")))
    return int(lines[0].split()[1]), headers


async def cards(stage: Stage, *keys: str) -> list[Message]:
    """A draft for each of these issues, waiting for a person."""
    found = []
    for key in keys:
        stage.claude.script(YES)
        assert (await stage.jira.deliver(question(stage, key))).status == 202
        found.append(await stage.slack.card(key, button="Approve"))
    return found


async def until(look: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until `look()` is truthy."""
    end = time.monotonic() + seconds * PATIENCE
    while not look():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)


async def until_so(look: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> None:
    """The same for a look that has to ask."""
    end = time.monotonic() + seconds * PATIENCE
    while not await look():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.1)


async def ready(stage: Stage) -> dict[str, str]:
    """The parts as `/ready` names them; empty: it is ready."""
    async with aiohttp.ClientSession() as session, session.get(f"{stage.bot_url}/ready") as answer:
        parts: dict[str, str] = (await answer.json())["parts"]
        assert answer.status == (200 if set(parts.values()) == {"ok"} else 503)
        return {name: said for name, said in parts.items() if said != "ok"}


def clean(log: str) -> None:
    """Nothing went wrong that somebody should look at."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [line for line in lines if line["level"] in ("error", "critical")] == []
    assert "Traceback" not in log
