"""Slack's answers about accounts and channels, read into our own types. Pure."""

from __future__ import annotations

from typing import Any

from bot.domain.issues import Frozen
from bot.rules.policy import SlackUser
from bot.safety import tidy


class ChannelInfo(Frozen):
    """What `conversations.info` says. `is_shared`: with another organisation (Slack Connect)."""

    id: str
    name: str
    is_private: bool
    is_member: bool
    is_shared: bool
    is_archived: bool


def read_user(found: dict[str, Any], own_team: str) -> SlackUser:
    """The account of a `users.info`. `own_team`: the workspace that the bot is in."""
    profile = found.get("profile") or {}
    # The full name: a record of who decided should still say who that was in a year.
    name = profile.get("real_name") or found.get("real_name") or profile.get("display_name") or found.get("name")
    teams = (found.get("enterprise_user") or {}).get("teams") or []
    team = str(found.get("team_id") or "")
    return SlackUser(
        id=str(found.get("id") or ""),
        name=tidy(str(name or "somebody"))[:80] or "somebody",
        # On an Enterprise Grid an account has a home of its own and is a member of several workspaces.
        team_id=own_team if own_team in teams else team,
        deleted=bool(found.get("deleted")),
        is_bot=bool(found.get("is_bot") or found.get("is_workflow_bot")) or found.get("id") == "USLACKBOT",
        is_guest=bool(found.get("is_restricted") or found.get("is_ultra_restricted")),
        is_stranger=bool(found.get("is_stranger")),
    )


def read_channel(channel_id: str, found: dict[str, Any]) -> ChannelInfo:
    """The channel of a `conversations.info`."""
    return ChannelInfo(
        id=channel_id,
        name=str(found.get("name") or ""),
        is_private=bool(found.get("is_private")),
        is_member=bool(found.get("is_member")),
        is_shared=bool(found.get("is_ext_shared") or found.get("is_pending_ext_shared")),
        is_archived=bool(found.get("is_archived")),
    )
