"""The tree → Atlassian Document Format, the body of a Jira comment. Pure.

Emitted: doc, paragraph, heading, bulletList, orderedList, listItem, blockquote, codeBlock, rule, table, and in them
text (strong, em, strike, code, link), hardBreak and mention. `bot.markup.adf_schema` knows exactly these.
"""

from __future__ import annotations

from typing import Any

from bot.markup.tree import (
    Block,
    Break,
    CodeBlock,
    Foreign,
    Heading,
    Inline,
    Inlines,
    Items,
    Link,
    Mention,
    Paragraph,
    Quote,
    Rule,
    Stranger,
    Table,
    Text,
    Tree,
)

Node = dict[str, Any]

_MARK_ORDER = ("strong", "em", "strike", "code")


def document(tree: Tree) -> Node:
    """A whole ADF document; an empty tree is one empty paragraph."""
    return {"type": "doc", "version": 1, "content": [_block(b) for b in tree] or [_block(Paragraph(()))]}


def _block(block: Block) -> Node:
    match block:
        case Paragraph(content):
            return {"type": "paragraph", "content": _line(content)}
        case Heading(level, content):
            return {"type": "heading", "attrs": {"level": level}, "content": _line(content)}
        case CodeBlock(text, language):
            node: Node = {"type": "codeBlock", "content": [{"type": "text", "text": text}]}
            return node | ({"attrs": {"language": language}} if language else {})
        case Rule():
            return {"type": "rule"}
        case Quote(blocks):
            return {"type": "blockquote", "content": [_block(b) for b in blocks]}
        case Items(ordered, start, items):
            listed = [{"type": "listItem", "content": [_block(b) for b in item]} for item in items]
            if not ordered:
                return {"type": "bulletList", "content": listed}
            return {"type": "orderedList", "attrs": {"order": start}, "content": listed}
        case Table(rows):
            return {"type": "table", "content": [_row(row, header=n == 0) for n, row in enumerate(rows)]}


def _row(row: tuple[Inlines, ...], *, header: bool) -> Node:
    kind = "tableHeader" if header else "tableCell"
    return {"type": "tableRow", "content": [{"type": kind, "content": [_block(Paragraph(cell))]} for cell in row]}


def _line(content: Inlines) -> list[Node]:
    return [node for inline in content for node in _inline(inline)]


def _inline(node: Inline) -> list[Node]:
    match node:
        case Text():
            return [_text(node)]
        case Break():
            return [{"type": "hardBreak"}]
        case Link(href, label):
            return [_text(text, href) for text in label]
        case Foreign():
            return [_text(text) for text in node.texts()]
        case Mention(account_id):
            return [{"type": "mention", "attrs": {"id": account_id, "text": node.text}}]
        case Stranger():
            return [{"type": "text", "text": node.text}]


def _text(text: Text, href: str | None = None) -> Node:
    marks: list[Node] = [{"type": mark} for mark in _MARK_ORDER if mark in text.marks]
    if href is not None:
        marks.append({"type": "link", "attrs": {"href": href}})
    return {"type": "text", "text": text.text} | ({"marks": marks} if marks else {})
