"""Shapes that all of Jira's endpoints share: error answers, pages, JSON bodies, entity properties."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

LONGEST_PROPERTY = 32_768
"""Characters of a property's value as JSON."""


class Refusal(Exception):
    """An error answer in Jira's shape."""

    def __init__(self, status: int, message: str = "", *, errors: dict[str, str] | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"errorMessages": [message] if message else [], "errors": errors or {}}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def page_of(request: web.Request, found: list[Any], name: str, default: int) -> web.Response:
    """One page of `found` by `startAt` and `maxResults`, under `name`."""
    try:
        start, most = int(request.query.get("startAt", 0)), int(request.query.get("maxResults", default))
    except ValueError:
        raise Refusal(400, "startAt and maxResults are numbers.") from None
    most = max(0, min(most, 1000))
    page = found[start : start + most]
    answer = {"startAt": start, "maxResults": most, "total": len(found), name: page}
    if name == "values":
        answer["isLast"] = start + most >= len(found)
    return web.json_response(answer)


async def json_body(request: web.Request) -> dict[str, Any]:
    """The request's body, which must be a JSON object sent as such."""
    if request.content_type != "application/json":
        raise Refusal(415)
    try:
        body = await request.json()
    except ValueError:
        raise Refusal(400, "There was an error parsing JSON. Check that your request body is valid.") from None
    if not isinstance(body, dict):
        raise Refusal(400, "Invalid request payload. Refer to the REST API documentation and try again.")
    return body


def properties_of(given: Any) -> dict[str, Any]:
    """Entity properties as they stand in a request → key: value; within Jira's limits."""
    found: dict[str, Any] = {}
    if not isinstance(given, list):
        raise Refusal(400, errors={"properties": "properties must be a list."})
    for item in given:
        if not isinstance(item, dict) or set(item) != {"key", "value"} or not isinstance(item["key"], str):
            raise Refusal(400, errors={"properties": "a property has a key and a value."})
        if not 0 < len(item["key"]) <= 255:
            raise Refusal(400, errors={"properties": "a property's key has 1 to 255 characters."})
        if len(json.dumps(item["value"])) > LONGEST_PROPERTY:
            raise Refusal(400, errors={"properties": f"a property's value has at most {LONGEST_PROPERTY} characters."})
        found[item["key"]] = item["value"]
    return found
