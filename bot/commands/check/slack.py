"""What `python -m bot check` tries of Slack: token, scopes, app token, channels, approvers and admins. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.access.people import UNKNOWN
from bot.commands.check.lines import CheckLine, failed, given, good, later, wrong
from bot.errors import Gone, PMAgentError
from bot.rules.policy import standing

if TYPE_CHECKING:
    from bot.clients.slack.client import Slack
    from bot.clients.slack.read import ChannelInfo
    from bot.settings import Settings

BOT_TOKEN = "copy the Bot User OAuth Token (xoxb-) from OAuth & Permissions of the Slack app to SLACK_BOT_TOKEN"  # noqa: S105 - a sentence
APP_TOKEN = (
    "create an App-Level Token with connections:write, under Basic Information of the Slack app, "  # noqa: S105 - a sentence
    "and put it into SLACK_APP_TOKEN"
)
SCOPES = (
    "add {} under OAuth & Permissions of the Slack app, install it again, and see that SLACK_BOT_TOKEN is its token"
)


async def slack(settings: Settings) -> list[CheckLine]:
    """All that the settings name in Slack."""
    from bot.clients.slack.client import Slack

    client = Slack(settings)
    try:
        try:
            await client.start()
        except PMAgentError as error:
            return [_failed("Slack token", error, BOT_TOKEN, given(settings, "slack_api_url"))]
        lines = [good("Slack token", f"is {client.bot_user_id} in {client.team_url or client.team_id}")]
        lines += [await _way_in(settings, client)]
        channels = {settings.slack_channel_approvals: "SLACK_CHANNEL_APPROVALS"}
        channels.setdefault(settings.standup_channel, "SLACK_CHANNEL_STANDUP")
        infos = [await _channel(client, channel, setting, lines) for channel, setting in channels.items()]
        lines += _scopes(settings, client, infos)
        return lines + await _people(settings, client, infos[0])
    finally:
        await client.close()


def _failed(name: str, error: PMAgentError, mend: str, address: str = "") -> CheckLine:
    """As `failed`. What Slack has against the token or its scopes is no reason to change what was asked about."""
    from bot.clients.slack.errors import MENDED_BY_AN_OPERATOR, Refused, TokenRefused

    if isinstance(error, TokenRefused):
        return wrong(name, error.reason, BOT_TOKEN)
    if not isinstance(error, Refused):
        return failed(name, error, mend, address=address)
    if error.code in MENDED_BY_AN_OPERATOR:
        return wrong(name, error.reason, mend)
    if error.code == "missing_scope":
        return wrong(name, error.reason, "see that SLACK_BOT_TOKEN is the token of the app that was installed again")
    return wrong(name, error.reason, "look up what Slack means by it; it is about the app of SLACK_BOT_TOKEN")


async def _way_in(settings: Settings, client: Slack) -> CheckLine:
    """The app token by `apps.connections.open`, which only hands out an address; the signing secret by its shape."""
    from bot.clients.slack.errors import Refused, explained
    from bot.clients.slack.wire import FAILED

    if settings.slack_app_token is None:
        return good("Slack HTTP mode", "the signing secret is set; only Slack's first request can prove it")
    try:
        await client.client.apps_connections_open(app_token=settings.slack_app_token.get_secret_value())
    except FAILED as error:
        why = explained(error, "apps.connections.open", write=False)
        if isinstance(why, Refused):
            return wrong("Slack app token", f"is refused ({why.code})", APP_TOKEN)
        return failed("Slack app token", why, APP_TOKEN)
    return good("Slack app token", "opens a Socket Mode connection")


async def _channel(client: Slack, channel: str, setting: str, lines: list[CheckLine]) -> ChannelInfo | None:
    name = f"Slack channel {channel}"
    try:
        info = await client.channel(channel)
    except PMAgentError as error:
        mend = f"copy the channel's id from its details to {setting}, and invite the app there"
        lines.append(_failed(name, error, mend))
        return None
    kind = "private" if info.is_private else "public"
    if info.is_archived:
        lines.append(wrong(name, f"#{info.name} is archived", f"unarchive it, or put another channel into {setting}"))
    elif not info.is_member:
        mend = f"write /invite @PM Agent in #{info.name}, or put another channel into {setting}"
        lines.append(wrong(name, f"the app is not in #{info.name}", mend))
    else:
        shared = ", shared with another organisation" if info.is_shared else ""
        lines.append(good(name, f"#{info.name} ({kind}{shared}), the app is in it"))
    return info


def _scopes(settings: Settings, client: Slack, infos: list[ChannelInfo | None]) -> list[CheckLine]:
    """The scopes that these settings need, by the `x-oauth-scopes` header of `auth.test`."""
    if not client.scopes:
        return [good("Slack scopes", "Slack did not say which the token has")]
    needed = {"chat:write", "commands", "users:read"}
    for info in infos:
        if info is not None:
            kind = "groups" if info.is_private else "channels"
            needed |= {f"{kind}:read", f"{kind}:history"}
    if any(one.startswith("S") for one in (*settings.pmagent_approvers, *settings.admins)):
        needed.add("usergroups:read")
    missing = [wrong("Slack scopes", f"{x} is missing", SCOPES.format(x)) for x in sorted(needed - client.scopes)]
    return missing or [good("Slack scopes", f"{len(needed)} needed, all there")]


async def _people(settings: Settings, client: Slack, approvals: ChannelInfo | None) -> list[CheckLine]:
    lines: list[CheckLine] = []
    for setting, ids in (
        ("PMAGENT_APPROVERS", settings.pmagent_approvers),
        ("PMAGENT_ADMINS", settings.pmagent_admins),
    ):
        for one in ids:
            name = f"{setting} {one}"
            if one == "channel":
                lines.append(_members(name, setting, approvals))
            elif one.startswith("S"):
                lines.append(await _group(client, name, setting, one))
            else:
                lines.append(await _person(client, name, setting, one))
    return lines


def _members(name: str, setting: str, approvals: ChannelInfo | None) -> CheckLine:
    if approvals is None:
        return later(name, "is tried once the approvals channel can be read", "see the line of that channel")
    if approvals.is_private:
        return good(name, "full members of the approvals channel")
    mend = f"make the channel of SLACK_CHANNEL_APPROVALS private, or name people in {setting}"
    return wrong(name, "the approvals channel is not private", mend)


async def _group(client: Slack, name: str, setting: str, group: str) -> CheckLine:
    try:
        members = await client.group_members(group)
    except PMAgentError as error:
        mend = f"copy the group's id (S…) to {setting} again, or name people there; user groups need a paid plan"
        return _failed(name, error, mend)
    if not members:
        return wrong(name, "has no members", f"put somebody into the group, or name others in {setting}")
    return good(name, f"{len(members)} members")


async def _person(client: Slack, name: str, setting: str, one: str) -> CheckLine:
    """A person who is named may decide by that, as long as theirs is a full account of this workspace."""
    mend = f"remove {one} from {setting}, or copy the member id from the person's profile"
    try:
        user = await client.user(one)
    except Gone:
        return wrong(name, UNKNOWN, mend)
    except PMAgentError as error:
        return _failed(name, error, mend)
    reason = standing(user, client.team_id)
    return wrong(name, reason, mend) if reason else good(name, user.name)
