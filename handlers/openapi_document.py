"""The sidecar in the OpenAPI document: its answers, and the webhooks' requests, which FastAPI does not see.

The answers are described here and not given to FastAPI as models: it would load `pydantic.v1` to ask whether they are
made with that, 1.5 MiB that nothing else needs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from handlers.bitbucket import payloads as bitbucket
from handlers.jira import automation
from handlers.jira import payloads as jira

_REF = "#/components/schemas/{model}"
_JIRA = (
    jira.CommentDelivery, jira.CreatedDelivery, jira.UpdatedDelivery,
    automation.AutomationRequest, automation.IssueData, automation.JiraFormat,
)  # fmt: skip
_BITBUCKET = (
    bitbucket.PullRequestDelivery, bitbucket.ApprovalDelivery, bitbucket.ChangesRequestDelivery,
    bitbucket.PushDelivery, bitbucket.BuildDelivery,
)  # fmt: skip


class Accepted(BaseModel):
    """A new event, on stable storage."""

    status: Literal["accepted"]
    event_id: str


class Seen(BaseModel):
    """A duplicate (`event_id` is the first one's), or a delivery that is recorded and left alone for this reason."""

    status: Literal["duplicate", "ignored"]
    event_id: str
    reason: str | None = None


class Invalid(BaseModel):
    """A known kind of event whose needed field is missing or of the wrong type. Recorded."""

    status: Literal["invalid"]
    event_id: str
    reason: str


class RefusedAnswer(BaseModel):
    """Not stored."""

    status: Literal["refused"]
    reason: str


class Home(BaseModel):
    """Who answers here, and where to look next."""

    service: str
    version: str
    mode: str
    links: dict[str, str]


class Health(BaseModel):
    """The process can serve."""

    status: Literal["healthy"]
    timestamp: datetime
    version: str
    mode: str


class Ready(BaseModel):
    """`parts`: each part's name and `ok`, or what is wrong with it.

    `away`: `jira` and `claude`, where it is away: since when and why. Deliveries and clicks are taken all the same, and
    events wait; so it is no reason to keep traffic from the sidecar. Nor is `audit_trail`: where it is broken, and why.
    """

    status: Literal["ready", "not ready"]
    parts: dict[str, str]
    away: dict[str, str] | None = None
    audit_trail: str | None = None


_ANSWERS = (Accepted, Seen, Invalid, RefusedAnswer, Home, Health, Ready)


def answer(model: type[BaseModel], description: str = "Successful Response", **more: Any) -> dict[str, Any]:
    """An answer of this form, for a route's `responses`."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"description": description, "content": {"application/json": {"schema": schema}}, **more}


ORDER = "Checked in this order: rate, size, signature, content type, JSON, fields. 2xx: the event is on stable storage."
"""What both webhooks' operations say of themselves."""
_LATER = {
    "Retry-After": {"description": "seconds", "required": True, "schema": {"type": "integer", "minimum": 1}},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: answer(Accepted, "A new event, on stable storage."),
    200: answer(Seen, "Seen before within 72 hours, or recorded and left alone."),
    400: answer(RefusedAnswer, "Not JSON, too deep, NaN, lone surrogates, or not an object."),
    401: answer(RefusedAnswer, "The signature (or token) is absent or wrong. Nothing was parsed or stored."),
    413: answer(RefusedAnswer, "The body is larger than 5 MiB."),
    415: answer(RefusedAnswer, "Not application/json in UTF-8, or with a content encoding."),
    422: answer(Invalid, "A needed field is missing or of the wrong type. Recorded."),
    429: answer(RefusedAnswer, "More deliveries from one address than PMAGENT_RATE_LIMIT.", headers=_LATER),
    503: answer(RefusedAnswer, "The event cannot be stored at the moment.", headers=_LATER),
}
"""A webhook's."""


def _operation(
    models: tuple[type[BaseModel], ...], security: tuple[str, ...], headers: dict[str, str], required: str = ""
) -> dict[str, Any]:
    schema = {"anyOf": [{"$ref": _REF.format(model=model.__name__)} for model in models]}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "security": [{name: []} for name in security],
        "parameters": [
            {"name": name, "in": "header", "required": name == required, "description": text,
             "schema": {"type": "string"}}
            for name, text in headers.items()
        ],
    }  # fmt: skip


JIRA = _operation(
    _JIRA,
    ("signature", "automation"),
    {"X-Atlassian-Webhook-Identifier": "Jira's id for the delivery, the same when it is sent again"},
)
BITBUCKET = _operation(
    _BITBUCKET,
    ("signature",),
    {
        "X-Event-Key": "the kind of event, such as pullrequest:created or repo:push",
        "X-Request-UUID": "Bitbucket's id for the delivery, the same when it is sent again",
    },
    "X-Event-Key",
)
SECURITY_SCHEMES: dict[str, Any] = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Hub-Signature",
        "description": "sha256=<hex HMAC-SHA256 of the raw body with the webhook's secret>",
    },
    "automation": {
        "type": "apiKey",
        "in": "header",
        "name": "X-PMAgent-Token",
        "description": "JIRA_AUTOMATION_TOKEN; counts only where there is no X-Hub-Signature",
    },
}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """`document`, FastAPI's own, with the models and the security schemes added."""
    components = document.setdefault("components", {})
    models: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in (*_JIRA, *_BITBUCKET)),
        *((model, "serialization") for model in _ANSWERS),
    ]
    _, definitions = models_json_schema(models, ref_template=_REF)
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["securitySchemes"] = SECURITY_SCHEMES
    return document
