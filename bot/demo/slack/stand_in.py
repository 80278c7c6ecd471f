"""The Slack stand-in: a workspace with people in it, the Web API, Socket Mode, and verbs to play its users.

::

    ack = await slack.click(DANA, await slack.card("ECD-142"), "Approve")
    assert ack.acked and ack.ms < 3000
    await slack.whispered(PRIYA, "may not decide")

It is as strict as Slack: see `limits` (Block Kit), `api` (methods) and `socket_mode` (acknowledgements).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from bot.demo.slack.api import answer
from bot.demo.slack.limits import check_message, check_view
from bot.demo.slack.methods import open_view, with_ids
from bot.demo.slack.payloads import Payloads
from bot.demo.slack.people import BOT_USER, Message, Modal, Whisper
from bot.demo.slack.rules import Json
from bot.demo.slack.socket_mode import Ack, Kind, http_body, post_signed
from bot.demo.slack.state import ResponseUrl
from bot.demo.wire import Exchange

RESPONSE_URL_USES = 5
RESPONSE_URL_SECONDS = 30 * 60


class ClientRefusedError(ValueError):
    """Slack's own client would not let the person do this (submit an empty required field, say)."""


class SlackStandIn(Payloads):
    """The workspace with its doors open, and its people's hands."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route("*", "/api/{method}", self._api),
            web.get("/socket", self.connections.serve),
            web.post("/response/{token}", self._respond),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.connections.close()

    # What a person does.

    async def click(self, user: str, message: Message | Whisper, button: str, *, over_http: str | None = None) -> Ack:
        """Press a button, by its text or action id. A `snapshot()` is clicked as it was when it was taken."""
        return await self.send("interactive", self.pressed(user, message, button), over_http)

    async def submit(
        self,
        user: str,
        text: str | None = None,
        *,
        modal: Modal | None = None,
        force: bool = False,
        over_http: str | None = None,
    ) -> Ack:
        """Submit the modal that is open for this person, with `text` in its first input (None: as it stands).

        Afterwards the modal is gone, replaced, or still there with `errors`, as the program answered. Raises
        ClientRefusedError where Slack's client would not send it, unless `force`. `modal`: the one that is meant; if
        another has taken its place, this one cannot be sent any more.
        """
        shown_now = await self.opened(user)
        if modal is not None and modal is not shown_now:
            raise ClientRefusedError("another modal is open by now")
        modal = shown_now
        values: dict[str, Any] = {}
        for i, block in enumerate(modal.inputs):
            element = block["element"]
            value = text if i == 0 and text is not None else element.get("initial_value")
            if not force:
                _client_checks(block, value)
            element["initial_value"] = value or ""
            shown = {"type": element["type"], "value": value or None}
            values[block["block_id"]] = {element.setdefault("action_id", secrets.token_urlsafe(4)): shown}
        modal.view["state"] = {"values": values}
        ack = await self.send("interactive", self.submitted(user, modal), over_http)
        if ack.acked:
            self._after_submit(modal, ack)
        await self.changed()
        return ack

    async def dismiss(self, user: str, over_http: str | None = None) -> Ack | None:
        """Close the modal without submitting; the program hears of it if the view asked for that."""
        modal = self.modals.pop(user, None)
        await self.changed()
        if modal is None or not modal.view.get("notify_on_close"):
            return None
        return await self.send("interactive", self.closed(user, modal), over_http)

    async def command(
        self, user: str, command: str = "/pmagent", text: str = "", *, channel: str | None = None,
        over_http: str | None = None,
    ) -> Ack:  # fmt: skip
        """Type a slash command. An immediate answer in the acknowledgement becomes a whisper."""
        payload = self.commanded(user, command, text, channel)
        ack = await self.send("slash_commands", payload, over_http)
        if ack.acked and ack.payload:
            said = ack.payload if isinstance(ack.payload, dict) else {"text": str(ack.payload)}
            self._say(ResponseUrl(user, payload["channel_id"], None, 0.0), said)
        await self.changed()
        return ack

    async def home(self, user: str) -> None:
        """Open the app's home tab."""
        await self.event({"type": "app_home_opened", "user": user, "channel": "D0HOME0001", "tab": "home",
                          "event_ts": f"{time.time():.6f}"})  # fmt: skip

    async def event(self, event: Json, *, again: bool = True) -> Ack:
        """Deliver an event; while unacknowledged (and `again`) it comes again after `redelivery` seconds, thrice."""
        payload = self.happened(event)
        ack = await self.send("events_api", payload)
        if not ack.acked and again:
            self._spawn(self._event_again(payload, ack.error))
        return ack

    async def _event_again(self, payload: Json, reason: str) -> None:
        for attempt, pause in enumerate(self.redelivery, 1):
            await asyncio.sleep(pause)
            ack = await self.send("events_api", payload, attempt=attempt, reason=reason or "timeout")
            if ack.acked:
                return

    async def again(self, ack: Ack, over_http: str | None = None) -> Ack:
        """Deliver the very same payload once more, in a new envelope."""
        return await self.send(ack.kind, ack.sent, over_http, attempt=1, reason="timeout")

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Slack asks the program to reconnect: warning, refresh_requested, link_disabled, too_many_websockets."""
        await self.connections.disconnect(reason)

    # Delivery.

    async def send(
        self, kind: Kind, payload: Json, over_http: str | None = None, *, attempt: int = 0, reason: str = ""
    ) -> Ack:
        """Deliver a payload over the socket, or signed to `over_http` (default `http_target`)."""
        target = over_http or self.http_target
        name = payload.get("type") if kind == "interactive" else payload.get("command") or payload["event"]["type"]
        exchange = Exchange("slack", "POST" if target else "SOCKET", f"/{kind}/{str(name).lstrip('/')}", payload, {})
        self.exchanges.append(exchange)
        if target:
            ack = await self._over_http(target, kind, payload, attempt)
        else:
            ack = await self.connections.send(kind, payload, attempt=attempt, reason=reason)
        exchange.status, exchange.response, exchange.ms = ack.status or 504, ack.payload, ack.ms
        for listener in self.listeners:
            listener(exchange)
        await self.changed()
        return ack

    async def _over_http(self, url: str, kind: Kind, payload: Json, attempt: int) -> Ack:
        body, content_type = http_body(kind, payload)
        extra = {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": "http_timeout"} if attempt else {}
        try:
            status, parsed, took = await post_signed(url, self.signing_secret, body, content_type, extra)
        except (TimeoutError, aiohttp.ClientError) as error:
            return Ack(False, 3000.0, error=type(error).__name__, kind=kind, sent=payload)
        return Ack(status == 200, took * 1000, parsed, "" if status == 200 else str(status), kind, payload, "", status)

    def _after_submit(self, modal: Modal, ack: Ack) -> None:
        answered = ack.payload if isinstance(ack.payload, dict) else {}
        action = answered.get("response_action")
        if action == "errors":
            modal.errors = dict(answered.get("errors") or {})
            unknown = modal.errors.keys() - {b["block_id"] for b in modal.inputs}
            if unknown or not modal.errors:
                ack.error = f"no input block {sorted(unknown)}"
        elif action in ("update", "push"):
            problems = check_view(answered.get("view"))
            if problems:
                ack.error = "; ".join(problems)
                return
            modal.view, modal.errors = open_view(answered["view"], view_id=modal.id), {}
        elif self.modals.get(modal.user) is modal:
            del self.modals[modal.user]

    async def _api(self, request: web.Request) -> web.Response:
        return await answer(self, request)

    async def _respond(self, request: web.Request) -> web.Response:
        """A response_url: five uses in thirty minutes, JSON only."""
        url = self._urls.get(request.match_info["token"])
        if url is None or time.monotonic() - url.made > RESPONSE_URL_SECONDS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if url.used >= RESPONSE_URL_USES:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        url.used += 1
        try:
            said = await request.json()
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        problems = (
            check_message(said.get("blocks") or [], self.contained) if isinstance(said, dict) else ["not an object"]
        )
        if problems:
            return web.json_response(
                {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": problems}}, status=400
            )
        self._say(url, said)
        return web.Response(text="ok")

    def _say(self, url: ResponseUrl, said: Json) -> None:
        text, blocks = str(said.get("text") or ""), with_ids(said.get("blocks") or [])
        original = url.message
        if original is not None and (said.get("replace_original") or said.get("delete_original")):
            self._change_original(original, text, blocks, gone=bool(said.get("delete_original")))
        elif said.get("response_type") == "in_channel":
            payload: Json = {"type": "message", "user": BOT_USER, "ts": self.next_ts(), "text": text, "blocks": blocks}
            self.log.append(Message(url.channel, payload))
        else:
            self.private.append(Whisper(url.user, url.channel, self.next_ts(), text, blocks))

    def _change_original(self, original: Message, text: str, blocks: list[Json], *, gone: bool) -> None:
        whisper = next((w for w in self.private if w.ts == original.ts), None)
        message = self.message(original.channel, original.ts)
        if whisper is not None:
            whisper.text, whisper.blocks, whisper.deleted = text, blocks, gone
        elif message is not None:
            message.versions.append(dict(message.payload))
            message.payload = {**message.payload, "text": text, "blocks": blocks}
            message.deleted = gone

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _client_checks(block: Json, value: str | None) -> None:
    element = block["element"]
    if not value and not block.get("optional"):
        raise ClientRefusedError("Please complete this required field.")
    if value and len(value) > element.get("max_length", 3000):
        raise ClientRefusedError(f"Must be at most {element.get('max_length', 3000)} characters.")
    if value and len(value) < element.get("min_length", 0):
        raise ClientRefusedError(f"Must be at least {element['min_length']} characters.")
