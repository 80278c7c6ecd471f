"""Atlassian Document Format → Markdown. Pure.

Takes whatever Jira sends, and whatever somebody else may send in its place: nodes that are not known are reduced to
their text, malformed ones are skipped, and both depth and size are bounded. Never raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Any

from bot.markup import escape

MAX_DEPTH = 40
"""Levels of nesting that are read; what is deeper is left out."""
MAX_NODES = 20_000
"""Nodes of one document that are read. Jira's own bound is about 32,767 characters a text."""

_WRAPS = (("strike", "~~"), ("strong", "**"), ("em", "*"))
_BLOCKS = frozenset(
    {
        *("paragraph", "heading", "bulletList", "orderedList", "taskList", "decisionList", "blockquote", "codeBlock"),
        *("rule", "panel", "table", "expand", "nestedExpand", "mediaSingle", "mediaGroup", "layoutSection"),
        *("layoutColumn", "bodiedExtension", "syncBlock", "bodiedSyncBlock", "blockCard", "embedCard", "extension"),
    }
)

Node = dict[str, Any]


def from_adf(doc: object) -> str:
    """The document (or any node of one) as Markdown; mentions become `[~accountid:ID]`."""
    return "\n".join(_Reader().blocks([doc], 0)).strip("\n")


def _dict(value: object) -> Node:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _attr(node: Node, name: str) -> str:
    return _string(_dict(node.get("attrs")).get(name))


class _Reader:
    """Reads one document; counts nodes."""

    def __init__(self) -> None:
        self._left = MAX_NODES

    def _children(self, node: Node, depth: int) -> Iterator[Node]:
        content = node.get("content")
        if not isinstance(content, list) or depth > MAX_DEPTH:
            return
        yield from (child for child in content if isinstance(child, dict))

    def _spent(self) -> bool:
        """Counts a node; True when the document had its share."""
        self._left -= 1
        return self._left < 0

    # --- blocks ---

    def blocks(self, nodes: list[object] | list[Node], depth: int) -> list[str]:
        """The lines of a sequence of blocks, blank lines between them; inline nodes among them make paragraphs."""
        lines: list[str] = []
        pairs = (
            (n, _string(n.get("type")) not in _BLOCKS and "content" not in n) for n in nodes if isinstance(n, dict)
        )
        for inline, group in groupby(pairs, key=lambda pair: pair[1]):
            run = [node for node, _ in group]
            for made in [self._paragraph(run, depth)] if inline else [self._block(node, depth) for node in run]:
                if made:
                    lines += ["", *_other_markers(lines, made)] if lines else made
        return lines

    def _inside(self, node: Node, depth: int) -> list[str]:
        return self.blocks(list(self._children(node, depth)), depth + 1)

    def _paragraph(self, nodes: list[Node], depth: int) -> list[str]:
        return [line for row in self.inline(nodes, depth).split("\n") if (line := escape.line(row))]

    def _block(self, node: Node, depth: int) -> list[str]:
        if self._spent():
            return []
        match node.get("type"):
            case "paragraph" | "caption":
                return self._paragraph(list(self._children(node, depth)), depth)
            case "heading":
                level = _dict(node.get("attrs")).get("level")
                hashes = "#" * (level if isinstance(level, int) and 1 <= level <= 6 else 1)
                text = self._one_line(node, depth)
                return [f"{hashes} {text}"] if text else []
            case "bulletList" | "orderedList" | "taskList" | "decisionList":
                return self._list(node, depth)
            case "blockquote":
                return [f"> {line}".rstrip() for line in self._inside(node, depth)]
            case "codeBlock":
                raw = "".join(_string(child.get("text")) for child in self._children(node, depth))
                return escape.code_block(raw, _attr(node, "language")) if raw.strip() else []
            case "rule":
                return ["---"]
            case "table":
                return self._table(node, depth)
            case "expand" | "nestedExpand":
                title = _attr(node, "title").strip()
                inside = self._inside(node, depth)
                return [f"**{escape.text(' '.join(title.split()))}**", "", *inside] if title else inside
            case "blockCard" | "embedCard" | "extension" | "media":
                return self._paragraph([node], depth)
            case _:
                return self._inside(node, depth)

    def _list(self, node: Node, depth: int) -> list[str]:
        start = _dict(node.get("attrs")).get("order")
        number = start if isinstance(start, int) and 0 <= start < 1_000_000 else 1
        lines: list[str] = []
        for item in self._children(node, depth):
            kind = item.get("type")
            inside = self._inside(item, depth + 1)
            if kind in ("bulletList", "orderedList", "taskList", "decisionList"):  # a list in a list without an item
                lines += [f"  {line}" if line else "" for line in self._list(item, depth + 1)]
                continue
            marker = f"{number}. " if node.get("type") == "orderedList" else "- "
            number += 1
            if kind in ("taskItem", "blockTaskItem"):
                inside[:1] = [f"[{'x' if _attr(item, 'state') == 'DONE' else ' '}] {''.join(inside[:1])}"]
            tight = [line for line, after in pairwise([*inside, ""]) if line or after.startswith(("```", "- "))]
            first, *rest = tight or [""]
            lines += [(marker + first).rstrip(), *((" " * len(marker) + line).rstrip() for line in rest)]
        return lines

    def _table(self, node: Node, depth: int) -> list[str]:
        rows: list[list[str]] = []
        header = False
        for row in self._children(node, depth):
            cells = list(self._children(row, depth + 1))
            if not rows:
                header = bool(cells) and all(cell.get("type") == "tableHeader" for cell in cells)
            if cells:
                rows.append([" ".join(self._inside(cell, depth + 2)) for cell in cells])
        return escape.table(rows, header=header)

    # --- inline ---

    def _one_line(self, node: Node, depth: int) -> str:
        return " ".join(self.inline(list(self._children(node, depth)), depth).split())

    def inline(self, nodes: list[Node], depth: int) -> str:
        """A line's nodes as Markdown; hard breaks are line ends."""
        pieces = [(self._piece(node, depth), _marks(node)) for node in nodes]
        return _wrapped([(text, marks) for text, marks in pieces if text], 0)

    def _piece(self, node: Node, depth: int) -> str:
        if self._spent():
            return ""
        kind = node.get("type")
        match kind:
            case "text":
                raw = _string(node.get("text"))
                return escape.code(raw) if "code" in _marks(node) else escape.text(raw)
            case "hardBreak":
                return "\n"
            case "mention":
                return escape.mention(_attr(node, "id"), _attr(node, "text"))
            case "emoji":
                return _attr(node, "text") or escape.text(_attr(node, "shortName"))
            case "date":
                return _date(_dict(node.get("attrs")).get("timestamp"))
            case "inlineCard" | "blockCard" | "embedCard":
                return escape.link("", _attr(node, "url")) if _attr(node, "url") else ""
            case "media" | "mediaInline":
                if _attr(node, "url"):
                    return escape.link(escape.text(_attr(node, "alt")) or "image", _attr(node, "url"))
                return f"(file: {escape.text(_attr(node, 'alt'))})" if _attr(node, "alt") else "(file)"
            case _:  # status, placeholder, extensions; and whatever comes next year
                own = _string(node.get("text")) or _attr(node, "text")
                return escape.text(own) if own else self.inline(list(self._children(node, depth)), depth + 1)


def _marks(node: Node) -> dict[str, str]:
    """A text's marks: type → address for links, "" for others."""
    marks = node.get("marks")
    found: dict[str, str] = {}
    for mark in marks if isinstance(marks, list) else ():
        if isinstance(mark, dict) and isinstance(mark.get("type"), str):
            found[mark["type"]] = _attr(mark, "href")
    return found


def _wrapped(pieces: list[tuple[str, dict[str, str]]], level: int) -> str:
    """Neighbours with the same mark share one pair of delimiters; blanks stay outside, as Markdown wants it."""
    if level > len(_WRAPS):
        return "".join(text for text, _ in pieces)
    out: list[str] = []
    name = _WRAPS[level - 1][0] if level else "link"
    for value, group in groupby(pieces, key=lambda piece: piece[1].get(name)):
        inner = _wrapped(list(group), level + 1)
        if value is None or not inner.strip():
            out.append(inner)
            continue
        words = inner.strip()
        at = inner.index(words)
        if level == 0:
            made = escape.link(_label(words, value), value) if value else words
        else:
            wrap = _WRAPS[level - 1][1]
            made = "\n".join(f"{wrap}{row.strip()}{wrap}" if row.strip() else "" for row in words.split("\n"))
        out += [inner[:at], made, inner[at + len(words) :]]
    return "".join(out)


def _label(words: str, href: str) -> str:
    """No label where the label is the address."""
    return "" if words.strip("*~<>") == href.strip() else words


def _other_markers(before: list[str], made: list[str]) -> list[str]:
    """A list right after a list of the same kind, with the other marker: Markdown would take them for one."""
    for pattern, other in ((r"(\d+)\.(?=\s|$)", r"\1)"), (r"-(?=\s|$)", "*")):
        last = next((line for line in reversed(before) if line and not line.startswith(" ")), "")
        if re.match(pattern, last) and re.match(pattern, made[0]):
            return [re.sub(f"^{pattern}", other, line) for line in made]
    return made


def _date(timestamp: object) -> str:
    """A date node's milliseconds as YYYY-MM-DD; what is no time is left out."""
    text = str(timestamp)
    if not re.fullmatch(r"-?\d{1,14}", text):
        return ""
    try:
        return datetime.fromtimestamp(int(text) / 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""
