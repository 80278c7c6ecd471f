"""What can go wrong with Claude, in words for a person and with the next step for the program. No SDK is imported here.

::

    RetryLater
    ├── ClaudeDown      overloaded, unreachable, key, billing, spend limit, retired model: an outage; events wait
    ├── ClaudeBusy      a rate limit (429) with the time it asks for: no call is made before
    ├── BudgetReached   (bot.budget) today's money is spent
    └── BudgetHeld      (bot.budget) calls in flight hold the rest of it
    Permanent
    └── Unanswerable    this one request gets no usable answer: refused, cut off, too long, invalid, not accepted
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from bot.errors import Permanent, RetryLater

if TYPE_CHECKING:
    from bot.clients.claude import CallRecord

Kind = Literal["overloaded", "unreachable", "timeout", "key", "billing", "spend_limit", "model", "server"]

# Seconds until it makes sense to look again, where the other side did not say. None: the worker's own backoff.
_LOOK_AGAIN: dict[Kind, float | None] = {
    "overloaded": None,
    "unreachable": None,
    "timeout": None,
    "server": None,
    "key": None,
    "billing": None,
    "spend_limit": 30.0,  # lifted by a person or by the month's end; one probe finds out, and all others wait for it
    "model": None,
}


class ClaudeDown(RetryLater):
    """Claude cannot be used at the moment. `cause`: a sentence with what to do; `kind`: the same for the program."""

    def __init__(self, kind: Kind, cause: str, *, after: float | None = None, nothing_sent: bool = True) -> None:
        super().__init__(cause, after=_LOOK_AGAIN[kind] if after is None else after, nothing_sent=nothing_sent)
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


def status_error(
    status: int, error_type: str, error_code: str, message: str, model: str, after: float | None
) -> ClaudeDown | ClaudeBusy | Unanswerable:
    """What an HTTP error of Claude means. `message` is Anthropic's own sentence, `error_code` its stable code."""
    if "spend_limit" in error_code:
        return ClaudeDown("spend_limit", "the spend limit of the Anthropic account is reached: raise it in the Console")
    if status == 402 or error_type == "billing_error" or "credit balance" in message.lower():
        return ClaudeDown("billing", "Anthropic refuses calls for billing reasons: see Billing in the Console")
    match status:
        case 401:
            return ClaudeDown("key", "Anthropic does not accept the API key (401): check ANTHROPIC_API_KEY")
        case 403:
            return ClaudeDown(
                "key", f"the API key may not use {model} (403): check the key's workspace and permissions"
            )
        case 404:
            what = "check PMAGENT_MODEL and PMAGENT_TRIAGE_MODEL"
            return ClaudeDown("model", f"Claude has no model {model} (404), it was retired or misspelt: {what}")
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
            said = " ".join(message.split())[:200]
            return Unanswerable(f"Claude did not accept the request ({status}){': ' + said if said else ''}")
