"""Where to get the value of a setting: the second half of a sentence about one that is missing or wrong."""

from __future__ import annotations

REQUIRED = (
    "ANTHROPIC_API_KEY", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL", "ATLASSIAN_SERVICE_ACCOUNT_TOKEN", "JIRA_URL",
    "JIRA_WEBHOOK_SECRET", "SLACK_BOT_TOKEN", "SLACK_CHANNEL_APPROVALS", "PMAGENT_APPROVERS",
)  # fmt: skip
WHERE: dict[str, str] = {
    "ANTHROPIC_API_KEY": "create a key at https://platform.claude.com under API keys",
    "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "its address, at https://admin.atlassian.com under Service accounts",
    "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "create an API token for the service account at https://admin.atlassian.com",
    "ATLASSIAN_CLOUD_ID": "open https://YOUR-SITE.atlassian.net/_edge/tenant_info and copy cloudId",
    "JIRA_URL": "the address people browse, such as https://example.atlassian.net",
    "JIRA_WEBHOOK_SECRET": "a long random text (openssl rand -hex 32), also given to Jira's webhook "
    "(Jira settings, System, WebHooks)",
    "JIRA_AUTOMATION_TOKEN": "a long random text of its own (openssl rand -hex 32), also given to the Automation rule",
    "BITBUCKET_TOKEN": "create a repository or API token that may read pull requests, or leave it unset",
    "BITBUCKET_WEBHOOK_SECRET": "a long random text (openssl rand -hex 32), also given to Bitbucket's webhook "
    "(Repository settings, Webhooks)",
    "SLACK_BOT_TOKEN": "the Bot User OAuth Token (xoxb-), https://api.slack.com/apps, OAuth & Permissions",
    "SLACK_APP_TOKEN": "an App-Level Token (xapp-) with connections:write, under Basic Information of your Slack app",
    "SLACK_SIGNING_SECRET": "the Signing Secret under Basic Information of your Slack app",
    "SLACK_CHANNEL_APPROVALS": "the channel's id (C…), at the bottom of the channel's details in Slack",
    "SLACK_CHANNEL_STANDUP": "the channel's id (C…), at the bottom of the channel's details in Slack",
    "PMAGENT_APPROVERS": "Slack user ids (U…), user group ids (S…), or the word channel (if that is private)",
    "PMAGENT_DATABASE_URL": "postgresql://user:password@host/database, a database of its own for PM Agent",
    "PMAGENT_ADMINS": "Slack user ids (U…) or user group ids (S…); required when the approvers are the word channel",
}
