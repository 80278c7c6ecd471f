"""What people do in Slack, as types of our own: a click, a modal that was sent, a command, an opened tab.

`decoding` makes them of payloads. Nothing past them reads a payload.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field
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
from handlers.slack.payloads import (
    Action,
    Container,
    Event,
    Id,
    Message,
    Named,
    NonEmptyName,
    Part,
    ShortName,
    TabOpened,
    User,
    View,
)

Ack = Callable[..., Awaitable[Any]]

_ATTEMPTS = {
    **ACTIONS, EDIT: "edit", RETRY_EVENT: "retry_event", **dict.fromkeys(REASONS, "skip_reason"), FORGET: "forget",
    ACCEPT_CHANGE: "accept_change", DECLINE_CHANGE: "decline_change",
}  # fmt: skip


@dataclass(frozen=True)
class ReplyTo:
    """Where to answer a person: the channel, the user, and the interaction's `response_url` where it has one."""

    channel: str
    user: str
    response_url: str | None = None


class _Interaction(Part):
    """What all interactions have. `team` is null where an app is installed for a whole organisation."""

    type: ShortName
    team: Named | None
    api_app_id: Id
    user: User
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
    actions: Annotated[list[Action], Field(min_length=1, max_length=100)]
    trigger_id: str = ""
    channel: Named | None = None
    container: Container | None = None
    message: Message | None = None

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
    view: View

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
    view: View


class Other(_Interaction):
    """A shortcut or an option list, of which we have none."""

    callback_id: ShortName = ""
    action_id: ShortName = ""


class _Told(Part):
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
    event: Event

    @property
    def place(self) -> ReplyTo:
        return ReplyTo("", "")

    @property
    def attempt(self) -> tuple[str, str]:
        return "event", ""


class HomeOpened(SlackEvent):
    """`app_home_opened`: somebody opened one of the app's tabs."""

    event: TabOpened

    @property
    def place(self) -> ReplyTo:
        return ReplyTo("", self.event.user)

    @property
    def attempt(self) -> tuple[str, str]:
        return "home", ""


Interaction = Click | Submission | Closed | Other | Command | SlackEvent


def _texts(value: str | None) -> dict[str, str]:
    """The JSON object of texts that we once gave to Slack; {} for anything else."""
    try:
        found = from_json(value or "")
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
