"""What can go wrong with Claude, in words for a person and with the next step for the program. No SDK is imported here.

::

    RetryLater
    ├── Down
    │   └── ClaudeDown  overloaded, unreachable, key, account, billing, usage limit, retired model: events wait
    ├── ClaudeBusy      a rate limit (429) with the time it asks for: no call is made before
    ├── BudgetReached   (bot.spending.budget) today's money is spent
    └── BudgetReserved  (bot.spending.budget) calls in flight have reserved the rest of it
    Permanent
    └── Unanswerable    this one request gets no usable answer: refused, cut off, too long, invalid, not accepted
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from bot.clients.claude.record import CallRecord
from bot.errors import Down, Permanent, RetryLater

ErrorKind = Literal[
    "overloaded", "unreachable", "timeout", "key", "account", "billing", "spend_limit", "model", "server"
]

# Seconds until it makes sense to look again, where the other side did not say. None: the queue's own backoff.
_LOOK_AGAIN: dict[ErrorKind, float | None] = {
    "overloaded": None,
    "unreachable": None,
    "timeout": None,
    "server": None,
    "key": None,
    "account": None,
    "billing": None,
    "spend_limit": 30.0,  # lifted by a person or by the month's end; one probe finds out, and all others wait for it
    "model": None,
}

LONG_PAUSE = 15 * 60.0
"""Seconds from which on a pause is an outage, of which people are told."""


class ClaudeDown(Down):
    """Claude cannot be used at the moment. `cause`: a sentence with what to do; `kind`: the same for the program."""

    def __init__(self, kind: ErrorKind, cause: str, *, after: float | None = None, nothing_sent: bool = True) -> None:
        wait = _LOOK_AGAIN[kind] if after is None else after
        super().__init__("Claude", cause, after=wait, nothing_sent=nothing_sent)
        self.kind = kind
        self.cause = cause
        self.calls: tuple[CallRecord, ...] = ()


class ClaudeBusy(RetryLater):
    """Claude asked for a pause (429): no call before `after` seconds are over."""

    def __init__(self, after: float) -> None:
        super().__init__(f"Claude's rate limit is reached; it asked for {after:.0f} s of pause", after=after)
        self.calls: tuple[CallRecord, ...] = ()


class Unanswerable(Permanent):
    """Claude gave no usable answer to this request. `reason`: a sentence; `calls`: what was tried, with its cost."""

    def __init__(self, reason: str, calls: Sequence[CallRecord] = ()) -> None:
        super().__init__(reason)
        self.calls: tuple[CallRecord, ...] = tuple(calls)


class NotClaude(ClaudeDown):
    """What answers at Claude's address does not know the address: nothing is known about the key and the model."""

    def __init__(self, status: int) -> None:
        super().__init__(
            "server",
            f"what answers at Claude's address is not Claude but a gateway, a proxy or a login page ({status}); if it "
            "stays so, check ANTHROPIC_BASE_URL",
        )


def _foreign(status: int, error_type: str, message: str) -> bool:
    """Whether somebody else than Claude refused: without its error, or as a gateway refuses what it does not offer."""
    if status in (404, 405, 501):
        return error_type in ("", "invalid_request_error")
    return not error_type and not message and 400 <= status < 500 and status not in (401, 408, 409, 413, 429)


def status_error(
    status: int, error_type: str, error_code: str, message: str, model: str, after: float | None
) -> ClaudeDown | ClaudeBusy | Unanswerable:
    """What an HTTP error of Claude means. `message` is Anthropic's own sentence, `error_code` its stable code.

    A refusal that every other request would meet as well is an outage, whatever its status: a reached usage limit and a
    disabled organisation come as 400 `invalid_request_error`. Only the code is promised to stay as it is; where there
    is none, the sentence is all that tells.
    """
    if refusal := _account_wide(status, error_type, error_code, message):
        return refusal
    if _foreign(status, error_type, message):
        return NotClaude(status)
    match _BY_TYPE.get(error_type, status):
        case 401:
            return ClaudeDown("key", f"Anthropic does not accept the API key ({status}): check ANTHROPIC_API_KEY")
        case 403:
            return ClaudeDown(
                "key", f"the API key may not use {model} ({status}): check the key's workspace and permissions"
            )
        case 404:
            what = "check PMAGENT_MODEL and PMAGENT_TRIAGE_MODEL"
            return ClaudeDown("model", f"Claude has no model {model} ({status}), it was retired or misspelt: {what}")
        case 429 if after is not None and after >= LONG_PAUSE:
            asked = f"it asked for {after / 3600:.1f} hours of pause"
            return ClaudeDown("overloaded", f"Claude's rate limit is reached; {asked}", after=after)
        case 429:
            return ClaudeBusy(30.0 if after is None else after)
        case 503 | 529:
            return ClaudeDown("overloaded", f"Claude is overloaded ({status})", after=after)
        case 413:
            return Unanswerable("the issue is too large for one request to Claude (413)")
        case 408 | 409:
            return ClaudeDown("server", f"Claude could not take the request just now ({status})", after=after)
        case _ if status >= 500:
            return ClaudeDown("server", f"Claude answered with a server error ({status})", after=after)
        case _:
            said = _one_line(message, 200)
            return Unanswerable(f"Claude did not accept the request ({status}){': ' + said if said else ''}")


_BY_TYPE = {
    "authentication_error": 401, "permission_error": 403, "not_found_error": 404, "rate_limit_error": 429,
    "overloaded_error": 529,
}  # fmt: skip
"""The statuses that these types of error stand for: a gateway may pass them on under another."""

_WHO = r"\b(?:organi[sz]ation|account|workspace|api key|billing)\b"
_NOT_ACTIVE = (
    r"\b(?:disabled|suspended|deactivated|archived|blocked|closed|terminated|revoked|on hold"
    r"|not (?:active|allowed|authori[sz]ed|permitted|enabled)|(?:no|not have) access)\b"
)
_LIMIT = re.compile(
    r"\b(?:usage|spend|spending) (?:limit|cap)|\bregain access\b"
    r"|\b(?:budget|quota|credits?)\b.{0,30}\b(?:exceeded|exhausted)"
    r"|\bexceed\w*\b.{0,30}\b(?:budget|quota|spend)\b|insufficient.quota",
    re.IGNORECASE,
)
_BILLING = re.compile(r"credit balance|purchase credits|plans & billing|payment (?:method|required)", re.IGNORECASE)
_DISABLED = re.compile(
    rf"{_WHO}.{{0,40}}{_NOT_ACTIVE}|{_NOT_ACTIVE}.{{0,20}}{_WHO}|\bunsupported (?:countr|region)", re.IGNORECASE
)
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,80}\b(?:retired|deprecated|no longer|not available|does not exist|not found)\b", re.IGNORECASE
)
_AGAIN = re.compile(r"regain access on (\d{4}-\d\d-\d\d(?:(?: at |[T ])\d\d:\d\d(?::\d\d)?(?: ?[A-Z]{1,4})?)?)")


def _account_wide(status: int, error_type: str, error_code: str, message: str) -> ClaudeDown | None:
    """The outage that these words or this code tell of; None: status and type decide."""
    if "spend_limit" in error_code or _LIMIT.search(message):
        again = _AGAIN.search(message)
        when = f"; Anthropic gives access again on {again[1]}" if again else ""
        return ClaudeDown(
            "spend_limit",
            f"the usage or spend limit of the Anthropic account is reached: raise it in the Console{when}",
        )
    if status == 402 or error_type == "billing_error" or "billing" in error_code or _BILLING.search(message):
        return ClaudeDown("billing", "Anthropic refuses calls for billing reasons: see Billing in the Console")
    if error_code.startswith(_ACCOUNT_CODES) or _DISABLED.search(message):
        said = _one_line(message, 150) or error_code
        return ClaudeDown("account", f"Anthropic refuses this account ({status}): {said.rstrip('.')}. See the Console")
    if status < 500 and _NO_MODEL.search(message):
        what = "check PMAGENT_MODEL and PMAGENT_TRIAGE_MODEL"
        return ClaudeDown("model", f"Claude does not offer the model ({status}): {_one_line(message, 150)}: {what}")
    return None


_ACCOUNT_CODES = ("organization", "parent_organization", "linked_organization", "cmek", "claude_code_key", "sandbox")
"""How the codes begin that speak of the organisation, its encryption key or its network, and of no request."""


def _one_line(text: str, most: int) -> str:
    return " ".join(text.split())[:most]
