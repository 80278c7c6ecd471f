"""Classifies answers over HTTP: an Atlassian service's status, or its silence, becomes one of `bot.errors`.

Reading and writing differ. A read that failed may simply be done again. A write whose answer was lost may have
happened: only where it is certain that it did not (no connection, 429, 503 with `Retry-After`) is it `RetryLater`.

A gateway, a proxy or a login page answers with any status at all. Only a refusal in the service's own shape says
something about what was asked for; any other is the service's being away (`Down`), and nothing is concluded from it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson

from bot.errors import Down, Gone, OutcomeUnknown, Permanent, PMAgentError, RetryLater
from bot.safety import tidy
from bot.safety.quoting import shortened

if TYPE_CHECKING:
    from requests import Response

MAX_RETRY_AFTER = 86_400.0
"""Seconds: a `Retry-After` beyond a day is taken for a mistake of the other side and cut to a day."""
LONGEST_REASON = 300
LONGEST_BODY = 100_000
"""Characters of an error's body in which an explanation is looked for."""


@dataclass(frozen=True)
class Service:
    """An Atlassian service. `own`: whether an error's body (an object) is of its own shape. `settings`: the names of
    those that its address is made of."""

    name: str
    own: Callable[[dict[str, Any]], bool]
    settings: str


JIRA = Service(
    "Jira",
    lambda body: isinstance(body.get("errorMessages"), list) and isinstance(body.get("errors", {}), dict),
    "JIRA_URL and ATLASSIAN_CLOUD_ID",
)
BITBUCKET = Service("Bitbucket", lambda body: isinstance(body.get("error"), dict), "BITBUCKET_URL")


def hush(library: str) -> None:
    """Keep a library's DEBUG and INFO records, which hold bodies, out of every log. Never makes it louder."""
    logger = logging.getLogger(library)
    logger.setLevel(max(logger.level, logging.WARNING))


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a `Retry-After` header (seconds or an HTTP date); None when absent or unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:  # NaN
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def content(answer: Response) -> Any:
    """The JSON of an answer. Raises ValueError, RecursionError.

    A page of fifty long comments would keep the event loop five times as long with the standard library's reader, which
    is only asked for what the strict one refuses: a text that was cut in the middle of an emoji.
    """
    try:
        return orjson.loads(answer.content)
    except ValueError:
        return answer.json()


def own_words(text: str) -> str:
    """The other side's own explanation, out of any of Atlassian's error bodies; "" where there is none. Redacted."""
    body = _object(text)  # an HTML page of some proxy says nothing to a person
    found: list[str] = [m for m in _list(body.get("errorMessages")) if isinstance(m, str)]
    errors = body.get("errors")
    if isinstance(errors, dict):
        found += [f"{field}: {said}" for field, said in errors.items() if isinstance(said, str)]
    error = body.get("error")
    if isinstance(error, dict):  # Bitbucket
        found += [error[name] for name in ("message", "detail") if isinstance(error.get(name), str)]
    for name in ("errorMessage", "message", "detail"):  # the gateway, and newer endpoints
        if not found and isinstance(body.get(name), str):
            found.append(body[name])
    some = (part[: LONGEST_REASON * 8].strip() for part in found[:20])
    said: str = tidy(" ".join(part for part in some if part))
    return shortened(said, LONGEST_REASON)


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text) if len(text) < LONGEST_BODY else {}
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def status_of(response: Response) -> int:
    """The HTTP status, with Jira's way of answering 404 or 200 to wrong credentials read as the 401 it is."""
    login = response.headers.get("X-Seraph-LoginReason", "")
    if response.status_code < 500 and ("AUTHENTICATED_FAILED" in login or "AUTHENTICATION_DENIED" in login):
        return 401
    return response.status_code


_MEANINGS = {
    400: "{service} did not accept what was sent",
    401: "{service} did not accept the account's e-mail and token",
    403: "the account is not allowed to do this in {service}",
    404: "{service} has no such {what}, or the account may not see it",
    413: "{service} says that the text is too long",
    429: "{service} is receiving too many requests",
}


def sentence(service: Service, what: str, status: int, text: str) -> str:
    """A sentence for a person about a refused request, with the service's own words where it gave some."""
    meaning = _MEANINGS.get(status, "{service} answered with an error").format(service=service.name, what=what)
    if _foreign(service, status, text):
        meaning = f"{not_the_service(service)}; if it stays so, check {service.settings}"
    said = own_words(text)
    return f"{meaning} (HTTP {status})" + (f": {said}" if said else "")


def not_the_service(service: Service) -> str:
    """What is said of an answer that the service did not make."""
    return f"what answers at {service.name}'s address is not {service.name} but a gateway, a proxy or a login page"


def _foreign(service: Service, status: int, text: str) -> bool:
    """Whether somebody else than the service refused. Its failures (5xx) and 401, 429 mean the same by anybody."""
    return status < 500 and status not in (401, 408, 429) and not service.own(_object(text))


def refused(response: Response, service: Service, what: str, *, write: bool) -> PMAgentError | None:
    """The error that this answer stands for, or None when it is a success (2xx)."""
    status = status_of(response)
    if 200 <= status < 300:
        return None
    reason = sentence(service, what, status, response.text)
    after = retry_after(response.headers.get("Retry-After"))
    if status == 429 or (status == 503 and after is not None):
        return RetryLater(reason, after=after)
    if write:
        # 408: the server gave up waiting for the request, which may have been read in full.
        return OutcomeUnknown(reason) if status >= 500 or status == 408 else Permanent(reason, status=status)
    if status == 401 or _foreign(service, status, response.text):
        return Down(service.name, reason, status=status, after=after)
    if status in (403, 404):
        return Gone(reason, status=status)
    if status >= 500 or status == 408:
        return RetryLater(reason, after=after)
    return Permanent(reason, status=status)


def failed(error: Exception, service: Service, *, write: bool) -> PMAgentError:
    """The error that an exception of requests stands for. Its own text is not passed on: it holds addresses."""
    import requests

    name = service.name
    if isinstance(error, requests.TooManyRedirects):  # our sessions follow none, see `bot.clients.jira.wire`
        reason = f"{name} answered with a redirect: a login page, or {service.settings} is not quite right"
        return Permanent(reason) if write else Down(name, reason)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, UnicodeError)):
        reason = f"the address or the credentials of {name} in the settings are not usable"
        return Permanent(reason) if write else Down(name, reason)
    if isinstance(error, requests.RequestException):
        if _never_connected(error):
            return Down(name, f"{name} cannot be reached ({_short(error)})")
        reason = f"the connection to {name} broke before its answer arrived"
        return OutcomeUnknown(reason) if write else RetryLater(reason, nothing_sent=False)
    raise error  # a mistake of ours must be seen as one


def _never_connected(error: BaseException) -> bool:
    """Whether no connection was made at all, so that certainly nothing was sent."""
    import requests
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    if isinstance(error, requests.ConnectTimeout):
        return True
    if isinstance(error, requests.exceptions.SSLError):
        return "CERTIFICATE_VERIFY_FAILED" in str(error)
    reasons = [getattr(argument, "reason", argument) for argument in error.args]
    return any(isinstance(reason, (NewConnectionError, ConnectTimeoutError)) for reason in reasons)


def _short(error: Exception) -> str:
    text = str(error)
    for mark, words in (
        ("CERTIFICATE_VERIFY_FAILED", "its certificate could not be verified"),
        ("refused", "connection refused"),
        ("NameResolution", "its name could not be resolved"),
        ("timed out", "no connection within a few seconds"),
    ):
        if mark in text:
            return words
    return "no connection"
