"""The webhooks in the OpenAPI document: their answers, and what FastAPI cannot see, because they read raw bytes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from handlers import bitbucket_payloads as bitbucket
from handlers import jira_automation as automation
from handlers import jira_payloads as jira

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


_LATER = {
    "Retry-After": {"description": "seconds", "required": True, "schema": {"type": "integer", "minimum": 1}},
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"model": Accepted, "description": "A new event, on stable storage."},
    200: {"model": Seen, "description": "Seen before within 72 hours, or recorded and left alone."},
    400: {"model": RefusedAnswer, "description": "Not JSON, too deep, NaN, lone surrogates, or not an object."},
    401: {
        "model": RefusedAnswer,
        "description": "The signature (or token) is absent or wrong. Nothing was parsed or stored.",
    },
    413: {"model": RefusedAnswer, "description": "The body is larger than 5 MiB."},
    415: {"model": RefusedAnswer, "description": "Not application/json in UTF-8, or with a content encoding."},
    422: {"model": Invalid, "description": "A needed field is missing or of the wrong type. Recorded."},
    429: {
        "model": RefusedAnswer,
        "description": "More deliveries from one address than PMAGENT_RATE_LIMIT.",
        "headers": _LATER,
    },
    503: {"model": RefusedAnswer, "description": "The event cannot be stored at the moment.", "headers": _LATER},
}


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
    """`document`, FastAPI's own, with the payloads' models and the security schemes added."""
    components = document.setdefault("components", {})
    _, definitions = models_json_schema([(model, "validation") for model in (*_JIRA, *_BITBUCKET)], ref_template=_REF)
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["securitySchemes"] = SECURITY_SCHEMES
    return document
