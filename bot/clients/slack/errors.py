"""What Slack's refusals and failures mean, in our own errors. Pure: an exception in, one of `bot.errors` out.

Slack answers 200 with `ok: false` and a code, 429 with `Retry-After`, or 5xx. Codes are from the reference of each
method (https://docs.slack.dev/reference/methods). A code that only an operator can mend (a token, a scope, an
invitation) is `RetryLater`: the same call succeeds once it is mended, and nothing may be lost until then. Only a
request that is wrong in itself is `Permanent`.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.clients.responses import retry_after
from bot.errors import Gone, OutcomeUnknown, Permanent, PMAgentError, RetryLater

TOKEN = frozenset({"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "no_permission"})
NOT_FOUND_ERRORS = frozenset({"user_not_found", "no_such_subteam", "users_not_found", "user_not_visible"})
WRONG = frozenset(
    {
        "invalid_blocks", "invalid_blocks_format", "invalid_attachments", "msg_too_long", "msg_blocks_too_long",
        "no_text", "invalid_arguments", "invalid_arg_name", "invalid_json", "invalid_form_data", "too_many_attachments",
        "metadata_too_large", "invalid_metadata_format", "invalid_metadata_schema", "message_not_found",
        "cant_update_message", "edit_window_closed", "expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id",
        "trigger_expired", "view_too_large", "duplicate_external_id", "push_limit_reached", "not_found",
        "hash_conflict", "user_not_in_channel", "invalid_cursor",
    }
)  # fmt: skip
"""The request itself is wrong, or what it was about is over: the same call fails again."""

MENDED_BY_AN_OPERATOR = {
    "channel_not_found": "Slack knows no such channel, or the bot is not in it: check its id and invite the bot",
    "not_in_channel": "the bot is not in the channel: invite it there with /invite",
    "is_archived": "the channel is archived: name another one in the settings, or unarchive it",
    "restricted_action": "the channel does not let the bot post: see its posting permissions",
}


class Refused(RetryLater):
    """Slack answered, and will answer the same until a person changes something. `code`: Slack's own word for it."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code


class TokenRefused(Refused):
    """Slack does not take SLACK_BOT_TOKEN. At start that is the end; later it waits for the operator."""


def code_of(error: BaseException) -> str:
    """Slack's error code in a failed answer, or ""."""
    response = getattr(error, "response", None)
    data = getattr(response, "data", None)
    return str(data.get("error") or "") if isinstance(data, dict) else ""


def explained(error: Exception, method: str, *, write: bool) -> PMAgentError:
    """Our own error for what went wrong in a call of `method`. `write`: repeating it might do it twice."""
    if isinstance(error, SlackApiError):
        return _answered(error, method, write=write)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return RetryLater("Slack cannot be reached", nothing_sent=True)
    if write:
        return OutcomeUnknown(f"Slack's answer to {method} was lost ({type(error).__name__})")
    return RetryLater(f"Slack did not answer {method} ({type(error).__name__})", nothing_sent=False)


def _answered(error: SlackApiError, method: str, *, write: bool) -> PMAgentError:
    status, code = _status(error.response), code_of(error)
    if status == 429 or code in ("ratelimited", "rate_limited"):
        return RetryLater("Slack asks to wait", after=_retry_after(error.response), nothing_sent=True)
    if status >= 500 or not code or code in ("internal_error", "fatal_error", "service_unavailable", "request_timeout"):
        # Slack's reference: after a fatal_error "it's possible some aspect of the operation succeeded".
        if write:
            return OutcomeUnknown(f"Slack failed while handling {method} ({code or status})")
        return RetryLater(f"Slack failed while handling {method} ({code or status})", nothing_sent=False)
    if code in TOKEN:
        words = f"Slack does not accept SLACK_BOT_TOKEN ({code}): see OAuth & Permissions of your app"
        return TokenRefused(words, code)
    if code == "missing_scope":
        needed = str(error.response.get("needed") or "?")
        words = f"the Slack app lacks the scope {needed}: update it from app_manifest.yml and reinstall it"
        return Refused(words, code)
    if code in MENDED_BY_AN_OPERATOR:
        return Refused(f"{MENDED_BY_AN_OPERATOR[code]} ({code})", code)
    if code in NOT_FOUND_ERRORS:
        return Gone(f"Slack does not know them ({code})")
    if code in WRONG:
        return Permanent(f"Slack refused {method}: {code}", status=status)
    return Refused(f"Slack refused {method}: {code}", code)


def _status(response: Any) -> int:
    # An answer that is no JSON comes as aiohttp's response, which calls it `status`.
    return int(getattr(response, "status_code", None) or getattr(response, "status", None) or 0)


def _retry_after(response: Any) -> float:
    """Seconds; 1 where Slack did not say. Header names come in either case."""
    for name, value in dict(getattr(response, "headers", None) or {}).items():
        if str(name).lower() == "retry-after":
            seconds = retry_after(str(value[0] if isinstance(value, list) else value))
            return 1.0 if seconds is None else min(seconds, 3600.0)
    return 1.0
