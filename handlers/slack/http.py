"""HTTP mode: `POST /webhooks/slack`, the check that it is Slack who is knocking, and what its bodies hold."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.log import get_logger
from handlers.slack.connection import Admit
from handlers.slack.decoding import MalformedInteraction, read_json

log = get_logger(__name__)

MAX_BODY = 2**20
MAX_AGE = 300
"""Seconds: older signatures are refused, as Slack's guide asks."""


def verify(secret: str, timestamps: Sequence[str], signatures: Sequence[str], body: bytes, now: float) -> bool:
    """Whether Slack signed this body within the last five minutes. Never raises.

    Bolt's own verifier raises on a timestamp that is no number, a signature that is not ASCII and a body that is not
    UTF-8, which would be a 500; so this takes its place.
    """
    if not secret or len(timestamps) != 1 or len(signatures) != 1:
        return False
    timestamp, signature = timestamps[0], signatures[0]
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not re.fullmatch(r"v0=[0-9a-f]{64}", signature):
        return False
    if abs(now - int(timestamp)) > MAX_AGE:
        return False
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    wanted = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest("v0=" + wanted, signature)


def decode(content_type: str, body: bytes) -> object:
    """The payload in a body: JSON, a form whose field `payload` is JSON, or a form. Raises `MalformedInteraction`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        return read_json(body)
    if kind != "application/x-www-form-urlencoded":
        raise MalformedInteraction("the content type is neither application/json nor application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise MalformedInteraction("the body is not a form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise MalformedInteraction("a field stands in the form twice")
    return read_json(form["payload"]) if "payload" in form else form


def route(admit: Admit, secret: str) -> Route:
    """`POST /webhooks/slack`: events, buttons, modals and commands over HTTP, once they are known to be Slack's."""

    async def receive(request: Request) -> Response:
        from slack_bolt.adapter.starlette.async_handler import to_starlette_response

        body = await _bounded(request)
        if body is None:
            return JSONResponse({"error": "the body is too large"}, status_code=413)
        timestamps = request.headers.getlist("x-slack-request-timestamp")
        signatures = request.headers.getlist("x-slack-signature")
        # The wall clock: the timestamp is Slack's wall clock too.
        if not verify(secret, timestamps, signatures, body, time.time()):
            return JSONResponse({"error": "the signature is absent, wrong or too old"}, status_code=401)
        try:
            answer = await admit(decode(request.headers.get("content-type", ""), body))
        except MalformedInteraction as error:
            log.warning("slack.malformed", reason=str(error), user=error.user)
            return JSONResponse({"error": f"not a payload of Slack's: {error}"}, status_code=400)
        return to_starlette_response(answer)

    return Route("/webhooks/slack", receive, methods=["POST"], name="slack")


async def _bounded(request: Request) -> bytes | None:
    """The raw body, or None when it is over `MAX_BODY`, declared or not."""
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY:
        return None
    body = bytearray()
    with suppress(ClientDisconnect):
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return None
    return bytes(body)
