"""Atlassian Document Format → Markdown. Pure.

Takes whatever Jira sends, and whatever somebody else may send in its place: nodes that are not known are reduced to
their text, malformed ones are skipped, and both depth and size are bounded. Never raises.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise

from bot.markup import escape
from bot.markup.to_adf_inline import InlineReader, Node, attr, escaped_line, mapping, parameters, string, whole
from bot.markup.to_adf_table import MAX_COLUMNS, MAX_ROWS, Cell, colour, grid

_BLOCKS = frozenset(
    {
        *("paragraph", "heading", "bulletList", "orderedList", "taskList", "decisionList", "blockquote", "codeBlock"),
        *("rule", "panel", "table", "expand", "nestedExpand", "mediaSingle", "mediaGroup", "layoutSection"),
        *("layoutColumn", "bodiedExtension", "syncBlock", "bodiedSyncBlock", "blockCard", "embedCard", "extension"),
    }
)
_LISTS = frozenset({"bulletList", "orderedList", "taskList", "decisionList"})
_ITEMS = frozenset({"listItem", "taskItem", "blockTaskItem", "decisionItem"})
_CELLS = frozenset({"tableCell", "tableHeader"})


def from_adf(doc: object) -> str:
    """The document (or any node of one) as Markdown; mentions become `[~accountid:ID](@Name)`."""
    return "\n".join(_Reader().blocks([doc], 0)).strip("\n")


class _Reader(InlineReader):
    """Reads one document's blocks."""

    def blocks(self, nodes: list[object] | list[Node], depth: int) -> list[str]:
        """The lines of a sequence of blocks, blank lines between them; inline nodes among them make paragraphs."""
        lines: list[str] = []
        pairs = ((n, string(n.get("type")) not in _BLOCKS and "content" not in n) for n in nodes if isinstance(n, dict))
        for inline, group in groupby(pairs, key=lambda pair: pair[1]):
            run = [node for node, _ in group]
            for made in [self._paragraph(run, depth)] if inline else [self._block(node, depth) for node in run]:
                if made:
                    lines += ["", *_other_markers(lines, made)] if lines else made
        return lines

    def _inside(self, node: Node, depth: int) -> list[str]:
        return self.blocks(list(self.children(node, depth)), depth + 1)

    def _within(self, node: Node, kinds: frozenset[str], depth: int) -> list[str]:
        """What is in a node of these kinds; another in its place, whole."""
        return self._inside(node, depth) if string(node.get("type")) in kinds else self.blocks([node], depth + 1)

    def _paragraph(self, nodes: list[Node], depth: int) -> list[str]:
        return [line for row in self.inline(nodes, depth).split("\n") if (line := escape.line(row))]

    def _block(self, node: Node, depth: int) -> list[str]:
        if self.spent():
            return []
        match kind := string(node.get("type")):
            case "paragraph" | "caption":
                return self._paragraph(list(self.children(node, depth)), depth)
            case "heading":
                text = self.one_line(node, depth)
                return [f"{'#' * whole(node, 'level', 1, 1, 6)} {text}"] if text else []
            case _ if kind in _LISTS:
                return self._list(node, depth)
            case "blockquote":
                return [f"> {line}".rstrip() for line in self._inside(node, depth)]
            case "codeBlock":
                raw = "".join(string(child.get("text")) for child in self.children(node, depth))
                return escape.code_block(raw, attr(node, "language")) if raw.strip() else []
            case "rule":
                return ["---"]
            case "table":
                return self._table(node, depth)
            case "expand" | "nestedExpand":
                return _under(escape.title(attr(node, "title")), self._inside(node, depth))
            case "panel":
                return _under(_panel(node), self._inside(node, depth))
            case "bodiedExtension" | "multiBodiedExtension":
                said = ", ".join(filter(None, (escaped_line(attr(node, "text")), parameters(node))))
                return _under(f"({said})" if said else "", self._inside(node, depth))
            case "mediaSingle" if marks := node.get("marks"):  # a link on a picture is a link on what frames it
                framed = [{**n, "marks": marks} if n.get("type") == "media" else n for n in self.children(node, depth)]
                return self.blocks(framed, depth + 1)
            case "blockCard" | "embedCard" | "extension" | "media" | "syncBlock":
                return self._paragraph([node], depth)
            case _:
                return self._inside(node, depth)

    def _list(self, node: Node, depth: int) -> list[str]:
        number = whole(node, "order", 1, 0, 999_999)
        lines: list[str] = []
        for item in self.children(node, depth):
            kind = string(item.get("type"))
            if kind in _LISTS:  # a list in a list without an item
                lines += [f"  {line}" if line else "" for line in self._list(item, depth + 1)]
                continue
            inside = self._within(item, _ITEMS, depth + 1)
            marker = f"{number}. " if node.get("type") == "orderedList" else "- "
            number += 1
            if said := _state(item):
                inside[:1] = [f"{said} {''.join(inside[:1])}"]
            tight = [line for line, after in pairwise([*inside, ""]) if line or after.startswith(("```", "- "))]
            first, *rest = tight or [""]
            lines += [(marker + first).rstrip(), *((" " * len(marker) + line).rstrip() for line in rest)]
        return lines

    def _table(self, node: Node, depth: int) -> list[str]:
        rows: list[list[Cell]] = []
        header = False
        for row in self.children(node, depth):
            cells = list(self.children(row, depth + 1)) if row.get("type") == "tableRow" else [row]
            if not rows:
                header = bool(cells) and all(cell.get("type") == "tableHeader" for cell in cells)
            rows.append([self._cell(cell, depth + 2) for cell in cells])
        lines = grid(rows, self.spent)
        if mapping(node.get("attrs")).get("isNumberColumnEnabled") is True:  # people say "see row 3"
            lines = [["" if n < header else str(n + 1 - header), *line] for n, line in enumerate(lines)]
        return escape.table([line for line in lines if line], header=header)

    def _cell(self, node: Node, depth: int) -> Cell:
        text = "\n".join(self._within(node, _CELLS, depth)) or colour(attr(node, "background"))
        return Cell(text, whole(node, "colspan", 1, 1, MAX_COLUMNS), whole(node, "rowspan", 1, 1, MAX_ROWS))


def _under(title: str, inside: list[str]) -> list[str]:
    """Blocks under a line of their frame's."""
    return [title, *([""] if inside else []), *inside] if title else inside


def _panel(node: Node) -> str:
    """What kind of panel it is, which Jira shows by colour and icon."""
    kind = attr(node, "panelType")
    icon = attr(node, "panelIconText") or attr(node, "panelIcon")
    return f"({escaped_line(icon if kind == 'custom' and icon else kind)} panel)" if kind else ""


def _state(item: Node) -> str:
    """The box before a task, and the word before a decision."""
    state = attr(item, "state")
    match item.get("type"):
        case "taskItem" | "blockTaskItem":
            return "[x]" if state == "DONE" else "[ ]"
        case "decisionItem":
            return "(decision)" if state in ("", "DECIDED") else f"(decision: {escaped_line(state.lower())})"
        case _:
            return ""


def _other_markers(before: list[str], made: list[str]) -> list[str]:
    """A list right after a list of the same kind, with the other marker: Markdown would take them for one."""
    for pattern, other in ((r"(\d+)\.(?=\s|$)", r"\1)"), (r"-(?=\s|$)", "*")):
        last = next((line for line in reversed(before) if line and not line.startswith(" ")), "")
        if re.match(pattern, last) and re.match(pattern, made[0]):
            return [re.sub(f"^{pattern}", other, line) for line in made]
    return made
