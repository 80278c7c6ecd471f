"""The parts of Slack's payloads, under Slack's own names, and the two payloads that are nobody's doing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
"""An id of Slack's: of a person, a team, an app, a channel, a message or a view."""
ShortName = Annotated[str, Field(max_length=255)]
"""An id of ours that Slack gives back, or a name of Slack's; "" where there is none."""
NonEmptyName = Annotated[str, Field(min_length=1, max_length=255)]


class Part(BaseModel):
    """A part of a payload: what we do not read of it is ignored, what we read is not converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Named(Part):
    """What Slack names by its id."""

    id: Id


class User(Named):
    team_id: Id | None = None


class Message(Part):
    ts: Id


class Container(Part):
    type: ShortName = ""
    channel_id: Id | None = None
    message_ts: Id | None = None
    is_ephemeral: bool = False


class Action(Part):
    action_id: NonEmptyName
    value: str | None = None


class Entered(Part):
    value: str | None = None


class State(Part):
    values: dict[str, dict[str, Entered]] = {}


class View(Named):
    type: ShortName = "modal"
    callback_id: ShortName = ""
    private_metadata: str = ""
    app_id: Id | None = None
    app_installed_team_id: Id | None = None
    state: State = State()


class Event(Part):
    type: NonEmptyName


class TabOpened(Event):
    user: Id
    tab: ShortName = "home"


class Challenge(Part):
    """`url_verification`: Slack tries the address once when it is entered. Bolt answers it, and `ssl_check` too."""

    type: Literal["url_verification"]
    challenge: Annotated[str, Field(max_length=1000)]


class SslCheck(Part):
    """Slack looks whether our certificate is good."""

    ssl_check: Literal["1"]
