"""What Slack sends, decoded: a payload as it came, over the socket or over HTTP, becomes one of `interactions`' types.

What is malformed raises `MalformedInteraction`: a field that is needed is absent, or one is of the wrong type. What is
merely not ours (another team, a button of another message) is well-formed, so that it can be refused in words and
recorded (`listeners`).
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from handlers.slack.interactions import (
    Click,
    Closed,
    Command,
    HomeOpened,
    Interaction,
    Other,
    SlackEvent,
    Submission,
)
from handlers.slack.payloads import Challenge, SslCheck, User

SlackPayload = Interaction | Challenge | SslCheck

_KINDS: dict[str, type[SlackPayload]] = {
    "block_actions": Click, "view_submission": Submission, "view_closed": Closed, "event_callback": SlackEvent,
    "shortcut": Other, "message_action": Other, "block_suggestion": Other, "url_verification": Challenge,
}  # fmt: skip


class MalformedInteraction(ValueError):
    """Not a payload of Slack's. The text says what is wrong with it; `user` is who it names, where that can be read."""

    def __init__(self, reason: str, user: str | None = None) -> None:
        super().__init__(reason)
        self.user = user


def parse_payload(payload: object) -> SlackPayload:
    """A payload as one of our types. Raises `MalformedInteraction`."""
    if not isinstance(payload, dict):
        raise MalformedInteraction("the payload is not an object")
    try:
        return _kind(payload).model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise MalformedInteraction(f"{where}: {first['msg'][:200]}", _user(payload)) from None


def read_json(text: str | bytes) -> object:
    """Strict JSON that is not too deep. Raises `MalformedInteraction`."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedInteraction(f"not JSON that can be read: {str(error)[:200]}") from None


def _kind(payload: dict[str, Any]) -> type[SlackPayload]:
    """Which of our types the payload is to be."""
    name = payload.get("type")
    if name is None and ("command" in payload or "ssl_check" in payload):
        return Command if "command" in payload else SslCheck
    if not isinstance(name, str) or name not in _KINDS:
        raise MalformedInteraction("type: none of the kinds of payload that Slack sends to this app", _user(payload))
    event = payload.get("event")
    if name == "event_callback" and isinstance(event, dict) and event.get("type") == "app_home_opened":
        return HomeOpened
    return _KINDS[name]


def _user(payload: dict[str, Any]) -> str | None:
    """Who a malformed payload names."""
    try:
        return User.model_validate(payload["user"] if "user" in payload else {"id": payload.get("user_id")}).id
    except ValidationError:
        return None
