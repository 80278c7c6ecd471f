"""Every way in, on one screen. What the outside does to us enters here; what this machine does, by the last two rows.

======================  ============================  ======================================================
who                     how                           module
======================  ============================  ======================================================
Jira                    POST /webhooks/jira           `webhooks` (who is it, seen before?), `jira` (what is it)
Jira Automation         POST /webhooks/jira, token    `webhooks`, `jira.parse_automation`
Bitbucket               POST /webhooks/bitbucket      `webhooks`, `bitbucket`
Slack                   Socket Mode, or               `slack` (every listener; `slack_socket`, `slack_http`)
                        POST /webhooks/slack
  buttons, the modal                                  `approvals`
  /pmagent …                                          `commands` (`answers`: what they say)
  the home tab                                        `home`
people, Prometheus      GET / /health /ready          `status`
                        /metrics /docs
the clock               due times                     `bot.schedule` (standup, expiry, outage, reconcile, archive)
a command               `erase` while we run          `bot.store.erase.serve_requests`
======================  ============================  ======================================================

`sidecar.create_sidecar` puts the HTTP ones together; `bot.app` adds Slack, the worker and the schedule. Besides:
`body` (strict JSON), `fields` (reading somebody else's JSON), `plain_comment` (the short way for what most deliveries
are), `document` (the webhooks in the OpenAPI document), `interactions` (what Slack sends, in our own types), `telling`
(what one person is told and nobody else).
Each is thin: verify, parse into our own types (`bot.events`), call one function of the workflow, answer.
"""

from handlers.sidecar import create_sidecar, openapi

__all__ = ["create_sidecar", "openapi"]
