"""The webhook endpoints of Jira and Bitbucket: verify, parse, store, and only then answer.

::

    rate, size            bot.http.limits            429, 413
    signature             verify                401   nothing was parsed, nothing is stored
    content type          _check_type           415
    JSON                  decoding.read_object  400
    fields                jira, bitbucket       422   recorded with the field's name
    seen, age, project    bot.intake.accept, here      200   duplicate, or ignored with a reason
    new                   bot.intake.accept            202   on stable storage; 503 where that failed
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from bot.domain.events import Event, Ignored, Malformed
from bot.domain.issue_keys import find_keys
from bot.http.limits import Limits, RequestRefused
from bot.intake.accept import Delivery, Receipt, Source, accept
from bot.log import get_logger
from bot.offload import Offload, in_place, offload
from bot.store import DELIVERY_KEYS_KEPT, StoreUnavailable
from handlers import bitbucket, jira, jira_automation
from handlers import openapi_document as document
from handlers.decoding import NotJson, kind_of, read_object, text_at

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)

_SIGNED = len("sha256=") + 64
_JSON = re.compile(r"""application/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?;?""", re.IGNORECASE)
_COMPLAIN_EVERY = 60.0  # seconds between two lines in the log about refused signatures: anybody can cause them
_STATUS = {"accepted": 202, "duplicate": 200, "ignored": 200, "invalid": 422}
RETRY = 15
"""Seconds of `Retry-After`; Jira waits for minutes of its own."""
LARGE = 8192
"""Bytes of a body from which on what is in it is converted beside the event loop: up to there it takes milliseconds."""
INTRODUCTION = 8.0
"""Seconds for which the first deliveries wait until our own account is known. Jira gives up on an answer after 20."""


def verify(secrets: Sequence[str], body: bytes, header: str | None) -> bool:
    """Whether `header` is `sha256=` and the hex HMAC (either case) of the raw `body` under one of `secrets`.

    Blank secrets never count. Every secret is tried, each compared in constant time. Never raises.
    """
    if header is None or len(header) != _SIGNED or not header.startswith("sha256=") or not header.isascii():
        return False
    given, found = header[7:].lower(), False
    for secret in secrets:
        if key := _key(secret):
            found |= hmac.compare_digest(given, hmac.digest(key, body, "sha256").hex())
    return found


@lru_cache(maxsize=16)
def _key(secret: str) -> bytes:
    """A secret's bytes as the environment had them; empty for one that is blank or cannot be checked."""
    try:
        return secret.encode("utf-8", "surrogateescape") if secret.strip() else b""
    except UnicodeEncodeError:
        return b""


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
        if not verify(self.secrets, body, _one(headers, "x-hub-signature")):
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


class JiraEndpoint(Endpoint):
    """Jira's webhooks, signed, and Jira Automation's requests, which cannot sign and show a token."""

    source = "jira"
    setting = "JIRA_WEBHOOK_SECRET"
    has_age = True
    _introduced_by: float | None = None
    """When the wait for our own account ends, on the loop's clock; None: nothing has had to wait."""

    def authenticate(self, headers: Headers, body: bytes) -> Source:
        # A signature that is there is what counts: a wrong one is never rescued by a token.
        if "x-pmagent-token" not in headers or "x-hub-signature" in headers:
            return super().authenticate(headers, body)
        expected = self.ctx.settings.jira_automation_token
        given = _one(headers, "x-pmagent-token") or ""
        secret = _key(expected.get_secret_value()) if expected else b""
        if not secret or not hmac.compare_digest(given.encode("latin-1"), secret):
            self.complain("X-PMAgent-Token is not JIRA_AUTOMATION_TOKEN")
            raise RequestRefused(401, "the token is wrong")
        return "automation"

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        return (
            _one(headers, "x-atlassian-webhook-identifier") if source == "jira" else jira_automation.request_id(payload)
        )

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        return kind_of(payload.get("webhookEvent")) if source == "jira" else "draft_requested"

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        return jira.named_issues(payload)

    async def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime, run: Offload
    ) -> Event | Ignored:
        watches = self.ctx.settings.watches
        if source == "automation":
            return jira_automation.parse(payload, watches=watches, at=now)
        event = await run(lambda: jira.parse(payload, watches=watches, own_account=self.ctx.jira.account_id))
        if isinstance(event, Ignored) or self.ctx.jira.account_id is not None:
            return event
        # The very first start: only Jira can say which account is our own. While its answer is on the way, nothing that
        # may be our own doing is taken in as somebody's; Jira delivers it again. When Jira is away, everything is taken
        # in and waits: whose comment it is, is asked again before anything is drafted.
        loop = asyncio.get_running_loop()
        self._introduced_by = self._introduced_by or loop.time() + INTRODUCTION
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ctx.introduced.wait(), max(self._introduced_by - loop.time(), 0.0))
        if self.ctx.jira.account_id is None and self.ctx.outages.jira.said() is None:
            raise RequestRefused(503, "Jira has not said yet which account is this program's own", RETRY)
        return await run(lambda: jira.parse(payload, watches=watches, own_account=self.ctx.jira.account_id))


class BitbucketEndpoint(Endpoint):
    """Bitbucket Cloud's webhooks. They carry no time of their own."""

    source = "bitbucket"
    setting = "BITBUCKET_WEBHOOK_SECRET"

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        return _one(headers, "x-request-uuid")

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        return kind_of(_one(headers, "x-event-key"))

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        pull = payload.get("pullrequest")
        branch = text_at(pull, "source", "branch", "name") or text_at(payload, "commit_status", "refname")
        settings = self.ctx.settings
        return find_keys(branch, text_at(pull, "title"), watches=settings.watches, projects=settings.jira_projects)

    async def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime, run: Offload
    ) -> Event | Ignored:
        event_key = _one(headers, "x-event-key")
        if not event_key:
            raise Malformed("the header X-Event-Key is missing, or is there twice")
        settings = self.ctx.settings
        watches, projects = settings.watches, settings.jira_projects
        return await run(lambda: bitbucket.parse(event_key, payload, watches=watches, projects=projects, received=now))


class RawRoute(APIRoute):
    """A route whose endpoint is given the request and returns the response, with nothing of FastAPI's between them.

    The endpoints verify raw bytes before anything is parsed, so FastAPI has no parameters to resolve and no result to
    serialize for them: looking for both took as long as all the rest that it does for a request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)


def add_routes(app: FastAPI, ctx: Context | None) -> None:
    """Add the endpoints of this configuration. Without BITBUCKET_WEBHOOK_SECRET Bitbucket has none (404).

    `ctx` None: they can be described (OpenAPI) and not called. They are the application's own routes and no included
    router's, in which FastAPI would look for each request's route a second time.
    """

    def add(name: str, receive: Callable[[Request], Awaitable[Response]], summary: str, extra: dict[str, Any]) -> None:
        app.router.add_api_route(
            f"/webhooks/{name}", receive, methods=["POST"], status_code=202, response_model=None, summary=summary,
            operation_id=f"receive_{name}", openapi_extra=extra, tags=["webhooks"], responses=document.ANSWERS,
            description=document.ORDER, route_class_override=RawRoute,
        )  # fmt: skip

    async def described(request: Request) -> Response:
        raise RuntimeError("this sidecar was made for its description only")

    into_jira = into_bitbucket = described
    if ctx is not None:
        settings = ctx.settings
        limits = Limits(settings.pmagent_rate_limit, settings.pmagent_trusted_proxies)
        into_jira = JiraEndpoint(ctx, settings.jira_webhook_secret, limits).receive
        into_bitbucket = BitbucketEndpoint(ctx, settings.bitbucket_webhook_secret, limits).receive
    add("jira", into_jira, "A Jira webhook, or a request of a Jira Automation rule", document.JIRA)
    if ctx is None or ctx.settings.bitbucket_webhook_secret:
        summary = "A Bitbucket Cloud webhook (404 without BITBUCKET_WEBHOOK_SECRET)"
        add("bitbucket", into_bitbucket, summary, document.BITBUCKET)


def _one(headers: Headers, name: str) -> str | None:
    """A header's value. One that is sent twice has none: it could mean two things."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else None


def _check_type(headers: Headers) -> None:
    """Exactly JSON, in UTF-8, not packed. Raises `RequestRefused` (415)."""
    if any(encoding.strip().lower() not in ("", "identity") for encoding in headers.getlist("content-encoding")):
        raise RequestRefused(415, "a content encoding is not accepted")
    if not _JSON.fullmatch(_one(headers, "content-type") or ""):
        raise RequestRefused(415, "the content type must be application/json")
