"""What is wrong between several settings of which each by itself is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.settings.problems import Problem
from bot.settings.where import WHERE

if TYPE_CHECKING:
    from bot.settings.declaration import Settings

SERVICE_ACCOUNT_DOMAIN = "@serviceaccount.atlassian.com"


def problems(settings: Settings) -> list[Problem]:
    """All of them, in no order."""
    found: list[Problem] = []

    def add(variable: str, what: str, mend: str = "") -> None:
        found.append(Problem(variable, what, mend or WHERE[variable]))

    if not settings.jira_webhook_secret:
        add("JIRA_WEBHOOK_SECRET", "is blank")
    token = settings.jira_automation_token
    if token and token in (*settings.jira_webhook_secret, *settings.bitbucket_webhook_secret):
        add("JIRA_AUTOMATION_TOKEN", "is the same as a signing secret", "use a text of its own")
    email = settings.atlassian_service_account_email
    if email.endswith(SERVICE_ACCOUNT_DOMAIN) and not settings.atlassian_cloud_id:
        add("ATLASSIAN_CLOUD_ID", "is missing: a service account's token works only with it")
    if not settings.slack_app_token and not settings.slack_signing_secret:
        add("SLACK_APP_TOKEN", "is missing, and so is SLACK_SIGNING_SECRET: one of them is needed")
    if not settings.pmagent_approvers:
        add("PMAGENT_APPROVERS", "names nobody")
    if "channel" in settings.pmagent_approvers and not settings.pmagent_admins:
        add("PMAGENT_ADMINS", "is missing while PMAGENT_APPROVERS is the word channel")
    if settings.pmagent_database_url:
        mend = "remove it: TinyDB in PMAGENT_DATA_DIR is the store"
        add("PMAGENT_DATABASE_URL", "is not supported yet", mend)
    return found
