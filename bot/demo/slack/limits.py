"""Block Kit as Slack checks it: which blocks, which fields, how long. Problems come in Slack's own words.

Slack's reference (https://docs.slack.dev/reference/block-kit/) is the source of the shapes and numbers; the wording of
the problems is that of `response_metadata.messages` ("missing required field: text [json-pointer:/blocks/0]").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from bot.demo.slack.elements import INPUTS, INTERACTIVE, element, image, plain, text_object
from bot.demo.slack.rich_text import check_rich_text
from bot.demo.slack.rules import Problems, check_fields, is_object

MESSAGE_BLOCKS = 50
VIEW_BLOCKS = 100
MESSAGE_SIZE = 13_200
"""Characters over all blocks of one message; beyond it Slack answers `msg_blocks_too_long` (bolt-js#2509, #2867)."""

DOCUMENTED = frozenset({"actions", "context", "divider", "file", "header", "image", "input", "rich_text", "section",
                        "table", "video"})  # fmt: skip
"""What a `container` may hold by Slack's reference."""
REPORTED = DOCUMENTED - {"file", "input", "rich_text"}
"""What a workspace's validator was reported to take in one."""
_WIDTHS = ("narrow", "standard", "wide", "full")

_IN_MESSAGES = frozenset({"section", "header", "divider", "context", "actions", "image", "rich_text", "input",
                          "markdown", "table", "context_actions"})  # fmt: skip
_IN_VIEWS = _IN_MESSAGES - {"markdown", "table", "context_actions"}


def check_message(blocks: Any, contained: frozenset[str] | None = DOCUMENTED) -> list[str]:
    """What Slack finds wrong with a message's blocks; empty: nothing. `contained`: what this workspace takes in a
    `container`; None: it knows no such block yet."""
    return _check_blocks(blocks, _IN_MESSAGES, MESSAGE_BLOCKS, contained=contained)


def check_view(view: Any) -> list[str]:
    """What Slack finds wrong with a modal or a home tab; empty: nothing."""
    problems = Problems()
    if not is_object(problems, view, "/view"):
        return problems.found
    optional = {"private_metadata": 3000, "callback_id": 255, "external_id": 255}
    if view.get("type") == "modal":
        allowed = {"title", "submit", "close", "clear_on_close", "notify_on_close", "submit_disabled"}
        check_fields(problems, view, "/view", {"type", "title", "blocks"}, allowed | set(optional))
        for name in ("title", "submit", "close"):
            if name in view:
                plain(problems, view[name], f"/view/{name}", 24)
        blocks = view.get("blocks")
        if isinstance(blocks, list) and any(isinstance(b, dict) and b.get("type") == "input" for b in blocks):
            check_fields(problems, view, "/view", {"submit"}, None)
    elif view.get("type") == "home":
        check_fields(problems, view, "/view", {"type", "blocks"}, set(optional))
    else:
        problems.add(f"unsupported type: {view.get('type')}", "/view/type")
    for name, longest in optional.items():
        if view.get(name):
            problems.text(view[name], f"/view/{name}", longest)
    return problems.found + _check_blocks(view.get("blocks"), _IN_VIEWS, VIEW_BLOCKS, "/view/blocks")


def size(blocks: Any) -> int:
    """Characters of all blocks together, their containers included, as Slack seems to count them."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the blocks, outermost first, in reading order."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def _check_blocks(
    blocks: Any, allowed: frozenset[str], most: int, path: str = "/blocks", *, contained: frozenset[str] | None = None
) -> list[str]:
    problems = Problems()
    if not isinstance(blocks, list):
        problems.add("must be an array", path)
        return problems.found
    if len(blocks) > most:
        problems.add(f"no more than {most} items allowed", path)
    _each(problems, blocks, path, allowed, contained, set())
    if sum(len(b.get("text", "")) for b in blocks if isinstance(b, dict) and b.get("type") == "markdown") > 12_000:
        problems.add("must be less than 12001 characters", path)
    return problems.found


def _each(
    problems: Problems,
    blocks: list[Any],
    path: str,
    allowed: frozenset[str],
    contained: frozenset[str] | None,
    seen: set[str],
) -> None:
    for index, block in enumerate(blocks):
        where = f"{path}/{index}"
        if not is_object(problems, block, where):
            continue
        kind = block.get("type")
        is_container = kind == "container" and contained is not None
        if not isinstance(kind, str) or not (kind in allowed or is_container):
            problems.add(f"unsupported type: {kind}", f"{where}/type")
            continue
        if "block_id" in block:
            problems.text(block["block_id"], f"{where}/block_id", 255)
            if block["block_id"] in seen:
                problems.add(f'`block_id`: "{block["block_id"]}" already exists', f"{where}/block_id")
            seen.add(str(block["block_id"]))
        if is_container and contained is not None:
            _container(problems, block, where)
            children = problems.items(block.get("child_blocks"), f"{where}/child_blocks", 10)
            _each(problems, children, f"{where}/child_blocks", contained & _BLOCKS.keys(), None, seen)
        else:
            _BLOCKS[kind](problems, block, where)


def _container(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"child_blocks"}, {"title", "rich_text_title", "subtitle", "width", "icon",
                                                     "is_collapsible", "default_collapsed",
                                                     "has_header_divider"})  # fmt: skip
    if "title" not in block and "rich_text_title" not in block:
        problems.add("missing required field: title", path)
    if "title" in block:
        plain(problems, block["title"], f"{path}/title", 150)
    if "rich_text_title" in block and is_object(problems, block["rich_text_title"], f"{path}/rich_text_title"):
        _rich_text(problems, block["rich_text_title"], f"{path}/rich_text_title")
    if "subtitle" in block:
        text_object(problems, block["subtitle"], f"{path}/subtitle", 150)
    if block.get("width", "standard") not in _WIDTHS:
        problems.add(f"must be a valid enum value: {', '.join(_WIDTHS)}", f"{path}/width")
    if "icon" in block:
        element(problems, block["icon"], f"{path}/icon", frozenset({"image"}))
    for flag in ("is_collapsible", "default_collapsed", "has_header_divider"):
        if not isinstance(block.get(flag, False), bool):
            problems.add("must be a boolean", f"{path}/{flag}")
    if block.get("is_collapsible") and block.get("has_header_divider"):
        problems.add("cannot be set when is_collapsible is true", f"{path}/has_header_divider")
    if block.get("default_collapsed") and not block.get("is_collapsible"):
        problems.add("requires is_collapsible to be true", f"{path}/default_collapsed")


def _block(problems: Problems, block: dict[str, Any], path: str, required: set[str], optional: set[str]) -> None:
    check_fields(problems, block, path, {"type", *required}, {"block_id", *optional})


def _section(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, set(), {"text", "fields", "accessory", "expand"})
    if "text" not in block and "fields" not in block:
        problems.add("missing required field: text", path)
    if "text" in block:
        text_object(problems, block["text"], f"{path}/text", 3000)
    if "fields" in block:
        for i, field in enumerate(problems.items(block["fields"], f"{path}/fields", 10)):
            text_object(problems, field, f"{path}/fields/{i}", 2000)
    if "accessory" in block:
        element(problems, block["accessory"], f"{path}/accessory", INTERACTIVE | {"image"})


def _header(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"text"}, set())
    if "text" in block:
        plain(problems, block["text"], f"{path}/text", 150)


def _divider(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, set(), set())


def _context(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"elements"}, set())
    for i, item in enumerate(problems.items(block.get("elements"), f"{path}/elements", 10)):
        if isinstance(item, dict) and item.get("type") == "image":
            image(problems, item, f"{path}/elements/{i}")
        else:
            text_object(problems, item, f"{path}/elements/{i}", 3000)


def _actions(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"elements"}, set())
    seen: set[str] = set()
    for i, item in enumerate(problems.items(block.get("elements"), f"{path}/elements", 25)):
        where = f"{path}/elements/{i}"
        element(problems, item, where, INTERACTIVE)
        action_id = item.get("action_id") if isinstance(item, dict) else None
        if isinstance(action_id, str):
            if action_id in seen:
                problems.add(f'`action_id`: "{action_id}" already exists', f"{where}/action_id")
            seen.add(action_id)


def _input(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"label", "element"}, {"hint", "optional", "dispatch_action"})
    for name in ("label", "hint"):
        if name in block:
            plain(problems, block[name], f"{path}/{name}", 2000)
    if "element" in block:
        element(problems, block["element"], f"{path}/element", INPUTS)


def _markdown(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"text"}, set())
    problems.text(block.get("text"), f"{path}/text", 12_000)


def _table(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"rows"}, {"column_settings"})
    for r, row in enumerate(problems.items(block.get("rows"), f"{path}/rows", 100)):
        for c, cell in enumerate(problems.items(row, f"{path}/rows/{r}", 20)):
            where = f"{path}/rows/{r}/{c}"
            if isinstance(cell, dict) and cell.get("type") == "rich_text":
                _rich_text(problems, cell, where)
            elif is_object(problems, cell, where):
                check_fields(problems, cell, where, {"type", "text"}, set())


def _context_actions(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"elements"}, set())
    problems.items(block.get("elements"), f"{path}/elements", 5)


def _rich_text(problems: Problems, block: dict[str, Any], path: str) -> None:
    _block(problems, block, path, {"elements"}, set())
    check_rich_text(problems, block.get("elements"), f"{path}/elements")


_BLOCKS: dict[str, Callable[[Problems, dict[str, Any], str], None]] = {
    "section": _section, "header": _header, "divider": _divider, "context": _context, "actions": _actions,
    "image": image, "input": _input, "markdown": _markdown, "table": _table, "context_actions": _context_actions,
    "rich_text": _rich_text,
}  # fmt: skip
