"""The doors of Jira and Bitbucket: who is it, what is it, have we seen it; and an answer, after it is stored.

::

    rate, size            bot.limits.Gate       429, 413
    signature             verify                401   nothing was parsed, nothing is stored
    content type          _check_type           415
    JSON                  handlers.body         400
    fields                jira, bitbucket       422   recorded with the field's name
    seen, age, project    bot.intake, here      200   duplicate, or ignored with a reason
    new                   bot.intake            202   on stable storage; 503 where that failed

The doors stand before FastAPI (`handlers.sidecar`) and in `handlers.document` for the document: this path carries the
load.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from bot.events import CommentArrived, Event, Ignored, Malformed
from bot.intake import Delivery, Noticed, Source, notice_soon
from bot.issue_keys import find_keys
from bot.limits import Gate, Headers, Proxies, Rates, Reply, Waiting
from bot.log import get_logger
from bot.store import REMEMBERED, StoreUnavailable
from handlers import bitbucket, jira, plain_comment
from handlers.body import NotJson, read_object
from handlers.fields import kind_of, text_at

if TYPE_CHECKING:
    from datetime import datetime

    from bot.context import Context

log = get_logger(__name__)


_SIGNED = len("sha256=") + 64
_JSON = re.compile(r"""application/json[ \t]*(?:;[ \t]*charset=(?:utf-?8|"utf-?8")[ \t]*)?;?""", re.IGNORECASE)
_USUAL = frozenset({"application/json", "application/json; charset=UTF-8", "application/json; charset=utf-8"})
_COMPLAIN_EVERY = 60.0  # seconds between two lines in the log about refused signatures: anybody can cause them
RETRY_STORE = "15"  # seconds; Jira waits for minutes of its own


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


class Refused(Exception):
    """Not stored. `status` and `reason` are the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Door:
    """One source's endpoint, behind a `Gate`. Subclasses know the sender's headers and words."""

    source: Source
    setting: str

    def __init__(self, ctx: Context, secrets: Sequence[SecretStr]) -> None:
        self.ctx = ctx
        self.secrets = tuple(secret.get_secret_value() for secret in secrets)
        self._complained = float("-inf")

    def __call__(self, headers: Headers, body: bytes, reply: Reply) -> None:
        try:
            coming = self._take(headers, body)
        except Refused as no:
            reply(no.status, {"status": "refused", "reason": no.reason})
            return
        pressure = self.ctx.pressure

        def then(found: Noticed | Exception) -> None:
            pressure.leave()
            self._tell(reply, found)

        pressure.enter()
        try:
            notice_soon(self.ctx, *coming, then=then)
        except Exception:
            pressure.leave()
            raise

    def _tell(self, reply: Reply, found: Noticed | Exception) -> None:
        if isinstance(found, StoreUnavailable):
            log.error("webhook.not_stored", source=self.source, error=str(found))
            content = {"status": "refused", "reason": "the event cannot be stored at the moment"}
            reply(503, content, {"Retry-After": RETRY_STORE})
        elif isinstance(found, Exception):
            log.error("webhook.failed", source=self.source, exc_info=found)
            reply(500, {"status": "refused", "reason": "an error of the program, which its log describes"})
        elif found.status == "accepted":
            reply(202, b'{"status": "accepted", "event_id": "%b"}' % found.event_id.encode())
        else:
            reply(422 if found.status == "invalid" else 200, answer(found))

    def _take(self, headers: Headers, body: bytes) -> tuple[Delivery, Event | CommentArrived | Ignored, str | None]:
        """The delivery, what is in it, and the field that was wrong. Raises `Refused`."""
        source = self.authenticate(headers, body)
        _check_type(headers)
        now, digest, malformed = self.ctx.clock.now(), sha256(body).hexdigest(), None
        event: Event | CommentArrived | Ignored | None = self.at_once(source, body)
        if event is not None:
            delivery = Delivery(source, self.delivery_id(source, headers, {}), digest, now)
        else:
            delivery, event, malformed = self._read(source, headers, body, digest, now)
        if self.has_age and not isinstance(event, Ignored) and now - event.at > REMEMBERED:
            event = Ignored(reason="older than 72 hours by its own timestamp", kind=event.kind, issues=event.issues)
        return delivery, event, malformed

    def _read(
        self, source: Source, headers: Headers, body: bytes, digest: str, now: datetime
    ) -> tuple[Delivery, Event | CommentArrived | Ignored, str | None]:
        """The long way through the payload. As `_take`."""
        try:
            payload = read_object(body)
        except NotJson as error:
            raise Refused(400, str(error)) from None
        delivery = Delivery(source, self.delivery_id(source, headers, payload), digest, now)
        try:
            return delivery, self.parse(source, headers, payload, now), None
        except Malformed as error:
            known = Ignored(reason="", kind=self.kind(source, headers, payload), issues=self.issues(payload))
            return delivery, known, str(error)

    def at_once(self, source: Source, body: bytes) -> CommentArrived | None:
        """What is in a body that can be read by a short way; None: take the long one. Never raises."""
        return None

    has_age = False
    """Whether this source's events carry a time of their own for which they can be too old."""

    def authenticate(self, headers: Headers, body: bytes) -> Source:
        """As whom this request counts. Raises `Refused` (401)."""
        if not verify(self.secrets, body, headers.one(b"x-hub-signature")):
            self.complain(f"X-Hub-Signature is absent, or made with another secret than {self.setting}")
            raise Refused(401, "the signature is absent or wrong")
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

    def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime
    ) -> Event | CommentArrived | Ignored:
        """The event. Raises `Malformed`."""
        raise NotImplementedError


class JiraDoor(Door):
    """Jira's webhooks, signed, and Jira Automation's requests, which cannot sign and show a token."""

    source = "jira"
    setting = "JIRA_WEBHOOK_SECRET"
    has_age = True

    def authenticate(self, headers: Headers, body: bytes) -> Source:
        # A signature that is there is what counts: a wrong one is never rescued by a token.
        if not headers.has(b"x-pmagent-token") or headers.has(b"x-hub-signature"):
            return super().authenticate(headers, body)
        expected = self.ctx.settings.jira_automation_token
        given = headers.one(b"x-pmagent-token") or ""
        secret = _key(expected.get_secret_value()) if expected else b""
        if not secret or not hmac.compare_digest(given.encode("latin-1"), secret):
            self.complain("X-PMAgent-Token is not JIRA_AUTOMATION_TOKEN")
            raise Refused(401, "the token is wrong")
        return "automation"

    def at_once(self, source: Source, body: bytes) -> CommentArrived | None:
        if source != "jira":
            return None
        return plain_comment.read(body, watches=self.ctx.settings.watches, own_account=self.ctx.jira.account_id)

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        if source == "jira":
            return headers.one(b"x-atlassian-webhook-identifier")
        try:
            return jira.automation_id(payload)
        except Malformed:
            return None  # parsing says so in a moment

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        return kind_of(payload.get("webhookEvent")) if source == "jira" else "draft_requested"

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        issue = payload.get("issue")
        return find_keys("", text_at({"key": issue} if isinstance(issue, str) else issue, "key"), watches=bool)[:1]

    def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime
    ) -> Event | CommentArrived | Ignored:
        watches = self.ctx.settings.watches
        if source == "automation":
            return jira.parse_automation(payload, watches=watches, at=now)
        return jira.arrival(payload, watches=watches, own_account=self.ctx.jira.account_id)


class BitbucketDoor(Door):
    """Bitbucket Cloud's webhooks. They carry no time of their own."""

    source = "bitbucket"
    setting = "BITBUCKET_WEBHOOK_SECRET"

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        return headers.one(b"x-request-uuid")

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        return kind_of(headers.one(b"x-event-key"))

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        pull = payload.get("pullrequest")
        branch = text_at(pull, "source", "branch", "name") or text_at(payload, "commit_status", "refname")
        settings = self.ctx.settings
        return find_keys(branch, text_at(pull, "title"), watches=settings.watches, projects=settings.jira_projects)

    def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime
    ) -> Event | CommentArrived | Ignored:
        event_key = headers.one(b"x-event-key")
        if not event_key:
            raise Malformed("the header X-Event-Key is missing, or is there twice")
        settings = self.ctx.settings
        return bitbucket.parse(
            event_key, payload, watches=settings.watches, projects=settings.jira_projects, received=now
        )


def answer(noticed: Noticed) -> dict[str, str]:
    """The body of a 2xx or 422."""
    found = {"status": noticed.status, "event_id": noticed.event_id, "reason": noticed.reason}
    return {name: text for name, text in found.items() if text}


def gates(ctx: Context) -> dict[str, Gate]:
    """The doors of this configuration by path. Without BITBUCKET_WEBHOOK_SECRET Bitbucket has none (404)."""
    settings = ctx.settings
    rates, proxies, waiting = Rates(settings.pmagent_rate_limit), Proxies(settings.pmagent_trusted_proxies), Waiting()
    doors: list[Door] = [JiraDoor(ctx, settings.jira_webhook_secret)]
    if settings.bitbucket_webhook_secret:
        doors.append(BitbucketDoor(ctx, settings.bitbucket_webhook_secret))
    return {f"/webhooks/{door.source}": Gate(door, rates=rates, proxies=proxies, waiting=waiting) for door in doors}


def _check_type(headers: Headers) -> None:
    """Exactly JSON, in UTF-8, not packed. Raises `Refused` (415)."""
    packed = headers.has(b"content-encoding") and headers.all(b"content-encoding")
    if packed and any(encoding.strip().lower() not in ("", "identity") for encoding in packed):
        raise Refused(415, "a content encoding is not accepted")
    given = headers.one(b"content-type") or ""
    if given not in _USUAL and not _JSON.fullmatch(given):
        raise Refused(415, "the content type must be application/json")
