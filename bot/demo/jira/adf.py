"""How the Jira stand-in treats Atlassian's document format: refuses what Jira refuses, and flattens it for webhooks.

Independent of `bot.markup` on purpose: a mistake there must not be forgiven here.
"""

from __future__ import annotations

import functools
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

SCHEMA = Path(__file__).resolve().parents[4] / "shared" / "schemas" / "adf.json"
"""Atlassian's own schema, used where it lies beside the repository and jsonschema is installed."""

_INLINE = frozenset({"text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status"})
_LISTS = frozenset({"bulletList", "orderedList"})
_BLOCK = frozenset(
    {"paragraph", "heading", "codeBlock", "blockquote", "rule", "panel", "table", "mediaSingle", "expand", *_LISTS}
)
_INSIDE: dict[str, frozenset[str]] = {
    "doc": _BLOCK,
    "paragraph": _INLINE,
    "heading": _INLINE,
    "codeBlock": frozenset({"text"}),
    "blockquote": frozenset({"paragraph", "codeBlock", *_LISTS}),
    "panel": frozenset({"paragraph", "heading", "codeBlock", "rule", *_LISTS}),
    "bulletList": frozenset({"listItem"}),
    "orderedList": frozenset({"listItem"}),
    "listItem": frozenset({"paragraph", "codeBlock", "mediaSingle", *_LISTS}),
    "table": frozenset({"tableRow"}),
    "tableRow": frozenset({"tableCell", "tableHeader"}),
    "tableCell": _BLOCK - {"table", "expand"},
    "tableHeader": _BLOCK - {"table", "expand"},
    "expand": _BLOCK - {"expand"},
    "mediaSingle": frozenset({"media"}),
}
_NOT_EMPTY = frozenset({"bulletList", "orderedList", "listItem", "table", "tableRow", "blockquote", "panel"})
_MARKS = frozenset({"strong", "em", "code", "strike", "underline", "link", "subsup", "textColor", "backgroundColor"})
_MENTION = re.compile(r"\[~accountid:([^\]\s]+)\]")


def problems(doc: Any) -> list[str]:
    """Why Jira would refuse this body; [] when it would not."""
    if not isinstance(doc, dict):
        return ["Operation value must be an Atlassian Document (see the Atlassian Document Format)"]
    if doc.get("type") != "doc" or doc.get("version") != 1 or not isinstance(doc.get("content"), list):
        return ["the document needs type doc, version 1 and content"]
    found = list(_structure(doc))
    if found:
        return found
    validator = _validator()
    return [] if validator is None or validator.is_valid(doc) else ["the document is not valid under the ADF schema"]


@functools.cache
def _validator() -> Any:
    try:
        # By name: it has no types, and is a dependency of the tests alone.
        library = importlib.import_module("jsonschema")
    except ImportError:
        return None
    return library.Draft4Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))) if SCHEMA.is_file() else None


def _structure(node: dict[str, Any]) -> list[str]:
    kind, found = str(node.get("type")), []
    children = node.get("content", [])
    if not isinstance(children, list):
        return [f"content of {kind} is not a list"]
    if kind in _NOT_EMPTY and not children:
        found.append(f"{kind} is empty")
    if kind == "text" and not (isinstance(node.get("text"), str) and node["text"]):
        found.append("an empty text node")
    if kind == "mention" and not (isinstance(node.get("attrs"), dict) and node["attrs"].get("id")):
        found.append("a mention without id")
    if kind == "heading" and node.get("attrs", {}).get("level") not in range(1, 7):
        found.append("a heading without level")
    for mark in node.get("marks", []):
        if mark.get("type") not in _MARKS:
            found.append(f"unknown mark {mark.get('type')}")
        if mark.get("type") == "link" and not str(mark.get("attrs", {}).get("href", "")):
            found.append("a link without href")
    for child in children:
        if not isinstance(child, dict) or child.get("type") not in _INSIDE.get(kind, frozenset()):
            found.append(f"{child.get('type') if isinstance(child, dict) else child} inside {kind}")
        else:
            found += _structure(child)
    return found


def text_of(node: Any) -> str:
    """The plain text of a document: blocks on lines of their own, mentions in wiki notation, links as their address."""
    if not isinstance(node, dict):
        return ""
    kind, attrs = node.get("type"), node.get("attrs") or {}
    if kind == "text":
        return str(node.get("text", ""))
    if kind == "mention":
        return f"[~accountid:{attrs.get('id')}]"
    if kind == "hardBreak":
        return "\n"
    if kind == "inlineCard":
        return str(attrs.get("url", ""))
    inner = [text_of(child) for child in node.get("content", [])]
    if kind in ("paragraph", "heading", "codeBlock"):
        return "".join(inner) + "\n"
    if kind == "listItem":
        return "* " + "".join(inner)
    return "".join(inner)


def from_wiki(text: str, names: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """A document of a person's comment: paragraphs, line breaks and mentions; other wiki markup stays as typed.

    `names`: account id → name, for the text of mentions.
    """
    paragraphs = [
        {"type": "paragraph", "content": _inline(part.strip("\n"), names)}
        for part in re.split(r"\n\s*\n", text)
        if part.strip()
    ]
    return {"type": "doc", "version": 1, "content": paragraphs}


def _inline(text: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n")):
        if number:
            nodes.append({"type": "hardBreak"})
        for position, part in enumerate(_MENTION.split(line)):
            if position % 2:
                said = {"text": f"@{names[part]}"} if part in names else {}
                nodes.append({"type": "mention", "attrs": {"id": part, **said}})
            elif part:
                nodes.append({"type": "text", "text": part})
    return nodes
