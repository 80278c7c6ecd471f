"""The sidecar alone, for tests: a real store in a folder, a real server on a free port, and nothing behind the door.

What would do the work (the queue, Slack, Jira) is replaced by objects that hold what the doors ask of them.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from bot.context import Context
from bot.domain.leases import Leases
from bot.http.connections import MAX_CONNECTIONS
from bot.http.server import listen, make_server
from bot.settings import Settings, load
from bot.store.embedded.store import TinyStore
from handlers import create_sidecar

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
JIRA_SECRET = "It's a Secret to Everybody"
BITBUCKET_SECRET = "bitbucket-secret"
TOKEN = "automation-token"
PM_AGENT = "712020:f0f0f0f0-6666-4666-8666-ffffffffffff"
FIXTURES = Path(__file__).parent / "fixtures"


@dataclass
class HandClock:
    """A clock that a test sets."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return time.monotonic()

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


class Queue:
    """Carries out nothing."""

    def ready(self) -> str | None:
        return None


def make_settings(**changes: str) -> Settings:
    return load({
        "ANTHROPIC_API_KEY": "sk-ant-x", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "bot@example.com",
        "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "x", "JIRA_URL": "https://example.atlassian.net",
        "JIRA_WEBHOOK_SECRET": JIRA_SECRET.replace(",", ""), "JIRA_AUTOMATION_TOKEN": TOKEN,
        "BITBUCKET_WEBHOOK_SECRET": BITBUCKET_SECRET, "SLACK_BOT_TOKEN": "xoxb-x", "SLACK_APP_TOKEN": "xapp-x",
        "SLACK_CHANNEL_APPROVALS": "C001", "PMAGENT_APPROVERS": "U001", "JIRA_PROJECTS": "ECD,HELP", **changes,
    })  # fmt: skip


def make_context(store: TinyStore, settings: Settings, clock: HandClock) -> Context:
    ctx = Context(
        settings=settings,
        store=store,
        slack=cast(Any, SimpleNamespace(connection=SimpleNamespace(connected=True))),
        jira=cast(Any, SimpleNamespace(account_id=PM_AGENT)),
        bitbucket=cast(Any, None),
        claude=cast(Any, None),
        prompts=cast(Any, None),
        people=cast(Any, None),
        clock=clock,
        leases=Leases(clock, alone=True),
    )
    ctx.queue = cast(Any, Queue())
    ctx.outages = cast(Any, SimpleNamespace(away={}))
    return ctx


@dataclass
class Answer:
    """An answer of the sidecar."""

    status: int
    json: Any
    headers: dict[str, str]
    ms: float


@dataclass
class Sidecar:
    """A running sidecar and a client for it."""

    ctx: Context
    clock: HandClock
    port: int
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def send(self, path: str, body: Any, headers: dict[str, str] | list[tuple[str, str]] | None = None) -> Answer:
        started = time.monotonic()
        data = BytesIO(body) if isinstance(body, bytes) else body  # aiohttp warns about large bytes
        async with self.session.post(f"{self.url}{path}", data=data, headers=headers) as found:
            raw = await found.read()
            content = json.loads(raw) if raw and found.content_type == "application/json" else raw
            return Answer(found.status, content, dict(found.headers), (time.monotonic() - started) * 1000)

    async def jira(self, payload: Any, *, secret: str = JIRA_SECRET, **headers: str) -> Answer:
        """Deliver as Jira does: signed. `payload`: bytes, or something to be dumped; headers with `_` for `-`."""
        body = raw(payload)
        sent = {"Content-Type": "application/json", "X-Hub-Signature": sign(body, secret)}
        return await self.send("/webhooks/jira", body, sent | {k.replace("_", "-"): v for k, v in headers.items()})

    async def bitbucket(self, event_key: str, payload: Any, **headers: str) -> Answer:
        body = raw(payload)
        sent = {"Content-Type": "application/json", "X-Hub-Signature": sign(body, BITBUCKET_SECRET)}
        sent |= {"X-Event-Key": event_key} | {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.send("/webhooks/bitbucket", body, sent)

    async def automation(self, payload: Any, token: str = TOKEN, **headers: str) -> Answer:
        sent = {"Content-Type": "application/json", "X-PMAgent-Token": token}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        return await self.send("/webhooks/jira", raw(payload), sent)

    async def get(self, path: str, **headers: str) -> Answer:
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        async with self.session.get(f"{self.url}{path}", headers=sent) as found:
            body = await found.read()
            content = json.loads(body) if found.content_type == "application/json" else body.decode()
            return Answer(found.status, content, dict(found.headers), 0.0)

    async def records(self) -> list[dict[str, Any]]:
        return await self.ctx.store.find("webhook_events")

    async def jobs(self) -> list[str]:
        """The events that the doors have left work for, in order."""
        return [record["key"] for record in await self.ctx.store.find("jobs")]

    async def actions(self) -> list[str]:
        return [record["action"] for record in await self.ctx.store.find("audit")]


@asynccontextmanager
async def running(
    folder: Path, *, seconds: float = 12.0, most: int = MAX_CONNECTIONS, **changes: str
) -> AsyncIterator[Sidecar]:
    """A sidecar with its store in `folder`. `most`: connections; `changes`: settings by their upper-case names."""
    clock = HandClock()
    store = TinyStore.open(folder, clock=clock)
    ctx = make_context(store, make_settings(**changes), clock)
    socket = listen("127.0.0.1", 0)
    server = make_server(create_sidecar(ctx), seconds=seconds, drain_seconds=1, most=most)
    serving = asyncio.create_task(server.serve(sockets=[socket]))
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield Sidecar(ctx, clock, socket.getsockname()[1], session)
    finally:
        server.should_exit = True
        await serving
        await store.close()


def sign(body: bytes, secret: str = JIRA_SECRET) -> str:
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def raw(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


def payload(name: str, source: str = "jira") -> dict[str, Any]:
    """One of our own payloads, by its file's name."""
    found: dict[str, Any] = json.loads((FIXTURES / source / f"{name}.json").read_text())
    return found
