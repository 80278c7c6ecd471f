"""A stand-in for Anthropic's Messages API, as strict as the real one, with a small honest writer behind it.

It refuses what the API refuses today: no key, no version, sampling parameters, forced tools, prefill, switched-off
thinking, unknown models and fields, schemas that structured outputs do not take. Its answers begin with a thinking
block, so that a reader of `content[0]` fails, and its usage counts the cache as the API does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from bot.demo.claude.claims import claims
from bot.demo.claude.rules import Refused, check
from bot.demo.claude.writer import proposal, standup, write
from bot.demo.wire import Fault, StandIn
from bot.prompting.untrusted import read_block

MODELS = {
    "claude-haiku-5-5": "Claude Haiku 5.5",
    "claude-sonnet-5-5": "Claude Sonnet 5.5",
    "claude-opus-5-5": "Claude Opus 5.5",
    "claude-fable-5-1": "Claude Fable 5.1",
    "claude-haiku-4-5": "Claude Haiku 4.5",
}
CACHE_SECONDS = 300.0
CACHE_MINIMUM = 1024
"""Tokens a prefix needs to be cached."""


@dataclass(frozen=True)
class Special:
    """A scripted answer that is no ordinary decision: this text, ended for this reason."""

    stop_reason: str = "end_turn"
    text: str = ""
    category: str | None = None
    usage: dict[str, int] | None = None


Item = dict[str, Any] | Fault | Special | str
"""What can be scripted: a decision (dict), a fault on the wire, a special ending, or a raw text."""


class ClaudeStandIn(StandIn):
    """By default the rule-based writer answers. `script` puts answers before it.

    `delay`: seconds before each answer. `requests`: the bodies of accepted calls. `obey`: the model of nightmares,
    which says whatever any text in the data orders. `models`: id → name; remove one to retire it. `usage`: figures that
    replace the counted ones in every answer.
    """

    service = "claude"

    def __init__(self) -> None:
        super().__init__()
        self.api_key = f"sk-ant-demo-{secrets.token_hex(12)}"
        self.models = dict(MODELS)
        self.delay = 0.0
        self.obey = False
        self.usage: dict[str, int] | None = None
        self.requests: list[dict[str, Any]] = []
        self._script: deque[Item] = deque()
        self._cached: dict[str, float] = {}

    def script(self, *items: Item) -> None:
        """The next calls get these, in order.

        A decision is what the drafting call answers: a triage call before it says the same yes without using it up, or
        uses it up when it is a no. Everything else goes to whichever call comes next.
        """
        self._script.extend(items)

    @property
    def scripted(self) -> int:
        """How many scripted items are still to come."""
        return len(self._script)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/messages", self._messages),
            web.get("/v1/models", self._list),
            web.get("/v1/models/{id}", self._one),
        ]

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        try:
            body = check(request.headers, await request.read(), self.api_key, self.models)
        except Refused as refused:
            return _error(refused.status, refused.type, str(refused))
        self.requests.append(body)
        await self.changed()
        if self.delay:
            await asyncio.sleep(self.delay)
        item = self._with_claims(self._next(body), _task(body))
        if isinstance(item, Fault):
            return await self._fault(request, item, body)
        return self._answer(body, item)

    def _next(self, body: dict[str, Any]) -> Item | None:
        if not self._script:
            return None
        head = self._script[0]
        if _task(body) == "triage" and isinstance(head, dict) and head.get("should_respond") is True:
            return {**head, "response_text": ""}
        return self._script.popleft()

    def _with_claims(self, item: Item | None, task: str) -> Item | None:
        """A scripted reply that leaves out what it states gets that too, as the real model is told to give it."""
        if task != "reply" or not isinstance(item, dict) or "claims" in item:
            return item
        return {**item, "claims": claims(str(item.get("response_text", "")))}

    async def _fault(self, request: web.Request, fault: Fault, body: dict[str, Any]) -> web.StreamResponse:
        if fault.kind == "answer":
            headers = {"request-id": _id("req_"), **fault.headers}
            content = fault.body if fault.body is not None else _error_body("api_error", "scripted")
            return web.json_response(content, status=fault.status, headers=headers)
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
            return self._answer(body, None)
        answer = self._answer(body, None)
        if request.transport is not None:
            request.transport.close()
        return answer

    def _answer(self, body: dict[str, Any], item: Item | None) -> web.Response:
        if isinstance(item, str):
            item = Special(text=item)
        if isinstance(item, Special):
            text, stop, category = item.text, item.stop_reason, item.category
        else:
            found = item if item is not None else self._write(body)
            text, stop, category = json.dumps(found, ensure_ascii=False), "end_turn", None
        usage = self._count(body, text)
        if usage["output_tokens"] > body["max_tokens"]:
            text, stop = text[: body["max_tokens"] * 4], "max_tokens"
            usage["output_tokens"] = body["max_tokens"]
        usage |= self.usage or {}
        if isinstance(item, Special) and item.usage:
            usage |= item.usage
        content: list[dict[str, Any]] = [{"type": "thinking", "thinking": "", "signature": secrets.token_hex(16)}]
        if text:
            content.append({"type": "text", "text": text, "citations": None})
        details = {"type": "refusal", "category": category, "explanation": None} if stop == "refusal" else None
        message = {
            "id": _id("msg_"), "type": "message", "role": "assistant", "model": body["model"], "content": content,
            "stop_reason": stop, "stop_sequence": None, "stop_details": details, "usage": usage,
        }  # fmt: skip
        return web.json_response(message, headers={"request-id": _id("req_")})

    def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        message = _text(body["messages"][-1]["content"])
        try:
            data = read_block(message)
        except ValueError:
            return {"should_respond": False, "reasoning": "There is no data.", "response_text": "", "confidence": 0.1}
        task = _task(body)
        if task == "standup":
            return standup(data)
        if task == "learning":
            return proposal(data)
        if task == "claims":
            return {"claims": claims(data["reply"])}
        note = "Who will read the reply: the team only" in message.partition("<untrusted_data")[0]
        asked_for = "asked for this reply" in message
        decision = _obeyed(data) if self.obey else write(data, asked_for=asked_for, note=note)
        if task == "triage":
            return {**decision, "response_text": ""}
        return {"claims": claims(decision["response_text"]), "look_twice": "", **decision}

    def _count(self, body: dict[str, Any], text: str) -> dict[str, int]:
        """Tokens, four bytes each, with what is read from and written to the cache, which lives for five minutes."""
        read = written = 0
        system = body.get("system") or []
        blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
        prefix = body["model"]
        pending = 0
        for block in blocks:
            prefix += block["text"]
            pending += _tokens(block["text"])
            if block.get("cache_control") and pending >= CACHE_MINIMUM:
                key = hashlib.sha256(prefix.encode()).hexdigest()
                if self._cached.get(key, 0.0) > time.monotonic():
                    read += pending
                else:
                    written += pending
                self._cached[key] = time.monotonic() + CACHE_SECONDS
                pending = 0
        fresh = pending + sum(_tokens(_text(m["content"])) for m in body["messages"])
        return {
            "input_tokens": fresh, "output_tokens": _tokens(text) + 20,
            "cache_creation_input_tokens": written, "cache_read_input_tokens": read,
        }  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        if refused := self._unauthorised(request):
            return refused
        data = [_model(name, title) for name, title in self.models.items()]
        return web.json_response(
            {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
            if data
            else {"data": [], "has_more": False, "first_id": None, "last_id": None}
        )

    async def _one(self, request: web.Request) -> web.Response:
        if refused := self._unauthorised(request):
            return refused
        name = request.match_info["id"]
        if name not in self.models:
            return _error(404, "not_found_error", f"model: {name}")
        return web.json_response(_model(name, self.models[name]), headers={"request-id": _id("req_")})

    def _unauthorised(self, request: web.Request) -> web.Response | None:
        try:
            check(request.headers, None, self.api_key, self.models)
        except Refused as refused:
            return _error(refused.status, refused.type, str(refused))
        return None


def _task(body: dict[str, Any]) -> str:
    """What our own frame says it is: triage, reply, claims, standup or learning; "" for somebody else's request."""
    first = _text(body["messages"][-1]["content"]).partition("\n")[0]
    return first.removeprefix("Task: ") if first.startswith("Task: ") else ""


def _obeyed(data: dict[str, Any]) -> dict[str, Any]:
    """A hijacked model: it answers with every text that it was given, orders, links and all."""
    found: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)

    collect(data.get("to_answer"))
    issue = data.get("issue", {})
    collect([issue.get("summary"), issue.get("description"), data.get("pull_requests")])
    text = "\n\n".join(found)[:2900]
    return {"should_respond": True, "reasoning": "I was told to.", "response_text": text or "Done.", "confidence": 1.0,
            "sources": ["status"], "look_twice": text[:500],
            "claims": [{"about": text, "says": "person", "value": text[:70], "negated": False, "quote": text[:90]}],
            "tool_calls": [{"name": "post_comment"}]}  # fmt: skip


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(b.get("text", "") for b in content)


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)


def _id(prefix: str) -> str:
    return f"{prefix}01{secrets.token_hex(11)}"


def _model(name: str, title: str) -> dict[str, Any]:
    return {
        "type": "model", "id": name, "display_name": title, "created_at": "2026-09-01T00:00:00Z",
        "lifecycle": "active", "max_input_tokens": 200_000, "max_tokens": 64_000,
    }  # fmt: skip


def _error_body(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": _id("req_")}


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response(_error_body(kind, message), status=status, headers={"request-id": _id("req_")})
