"""What `python -m bot check` tries of Jira, Bitbucket, Claude and the running bot. Reads only; each gives its lines."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from bot.clock import SystemClock
from bot.commands.check.lines import CheckLine, failed, given, good, later, warn, wrong
from bot.errors import Gone, PMAgentError
from bot.settings import settings_for

if TYPE_CHECKING:
    from bot.clients.jira.client import Jira
    from bot.settings import Settings

PERMISSIONS = {
    "BROWSE_PROJECTS": "read issues",
    "ADD_COMMENTS": "post replies",
    "DELETE_OWN_COMMENTS": "undo a reply",
}
MENDS = {
    "key": "create another key at https://platform.claude.com and put it into ANTHROPIC_API_KEY",
    **dict.fromkeys(
        ("account", "billing", "spend_limit"), "see the account of ANTHROPIC_API_KEY at https://platform.claude.com"
    ),
}
"""What to do about Claude's definite refusals, by their kind; all others are about the model."""


async def jira(settings: Settings) -> list[CheckLine]:
    """Token, projects, permissions, service desks."""
    from bot.clients.jira.client import Jira

    client = Jira(settings)
    try:
        try:
            me = await client.myself()
        except PMAgentError as error:
            address = "ATLASSIAN_CLOUD_ID" if settings.atlassian_cloud_id else "JIRA_URL"
            mend = (
                "check ATLASSIAN_SERVICE_ACCOUNT_EMAIL, ATLASSIAN_SERVICE_ACCOUNT_TOKEN and its scopes (read:jira-user)"
                f", and {address}, which makes the address {settings.jira_api}"
            )
            return [failed("Jira token", error, mend, address=address)]
        lines = [good("Jira token", f"is {me.name}")]
        for key in settings.jira_projects or (None,):
            lines += await _project(settings, client, key, "JIRA_PROJECTS")
        for key in settings.jira_public_replies:
            if key not in settings.jira_projects:
                lines += await _project(settings, client, key, "JIRA_PUBLIC_REPLIES")
        return lines
    finally:
        await client.close()


async def _project(settings: Settings, client: Jira, key: str | None, setting: str) -> list[CheckLine]:
    name = f"Jira project {key}" if key else "Jira"
    what = "every project that the account can see"
    try:
        if key:
            what = await _what(settings, client, key)
        allowed = await _permissions(client, key)
    except PMAgentError as error:
        return [failed(name, error, f"check the key in {setting}, and give the service account a role there")]
    lines = [
        wrong(name, f"{what}: the account may not {PERMISSIONS[permission]} ({permission})",
             "give the role of ATLASSIAN_SERVICE_ACCOUNT_EMAIL this permission")
        for permission, has in allowed.items() if not has
    ]  # fmt: skip
    may = "the account may read, comment and undo" if allowed else "its permissions could not be looked up"
    return lines or [good(name, f"{what}; {may}")]


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
    if not project.service_desk:
        return project.name
    public = settings_for(settings, key).public_replies
    return f"{project.name}, a service desk{' whose customers may see replies' if public else ''}"


async def _permissions(client: Jira, key: str | None) -> dict[str, bool]:
    try:
        return await client.permissions(key, tuple(PERMISSIONS))
    except Gone:
        return {}  # not every token may ask; the first comment will tell


async def bitbucket(settings: Settings) -> list[CheckLine]:
    """The token, when there is one."""
    from bot.clients.bitbucket import Bitbucket

    client = Bitbucket(settings)
    if not client.configured:
        return [good("Bitbucket", "no token: known from its webhooks alone")]
    try:
        return [good("Bitbucket token", f"is {await client.check()}")]
    except PMAgentError as error:
        mend = "create a token that may read pull requests, for BITBUCKET_TOKEN; BITBUCKET_EMAIL is for API tokens"
        return [failed("Bitbucket token", error, mend, address=given(settings, "bitbucket_url"))]
    finally:
        await client.close()


async def claude(settings: Settings) -> list[CheckLine]:
    """Key and models, by a free look-up."""
    from bot.clients.claude.client import Claude, ModelState
    from bot.clients.claude.errors import NotClaude

    def line(state: ModelState) -> CheckLine:
        name = f"Claude {state.model}"
        if state.ok:
            return good(name, state.text)
        if isinstance(state.error, NotClaude) and settings.anthropic_base_url:
            what = "could not be tried: what stands at ANTHROPIC_BASE_URL offers no look-up of models"
            return warn(name, what, "the first question will show whether key and model are good")
        setting = "PMAGENT_MODEL" if state.model == settings.pmagent_model else "PMAGENT_TRIAGE_MODEL"
        model = f"put the id of a model that this key may use into {setting}"
        if state.error is None:
            return wrong(name, state.text, model)
        mend = MENDS.get(getattr(state.error, "kind", ""), model)
        return failed(name, state.error, mend, address=given(settings, "anthropic_base_url"))

    unused: Any = None  # the store holds the budget, and looking up a model costs nothing
    client = Claude(settings, unused, SystemClock())
    try:
        return [line(state) for state in await client.models()]
    finally:
        await client.close()


async def sidecar(settings: Settings) -> list[CheckLine]:
    """The webhook endpoint of the running bot: it answers, knows each secret, and refuses a wrong one."""
    import aiohttp

    host = settings.pmagent_host if settings.pmagent_host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared, not bound
    base = f"http://{f'[{host}]' if ':' in host else host}:{settings.pmagent_port}"
    hooks = [("jira", secret) for secret in settings.jira_webhook_secret]
    hooks += [("bitbucket", secret) for secret in settings.bitbucket_webhook_secret]
    lines: list[CheckLine] = []
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            async with session.get(f"{base}/health") as answer:
                body = await answer.json() if answer.status == 200 else {}
            if not isinstance(body, dict) or "mode" not in body:
                return [_another(base)]
            lines.append(good("bot", f"runs at {base} in {body['mode']} mode"))
            for source, secret in hooks:
                lines.append(await _hook(session, f"{base}/webhooks/{source}", source, secret.get_secret_value()))
    except aiohttp.ClientConnectorError:
        if not lines:
            return [good("bot", f"does not run at {base}, so its webhooks were not tried")]
        lines.append(later("webhook", "the bot stopped while it was asked"))
    except (aiohttp.ContentTypeError, ValueError):
        lines.append(_another(base))
    except (aiohttp.ClientError, TimeoutError):
        lines.append(later("webhook" if lines else "bot", f"{base} takes connections and does not answer"))
    return lines


def _another(base: str) -> CheckLine:
    return wrong("bot", f"something else answers at {base}", "set PMAGENT_PORT to a free port")


async def _hook(session: Any, url: str, source: str, secret: str) -> CheckLine:
    """What is sent is signed and no JSON: it is refused (400) after its signature was checked; nothing is stored."""
    name, setting = f"webhook {source}", f"{source.upper()}_WEBHOOK_SECRET"
    right, other = await _status(session, url, secret), await _status(session, url, f"not {secret}")
    if (right, other) == (400, 401):
        return good(name, "signed deliveries are let in, others are not")
    if right in (401, 404):
        return wrong(name, "refuses this secret", f"restart the bot: it runs with another {setting} than this one")
    if other == 400:
        return wrong(name, "lets in what is signed with another secret", f"restart the bot with this {setting}")
    return later(name, f"answers {right} and {other} instead of letting the first in and refusing the second")


async def _status(session: Any, url: str, secret: str) -> int:
    body = b"{"
    signed = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature": signed, "Content-Type": "application/json"}
    async with session.post(url, data=body, headers=headers) as answer:
        return int(answer.status)
