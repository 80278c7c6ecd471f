"""Slack's Web API as the stand-in answers it: one function per method, and the table of them all.

Each is given the workspace and the call's arguments and returns what stands beside `"ok": true`, or raises `ApiError`
with Slack's name for what is wrong (https://docs.slack.dev/reference/methods).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.demo.slack import limits
from bot.demo.slack.people import APP_ID, BOT_ID, BOT_USER, HOME_TEAM, Channel, Message, Modal, Whisper
from bot.demo.slack.rules import ApiError, Json
from bot.demo.slack.state import Workspace

TEAM_URL = "https://pmagent-demo.slack.com/"
UPDATE_TEXT = 4000
POST_TEXT = 40_000
VIEW_BYTES = 250_000


def _need(args: Json, *names: str) -> None:
    for name in names:
        if args.get(name) in (None, ""):
            raise ApiError("invalid_arguments", f"[ERROR] missing required field: {name}")


def _flag(args: Json, name: str) -> bool:
    return str(args.get(name, "")).lower() in ("true", "1")


def _channel(slack: Workspace, args: Json, *, member: bool = True) -> Channel:
    channel = slack.channels.get(str(args.get("channel", "")))
    if channel is None or (channel.is_private and BOT_USER not in channel.members):
        raise ApiError("channel_not_found")
    if member and BOT_USER not in channel.members:
        raise ApiError("not_in_channel")
    return channel


def _content(slack: Workspace, args: Json, longest: int) -> tuple[str, list[Json]]:
    """Text and blocks of a message that is to be shown, checked as Slack checks them."""
    text, blocks = args.get("text") or "", args.get("blocks") or []
    if not isinstance(text, str):
        raise ApiError("invalid_arguments", "[ERROR] must be a string [json-pointer:/text]")
    if not text and not blocks:
        raise ApiError("no_text")
    if len(text) > longest:
        raise ApiError("msg_too_long")
    problems = limits.check_message(blocks, slack.contained)
    if problems:
        raise ApiError("invalid_blocks", *problems, errors=[p.removeprefix("[ERROR] ") for p in problems])
    if limits.size(blocks) > limits.MESSAGE_SIZE:
        raise ApiError("msg_blocks_too_long")
    return text, with_ids(blocks)


def with_ids(blocks: list[Json]) -> list[Json]:
    """A copy in which every block and element has the id that Slack gives where none was sent."""
    filled: list[Json] = json.loads(json.dumps(blocks))
    for block in [*filled, *(child for outer in filled for child in outer.get("child_blocks", []))]:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        inner = [*block.get("elements", []), block.get("element"), block.get("accessory")]
        for item in inner:
            if isinstance(item, dict) and "text" in item and item.get("type") == "button":
                item.setdefault("action_id", secrets.token_urlsafe(4))
    return filled


def _metadata(args: Json) -> Json | None:
    given = args.get("metadata")
    if given is None:
        return None
    if not isinstance(given, dict) or (given and not {"event_type", "event_payload"} <= given.keys()):
        raise ApiError("invalid_metadata_format")
    if given and not isinstance(given["event_payload"], dict):
        raise ApiError("invalid_metadata_schema")
    if len(json.dumps(given)) > 16_000:
        raise ApiError("metadata_too_large")
    return given


def _post_message(slack: Workspace, args: Json) -> Json:
    channel = _channel(slack, args)
    if channel.is_archived:
        raise ApiError("is_archived")
    text, blocks = _content(slack, args, POST_TEXT)
    metadata = _metadata(args)
    thread = {"thread_ts": args["thread_ts"]} if args.get("thread_ts") else {}
    payload: Json = {
        "type": "message", "user": BOT_USER, "bot_id": BOT_ID, "app_id": APP_ID, "team": HOME_TEAM,
        "ts": slack.next_ts(), "text": text, **thread,
        "bot_profile": {"id": BOT_ID, "app_id": APP_ID, "name": "PM Agent", "team_id": HOME_TEAM, "deleted": False},
    }  # fmt: skip
    if blocks:
        payload["blocks"] = blocks
    if metadata:
        payload["metadata"] = metadata
    message = Message(channel.id, payload, args.get("unfurl_links"), args.get("unfurl_media"))
    slack.log.append(message)
    return {"channel": channel.id, "ts": message.ts, "message": {k: v for k, v in payload.items() if k != "metadata"}}


def _own_message(slack: Workspace, args: Json, refusal: str) -> Message:
    _need(args, "channel", "ts")
    channel = _channel(slack, args)
    message = slack.message(channel.id, str(args["ts"]))
    if message is None:
        raise ApiError("message_not_found")
    if message.payload.get("user") != BOT_USER:
        raise ApiError(refusal)
    return message


def _update(slack: Workspace, args: Json) -> Json:
    message = _own_message(slack, args, "cant_update_message")
    text, blocks = _content(slack, args, UPDATE_TEXT)
    metadata = _metadata(args)
    message.versions.append(dict(message.payload))
    changed = {k: v for k, v in message.payload.items() if k != "blocks"} | {"text": text}
    if blocks:  # text without blocks takes the blocks away
        changed["blocks"] = blocks
    if metadata is not None:  # absent: kept; empty: removed
        changed["metadata"] = metadata
    message.payload = changed | {"edited": {"user": BOT_USER, "ts": slack.next_ts()}}
    return {"channel": message.channel, "ts": message.ts, "text": text, "message": message.payload}


def _delete(slack: Workspace, args: Json) -> Json:
    message = _own_message(slack, args, "cant_delete_message")
    message.deleted = True
    return {"channel": message.channel, "ts": message.ts}


def _post_ephemeral(slack: Workspace, args: Json) -> Json:
    _need(args, "user")
    channel = _channel(slack, args)
    if args["user"] not in channel.members:
        raise ApiError("user_not_in_channel")
    text, blocks = _content(slack, args, POST_TEXT)
    whisper = Whisper(str(args["user"]), channel.id, slack.next_ts(), text, blocks)
    slack.private.append(whisper)
    return {"message_ts": whisper.ts}


def _permalink(slack: Workspace, args: Json) -> Json:
    channel = _channel(slack, args)
    if slack.message(channel.id, str(args.get("message_ts"))) is None:
        raise ApiError("message_not_found")
    ts = str(args["message_ts"])
    return {"channel": channel.id, "permalink": f"{TEAM_URL}archives/{channel.id}/p{ts.replace('.', '')}"}


def _view(args: Json) -> Json:
    view = args.get("view")
    if isinstance(view, str):
        try:
            view = json.loads(view)
        except ValueError:
            raise ApiError("invalid_arguments", "[ERROR] view is not JSON") from None
    problems = limits.check_view(view)
    if problems or not isinstance(view, dict):
        raise ApiError("invalid_arguments", *problems)
    if len(json.dumps(view)) > VIEW_BYTES:
        raise ApiError("view_too_large")
    return view


def open_view(view: Json, *, view_id: str = "") -> Json:
    """The view as Slack keeps it: with ids, an empty state and a hash that a later update may name."""
    return {
        "id": view_id or "V" + secrets.token_hex(5).upper(), "team_id": HOME_TEAM, "app_id": APP_ID, "bot_id": BOT_ID,
        "app_installed_team_id": HOME_TEAM, "private_metadata": "", "callback_id": "", "external_id": "",
        "submit": None, "close": None, "clear_on_close": False, "notify_on_close": False,
        **view,
        "blocks": with_ids(view["blocks"]), "state": {"values": {}}, "previous_view_id": None,
        "hash": f"{int(time.time())}.{secrets.token_hex(4)}",
    }  # fmt: skip


def _views_open(slack: Workspace, args: Json) -> Json:
    if not args.get("trigger_id"):
        raise ApiError("invalid_arguments", "[ERROR] missing required field: trigger_id")
    view = _view(args)
    user = slack.spend_trigger(str(args["trigger_id"]))
    if view["type"] != "modal":
        raise ApiError("invalid_arguments", "[ERROR] must be a modal [json-pointer:/view/type]")
    modal = Modal(user, open_view(view))
    modal.view["root_view_id"] = modal.id
    slack.modals[user] = modal
    return {"view": modal.view}


def _views_update(slack: Workspace, args: Json) -> Json:
    view = _view(args)
    wanted = {str(args[name]) for name in ("view_id", "external_id") if args.get(name)}
    for modal in slack.modals.values():
        if wanted & {modal.id, str(modal.view.get("external_id") or "-")}:
            if args.get("hash") and args["hash"] != modal.view["hash"]:
                raise ApiError("hash_conflict")
            modal.view, modal.errors = open_view(view, view_id=modal.id), {}
            return {"view": modal.view}
    raise ApiError("not_found")


def _views_publish(slack: Workspace, args: Json) -> Json:
    _need(args, "user_id")
    view = _view(args)
    if view["type"] != "home":
        raise ApiError("invalid_arguments", "[ERROR] must be home [json-pointer:/view/type]")
    if args["user_id"] not in slack.people:
        raise ApiError("user_not_found")
    slack.homes[str(args["user_id"])] = kept = open_view(view)
    return {"view": kept}


def _users_info(slack: Workspace, args: Json) -> Json:
    member = slack.people.get(str(args.get("user", "")))
    if member is None:
        raise ApiError("user_not_found")
    return {"user": member.as_json()}


def _page(args: Json, items: list[Any], default: int) -> tuple[list[Any], Json]:
    """One page of a list and its cursor, as Slack's cursors work: opaque text, empty at the end."""
    try:
        limit = max(1, min(int(args.get("limit") or default), 1000))
        start = int(str(args.get("cursor") or "next:0").removeprefix("next:"))
    except ValueError:
        raise ApiError("invalid_cursor") from None
    more = start + limit < len(items)
    return items[start : start + limit], {"next_cursor": f"next:{start + limit}" if more else ""}


def _users_list(slack: Workspace, args: Json) -> Json:
    members, cursor = _page(args, [m.as_json() for m in slack.people.values()], 200)
    return {"members": members, "response_metadata": cursor}


def _group_users(slack: Workspace, args: Json) -> Json:
    group = slack.groups.get(str(args.get("usergroup", "")))
    if group is None:
        raise ApiError("no_such_subteam")
    return {"users": list(group)}


def _groups(slack: Workspace, args: Json) -> Json:
    return {"usergroups": [
        {"id": key, "team_id": HOME_TEAM, "is_usergroup": True, "name": "Product managers", "handle": "pms",
         "user_count": len(users), **({"users": list(users)} if _flag(args, "include_users") else {})}
        for key, users in slack.groups.items()
    ]}  # fmt: skip


def _conversation(slack: Workspace, args: Json) -> Json:
    return {"channel": _channel(slack, args, member=False).as_json(BOT_USER)}


def _conversations(slack: Workspace, args: Json) -> Json:
    types = str(args.get("types") or "public_channel").split(",")
    seen = [
        c.as_json(BOT_USER) for c in slack.channels.values()
        if (("private_channel" if c.is_private else "public_channel") in types)
        and (not c.is_private or BOT_USER in c.members)
    ]  # fmt: skip
    found, cursor = _page(args, seen, 100)
    return {"channels": found, "response_metadata": cursor}


def _own_conversations(slack: Workspace, args: Json) -> Json:
    """`users.conversations`: those that whoever calls is a member of."""
    answer = _conversations(slack, args)
    return {**answer, "channels": [c for c in answer["channels"] if BOT_USER in slack.channels[c["id"]].members]}


def _members(slack: Workspace, args: Json) -> Json:
    members, cursor = _page(args, _channel(slack, args, member=False).members, 100)
    return {"members": members, "response_metadata": cursor}


def _history(slack: Workspace, args: Json) -> Json:
    channel = _channel(slack, args)
    oldest, latest = str(args.get("oldest") or "0"), str(args.get("latest") or "9999999999")
    inclusive = _flag(args, "inclusive")
    try:
        low, high = float(oldest), float(latest)
    except ValueError:
        raise ApiError("invalid_ts_oldest") from None
    found = [
        m for m in reversed(slack.log)
        if m.channel == channel.id and not m.deleted
        and (low < float(m.ts) < high or (inclusive and float(m.ts) in (low, high)))
    ]  # fmt: skip
    page, cursor = _page(args, found, 100)
    hidden = set() if _flag(args, "include_all_metadata") else {"metadata"}
    messages = [{k: v for k, v in m.payload.items() if k not in hidden} for m in page]
    more = bool(cursor["next_cursor"])
    return {"messages": messages, "has_more": more, "pin_count": 0, **({"response_metadata": cursor} if more else {})}


def _auth_test(slack: Workspace, args: Json) -> Json:
    return {"url": TEAM_URL, "team": "PM Agent demo", "user": "pmagent", "team_id": HOME_TEAM, "user_id": BOT_USER,
            "bot_id": BOT_ID, "is_enterprise_install": False}  # fmt: skip


def _bots_info(slack: Workspace, args: Json) -> Json:
    if args.get("bot") != BOT_ID:
        raise ApiError("bot_not_found")
    return {"bot": {"id": BOT_ID, "deleted": False, "name": "PM Agent", "app_id": APP_ID, "user_id": BOT_USER}}


def _connections_open(slack: Workspace, args: Json) -> Json:
    return {"url": f"{slack.base.replace('http', 'ws', 1)}/socket?ticket={slack.connections.ticket()}"}


@dataclass(frozen=True)
class Method:
    """One method: what runs, which of these scopes it needs, and whether it wants the app-level token."""

    run: Callable[[Workspace, Json], Json]
    scopes: tuple[str, ...] = ()
    app_level: bool = False


_READ = ("channels:read", "groups:read")
METHODS: dict[str, Method] = {
    "auth.test": Method(_auth_test),
    "apps.connections.open": Method(_connections_open, app_level=True),
    "bots.info": Method(_bots_info, ("users:read",)),
    "chat.postMessage": Method(_post_message, ("chat:write",)),
    "chat.update": Method(_update, ("chat:write",)),
    "chat.delete": Method(_delete, ("chat:write",)),
    "chat.postEphemeral": Method(_post_ephemeral, ("chat:write",)),
    "chat.getPermalink": Method(_permalink),
    "views.open": Method(_views_open),
    "views.update": Method(_views_update),
    "views.publish": Method(_views_publish),
    "users.info": Method(_users_info, ("users:read",)),
    "users.list": Method(_users_list, ("users:read",)),
    "usergroups.list": Method(_groups, ("usergroups:read",)),
    "usergroups.users.list": Method(_group_users, ("usergroups:read",)),
    "conversations.info": Method(_conversation, _READ),
    "conversations.list": Method(_conversations, _READ),
    "users.conversations": Method(_own_conversations, _READ),
    "conversations.members": Method(_members, _READ),
    "conversations.history": Method(_history, ("channels:history", "groups:history")),
}
