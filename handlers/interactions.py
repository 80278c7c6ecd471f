"""What Slack sends, parsed at the door into types of our own. Nothing past this module reads a payload.

`parse` takes a payload as it came, over the socket or over HTTP, and returns one of the types below or raises
`MalformedInteraction`: a field that is needed is absent, or one is of the wrong type. What is merely not ours (another
team, a button of another message) is well-formed, so that it can be refused in words and recorded (`handlers.slack`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from bot.access.origin import Origin, Spot
from bot.cards import (
    ACCEPT_CHANGE,
    ACTIONS,
    DECLINE_CHANGE,
    EDIT,
    FORGET,
    REASONS,
    RETRY_EVENT,
    TEXT_ACTION,
    TEXT_BLOCK,
)
from bot.safety import clean

Ack = Callable[..., Awaitable[Any]]
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
"""An id of Slack's: of a person, a team, an app, a channel, a message or a view."""
Name = Annotated[str, Field(max_length=255)]
"""An id of ours that Slack gives back, or a name of Slack's; "" where there is none."""
NonEmptyName = Annotated[str, Field(min_length=1, max_length=255)]


_ATTEMPTS = {
    **ACTIONS, EDIT: "edit", RETRY_EVENT: "retry_event", **dict.fromkeys(REASONS, "skip_reason"), FORGET: "forget",
    ACCEPT_CHANGE: "accept_change", DECLINE_CHANGE: "decline_change",
}  # fmt: skip


class MalformedInteraction(ValueError):
    """Not a payload of Slack's. The text says what is wrong with it; `user` is who it names, where that can be read."""

    def __init__(self, reason: str, user: str | None = None) -> None:
        super().__init__(reason)
        self.user = user


@dataclass(frozen=True)
class ReplyTo:
    """Where to answer a person: the channel, the user, and the interaction's `response_url` where it has one."""

    channel: str
    user: str
    response_url: str | None = None


# The pieces of a payload, under Slack's own names.


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Named(_Part):
    id: Id


class _User(_Named):
    team_id: Id | None = None


class _Message(_Part):
    ts: Id


class _Container(_Part):
    type: Name = ""
    channel_id: Id | None = None
    message_ts: Id | None = None
    is_ephemeral: bool = False


class _Action(_Part):
    action_id: NonEmptyName
    value: str | None = None


class _Entered(_Part):
    value: str | None = None


class _State(_Part):
    values: dict[str, dict[str, _Entered]] = {}


class _View(_Named):
    type: Name = "modal"
    callback_id: Name = ""
    private_metadata: str = ""
    app_id: Id | None = None
    app_installed_team_id: Id | None = None
    state: _State = _State()


class _Event(_Part):
    type: NonEmptyName


class _TabOpened(_Event):
    user: Id
    tab: Name = "home"


# What somebody did.


class _Interaction(_Part):
    """What all interactions have. `team` is null where an app is installed for a whole organisation."""

    type: Name
    team: _Named | None
    api_app_id: Id
    user: _User
    response_url: str | None = None

    @property
    def origin(self) -> Origin:
        team = self.team.id if self.team else None
        return Origin(teams=frozenset({team}), apps=frozenset({self.api_app_id}), user_team=self.user.team_id)

    @property
    def place(self) -> ReplyTo:
        return ReplyTo("", self.user.id, self.response_url)

    @property
    def attempt(self) -> tuple[str, str]:
        """What was tried, and on which draft ("": on none): for the audit trail."""
        return self.type, ""


class Click(_Interaction):
    """`block_actions`: a button that was pressed."""

    type: Literal["block_actions"]
    actions: Annotated[list[_Action], Field(min_length=1, max_length=100)]
    trigger_id: str = ""
    channel: _Named | None = None
    container: _Container | None = None
    message: _Message | None = None

    @property
    def action_id(self) -> str:
        return self.actions[0].action_id

    @property
    def value(self) -> dict[str, str]:
        """What we put into the button; {} when it is none of ours."""
        return _texts(self.actions[0].value)

    @property
    def spot(self) -> Spot | None:
        """The message with the button; None when it is in none, in an ephemeral one, or the payload names two."""
        if not self.channel or not self.message:
            return None
        box = self.container
        if box and (box.type != "message" or box.is_ephemeral):
            return None
        if box and (box.channel_id, box.message_ts) != (self.channel.id, self.message.ts):
            return None
        return Spot(channel=self.channel.id, ts=self.message.ts)

    @property
    def private(self) -> bool:
        """Whether the button is in a message that only this person sees."""
        box = self.container
        return box is not None and box.is_ephemeral and box.type == "message" and self.message is None

    @property
    def place(self) -> ReplyTo:
        return ReplyTo(self.channel.id if self.channel else "", self.user.id, self.response_url)

    @property
    def attempt(self) -> tuple[str, str]:
        return _ATTEMPTS.get(self.action_id, "click"), self.value.get("draft", "")


class Submission(_Interaction):
    """`view_submission`: a modal that was sent. `draft`, `seen`: which draft, and how it was shown there."""

    type: Literal["view_submission"]
    view: _View

    @property
    def origin(self) -> Origin:
        found, view = super().origin, self.view
        teams = found.teams | ({view.app_installed_team_id} - {None})
        return found.model_copy(update={"teams": teams, "apps": found.apps | ({view.app_id} - {None})})

    @property
    def draft(self) -> str:
        return _texts(self.view.private_metadata).get("draft", "")

    @property
    def seen(self) -> str:
        return _texts(self.view.private_metadata).get("seen", "")

    @property
    def text(self) -> str:
        field = self.view.state.values.get(TEXT_BLOCK, {}).get(TEXT_ACTION)
        return (field.value if field else None) or ""

    @property
    def place(self) -> ReplyTo:
        return ReplyTo(_texts(self.view.private_metadata).get("channel", ""), self.user.id)

    @property
    def attempt(self) -> tuple[str, str]:
        return "edit", self.draft


class Closed(_Interaction):
    """`view_closed`: a modal that was dismissed."""

    type: Literal["view_closed"]
    view: _View


class Other(_Interaction):
    """A shortcut or an option list, of which we have none."""

    callback_id: Name = ""
    action_id: Name = ""


class _Told(_Part):
    """What commands and events have."""

    team_id: Id
    api_app_id: Id

    @property
    def origin(self) -> Origin:
        return Origin(teams=frozenset({self.team_id}), apps=frozenset({self.api_app_id}))


class Command(_Told):
    """A slash command. `said`: the words after it."""

    command: NonEmptyName
    user_id: Id
    channel_id: Id | None = None
    text: str = ""
    response_url: str | None = None

    @property
    def said(self) -> str:
        return clean(self.text).strip()

    @property
    def place(self) -> ReplyTo:
        return ReplyTo(self.channel_id or "", self.user_id, self.response_url)

    @property
    def attempt(self) -> tuple[str, str]:
        return "command", ""


class SlackEvent(_Told):
    """`event_callback`: something that happened."""

    type: Literal["event_callback"]
    event: _Event

    @property
    def place(self) -> ReplyTo:
        return ReplyTo("", "")

    @property
    def attempt(self) -> tuple[str, str]:
        return "event", ""


class HomeOpened(SlackEvent):
    """`app_home_opened`: somebody opened one of the app's tabs."""

    event: _TabOpened

    @property
    def place(self) -> ReplyTo:
        return ReplyTo("", self.event.user)

    @property
    def attempt(self) -> tuple[str, str]:
        return "home", ""


class Challenge(_Part):
    """`url_verification`: Slack tries the address once when it is entered. Bolt answers it, and `ssl_check` too."""

    type: Literal["url_verification"]
    challenge: Annotated[str, Field(max_length=1000)]


class SslCheck(_Part):
    """Slack looks whether our certificate is good."""

    ssl_check: Literal["1"]


Interaction = Click | Submission | Closed | Other | Command | SlackEvent
SlackPayload = Interaction | Challenge | SslCheck

_KINDS: dict[str, type[SlackPayload]] = {
    "block_actions": Click, "view_submission": Submission, "view_closed": Closed, "event_callback": SlackEvent,
    "shortcut": Other, "message_action": Other, "block_suggestion": Other, "url_verification": Challenge,
}  # fmt: skip


def parse(payload: object) -> SlackPayload:
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
        return _User.model_validate(payload["user"] if "user" in payload else {"id": payload.get("user_id")}).id
    except ValidationError:
        return None


def _texts(value: str | None) -> dict[str, str]:
    """The JSON object of texts that we once gave to Slack; {} for anything else."""
    try:
        found = from_json(value or "")
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
