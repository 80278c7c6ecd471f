"""The `rich_text` block as Slack checks it: sections, lists, quotes, preformatted text, and what may stand in them."""

from __future__ import annotations

from typing import Any

from bot.demo.slack.rules import Problems, check_fields, is_object

_TEXT_STYLES = {"bold", "italic", "strike", "code", "underline"}
_MENTION_STYLES = _TEXT_STYLES | {"highlight", "client_highlight", "unlink"}
_INLINE: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"style"}),
    "link": ({"url"}, {"text", "unsafe", "style"}),
    "emoji": ({"name"}, {"unicode", "skin_tone", "style"}),
    "user": ({"user_id"}, {"style"}),
    "usergroup": ({"usergroup_id"}, {"style"}),
    "channel": ({"channel_id"}, {"style"}),
    "broadcast": ({"range"}, {"style"}),
    "date": ({"timestamp", "format"}, {"url", "fallback", "style"}),
    "color": ({"value"}, {"style"}),
}


def check_rich_text(problems: Problems, elements: Any, path: str) -> None:
    """Add what is wrong with a rich_text block's `elements`."""
    for index, element in enumerate(problems.items(elements, path, 1000)):
        where = f"{path}/{index}"
        if not is_object(problems, element, where):
            continue
        kind = element.get("type")
        if kind == "rich_text_section":
            _inline(problems, element, where, set())
        elif kind == "rich_text_quote":
            _inline(problems, element, where, {"border"})
        elif kind == "rich_text_preformatted":
            _inline(problems, element, where, {"border", "language"}, only=("text", "link"))
        elif kind == "rich_text_list":
            _list(problems, element, where)
        else:
            problems.add(f"unsupported type: {kind}", f"{where}/type")


def _list(problems: Problems, element: dict[str, Any], path: str) -> None:
    check_fields(problems, element, path, {"type", "style", "elements"}, {"indent", "offset", "border"})
    if element.get("style") not in ("bullet", "ordered"):
        problems.add("must be a valid enum value: bullet, ordered", f"{path}/style")
    for name, most in (("indent", 8), ("border", 1)):
        value = element.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            problems.add(f"must be between 0 and {most}", f"{path}/{name}")
    for index, item in enumerate(problems.items(element.get("elements"), f"{path}/elements", 1000)):
        where = f"{path}/elements/{index}"
        if is_object(problems, item, where):
            if item.get("type") != "rich_text_section":
                problems.add(f"unsupported type: {item.get('type')}", f"{where}/type")
            else:
                _inline(problems, item, where, set())


def _inline(
    problems: Problems, element: dict[str, Any], path: str, optional: set[str], only: tuple[str, ...] = ()
) -> None:
    check_fields(problems, element, path, {"type", "elements"}, optional)
    for index, item in enumerate(problems.items(element.get("elements"), f"{path}/elements", 1000)):
        where = f"{path}/elements/{index}"
        if not is_object(problems, item, where):
            continue
        kind = item.get("type")
        if not isinstance(kind, str) or kind not in _INLINE or (only and kind not in only):
            problems.add(f"unsupported type: {kind}", f"{where}/type")
            continue
        required, more = _INLINE[kind]
        check_fields(problems, item, where, {"type", *required}, more)
        for name in ("text", "url", "name", "user_id", "usergroup_id", "channel_id"):
            if name in item:
                problems.text(item[name], f"{where}/{name}", 12_000)
        if kind == "link" and isinstance(item.get("url"), str) and ":" not in item["url"]:
            problems.add("must be a valid url", f"{where}/url")
        _style(problems, item, where, _TEXT_STYLES if kind in ("text", "link") else _MENTION_STYLES)


def _style(problems: Problems, item: dict[str, Any], path: str, allowed: set[str]) -> None:
    if "style" in item and is_object(problems, item["style"], f"{path}/style"):
        check_fields(problems, item["style"], f"{path}/style", set(), allowed)
        for name, value in item["style"].items():
            if not isinstance(value, bool):
                problems.add("must be a boolean", f"{path}/style/{name}")
