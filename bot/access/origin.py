"""Checks that a Slack interaction comes from our own app in our own workspace. Pure.

The app is installed in one workspace (`org_deploy_enabled: false` in the manifest), so a payload names one team: the
workspace in which it happened. In a channel that is shared with another organisation that is still ours, and the person
is told apart by `user.team_id`. On an Enterprise Grid an account may have its home in another workspace of the
organisation; who is a member of ours is then for `users.info` to say (`bot.access.people`).
"""

from __future__ import annotations

from bot.domain.issues import Frozen

NOT_KNOWN_YET = "Slack has not said yet who this bot is. Please try again in a moment."
OTHER_TEAM = "Nothing was done: this came from another Slack workspace than the bot's own."
OTHER_APP = "Nothing was done: this came from another Slack app than the bot's own."
OTHER_ORGANISATION = (
    "Nothing was done: only members of this workspace decide here, and this account belongs to another organisation."
)


class Workspace(Frozen):
    """Our own workspace and app, as Slack told us at start. `grid`: the workspace is part of an Enterprise Grid.

    `app` is None where Slack does not say: then the socket, or the signature, which are one app's own, stand for it.
    """

    team: str
    app: str | None
    grid: bool = False


class Origin(Frozen):
    """What a payload says of where it comes from: every team and app that it names, and the person's own team.

    An absent one is None, and counts as not ours.
    """

    teams: frozenset[str | None]
    apps: frozenset[str | None]
    user_team: str | None = None


class Spot(Frozen):
    """A message: its channel and its `ts`."""

    channel: str
    ts: str


def foreign(origin: Origin, home: Workspace | None) -> str | None:
    """None for an interaction of our own app in our own workspace; else the sentence for the person."""
    if home is None:
        return NOT_KNOWN_YET
    if origin.teams != {home.team}:
        return OTHER_TEAM
    if home.app is not None and origin.apps != {home.app}:
        return OTHER_APP
    if origin.user_team not in (None, home.team) and not home.grid:
        return OTHER_ORGANISATION
    return None
