"""The settings: their names, types and defaults, and beside each the rule that its text has to meet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bot import environment
from bot.settings import formats as rules
from bot.settings.hints import WHERE
from bot.settings.problems import Problem
from bot.settings.standup_time import StandupTime, parse_standup

SERVICE_ACCOUNT_DOMAIN = "@serviceaccount.atlassian.com"
LONGEST_DAYS = 36_500
"""A hundred years: more is a slip, and much more is past the last date there is."""


def _meets(*tests: Callable[[Any], None]) -> AfterValidator:
    """Let a value pass that every rule lets pass; a rule sees the texts of secrets."""

    def check(value: Any) -> Any:
        for test in tests:
            test(_plain(value))
        return value

    return AfterValidator(check)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


_LISTED = BeforeValidator(rules.listed)
WordList = Annotated[tuple[str, ...], _LISTED]
ProjectKeys = Annotated[tuple[str, ...], AfterValidator(rules.project_keys), _LISTED]
WebhookSecrets = Annotated[tuple[SecretStr, ...], _LISTED, _meets(rules.webhook_secrets)]
Token = Annotated[SecretStr, _meets(rules.header)]
BotToken = Annotated[SecretStr, _meets(partial(rules.slack_token, begins=rules.BOT_TOKEN), rules.header)]
AppToken = Annotated[SecretStr, _meets(partial(rules.slack_token, begins=rules.APP_TOKEN), rules.header)]
Address = Annotated[str, _meets(rules.address)]
Channel = Annotated[str, _meets(rules.channel)]
Model = Annotated[str, _meets(rules.model)]
Days = Annotated[float, Field(gt=0, le=LONGEST_DAYS, description="a number of days such as 7, without a unit")]


class Settings(BaseModel):
    """All settings. Field names are the variables' names in lower case; `.env.example` has their meaning.

    A description is what a text of another type is told not to be: `"$10" is not an amount of US dollars …`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    anthropic_api_key: Token
    # As Anthropic's SDK reads it: a gateway in one's own network may do without https.
    anthropic_base_url: Annotated[str, _meets(partial(rules.address, secure=False))] | None = None
    pmagent_model: Model = "claude-sonnet-5-5"
    pmagent_triage_model: Model = "claude-haiku-5-5"
    pmagent_daily_budget_usd: float = Field(
        default=10.0,
        ge=0,
        allow_inf_nan=False,
        description="an amount of US dollars such as 10 or 2.50, without a sign",
    )
    atlassian_service_account_email: Annotated[str, _meets(rules.email)]
    atlassian_service_account_token: Token
    atlassian_cloud_id: Annotated[str, _meets(rules.cloud_id)] | None = None
    atlassian_api_url: Address = "https://api.atlassian.com"
    jira_url: Annotated[str, _meets(rules.site)]
    jira_projects: ProjectKeys = ()
    jira_webhook_secret: WebhookSecrets
    jira_automation_token: Token | None = None
    jira_public_replies: ProjectKeys = ()
    bitbucket_url: Address = "https://api.bitbucket.org/2.0"
    bitbucket_token: Token | None = None
    bitbucket_email: Annotated[str, _meets(rules.email)] | None = None
    bitbucket_webhook_secret: WebhookSecrets = ()
    slack_bot_token: BotToken
    slack_app_token: AppToken | None = None
    slack_signing_secret: Token | None = None
    slack_api_url: Address = "https://slack.com/api/"
    slack_channel_approvals: Channel
    slack_channel_standup: Channel | None = None
    pmagent_approvers: Annotated[WordList, _meets(partial(rules.people, word=True))]
    pmagent_admins: Annotated[WordList, _meets(partial(rules.people, word=False))] = ()
    pmagent_mode: Literal["simulation", "production"] = Field(
        default="simulation", description="a mode: simulation or production"
    )
    pmagent_timezone: Annotated[str, _meets(rules.timezone)] = "UTC"
    pmagent_standup_at: Annotated[str, _meets(rules.standup)] = "09:30 mon-fri"
    pmagent_data_dir: Annotated[Path, _meets(rules.folder)] = Path(environment.DATA_DIR)
    pmagent_database_url: Annotated[SecretStr, _meets(rules.database)] | None = None
    pmagent_host: Annotated[str, _meets(rules.host)] = "127.0.0.1"
    pmagent_port: int = Field(default=8000, ge=0, le=65535, description="a port from 0 to 65535")
    pmagent_draft_days: Days = 7
    pmagent_retention_days: float | None = Field(
        default=None, gt=0, le=LONGEST_DAYS, description="a number of days such as 7, without a unit"
    )
    pmagent_rate_limit: Annotated[str, _meets(rules.rate)] = "6000/minute"
    pmagent_trusted_proxies: Annotated[WordList, _meets(rules.proxies)] = ("127.0.0.1",)
    pmagent_open_metrics: bool = Field(default=False, description="true or false")
    pmagent_log_format: Literal["text", "json"] | None = Field(default=None, description="a format: text or json")

    _doubts: tuple[Problem, ...] = PrivateAttr(default=())

    @model_validator(mode="after")
    def _together(self) -> Self:
        if problems := self._problems():
            raise PydanticCustomError("settings", "several", {"problems": problems})
        return self

    def _problems(self) -> list[Problem]:
        """What is wrong between several settings of which each by itself is right, in no order."""
        found: list[Problem] = []

        def add(variable: str, what: str, mend: str = "") -> None:
            found.append(Problem(variable, what, mend or WHERE[variable]))

        if not self.jira_webhook_secret:
            add("JIRA_WEBHOOK_SECRET", "is blank")
        token = self.jira_automation_token
        if token and token in (*self.jira_webhook_secret, *self.bitbucket_webhook_secret):
            add("JIRA_AUTOMATION_TOKEN", "is the same as a signing secret", "use a text of its own")
        email = self.atlassian_service_account_email
        if email.lower().endswith(SERVICE_ACCOUNT_DOMAIN) and not self.atlassian_cloud_id:
            add("ATLASSIAN_CLOUD_ID", "is missing: a service account's token works only with it")
        if not self.slack_app_token and not self.slack_signing_secret:
            add("SLACK_APP_TOKEN", "is missing, and so is SLACK_SIGNING_SECRET: one of them is needed")
        if not self.pmagent_approvers:
            add("PMAGENT_APPROVERS", "names nobody")
        if "channel" in self.pmagent_approvers and not self.pmagent_admins:
            add("PMAGENT_ADMINS", "is missing while PMAGENT_APPROVERS is the word channel")
        return found

    @property
    def doubts(self) -> tuple[Problem, ...]:
        """What is not certain to be a mistake, for whoever starts the program."""
        return self._doubts

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
    def database_url(self) -> str | None:
        """The address of the database, which holds a password; None: the data are in the folder."""
        return self.pmagent_database_url.get_secret_value() if self.pmagent_database_url else None

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
        if self.pmagent_database_url:  # the whole of it is said nowhere; its password alone may be, by a library
            found += rules.database_passwords(self.pmagent_database_url.get_secret_value())
        return tuple(s for s in found if s)
