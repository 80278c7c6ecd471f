"""What the Messages API refuses, as a pure check of one request. Source: Anthropic's API reference, the SDK's types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FIELDS = frozenset({
    "model", "max_tokens", "messages", "system", "output_config", "metadata", "thinking", "stop_sequences", "stream",
    "tools", "tool_choice", "cache_control", "service_tier", "inference_geo",
})  # fmt: skip
SAMPLING = ("temperature", "top_p", "top_k")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
WITHOUT_EFFORT = ("claude-haiku-4-5",)
MOST_OUTPUT = 64_000
# Structured outputs take a part of JSON Schema: no bounds on numbers, lengths or counts.
UNSUPPORTED = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "maxItems", "uniqueItems", "default",
})  # fmt: skip
TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")


class Refused(Exception):
    """The error answer: HTTP status, Anthropic's error type, message."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.type = kind


def check(headers: Mapping[str, str], raw: bytes | None, api_key: str, models: Mapping[str, str]) -> dict[str, Any]:
    """The accepted body. `raw` None: a GET, of which only the headers count. Raises `Refused`."""
    given = headers.get("Authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
    if not given:
        raise Refused(401, "authentication_error", "x-api-key header or Authorization header is required")
    if given != api_key:
        raise Refused(401, "authentication_error", "invalid x-api-key")
    if not headers.get("anthropic-version"):
        raise _invalid("anthropic-version: header is required")
    if raw is None:
        return {}
    if not headers.get("Content-Type", "").startswith("application/json"):
        raise _invalid("content-type: must be application/json")
    if len(raw) > 32 * 2**20:
        raise Refused(413, "request_too_large", "Request exceeds the maximum size")
    try:
        body = json.loads(raw)
    except ValueError:
        raise _invalid("The request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise _invalid("The request body must be an object")
    _fields(body)
    if body["model"] not in models:
        raise Refused(404, "not_found_error", f"model: {body['model']}")
    _messages(body["messages"])
    _system(body.get("system"))
    _output(body.get("output_config"), body["model"])
    return body


def _invalid(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


def _fields(body: dict[str, Any]) -> None:
    for name in SAMPLING:
        if name in body:
            raise _invalid(f"{name}: this model does not accept sampling parameters")
    if unknown := sorted(body.keys() - FIELDS):
        raise _invalid(f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise _invalid(f"{name}: Field required")
    if not isinstance(body["model"], str):
        raise _invalid("model: Input should be a valid string")
    most = body["max_tokens"]
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise _invalid("max_tokens: Input should be greater than or equal to 1")
    if most > MOST_OUTPUT:
        raise _invalid(f"max_tokens: {most} > {MOST_OUTPUT}, which is the maximum allowed number of output tokens")
    if body.get("stream"):
        raise _invalid("stream: this stand-in does not stream")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise _invalid("tool_choice: forced tool use is not supported on this model")
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "disabled":
        raise _invalid("thinking: cannot be disabled on this model")
    if "budget_tokens" in thinking:
        raise _invalid("thinking.budget_tokens: not supported on this model, use output_config.effort")


def _messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages: at least one message is required")
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            raise _invalid(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        _content(message.get("content"), f"messages.{number}.content")
    if messages[-1]["role"] == "assistant":
        raise _invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _content(content: Any, where: str) -> None:
    if isinstance(content, str):
        if not content.strip():
            raise _invalid(f"{where}: text content blocks must contain non-whitespace text")
        return
    if not isinstance(content, list) or not content:
        raise _invalid(f"{where}: Input should be a valid string or a list of blocks")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise _invalid(f"{where}.{number}: this stand-in takes text blocks only")
        if not block["text"].strip():
            raise _invalid(f"{where}.{number}.text: text content blocks must contain non-whitespace text")
        control = block.get("cache_control")
        if control is not None and (control.get("type") != "ephemeral" or control.get("ttl", "5m") not in ("5m", "1h")):
            raise _invalid(f"{where}.{number}.cache_control: not a valid cache control")


def _system(system: Any) -> None:
    if system is not None:
        _content(system, "system")


def _output(config: Any, model: str) -> None:
    if config is None:
        return
    if not isinstance(config, dict) or config.keys() - {"effort", "format"}:
        raise _invalid("output_config: Extra inputs are not permitted")
    if (effort := config.get("effort")) is not None:
        if effort not in EFFORTS:
            raise _invalid(f"output_config.effort: Input should be one of {', '.join(EFFORTS)}")
        if model in WITHOUT_EFFORT:
            raise _invalid("output_config.effort: This model does not support the effort parameter")
    if (shape := config.get("format")) is not None:
        if not isinstance(shape, dict) or shape.get("type") != "json_schema" or shape.keys() != {"type", "schema"}:
            raise _invalid("output_config.format: Input should be a json_schema format with a schema")
        _schema(shape["schema"], "output_config.format.schema")


def _schema(schema: Any, where: str) -> None:
    if not isinstance(schema, dict):
        raise _invalid(f"{where}: Input should be a valid dictionary")
    if bad := sorted(schema.keys() & UNSUPPORTED):
        raise _invalid(f"{where}: For '{schema.get('type')}' type, property '{bad[0]}' is not supported")
    for name, definition in (schema.get("$defs") or {}).items():
        _schema(definition, f"{where}.$defs.{name}")
    if not schema.keys() & {"type", "anyOf", "allOf", "$ref", "enum", "const"}:
        raise _invalid(f"{where}: a type is required")
    if "type" in schema and schema["type"] not in TYPES:
        raise _invalid(f"{where}.type: {schema['type']!r} is not a type")
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            raise _invalid(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        properties = schema.get("properties") or {}
        if missing := set(schema.get("required") or ()) - properties.keys():
            raise _invalid(f"{where}.required: {sorted(missing)[0]} is not a property")
        for name, item in properties.items():
            _schema(item, f"{where}.properties.{name}")
    if schema.get("type") == "array" and "items" in schema:
        _schema(schema["items"], f"{where}.items")
    for name in ("anyOf", "allOf"):
        for number, item in enumerate(schema.get(name) or ()):
            _schema(item, f"{where}.{name}.{number}")
