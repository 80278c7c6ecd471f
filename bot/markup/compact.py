"""A tree without gaps: no run of blanks or blank lines pushes words out of sight, on the card or in Jira. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

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
    Paragraph,
    Quote,
    Rule,
    Table,
    Text,
)

_RUN = re.compile(r"\s{2,}")
_WIDE = re.compile(r"[^\S\n]{40,}")
_LINES = re.compile(r"\n(?:[^\S\n]*\n){3,}")
"""More than two blank lines: as many stand between two functions."""


def without_gaps(text: str) -> str:
    """A text with at most two blank lines in a row."""
    return _LINES.sub("\n\n\n", text)


def compact(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """The same words with one blank between two, at most one blank line in a paragraph, and one rule in a row."""
    out: list[Block] = []
    for block in blocks:
        if isinstance(block, Rule) and out and isinstance(out[-1], Rule):
            continue
        out.append(_block(block))
    return tuple(out)


def _block(block: Block) -> Block:
    match block:
        case Paragraph(content):
            return Paragraph(_line(content))
        case Heading(level, content):
            return Heading(level, _line(content))
        case CodeBlock(text, language):
            return CodeBlock(_WIDE.sub(" " * 40, without_gaps(text)), language)
        case Table(rows):
            return Table(tuple(tuple(_line(cell) for cell in row) for row in rows))
        case Items():
            return replace(block, items=tuple(compact(item) for item in block.items))
        case Quote(content_blocks):
            return Quote(compact(content_blocks))
        case Rule():
            return block


def _line(content: Inlines) -> Inlines:
    out: list[Inline] = []
    for node in content:
        node = _thin(node)
        if _blank(node) and out and isinstance(out[-1], Break):
            continue  # between two line ends, a blank keeps them apart
        if isinstance(node, Break) and len(out) > 1 and all(isinstance(last, Break) for last in out[-2:]):
            continue
        out.append(node)
    return tuple(out)


def _blank(node: Inline) -> bool:
    return isinstance(node, Text) and not node.text.strip()


def _thin(node: Inline) -> Inline:
    match node:
        case Text(text, marks):
            return Text(_RUN.sub(" ", text), marks)
        case Link() | Foreign():
            return replace(node, label=tuple(Text(_RUN.sub(" ", t.text), t.marks) for t in node.label))
        case _:
            return node
