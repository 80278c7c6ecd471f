"""A recorder between the program and the model: it passes each call on, and keeps what was asked and answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from bot.demo.wire import Exchange, StandIn
from bot.prompting.untrusted import read_block

TIMEOUT = aiohttp.ClientTimeout(total=120.0)
"""Seconds that a call may take. The program itself gives up after 60."""
_ASKED = ("authorization", "x-api-key", "anthropic-version", "anthropic-beta", "content-type")
_ANSWERED = ("content-type", "retry-after", "request-id")


@dataclass(frozen=True)
class RecordedCall:
    """A question to the model about one issue. `purpose`: `triage`, `reply`, …; `answer`: its text, "" without one.

    `message`: the user part of the request, our own frame around the block of data. `system`: the prompts.
    """

    key: str
    purpose: str
    system: str
    message: str
    answer: str
    seconds: float


class Recorder(StandIn):
    """Stands under the address at which the program finds Claude. `upstream`: the model's own address."""

    service = "model"

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = upstream.rstrip("/")
        self.asked: list[RecordedCall] = []
        self.listeners.append(self._keep)

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{path:.*}", self._pass_on)]

    async def _pass_on(self, request: web.Request) -> web.Response:
        sent = {name: request.headers[name] for name in _ASKED if name in request.headers}
        url = f"{self._upstream}/{request.match_info['path']}"
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as session,
                session.request(request.method, url, data=await request.read() or None, headers=sent) as answer,
            ):
                headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
                return web.Response(body=await answer.read(), status=answer.status, headers=headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            message = f"the model could not be reached: {error or type(error).__name__}"
            return web.json_response({"type": "error", "error": {"type": "api_error", "message": message}}, status=502)

    def _keep(self, exchange: Exchange) -> None:
        try:
            message = _text(exchange.request["messages"][-1]["content"])
            key = read_block(message)["issue"]["key"]
        except (ValueError, KeyError, TypeError):
            return  # not about an issue
        parts = exchange.response.get("content", ()) if isinstance(exchange.response, dict) else ()
        answer = next((part["text"] for part in parts if part.get("type") == "text"), "")
        purpose = message.partition("\n")[0].removeprefix("Task: ")
        system = _text(exchange.request.get("system", ""))
        self.asked.append(RecordedCall(key, purpose, system, message, answer, exchange.ms / 1000))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
