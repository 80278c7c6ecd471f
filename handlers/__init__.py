"""Every way in, on one screen. What the outside does to us enters here; what this machine does, by the last two rows.

======================  ============================  ======================================================
who                     how                           module
======================  ============================  ======================================================
Jira                    POST /webhooks/jira           `webhooks` (is it to be taken?), `jira` (what is it)
Jira Automation         POST /webhooks/jira, token    `webhooks`, `jira.automation`
Bitbucket               POST /webhooks/bitbucket      `webhooks`, `bitbucket`
Slack                   Socket Mode, or               `slack` (`connection`, `http`; every listener: `listeners`)
                        POST /webhooks/slack
  buttons, the modal                                  `slack.approvals`
  why skipped, proposals                              `slack.learning` (what people say about what Claude learns)
  /pmagent …                                          `slash_command` (`words`, `dispatch`, `pages`)
  the home tab                                        `slack.home`
people, Prometheus      GET / /health /ready          `status`
                        /metrics /docs
the clock               due times                     `bot.schedule` (standup, expiry, outage, reconcile, retention)
a command               `erase` while we run          `bot.store.embedded.erasing.serve_requests`
======================  ============================  ======================================================

`sidecar.create_sidecar` puts the HTTP ones together; `bot.app` adds Slack, the queue and the schedule. Besides:
`decoding` (strict JSON, and models of somebody else's) and `openapi_document` (the answers, and the webhooks in it).
Each is thin: verify, decode into our own types (`bot.domain.events`, `slack.interactions`), call one function of the
workflow, answer.

A delivery's way to its 202, for who reads along; one `await` follows the other:

1. `bot/http/protocol.py`: a connection, with a deadline for each request
2. `handlers/sidecar.py`: which endpoint
3. `handlers/webhooks/endpoint.py`: the checks in their order, and the answer
4. `bot/http/limits.py`: how many, how large
5. `handlers/decoding.py`: bytes become an object, the object a model
6. `handlers/jira/payloads.py` and `handlers/jira/events.py` (or those of Bitbucket): the models, and what they mean
7. `bot/domain/events.py`, with 8. `bot/domain/issues.py`: our words; texts pass `bot.markup` and `bot.safety`
9. `bot/intake/accept.py`: the record, once, with the jobs that it leads to
10. `bot/intake/silence.py`: what an event alone can settle
11. `bot/store/__init__.py`: one commit, returned from when it is on stable storage
"""

from handlers.sidecar import create_sidecar, openapi

__all__ = ["create_sidecar", "openapi"]
