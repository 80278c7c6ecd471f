"""Every setting, declared once, read once, frozen. All problems are named at once, each with the way to mend it.

`load()` reads the environment and `.env` (by `bot.environment`); nothing happens at import. `.env.example` says
what each setting means, and `tests/test_docs.py` holds it against `Settings.model_fields`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot import environment
from bot.errors import UserError
from bot.standup_time import StandupTime, parse_standup

SERVICE_ACCOUNT_DOMAIN = "@serviceaccount.atlassian.com"
WHERE: dict[str, str] = {
    "ANTHROPIC_API_KEY": "create a key at https://platform.claude.com under API keys",
    "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "its address, at https://admin.atlassian.com under Service accounts",
    "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "create an API token for the service account at https://admin.atlassian.com",
    "ATLASSIAN_CLOUD_ID": "open https://YOUR-SITE.atlassian.net/_edge/tenant_info and copy cloudId",
    "JIRA_URL": "the address people browse, such as https://example.atlassian.net",
    "JIRA_WEBHOOK_SECRET": "any long random text, given to Jira with the webhook (Jira settings, System, WebHooks)",
    "SLACK_BOT_TOKEN": "the Bot User OAuth Token (xoxb-), https://api.slack.com/apps, OAuth & Permissions",
    "SLACK_APP_TOKEN": "an App-Level Token (xapp-) with connections:write, under Basic Information of your Slack app",
    "SLACK_SIGNING_SECRET": "the Signing Secret under Basic Information of your Slack app",
    "SLACK_CHANNEL_APPROVALS": "the channel's id (C…), at the bottom of the channel's details in Slack",
    "PMAGENT_APPROVERS": "Slack user ids (U…), user group ids (S…), or the word channel (if that is private)",
    "PMAGENT_ADMINS": "Slack user ids (U…) or user group ids (S…); required when the approvers are the word channel",
}
REQUIRED = (
    "ANTHROPIC_API_KEY", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL", "ATLASSIAN_SERVICE_ACCOUNT_TOKEN", "JIRA_URL",
    "JIRA_WEBHOOK_SECRET", "SLACK_BOT_TOKEN", "SLACK_CHANNEL_APPROVALS", "PMAGENT_APPROVERS",
)  # fmt: skip

Words = Annotated[tuple[str, ...], NoDecode]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings: which variable, what, and how to mend it."""

    variable: str
    what: str
    mend: str


class SettingsError(UserError):
    """All problems of the settings at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{p.variable}: {p.what}" + (f" ({p.mend})" if p.mend else "") for p in problems))


def _fail(sentence: str) -> PydanticCustomError:
    # Our own error type: pydantic's repeats the offending value, which may be a secret.
    return PydanticCustomError("setting", "{sentence}", {"sentence": sentence})


class Settings(BaseSettings):
    """All settings. Field names are the variables' names in lower case; `.env.example` has their meaning."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `load` reads the sources itself: it has to know blank from missing, and a test's dictionary is all there is.
        return (init_settings,)

    anthropic_api_key: SecretStr
    anthropic_base_url: str | None = None
    pmagent_model: str = "claude-sonnet-5-5"
    pmagent_triage_model: str = "claude-haiku-5-5"
    pmagent_daily_budget_usd: float = Field(default=10.0, ge=0, allow_inf_nan=False)
    atlassian_service_account_email: str
    atlassian_service_account_token: SecretStr
    atlassian_cloud_id: str | None = None
    atlassian_api_url: str = "https://api.atlassian.com"
    jira_url: str
    jira_projects: Words = ()
    jira_webhook_secret: Secrets
    jira_automation_token: SecretStr | None = None
    jira_public_replies: Words = ()
    bitbucket_url: str = "https://api.bitbucket.org/2.0"
    bitbucket_token: SecretStr | None = None
    bitbucket_email: str | None = None
    bitbucket_webhook_secret: Secrets = ()
    slack_bot_token: SecretStr
    slack_app_token: SecretStr | None = None
    slack_signing_secret: SecretStr | None = None
    slack_api_url: str = "https://slack.com/api/"
    slack_channel_approvals: str
    slack_channel_standup: str | None = None
    pmagent_approvers: Words
    pmagent_admins: Words = ()
    pmagent_mode: Literal["simulation", "production"] = "simulation"
    pmagent_timezone: str = "UTC"
    pmagent_standup_at: str = "09:30 mon-fri"
    pmagent_data_dir: Path = Path(environment.DATA_DIR)
    pmagent_database_url: SecretStr | None = None
    pmagent_host: str = "127.0.0.1"
    pmagent_port: int = Field(default=8000, ge=0, le=65535)
    pmagent_draft_days: float = Field(default=7, gt=0, allow_inf_nan=False)
    pmagent_retention_days: float = Field(default=365, gt=0, allow_inf_nan=False)
    pmagent_rate_limit: str = "6000/minute"
    pmagent_trusted_proxies: Words = ("127.0.0.1",)
    pmagent_open_metrics: bool = False
    pmagent_log_format: Literal["text", "json"] | None = None

    @field_validator(
        "jira_projects", "jira_public_replies", "pmagent_approvers", "pmagent_admins", "pmagent_trusted_proxies",
        "jira_webhook_secret", "bitbucket_webhook_secret", mode="before",
    )  # fmt: skip
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("jira_url", "atlassian_api_url", "bitbucket_url", "slack_api_url", "anthropic_base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _fail("is not an address such as https://example.atlassian.net")
        return value

    @field_validator("jira_projects", "jira_public_replies")
    @classmethod
    def _project_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if not re.fullmatch(r"[A-Z][A-Z0-9_]+", key.upper()):
                raise _fail(f"{key} is not a project key such as ECD")
        return tuple(key.upper() for key in keys)

    @field_validator("slack_channel_approvals", "slack_channel_standup")
    @classmethod
    def _channel(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[CGD][A-Z0-9]{2,}", value):
            raise _fail(f"{value} is not a channel id such as C0123ABCD (a name does not do: names change)")
        return value

    @field_validator("pmagent_approvers", "pmagent_admins")
    @classmethod
    def _who(cls, values: tuple[str, ...], info: Any) -> tuple[str, ...]:
        for value in values:
            if value == "channel" and info.field_name == "pmagent_approvers":
                continue
            if not re.fullmatch(r"[UWS][A-Z0-9]{2,}", value):
                raise _fail(f"{value} is neither a Slack user id (U…) nor a user group id (S…)")
        return values

    @field_validator("pmagent_trusted_proxies")
    @classmethod
    def _proxies(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            try:
                ip_network(value, strict=False)
            except ValueError:
                raise _fail(f"{value} is not an address or network such as 127.0.0.1 or 10.0.0.0/8") from None
        return values

    @field_validator("pmagent_timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise _fail(f"{value} is not an IANA time zone such as Europe/Berlin") from None
        return value

    @field_validator("pmagent_standup_at")
    @classmethod
    def _standup(cls, value: str) -> str:
        try:
            parse_standup(value)
        except ValueError as error:
            raise _fail(str(error)) from None
        return value

    @field_validator("pmagent_rate_limit")
    @classmethod
    def _rate(cls, value: str) -> str:
        if value.strip():
            from limits import parse_many

            try:
                rates = parse_many(value)
            except ValueError:
                raise _fail("is not a rate such as 6000/minute") from None
            if any(rate.amount == 0 for rate in rates):
                raise _fail("lets nothing through; leave it empty for no limit")
        return value.strip()

    @model_validator(mode="after")
    def _together(self) -> Self:
        problems: list[Problem] = []
        for secret in (*self.jira_webhook_secret, *self.bitbucket_webhook_secret):
            if (
                self.jira_automation_token
                and secret.get_secret_value() == self.jira_automation_token.get_secret_value()
            ):
                problems.append(
                    Problem("JIRA_AUTOMATION_TOKEN", "is the same as a signing secret", "use a text of its own")
                )
        if not self.jira_webhook_secret:
            problems.append(Problem("JIRA_WEBHOOK_SECRET", "is blank", WHERE["JIRA_WEBHOOK_SECRET"]))
        if self.atlassian_service_account_email.endswith(SERVICE_ACCOUNT_DOMAIN) and not self.atlassian_cloud_id:
            problems.append(
                Problem(
                    "ATLASSIAN_CLOUD_ID",
                    "is missing: a service account's token works only with it",
                    WHERE["ATLASSIAN_CLOUD_ID"],
                )
            )
        if not self.slack_app_token and not self.slack_signing_secret:
            problems.append(
                Problem(
                    "SLACK_APP_TOKEN",
                    "is missing, and so is SLACK_SIGNING_SECRET: one of them is needed",
                    WHERE["SLACK_APP_TOKEN"],
                )
            )
        for name, token, other in (
            ("SLACK_BOT_TOKEN", self.slack_bot_token, "xapp-"),
            ("SLACK_APP_TOKEN", self.slack_app_token, "xoxb-"),
        ):
            if token and token.get_secret_value().startswith(other):
                problems.append(Problem(name, f"is the other token: one that begins with {other}", WHERE[name]))
        if "channel" in self.pmagent_approvers and not self.pmagent_admins:
            problems.append(
                Problem(
                    "PMAGENT_ADMINS", "is missing while PMAGENT_APPROVERS is the word channel", WHERE["PMAGENT_ADMINS"]
                )
            )
        if not self.pmagent_approvers:
            problems.append(Problem("PMAGENT_APPROVERS", "names nobody", WHERE["PMAGENT_APPROVERS"]))
        if self.pmagent_database_url:
            problems.append(
                Problem(
                    "PMAGENT_DATABASE_URL", "is not supported yet", "remove it: TinyDB in PMAGENT_DATA_DIR is the store"
                )
            )
        if problems:
            raise PydanticCustomError("settings", "several", {"problems": problems})
        return self

    # What is derived from several settings, named once.

    @property
    def jira_api(self) -> str:
        """The base of Jira's REST API: through the gateway with a cloud id, else the site itself."""
        if self.atlassian_cloud_id:
            return f"{self.atlassian_api_url.rstrip('/')}/ex/jira/{self.atlassian_cloud_id}"
        return self.jira_url.rstrip("/")

    @property
    def site(self) -> str:
        """The site people browse, without a slash at its end."""
        return self.jira_url.rstrip("/")

    @property
    def standup_channel(self) -> str:
        return self.slack_channel_standup or self.slack_channel_approvals

    @property
    def timezone(self) -> ZoneInfo:
        return ZoneInfo(self.pmagent_timezone)

    @property
    def standup_time(self) -> StandupTime | None:
        return parse_standup(self.pmagent_standup_at)

    @property
    def admins(self) -> tuple[str, ...]:
        return self.pmagent_admins or self.pmagent_approvers

    @property
    def socket_mode(self) -> bool:
        return self.slack_app_token is not None

    def watches(self, project: str) -> bool:
        """Whether events of this project are handled."""
        return not self.jira_projects or project.upper() in self.jira_projects

    def secrets(self) -> tuple[str, ...]:
        """Every secret's text: for the redaction of logs, and for nothing else."""
        found: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            found += [
                s.get_secret_value()
                for s in (value if isinstance(value, tuple) else (value,))
                if isinstance(s, SecretStr)
            ]
        return tuple(s for s in found if s)


# An empty text means "off" for these two, so it must not be dropped as unset.
_EMPTY_MEANS_OFF = ("PMAGENT_STANDUP_AT", "PMAGENT_RATE_LIMIT")


def read_environment(folder: Path | None = None) -> dict[str, str]:
    """Our variables by upper-case name: the process's environment, over `.env` in `folder` (default: here).

    Raises `SettingsError` when `.env` is there and cannot be read.
    """
    try:
        return environment.read(Settings.model_fields, folder)
    except environment.Unreadable as error:
        mend = "save it as UTF-8, readable by this user"
        raise SettingsError((Problem(".env", error.why, mend),)) from None


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this environment (default: ours and `.env`). Raises `SettingsError` with all problems."""
    values = dict(read_environment() if environment is None else environment)
    given = {name.lower(): value for name, value in values.items() if value.strip() or name in _EMPTY_MEANS_OFF}
    missing = [name for name in REQUIRED if name.lower() not in given]
    problems = [Problem(name, "is missing" if name not in values else "is blank", WHERE[name]) for name in missing]
    given |= {name.lower(): _STAND_IN.get(name, "x") for name in missing}
    # Twice: what is wrong between several settings is looked for only when each by itself is right.
    for _ in range(2):
        try:
            settings = Settings.model_validate(given)
        except ValidationError as error:
            found, given = _problems(error), dict(given)
            for problem in found:
                given.pop(problem.variable.lower(), None)
            given |= {name.lower(): _STAND_IN.get(name, "x") for name in REQUIRED if name.lower() not in given}
            known = {problem.variable for problem in problems} | set(missing)
            problems += [problem for problem in found if problem.variable not in known]
        else:
            break
    if problems:
        order = [name.upper() for name in Settings.model_fields]
        raise SettingsError(tuple(sorted(problems, key=lambda p: order.index(p.variable))))
    return settings


def _problems(error: ValidationError) -> list[Problem]:
    found: list[Problem] = []
    for item in error.errors(include_url=False, include_input=False):
        if item["type"] == "settings":
            found += item["ctx"]["problems"]
            continue
        variable = str(item["loc"][0]).upper()
        what = item["msg"] if item["type"] == "setting" else f"is not valid: {item['msg']}"
        found.append(Problem(variable, what, WHERE.get(variable, "")))
    return found


# Placeholders for missing variables, so that the others' problems are found in the same run.
_STAND_IN = {"JIRA_URL": "https://x.invalid", "SLACK_CHANNEL_APPROVALS": "C00", "PMAGENT_APPROVERS": "U00"}
