"""A webhook endpoint: verify, parse, store, and only then answer.

::

    rate, size            bot.http.limits       429, 413
    signature             signature.verify      401   nothing was parsed, nothing is stored
    content type          _check_type           415
    JSON                  decoding.read_object  400
    fields                the source's `parse`  422   recorded with the field's name
    seen, age, project    bot.intake.accept     200   duplicate, or ignored with a reason; the age is looked at here
    new                   bot.intake.accept     202   on stable storage; 503 where that failed
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bot.domain.events import Event, Ignored, Malformed
from bot.http.limits import Limits, RequestRefused
from bot.intake.accept import Delivery, Receipt, Source, accept
from bot.log import get_logger
from bot.offload import Offload, in_place, offload
from bot.store import DELIVERY_KEYS_KEPT, StoreUnavailable
from handlers.decoding import NotJson, read_object
from handlers.webhooks.signature import verify

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)

_JSON = re.compile(r"""application/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?;?""", re.IGNORECASE)
_COMPLAIN_EVERY = 60.0  # seconds between two lines in the log about refused signatures: anybody can cause them
_STATUS = {"accepted": 202, "duplicate": 200, "ignored": 200, "invalid": 422}
RETRY = 15
"""Seconds of `Retry-After`; Jira waits for minutes of its own."""
LARGE = 8192
"""Bytes of a body from which on what is in it is converted beside the event loop: up to there it takes milliseconds."""


class Endpoint:
    """One source's endpoint. Subclasses know the sender's headers and words."""

    source: Source
    setting: str
    has_age = False
    """Whether this source's events carry a time of their own for which they can be too old."""

    def __init__(self, ctx: Context, secrets: Sequence[SecretStr], limits: Limits) -> None:
        self.ctx = ctx
        self.limits = limits
        self.secrets = tuple(secret.get_secret_value() for secret in secrets)
        self._complained = float("-inf")

    async def receive(self, request: Request) -> Response:
        """From the request to the answer."""
        body = b""
        try:
            await self.limits.count(request)
            body = await self.limits.body(request)
            accepted = await self._take(request.headers, body)
        except RequestRefused as no:
            return no.answer()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except StoreUnavailable as error:
            log.error("webhook.not_stored", source=self.source, error=str(error))
            return RequestRefused(503, "the event cannot be stored at the moment", RETRY).answer()
        except Exception:
            log.exception("webhook.failed", source=self.source)
            return RequestRefused(500, "an error of the program, which its log describes").answer()
        finally:
            self.limits.done(body)
        told = {"status": accepted.status, "event_id": accepted.event_id, "reason": accepted.reason}
        return JSONResponse({name: text for name, text in told.items() if text}, _STATUS[accepted.status])

    async def _take(self, headers: Headers, body: bytes) -> Receipt:
        """Record what was delivered. Raises `RequestRefused`, `StoreUnavailable`."""
        source = self.authenticate(headers, body)
        _check_type(headers)
        now = self.ctx.clock.now()
        try:
            payload = read_object(body)
        except NotJson as error:
            raise RequestRefused(400, str(error)) from None
        delivery = Delivery(source, self.delivery_id(source, headers, payload), sha256(body).hexdigest(), now)
        try:
            event = await self.parse(source, headers, payload, now, offload if len(body) > LARGE else in_place)
        except Malformed as error:
            unread = Ignored(reason="", kind=self.kind(source, headers, payload), issues=self.issues(payload))
            return await accept(self.ctx, delivery, unread, str(error))
        if self.has_age and not isinstance(event, Ignored) and now - event.at > DELIVERY_KEYS_KEPT:
            event = Ignored(reason="older than 72 hours by its own timestamp", kind=event.kind, issues=event.issues)
        return await accept(self.ctx, delivery, event)

    def authenticate(self, headers: Headers, body: bytes) -> Source:
        """As whom this request counts. Raises `RequestRefused` (401)."""
        if not verify(self.secrets, body, one_header(headers, "x-hub-signature")):
            self.complain(f"X-Hub-Signature is absent, or made with another secret than {self.setting}")
            raise RequestRefused(401, "the signature is absent or wrong")
        return self.source

    def complain(self, what: str) -> None:
        """Say in the log that somebody was turned away, at most once a minute."""
        now = self.ctx.clock.monotonic()
        if now - self._complained > _COMPLAIN_EVERY:
            self._complained = now
            log.warning("webhook.refused", source=self.source, reason=what)

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        """The sender's own id for this delivery, the same when it is sent again."""
        raise NotImplementedError

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        """What a malformed delivery calls itself."""
        raise NotImplementedError

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        """The issues that a malformed delivery is about, as far as it names any: for `/pmagent why`."""
        raise NotImplementedError

    async def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime, run: Offload
    ) -> Event | Ignored:
        """The event. `run`: how what takes long is carried out. Raises `Malformed`, `RequestRefused`."""
        raise NotImplementedError


def one_header(headers: Headers, name: str) -> str | None:
    """A header's value. One that is sent twice has none: it could mean two things."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else None


def _check_type(headers: Headers) -> None:
    """Exactly JSON, in UTF-8, not packed. Raises `RequestRefused` (415)."""
    if any(encoding.strip().lower() not in ("", "identity") for encoding in headers.getlist("content-encoding")):
        raise RequestRefused(415, "a content encoding is not accepted")
    if not _JSON.fullmatch(one_header(headers, "content-type") or ""):
        raise RequestRefused(415, "the content type must be application/json")
