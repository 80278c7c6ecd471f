"""What `python -m bot check` tries of each outside service. Reads only; each function returns its lines."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from bot.clock import SystemClock
from bot.commands.check import Line, explain, line_for
from bot.errors import Gone, PMAgentError

if TYPE_CHECKING:
    from bot.clients.jira import Jira
    from bot.clients.slack import ChannelInfo, Slack
    from bot.people import People
    from bot.settings import Settings

PERMISSIONS = {
    "BROWSE_PROJECTS": "read issues",
    "ADD_COMMENTS": "post replies",
    "DELETE_OWN_COMMENTS": "undo a reply",
}
PATIENCE = 15.0
"""Seconds for a person's look-up: nobody waits for a click here."""


async def slack(settings: Settings) -> list[Line]:
    """Token, scopes, app token, channels, approvers and admins."""
    from bot.clients.slack import Slack
    from bot.people import People

    client = Slack(settings)
    try:
        try:
            await client.start()
        except PMAgentError as error:
            where = "copy the Bot User OAuth Token (xoxb-) from OAuth & Permissions of the Slack app to SLACK_BOT_TOKEN"
            return [explain("Slack token", where, error)]
        lines = [Line("Slack token", True, f"is {client.bot_user_id} in {client.team_url or client.team_id}")]
        lines += [await _way_in(settings, client)]
        channels = {settings.slack_channel_approvals: "SLACK_CHANNEL_APPROVALS"}
        channels.setdefault(settings.standup_channel, "SLACK_CHANNEL_STANDUP")
        infos = [await _channel(client, channel, setting, lines) for channel, setting in channels.items()]
        lines += _scopes(settings, client, infos)
        return lines + await _approvers(settings, client, People(client, settings, SystemClock()), infos[0])
    finally:
        await client.close()


async def _way_in(settings: Settings, client: Slack) -> Line:
    """The app token by `apps.connections.open`, which only hands out an address; the signing secret by its shape."""
    if settings.slack_app_token is None:
        return Line("Slack HTTP mode", True, "the signing secret is set; only Slack's first request can prove it")
    try:
        await client.client.apps_connections_open(app_token=settings.slack_app_token.get_secret_value())
    except Exception as error:  # the SDK raises its own, aiohttp's and OSError: each is one line here
        response: Any = getattr(error, "response", None)
        said = response.get("error", "") if hasattr(response, "get") else ""
        return Line(
            "Slack app token", False, f"is refused ({said or type(error).__name__})",
            "create an App-Level Token with connections:write, under Basic Information of the Slack app, "
            "and put it into SLACK_APP_TOKEN",
        )  # fmt: skip
    return Line("Slack app token", True, "opens a Socket Mode connection")


async def _channel(client: Slack, channel: str, setting: str, lines: list[Line]) -> ChannelInfo | None:
    name = f"Slack channel {channel}"
    try:
        info = await client.channel(channel)
    except PMAgentError as error:
        mend = f"copy the channel's id from its details to {setting}, and invite the app there"
        lines.append(explain(name, mend, error))
        return None
    kind = "private" if info.is_private else "public"
    if info.is_archived:
        lines.append(
            Line(name, False, f"#{info.name} is archived", f"unarchive it, or put another channel into {setting}")
        )
    elif not info.is_member:
        mend = f"write /invite @PM Agent in #{info.name}, or put another channel into {setting}"
        lines.append(Line(name, False, f"the app is not in #{info.name}", mend))
    else:
        shared = ", shared with another organisation" if info.is_shared else ""
        lines.append(Line(name, True, f"#{info.name} ({kind}{shared}), the app is in it"))
    return info


def _scopes(settings: Settings, client: Slack, infos: list[ChannelInfo | None]) -> list[Line]:
    """The scopes that these settings need, by the `x-oauth-scopes` header of `auth.test`."""
    if not client.scopes:
        return [Line("Slack scopes", True, "Slack did not say which the token has")]
    needed = {"chat:write", "commands", "users:read"}
    for info in infos:
        if info is not None:
            kind = "groups" if info.is_private else "channels"
            needed |= {f"{kind}:read", f"{kind}:history"}
    if any(one.startswith("S") for one in (*settings.pmagent_approvers, *settings.admins)):
        needed.add("usergroups:read")
    return line_for(
        "Slack scopes", sorted(needed), lambda scope: scope in client.scopes, f"{len(needed)} needed, all there",
        "add {} under OAuth & Permissions of the Slack app, install the app again, and see that SLACK_BOT_TOKEN is its "
        "token",
    )  # fmt: skip


async def _approvers(settings: Settings, client: Slack, people: People, approvals: ChannelInfo | None) -> list[Line]:
    lines: list[Line] = []
    for setting, ids, ask in (
        ("PMAGENT_APPROVERS", settings.pmagent_approvers, people.may_decide),
        ("PMAGENT_ADMINS", settings.pmagent_admins, people.may_administer),
    ):
        for one in ids:
            name = f"{setting} {one}"
            if one == "channel":
                private = approvals is not None and approvals.is_private
                mend = f"make the channel of SLACK_CHANNEL_APPROVALS private, or name people in {setting}"
                text = "full members of the approvals channel" if private else "the approvals channel is not private"
                lines.append(Line(name, private, text, "" if private else mend))
            elif one.startswith("S"):
                lines.append(await _group(client, name, setting, one))
            else:
                verdict = await ask(one, patience=PATIENCE)
                mend = f"remove {one} from {setting}, or copy the member id from the person's profile"
                lines.append(Line(name, verdict.allowed, verdict.name if verdict.allowed else verdict.reason, mend))
    return lines


async def _group(client: Slack, name: str, setting: str, group: str) -> Line:
    try:
        members = await client.group_members(group)
    except PMAgentError as error:
        mend = f"copy the group's id (S…) to {setting} again, or name people there; user groups need a paid plan"
        return explain(name, mend, error)
    mend = f"put somebody into the group, or name others in {setting}"
    return Line(name, bool(members), f"{len(members)} members", "" if members else mend)


async def jira(settings: Settings) -> list[Line]:
    """Token, projects, permissions, service desks."""
    from bot.clients.jira import Jira

    client = Jira(settings)
    try:
        try:
            me = await client.myself()
        except PMAgentError as error:
            address = "ATLASSIAN_CLOUD_ID and ATLASSIAN_API_URL" if settings.atlassian_cloud_id else "JIRA_URL"
            mend = (
                "check ATLASSIAN_SERVICE_ACCOUNT_EMAIL, ATLASSIAN_SERVICE_ACCOUNT_TOKEN and its scopes (read:jira-user)"
                f", and {address}, which make the address {settings.jira_api}"
            )
            return [explain("Jira token", mend, error)]
        lines = [Line("Jira token", True, f"is {me.name}")]
        for key in settings.jira_projects or (None,):
            lines += await _project(settings, client, key)
        return lines
    finally:
        await client.close()


async def _project(settings: Settings, client: Jira, key: str | None) -> list[Line]:
    name = f"Jira project {key}" if key else "Jira"
    what = "every project that the account can see"
    try:
        if key:
            what = await _what(settings, client, key)
        allowed = await _permissions(client, key)
    except PMAgentError as error:
        return [explain(name, "check the key in JIRA_PROJECTS, and give the service account a role there", error)]
    lines = [
        Line(name, False, f"{what}: the account may not {PERMISSIONS[permission]} ({permission})",
             "give the role of ATLASSIAN_SERVICE_ACCOUNT_EMAIL this permission")
        for permission, has in allowed.items() if not has
    ]  # fmt: skip
    may = "the account may read, comment and undo" if allowed else "its permissions could not be looked up"
    return lines or [Line(name, True, f"{what}; {may}")]


async def _what(settings: Settings, client: Jira, key: str) -> str:
    try:
        project = await client.project(key)
    except Gone:
        # Not there, or its details are closed to this token: a search knows the difference. Jira answers 400 for an
        # unknown key; whatever else stands at that address may take any words, so only an issue of it is a proof.
        found = await client.search(f'project = "{key}" ORDER BY created DESC', limit=1)
        if not any(issue.project.upper() == key for issue in found):
            raise Gone(f"no issue of {key} can be seen, and its details neither") from None
        return key
    what = project.name + (", a service desk" if project.service_desk else "")
    return what + (
        " whose customers may see replies" if project.service_desk and key in settings.jira_public_replies else ""
    )


async def _permissions(client: Jira, key: str | None) -> dict[str, bool]:
    try:
        return await client.permissions(key, tuple(PERMISSIONS))
    except Gone:
        return {}  # not every token may ask; the first comment will tell


async def bitbucket(settings: Settings) -> list[Line]:
    """The token, when there is one."""
    from bot.clients.bitbucket import Bitbucket

    client = Bitbucket(settings)
    if not client.configured:
        return [Line("Bitbucket", True, "no token: known from its webhooks alone")]
    try:
        return [Line("Bitbucket token", True, f"is {await client.check()}")]
    except PMAgentError as error:
        return [
            explain(
                "Bitbucket token",
                "create a token that may read pull requests, for BITBUCKET_TOKEN; BITBUCKET_EMAIL is for API tokens",
                error,
            )
        ]
    finally:
        await client.close()


async def claude(settings: Settings) -> list[Line]:
    """Key and models, by a free look-up."""
    from bot.clients.claude import Claude

    unused: Any = None  # the store holds the budget, and looking up a model costs nothing
    client = Claude(settings, unused, SystemClock())
    mend = "check ANTHROPIC_API_KEY, PMAGENT_MODEL and PMAGENT_TRIAGE_MODEL"
    try:
        states = await client.models()
        return [Line(f"Claude {s.model}", s.ok, s.text, "" if s.ok else mend) for s in states]
    except PMAgentError as error:
        return [explain("Claude", mend, error)]
    finally:
        await client.close()


async def sidecar(settings: Settings) -> list[Line]:
    """The webhook endpoint of the running bot: it answers, knows each secret, and refuses a wrong one.

    What is sent is signed and no JSON, so it is refused (400) after the signature was checked, and nothing is stored.
    """
    import aiohttp

    host = settings.pmagent_host if settings.pmagent_host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared, not bound
    base = f"http://{f'[{host}]' if ':' in host else host}:{settings.pmagent_port}"
    hooks = [("jira", secret) for secret in settings.jira_webhook_secret]
    hooks += [("bitbucket", secret) for secret in settings.bitbucket_webhook_secret]
    lines: list[Line] = []
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            async with session.get(f"{base}/health") as answer:
                body = await answer.json() if answer.status == 200 else {}
            if not isinstance(body, dict) or "mode" not in body:
                return [Line("bot", False, f"something else answers at {base}", "set PMAGENT_PORT to a free port")]
            lines.append(Line("bot", True, f"runs at {base} in {body['mode']} mode"))
            for source, secret in hooks:
                expected = [(secret.get_secret_value(), 400), ("not " + secret.get_secret_value(), 401)]
                good = [await _hook(session, f"{base}/webhooks/{source}", key, status) for key, status in expected]
                text = (
                    "signed deliveries are let in, others are not" if all(good) else "answers otherwise than expected"
                )
                setting = f"{source.upper()}_WEBHOOK_SECRET"
                mend = "" if all(good) else f"restart the bot: it runs with another {setting} than this one"
                lines.append(Line(f"webhook {source}", all(good), text, mend))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        if not lines:
            return [Line("bot", True, f"does not run at {base}, so its webhooks were not tried")]
        mend = "look into the bot's log, and see that PMAGENT_PORT is its own"
        lines.append(Line("webhook", False, "the bot stopped answering", mend))
    return lines


async def _hook(session: Any, url: str, secret: str, status: int) -> bool:
    body = b"{"
    signed = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature": signed, "Content-Type": "application/json"}
    async with session.post(url, data=body, headers=headers) as answer:
        return bool(answer.status == status)
