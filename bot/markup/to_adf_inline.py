"""Atlassian Document Format → Markdown: the words of a line, with their marks, and what stands among words. Pure.

What a reader of Jira sees and no word says is said in round brackets, in few words of ours: `(file: log.txt)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from bot.domain.mentions import mention
from bot.markup import escape

MAX_DEPTH = 40
"""Levels of nesting that are read; what is deeper is left out."""
MAX_NODES = 20_000
"""Nodes of one document that are read. Jira's own bound is about 32,767 characters a text."""

_WRAPS = (("strike", "~~"), ("strong", "**"), ("em", "*"))
_RAISED = {"sup": "^", "sub": "_"}
_OPAQUE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|ari:\S+|\d{10,}", re.IGNORECASE)
"""Ids: they say nothing to a reader."""
_MOST_VALUES = 20
_MOST_LETTERS = 500

Node = dict[str, Any]


def mapping(value: object) -> Node:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def string(value: object) -> str:
    """`value` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def attr(node: Node, name: str) -> str:
    """A text among a node's attributes."""
    return string(mapping(node.get("attrs")).get(name))


def whole(node: Node, name: str, default: int, low: int, high: int) -> int:
    """A whole number among a node's attributes, within bounds; JSON has 3.0 as well as 3."""
    value = mapping(node.get("attrs")).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value != int(value):
        return default
    return int(value)


def escaped_line(text: str) -> str:
    """Words of an attribute as Markdown, on one line."""
    return escape.text(" ".join(text.split()))


class InlineReader:
    """Reads the lines of one document; counts its nodes."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def children(self, node: Node, depth: int) -> Iterator[Node]:
        """The nodes in a node."""
        content = node.get("content")
        if not isinstance(content, list) or depth > MAX_DEPTH:
            return
        yield from (child for child in content if isinstance(child, dict))

    def spent(self) -> bool:
        """Counts a node; True when the document had its share."""
        self._left -= 1
        return self._left < 0

    def one_line(self, node: Node, depth: int) -> str:
        """What is in a node, on one line."""
        return " ".join(self.inline(list(self.children(node, depth)), depth).split())

    def inline(self, nodes: list[Node], depth: int) -> str:
        """A line's nodes as Markdown; hard breaks are line ends."""
        pieces: list[tuple[str, dict[str, str]]] = []
        for node in nodes:
            if text := self._piece(node, depth):
                if text.startswith("(@") and pieces and pieces[-1][0].endswith("]"):
                    text = f"\\{text}"  # or it would be the name of the mention before it
                pieces.append((text, _marks(node)))
        return _wrapped(pieces, 0)

    def _piece(self, node: Node, depth: int) -> str:
        if self.spent():
            return ""
        kind = node.get("type")
        match kind:
            case "text":
                return _text(node)
            case "hardBreak":
                return "\n"
            case "mention":
                name = attr(node, "text")
                everybody = attr(node, "userType") == "SPECIAL"  # @here is nobody's account
                return escape.text(name) if everybody else mention(attr(node, "id"), name) or escape.text(name)
            case "emoji":
                return escape.text(attr(node, "text") or attr(node, "shortName"))
            case "date":
                return _date(mapping(node.get("attrs")).get("timestamp"))
            case "inlineCard" | "blockCard" | "embedCard":
                return _card(node)
            case "media" | "mediaInline":
                name = attr(node, "alt").strip() or attr(node, "__fileName").strip()
                if attr(node, "url"):
                    return escape.link(escaped_line(name) or "image", attr(node, "url"))
                return f"(file: {escaped_line(name)})" if name else "(file)"
            case "extension" | "inlineExtension":
                return _macro(node)
            case "syncBlock":
                return "(content from another page, not shown here)"
            case _:  # status, placeholder; and whatever comes next year
                own = string(node.get("text")) or attr(node, "text")
                return escape.text(own) if own else self.inline(list(self.children(node, depth)), depth + 1)


def parameters(node: Node) -> str:
    """What a macro was told by its author, as Markdown: "jql: project = ECD, columns: key"; ids are left out."""
    found: list[str] = []
    _values(mapping(node.get("attrs")).get("parameters"), "", found, 0)
    return escaped_line(", ".join(found)[:_MOST_LETTERS])


def _values(value: object, name: str, found: list[str], depth: int) -> None:
    if len(found) >= _MOST_VALUES or depth > 8:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("macroMetadata", "localId", "cloudId"):  # how it is drawn, and where it is kept
                _values(inner, name if key in ("value", "macroParams") else string(key), found, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _values(inner, name, found, depth + 1)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        said = str(value).strip()
        if said and not _OPAQUE.fullmatch(said):
            found.append(f"{name}: {said}" if name else said)


def _macro(node: Node) -> str:
    """A macro without content of its own: what the reader sees of it is made when the page is drawn."""
    said = [escaped_line(attr(node, "text")), parameters(node)]
    name = escaped_line(attr(node, "extensionKey"))
    return f"({': '.join(part for part in (f'macro {name}'.strip(), ', '.join(filter(None, said))) if part)})"


def _card(node: Node) -> str:
    """A link that Jira draws as a card. `data` (JSON-LD) has its name; `datasource` is a search, drawn as a table."""
    data = mapping(mapping(node.get("attrs")).get("data"))
    address = attr(node, "url") or string(data.get("url"))
    name = escaped_line(string(data.get("name")))
    link = escape.link(name, address) if address else name
    searched = parameters({"attrs": mapping(mapping(node.get("attrs")).get("datasource"))})
    return " ".join(filter(None, (link, searched and f"(list: {searched})")))


def _text(node: Node) -> str:
    raw, marks = string(node.get("text")), _marks(node)
    if "code" in marks:
        return escape.code(raw)
    if (sign := _RAISED.get(marks.get("subsup", ""))) and raw.strip():
        words = raw.strip()  # 10 to the 6th is not 106
        made = f"{sign}{escape.text(words)}" if words.isalnum() else f"{sign}({escape.text(words)})"
        return raw.replace(words, made, 1)
    return escape.text(raw)


def _marks(node: Node) -> dict[str, str]:
    """A node's marks: type → a link's address, "sub" or "sup", "" for others; "title" → a link's title."""
    marks = node.get("marks")
    found: dict[str, str] = {}
    for mark in marks if isinstance(marks, list) else ():
        if isinstance(mark, dict) and isinstance(mark.get("type"), str):
            found[mark["type"]] = attr(mark, "href") or attr(mark, "type")
            if mark["type"] == "link":
                found["title"] = attr(mark, "title")
    return found


def _wrapped(pieces: list[tuple[str, dict[str, str]]], level: int) -> str:
    """Neighbours with the same mark share one pair of delimiters; blanks stay outside, as Markdown wants it."""
    if level > len(_WRAPS):
        return "".join(text for text, _ in pieces)
    out: list[str] = []
    name = _WRAPS[level - 1][0] if level else "link"
    for value, group in groupby(pieces, key=lambda piece: piece[1].get(name)):
        run = list(group)
        inner = _wrapped(run, level + 1)
        if value is None or not inner.strip():
            out.append(inner)
            continue
        words = inner.strip()
        at = inner.index(words)
        if level == 0:
            made = escape.link(_label(words, value), value, run[0][1].get("title", "")) if value else words
        else:
            wrap = _WRAPS[level - 1][1]
            made = "\n".join(f"{wrap}{row.strip()}{wrap}" if row.strip() else "" for row in words.split("\n"))
        out += [inner[:at], made, inner[at + len(words) :]]
    return "".join(out)


def _label(words: str, href: str) -> str:
    """No label where the label is the address."""
    return "" if words.strip("*~<>") == href.strip() else words


def _date(timestamp: object) -> str:
    """A date node's milliseconds as YYYY-MM-DD; what is no time is left out."""
    text = str(timestamp)
    if not re.fullmatch(r"-?\d{1,14}", text):
        return ""
    try:
        return datetime.fromtimestamp(int(text) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
