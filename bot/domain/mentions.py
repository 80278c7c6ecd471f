"""How a mention of a person stands in our Markdown: `[~accountid:ID](@Name)`, or without the name. Pure.

The id says who is meant, and whom Jira notifies. The name behind it is for the reader. In a text from Jira it is what
the writer's program put there, so where the issue knows the account's own name, that is written instead (`renamed`).
Both forms mean the same in a reply; `[~accountid:ID]` is the one that the prompts ask for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import regex

_ID = r"(?P<id>[^\]\[\s|]{1,128})"
_NAME = r"(?:\(@(?P<name>(?:[^()\n]|\([^()\n]*\)){1,200}+)\))?"

MENTION = re.compile(rf"\[~(?:accountid:)?{_ID}\]{_NAME}")
"""A mention where nothing before it can make words of it."""

# In a whole text a backslash before it does. In code it cannot stand, see `bot.markup.escape`. `regex` searches for the
# sign and looks back from there, over any number of backslashes; `re` would try every place of the text.
_MENTIONED = regex.compile(rf"(?<=(?<!\\)(?:\\\\)*)\[~accountid:{_ID}\]{_NAME}")
_SIGN = "[~accountid:"
_UNFIT = re.compile(r"[\[\]|`\\\x00-\x1f]")


def mention(account_id: str, name: str = "") -> str:
    """The mention of this account; "" where the id is none."""
    if not re.fullmatch(_ID, account_id):
        return ""
    name = " ".join(_UNFIT.sub(" ", name).split()).removeprefix("@").strip()[:100]
    if not re.fullmatch(_NAME, f"(@{name})"):  # brackets that do not match
        name = " ".join(re.sub(r"[()]", " ", name).split())
    return f"[~accountid:{account_id}](@{name})" if name else f"[~accountid:{account_id}]"


def mentioned(text: str) -> dict[str, str]:
    """Account id → name of everybody who is mentioned in a text, "" where no name is given."""
    found: dict[str, str] = {}
    if _SIGN in text:
        for match in _MENTIONED.finditer(text):
            found[match["id"]] = found.get(match["id"]) or match["name"] or ""
    return found


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The text with everybody mentioned in it under their name in `names`; others as they stand."""
    if _SIGN not in text:
        return text
    return _MENTIONED.sub(lambda m: mention(m["id"], names[m["id"]]) if names.get(m["id"]) else m[0], text)


def spoken(text: str) -> str:
    """The text with `@Name` for each mention: for a line that is read as it stands, without Markdown."""
    return _MENTIONED.sub(lambda m: f"@{m['name'] or '…'}", text) if _SIGN in text else text


def without_names(text: str) -> str:
    """The text with ids alone, as Jira's webhooks have it: two texts may differ in the names and be the same."""
    return _MENTIONED.sub(lambda m: f"[~accountid:{m['id']}]", text) if _SIGN in text else text
