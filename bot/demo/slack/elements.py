"""The elements of Block Kit as Slack checks them: texts, images, buttons, selects, inputs, and what belongs to each."""

from __future__ import annotations

from typing import Any

from bot.demo.slack.rules import Problems, check_fields, is_object

INTERACTIVE = frozenset({
    "button", "overflow", "static_select", "users_select", "conversations_select", "channels_select", "datepicker",
    "timepicker", "checkboxes", "radio_buttons",
})  # fmt: skip
INPUTS = (INTERACTIVE - {"button", "overflow"}) | {"plain_text_input", "email_text_input", "number_input"}

_SELECT = {"placeholder", "confirm", "focus_on_load"}
_ELEMENT_FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "button": ({"text"}, {"url", "value", "style", "confirm", "accessibility_label", "visible_to_user_ids"}),
    "overflow": ({"options"}, {"confirm"}),
    "static_select": (set(), {"options", "option_groups", "initial_option", *_SELECT}),
    "users_select": (set(), {"initial_user", *_SELECT}),
    "conversations_select": (set(), {"initial_conversation", "default_to_current_conversation", "filter",
                                     "response_url_enabled", *_SELECT}),
    "channels_select": (set(), {"initial_channel", "response_url_enabled", *_SELECT}),
    "datepicker": (set(), {"initial_date", *_SELECT}),
    "timepicker": (set(), {"initial_time", "timezone", *_SELECT}),
    "checkboxes": ({"options"}, {"initial_options", "confirm", "focus_on_load"}),
    "radio_buttons": ({"options"}, {"initial_option", "confirm", "focus_on_load"}),
    "plain_text_input": (set(), {"initial_value", "multiline", "min_length", "max_length", "dispatch_action_config",
                                 "focus_on_load", "placeholder"}),
    "email_text_input": (set(), {"initial_value", "dispatch_action_config", "focus_on_load", "placeholder"}),
    "number_input": ({"is_decimal_allowed"}, {"initial_value", "min_value", "max_value", "dispatch_action_config",
                                              "focus_on_load", "placeholder"}),
}  # fmt: skip


def plain(problems: Problems, value: Any, path: str, longest: int) -> None:
    text_object(problems, value, path, longest, ("plain_text",))


def text_object(
    problems: Problems, value: Any, path: str, longest: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")
) -> None:
    if not is_object(problems, value, path):
        return
    if value.get("type") not in kinds:
        problems.add(f"must be a valid enum value: {', '.join(kinds)}", f"{path}/type")
        return
    check_fields(problems, value, path, {"type", "text"}, {"emoji" if value["type"] == "plain_text" else "verbatim"})
    problems.text(value.get("text"), f"{path}/text", longest)
    for flag in ("emoji", "verbatim"):
        if flag in value and not isinstance(value[flag], bool):
            problems.add("must be a boolean", f"{path}/{flag}")


def image(problems: Problems, block: dict[str, Any], path: str) -> None:
    check_fields(problems, block, path, {"type", "alt_text"}, {"block_id", "image_url", "slack_file", "title"})
    problems.text(block.get("alt_text"), f"{path}/alt_text", 2000)
    if "image_url" in block:
        problems.text(block["image_url"], f"{path}/image_url", 3000)
    elif "slack_file" not in block:
        problems.add("missing required field: image_url", path)
    if "title" in block:
        plain(problems, block["title"], f"{path}/title", 2000)


def element(problems: Problems, item: Any, path: str, allowed: frozenset[str]) -> None:
    if not is_object(problems, item, path):
        return
    kind = item.get("type")
    if kind == "image" and "image" in allowed:
        image(problems, item, path)
        return
    if not isinstance(kind, str) or kind not in allowed:
        problems.add(f"unsupported type: {kind}", f"{path}/type")
        return
    required, optional = _ELEMENT_FIELDS[kind]
    check_fields(problems, item, path, {"type", *required}, {"action_id", *optional})
    for name, longest in (("action_id", 255), ("value", 2000), ("url", 3000), ("accessibility_label", 75)):
        if name in item:
            problems.text(item[name], f"{path}/{name}", longest)
    if kind == "button":
        if "text" in item:
            plain(problems, item["text"], f"{path}/text", 75)
        if item.get("style", "primary") not in ("primary", "danger"):
            problems.add("must be a valid enum value: primary, danger", f"{path}/style")
    if "placeholder" in item:
        plain(problems, item["placeholder"], f"{path}/placeholder", 150)
    if "confirm" in item:
        _confirm(problems, item["confirm"], f"{path}/confirm")
    if "options" in item:
        for i, option in enumerate(problems.items(item["options"], f"{path}/options", 100)):
            _option(problems, option, f"{path}/options/{i}")
    if kind == "plain_text_input":
        longest = item.get("max_length", 3000)
        if not isinstance(longest, int) or not 1 <= longest <= 3000:
            problems.add("must be between 1 and 3000", f"{path}/max_length")
        elif isinstance(item.get("initial_value"), str) and len(item["initial_value"]) > longest:
            problems.add(f"must be less than {longest + 1} characters", f"{path}/initial_value")


def _confirm(problems: Problems, value: Any, path: str) -> None:
    if is_object(problems, value, path):
        check_fields(problems, value, path, {"title", "text", "confirm", "deny"}, {"style"})
        for name, longest in (("title", 100), ("confirm", 30), ("deny", 30)):
            if name in value:
                plain(problems, value[name], f"{path}/{name}", longest)
        if "text" in value:
            text_object(problems, value["text"], f"{path}/text", 300)


def _option(problems: Problems, value: Any, path: str) -> None:
    if is_object(problems, value, path):
        check_fields(problems, value, path, {"text", "value"}, {"description", "url"})
        problems.text(value.get("value"), f"{path}/value", 150)
        if "text" in value:
            text_object(problems, value["text"], f"{path}/text", 75)
