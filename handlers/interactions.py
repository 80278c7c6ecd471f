"""What Slack tells us when somebody does something, parsed at the door, and how we answer that person privately."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.cards import TEXT_ACTION, TEXT_BLOCK, Message, whisper
from bot.safety import clean

if TYPE_CHECKING:
    from bot.context import Context

Ack = Callable[..., Awaitable[Any]]
Body = dict[str, Any]
Handle = Callable[["Context", Ack, Body], Awaitable[None]]
"""A handler of ours: it acknowledges first, and only then does what may take time."""


@dataclass(frozen=True)
class Place:
    """Where to answer a person: the channel, the user, and the interaction's `response_url` where it has one."""

    channel: str
    user: str
    response_url: str | None = None


@dataclass(frozen=True)
class Click:
    """A button that was pressed. `value` is what we put into the button; {} when it is none of ours."""

    place: Place
    action_id: str
    value: dict[str, str]
    trigger_id: str

    @classmethod
    def of(cls, body: Body) -> Click:
        """From a `block_actions` payload."""
        actions = body.get("actions") or [{}]
        channel = (body.get("channel") or {}).get("id") or (body.get("container") or {}).get("channel_id") or ""
        place = Place(str(channel), str((body.get("user") or {}).get("id") or ""), body.get("response_url") or None)
        action = actions[0] if isinstance(actions[0], dict) else {}
        return cls(
            place, str(action.get("action_id") or ""), _texts(action.get("value")), str(body.get("trigger_id") or "")
        )


@dataclass(frozen=True)
class Submission:
    """A modal that was sent: whose, for which draft as shown (`seen`), and the text in it."""

    place: Place
    draft: str
    seen: str
    text: str

    @classmethod
    def of(cls, body: Body) -> Submission:
        """From a `view_submission` payload of our edit modal."""
        view = body.get("view") or {}
        about = _texts(view.get("private_metadata"))
        field = (((view.get("state") or {}).get("values") or {}).get(TEXT_BLOCK) or {}).get(TEXT_ACTION) or {}
        user = str((body.get("user") or {}).get("id") or "")
        return cls(
            Place(about.get("channel", ""), user),
            about.get("draft", ""),
            about.get("seen", ""),
            str(field.get("value") or ""),
        )


@dataclass(frozen=True)
class Command:
    """A slash command: where, and the words after it."""

    place: Place
    text: str

    @classmethod
    def of(cls, body: Body) -> Command:
        """From a slash command's payload."""
        place = Place(
            str(body.get("channel_id") or ""), str(body.get("user_id") or ""), body.get("response_url") or None
        )
        return cls(place, clean(str(body.get("text") or "")).strip())


async def tell(ctx: Context, place: Place, answer: str | Message, *, url_first: bool = False) -> None:
    """Answer one person privately: a sentence, or a message."""
    message = whisper(answer) if isinstance(answer, str) else answer
    channel = place.channel or ctx.settings.slack_channel_approvals
    await ctx.slack.whisper(channel, place.user, message, place.response_url, url_first=url_first)


def _texts(value: Any) -> dict[str, str]:
    """The JSON object of texts that we once gave to Slack; {} for anything else."""
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return {}
    return {str(k): v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
