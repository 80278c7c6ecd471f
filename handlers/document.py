"""The webhook endpoints in the OpenAPI document. They are plain ASGI (see `handlers.webhooks`), so FastAPI cannot
describe them by itself: the models here say what a delivery needs at least, and what every answer looks like.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

REF = "#/components/schemas/{model}"
_KEY = r"^[A-Z][A-Z0-9_]+-[1-9][0-9]{0,9}$"


class Delivered(BaseModel):
    """Something that others send: more fields than these are welcome and are not read."""

    model_config = ConfigDict(extra="allow")


class JiraUser(Delivered):
    """A Jira user as Jira Cloud sends it today."""

    accountId: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9:_-]+$")  # noqa: N815 - Jira's name
    displayName: str | None = None  # noqa: N815 - Jira's name
    accountType: str | None = Field(default=None, examples=["atlassian", "app", "customer"])  # noqa: N815 - Jira's name


class JiraComment(Delivered):
    """A comment. `body` is wiki markup, or a document in the Atlassian Document Format."""

    id: str = Field(pattern=r"^[0-9]{1,20}$")
    author: JiraUser
    body: str | dict[str, Any]
    created: str = Field(examples=["2026-11-22T09:30:00.000+0000"], description="ISO 8601 with a zone")
    updated: str | None = Field(default=None, description="ISO 8601 with a zone")
    jsdPublic: bool | None = None  # noqa: N815 - Jira's name


class JiraFields(Delivered):
    """An issue's fields, as far as they are read."""

    summary: str


class JiraIssue(Delivered):
    """The issue that an event is about."""

    key: str = Field(pattern=_KEY)
    fields: JiraFields


class JiraDelivery(Delivered):
    """A Jira webhook. `comment` is needed by the comment events, `changelog` by changes of fields."""

    timestamp: int = Field(gt=0, lt=4_102_444_800_000, description="milliseconds since 1970")
    webhookEvent: str = Field(  # noqa: N815 - Jira's name
        examples=["comment_created", "comment_updated", "jira:issue_created", "jira:issue_updated"]
    )
    issue: JiraIssue
    comment: JiraComment | None = None
    user: JiraUser | None = None


class AutomationRequest(Delivered):
    """What a Jira Automation rule sends to ask for a draft. `id` is different for each request."""

    issue: str = Field(pattern=_KEY)
    comment: str | None = Field(default=None, pattern=r"^[0-9]{0,20}$")
    id: str = Field(min_length=1, max_length=200)


class BitbucketRepository(Delivered):
    """A repository, named `workspace/repository`."""

    full_name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,60}/[A-Za-z0-9_.-]{1,60}$")


class BitbucketDelivery(Delivered):
    """A Bitbucket Cloud webhook; which of these objects it has depends on the header X-Event-Key."""

    repository: BitbucketRepository
    pullrequest: dict[str, Any] | None = None
    push: dict[str, Any] | None = None
    commit_status: dict[str, Any] | None = None


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


MODELS: tuple[type[BaseModel], ...] = (
    JiraDelivery, AutomationRequest, BitbucketDelivery, Accepted, Seen, Invalid, RefusedAnswer,
)  # fmt: skip

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
    """`document`, FastAPI's own, with the webhook endpoints, their models and their security added."""
    components = document.setdefault("components", {})
    _, definitions = models_json_schema([(model, "validation") for model in MODELS], ref_template=REF)
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components.setdefault("securitySchemes", {}).update(SECURITY_SCHEMES)
    document["paths"].update(_PATHS)
    return document


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": REF.format(model=model.__name__)}


def _answer(description: str, model: type[BaseModel], *, retry_after: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"description": description, "content": {"application/json": {"schema": _ref(model)}}}
    if retry_after:
        seconds = {"type": "integer", "minimum": 1}
        found["headers"] = {"Retry-After": {"description": "seconds", "required": True, "schema": seconds}}
    return found


def _header(name: str, description: str, *, required: bool = False, examples: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"} | ({"examples": list(examples)} if examples else {})
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


_ANSWERS: dict[str, Any] = {
    "202": _answer("A new event, on stable storage.", Accepted),
    "200": _answer("Seen before within 72 hours, or recorded and left alone.", Seen),
    "400": _answer("Not JSON, too deep, NaN, lone surrogates, or not an object.", RefusedAnswer),
    "401": _answer("The signature (or token) is absent or wrong. Nothing was parsed or stored.", RefusedAnswer),
    "413": _answer("The body is larger than 5 MiB.", RefusedAnswer),
    "415": _answer("Not application/json in UTF-8, or with a content encoding.", RefusedAnswer),
    "422": _answer("A needed field is missing or of the wrong type. Recorded.", Invalid),
    "429": _answer("More deliveries from one address than PMAGENT_RATE_LIMIT.", RefusedAnswer, retry_after=True),
    "503": _answer("The event cannot be stored at the moment.", RefusedAnswer, retry_after=True),
}


def _webhook(
    name: str, summary: str, schema: dict[str, Any], security: list[dict[str, Any]], parameters: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["webhooks"],
            "operationId": f"receive_{name}",
            "summary": summary,
            "security": security,
            "parameters": parameters,
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": _ANSWERS,
        }
    }


_PATHS: dict[str, Any] = {
    "/webhooks/jira": _webhook(
        "jira",
        "A Jira webhook, or a request of a Jira Automation rule",
        {"anyOf": [_ref(JiraDelivery), _ref(AutomationRequest)]},
        [{"signature": []}, {"automation": []}],
        [_header("X-Atlassian-Webhook-Identifier", "Jira's id for the delivery, the same when it is sent again")],
    ),
    "/webhooks/bitbucket": _webhook(
        "bitbucket",
        "A Bitbucket Cloud webhook (404 without BITBUCKET_WEBHOOK_SECRET)",
        _ref(BitbucketDelivery),
        [{"signature": []}],
        [
            _header("X-Event-Key", "the kind of event", required=True, examples=("pullrequest:created", "repo:push")),
            _header("X-Request-UUID", "Bitbucket's id for the delivery, the same when it is sent again"),
        ],
    ),
}
