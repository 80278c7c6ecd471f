"""The door that all calls of the Web API pass: what Slack checks whatever the method.

The token and its kind, the scope, the encoding, the rate. Errors are Slack's:
HTTP 200 with `{"ok": false, "error": …}`.
"""

from __future__ import annotations

import json

from aiohttp import web

from bot.demo.slack.methods import METHODS, Method
from bot.demo.slack.rules import ApiError, Json
from bot.demo.slack.state import Bucket, Workspace

_TAKES_JSON = frozenset(name for name in METHODS if name.startswith(("chat.p", "chat.u", "chat.d", "views."))) | {
    "auth.test", "apps.connections.open"}  # fmt: skip


async def answer(slack: Workspace, request: web.Request) -> web.Response:
    """The door: one call of the Web API, whatever the method."""
    headers = {"X-OAuth-Scopes": ",".join(slack.scopes), "X-Accepted-OAuth-Scopes": ""}
    method = request.match_info["method"]
    try:
        args, warnings = await _arguments(request)
        known = _admit(slack, request, args)
        if not _in_time(slack, method, args):
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": "1"})
        body: Json = {"ok": True, **known.run(slack, args)}
        if warnings:
            body |= {"warning": ",".join(warnings), "response_metadata": {"warnings": warnings}}
    except ApiError as error:
        body = error.answer
    await slack.changed()
    return web.json_response(body, headers=headers)


def _in_time(slack: Workspace, method: str, args: Json) -> bool:
    """Whether Slack takes this now: one new message a second in a channel, 50 changes a minute in a workspace (its tier
    3). https://docs.slack.dev/apis/web-api/rate-limits"""
    if method == "chat.postMessage":
        return slack.buckets.setdefault(str(args.get("channel")), Bucket()).take()
    if method == "chat.update":
        return slack.buckets.setdefault(method, Bucket(rate=50 / 60, burst=50.0, left=50.0)).take()
    return True


async def _arguments(request: web.Request) -> tuple[Json, list[str]]:
    args: Json = dict(request.query)
    if request.method != "POST":
        return args, []
    if request.content_type == "application/json":
        if request.match_info["method"] not in _TAKES_JSON:
            return args, ["superfluous_charset"] if request.charset else []  # JSON is not read here: as if empty
        try:
            given = json.loads(await request.text())
        except ValueError:
            raise ApiError("invalid_json") from None
        if not isinstance(given, dict):
            raise ApiError("json_not_object")
        return {**args, **given}, [] if request.charset else ["missing_charset"]
    if request.content_type in ("application/x-www-form-urlencoded", "multipart/form-data"):
        form = await request.post()
        args |= {k: v for k, v in form.items() if isinstance(v, str)}
        for name in ("blocks", "view", "metadata", "attachments"):
            if name in args:
                try:
                    args[name] = json.loads(args[name])
                except ValueError:
                    raise ApiError("invalid_blocks_format" if name == "blocks" else "invalid_arguments") from None
    return args, []


def _admit(slack: Workspace, request: web.Request, args: Json) -> Method:
    method = METHODS.get(request.match_info["method"])
    if method is None:
        raise ApiError("unknown_method", req_method=request.match_info["method"])
    header = request.headers.get("Authorization", "")
    token = header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else ""
    if not token and request.content_type != "application/json":
        token = str(args.get("token", ""))
    if not token:
        raise ApiError("not_authed")
    if token not in (slack.bot_token, slack.app_token):
        raise ApiError("invalid_auth")
    if (token == slack.app_token) != method.app_level:
        raise ApiError("not_allowed_token_type")
    if method.scopes and not set(method.scopes) & set(slack.scopes):
        raise ApiError("missing_scope", needed=method.scopes[0], provided=",".join(slack.scopes))
    return method
