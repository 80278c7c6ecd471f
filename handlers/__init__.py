"""Every way in, on one screen. What the world does to us enters here, and nowhere else.

======================  ============================  ======================================================
who                     how                           module
======================  ============================  ======================================================
Jira                    POST /webhooks/jira           `webhooks` (who is it, seen before?), `jira` (what is it)
Jira Automation         POST /webhooks/jira, token    `webhooks`, `jira.parse_automation`
Bitbucket               POST /webhooks/bitbucket      `webhooks`, `bitbucket`
Slack                   Socket Mode, or               `slack` (Bolt's app and its listeners): buttons and modals,
                        POST /webhooks/slack          `/pmagent`, the home tab
people, Prometheus      GET / /health /ready          `status`
                        /metrics /docs
the clock               due times                     `bot.schedule` (standup, expiry, retention)
======================  ============================  ======================================================

`sidecar.create_sidecar` puts the HTTP ones together; `bot.app` adds Slack, the worker and the schedule. Helpers:
`body` (strict JSON), `fields` (reading somebody else's JSON), `document` (the webhooks in the OpenAPI document).
Each is thin: verify, parse into our own types (`bot.events`), call one function of the workflow, answer.
"""

from handlers.sidecar import create_sidecar, openapi

__all__ = ["create_sidecar", "openapi"]
