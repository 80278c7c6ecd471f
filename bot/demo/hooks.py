"""How the Jira and Bitbucket stand-ins send webhooks: signed over the raw bytes, tried again as the real ones do."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.demo.wire import Exchange, StandIn


@dataclass
class Delivery:
    """One webhook delivery, all its attempts together. `status` 0: nobody answered. `answer`: the last one's JSON."""

    identifier: str
    payload: Any
    status: int = 0
    answer: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    attempts: int = 0

    @property
    def event_id(self) -> str | None:
        """The id that the receiver gave the event."""
        return self.answer.get("event_id") if isinstance(self.answer, dict) else None


def signature(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Sender:
    """Sends for one stand-in, and shows every attempt among the stand-in's exchanges (service "… webhook")."""

    def __init__(self, standin: StandIn) -> None:
        self._standin = standin
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def send(
        self,
        target: str,
        body: bytes,
        headers: Callable[[int], dict[str, str]],
        *,
        again_on: Callable[[int], bool],
        retries: int,
        wait: float,
        seconds: float,
        identifier: str,
    ) -> Delivery:
        """POST `body` until an answer that is not `again_on` (0: no answer), at most `retries` times again.

        `headers(attempt)`: the headers of attempt 0, 1, …. `wait`: seconds between attempts; `seconds`: for an answer.
        """
        delivery = Delivery(identifier, _parsed(body))
        if not target:
            return delivery
        if self._session is None:
            self._session = aiohttp.ClientSession()
        for attempt in range(retries + 1):
            if attempt:
                await asyncio.sleep(wait)
            delivery.attempts += 1
            await self._once(delivery, target, body, headers(attempt), seconds)
            if not again_on(delivery.status):
                break
        return delivery

    def later(self, deliveries: Iterable[Any]) -> None:
        """Send in the background, as the real services do: whoever caused the event does not wait for its webhook."""
        for work in deliveries:
            task = asyncio.ensure_future(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until everything that was to be sent in the background is sent."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(
        self, delivery: Delivery, target: str, body: bytes, headers: dict[str, str], seconds: float
    ) -> None:
        assert self._session is not None  # noqa: S101 - `send` made it
        exchange = Exchange(f"{self._standin.service} webhook", "POST", target, delivery.payload, dict(headers))
        self._standin.exchanges.append(exchange)
        started = time.monotonic()
        delivery.status, delivery.answer = 0, None
        try:
            limit = aiohttp.ClientTimeout(total=seconds)
            async with self._session.post(target, data=io.BytesIO(body), headers=headers, timeout=limit) as answer:
                delivery.headers = dict(answer.headers)
                delivery.answer = _parsed(await answer.read())
                delivery.status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            pass  # status 0 says it
        exchange.status, exchange.response = delivery.status, delivery.answer
        exchange.ms = (time.monotonic() - started) * 1000
        for listener in self._standin.listeners:
            listener(exchange)
        await self._standin.changed()


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")
