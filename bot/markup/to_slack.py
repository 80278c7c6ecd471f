"""The tree → elements of one Slack `rich_text` block: how the card shows what Jira will show. Pure.

Only `text` and `link` elements are made: nothing from Jira or Claude can become a mention, a channel or an emoji, and
Slack reads no markup in them. Allowed links show where they lead; other addresses are text. Slack has no headings,
rules, tables and languages of code inside rich text: a heading is bold behind its `##`, a rule a dash, a table row a
line with bars between its cells, and a language a line in italics above its code. Where a bar at the left of every line
is the frame, a quotation's lines begin with `> `.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
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
    Mark,
    Mention,
    Paragraph,
    Quote,
    Rule,
    Stranger,
    Table,
    Text,
    Tree,
)

Element = dict[str, Any]

MAX_INDENT = 8
"""Slack's deepest list level, counted from 0."""

_STYLES: dict[Mark, str] = {"strong": "bold", "em": "italic", "strike": "strike", "code": "code"}
_RULE = "———"
_QUOTED = Text("> ")


def elements(tree: Tree) -> list[Element]:
    """The `elements` of a `rich_text` block; never empty, and no text in it is."""
    return list(_blocks(tree)) or [_section([_text(" ")])]


def barred(tree: Tree) -> list[Element]:
    """The same with a bar at the left of every line: a frame where Slack has no other."""
    return [_barred(element) for element in _blocks(_marked_quotes(tree))] or [_section([_text(" ")], quoted=True)]


def _marked_quotes(tree: Tree) -> Tree:
    """Every quotation as what it holds, each line behind `> `: a bar cannot say it where every line has one."""
    return tuple(
        inner for block in tree for inner in (map(_mailed, block.content) if isinstance(block, Quote) else [block])
    )


def _mailed(block: Block) -> Block:
    match block:
        case Paragraph(content):
            words: list[Inline] = [_QUOTED]
            for node in content or (Text(" "),):
                words += [node, _QUOTED] if isinstance(node, Break) else [node]
            return Paragraph(tuple(words))
        case CodeBlock(text, language):
            return CodeBlock(_QUOTED.text + text.replace("\n", "\n" + _QUOTED.text), language)
        case Items():
            return replace(block, items=tuple(tuple(map(_mailed, item)) for item in block.items))
        case _:
            return block


def _barred(element: Element) -> Element:
    if element["type"] == "rich_text_section":
        return element | {"type": "rich_text_quote"}
    return element if element["type"] == "rich_text_quote" else element | {"border": 1}


def size(made: list[Element]) -> int:
    """Characters of the elements' JSON: what counts against Slack's bound for a message."""
    return len(json.dumps(made, ensure_ascii=False, separators=(",", ":")))


def too_deep(blocks: tuple[Block, ...], level: int = 0) -> bool:
    """Whether a list is nested deeper than Slack can indent it."""
    for block in blocks:
        if isinstance(block, Items) and (level > MAX_INDENT or any(too_deep(item, level + 1) for item in block.items)):
            return True
        if isinstance(block, Quote) and too_deep(block.content):
            return True
    return False


def _blocks(blocks: tuple[Block, ...], *, quoted: bool = False) -> Iterator[Element]:
    """Lines in one section, blank lines between them; code and lists stand for themselves."""
    lines: list[Element] = []
    for block in blocks:
        if isinstance(block, CodeBlock | Items | Quote):
            if lines:
                yield _section(lines, quoted=quoted)
                lines = []
            match block:
                case CodeBlock(text, language):
                    if language:
                        yield _section([_text(language) | {"style": {"italic": True}}], quoted=quoted)
                    yield {"type": "rich_text_preformatted", "border": int(quoted), "elements": [_text(text)]}
                case Items():
                    yield from _items(block, 0, quoted=quoted)
                case Quote():
                    yield from _blocks(block.content, quoted=True)
        else:
            lines += [_text("\n\n")] if lines else []
            lines += _lines(block)
    if lines:
        yield _section(lines, quoted=quoted)


def _lines(block: Paragraph | Heading | Rule | Table) -> list[Element]:
    match block:
        case Paragraph(content):
            return _line(content) or [_text(" ")]
        case Heading(level, content):
            return _bold([_text("#" * level + " "), *_line(content)])
        case Rule():
            return [_text(_RULE)]
        case Table(rows):
            made: list[Element] = []
            for number, row in enumerate(rows):
                made += [_text("\n")] if number else []
                for cell in row:
                    made += [_text("| "), *(_line(cell) if number else _bold(_line(cell))), _text(" ")]
                made.append(_text("|"))
            return made


def _bold(made: list[Element]) -> list[Element]:
    return [e | {"style": e.get("style", {}) | {"bold": True}} if e["text"].strip() else e for e in made]


def _items(block: Items, indent: int, *, quoted: bool) -> Iterator[Element]:
    """A list as Slack wants it: one flat `rich_text_list` per run of items on the same level."""

    def run(sections: list[Element], number: int) -> Element:
        made: Element = {
            "type": "rich_text_list",
            "style": "ordered" if block.ordered else "bullet",
            "indent": min(indent, MAX_INDENT),  # what is deeper is not shown whole: `too_deep`
            "border": int(quoted),
            "elements": sections,
        }
        return made | ({"offset": number - 1} if block.ordered and number > 1 else {})

    waiting: list[Element] = []
    first = number = block.start
    for number, item in enumerate(block.items, block.start):  # the last number is used after the loop
        if not waiting:
            first = number
        words: list[Element] = []
        rest = list(item)
        while rest and isinstance(rest[0], Paragraph):
            words += ([_text("\n\n")] if words else []) + _lines(rest.pop(0))  # type: ignore[arg-type]  # it is a Paragraph
        waiting.append(_section(words or [_text(" ")]))
        for part in rest:
            if waiting:
                yield run(waiting, first)
                waiting = []
            if isinstance(part, Items):
                yield from _items(part, indent + 1, quoted=quoted)
            else:
                yield from _blocks((part,), quoted=quoted)
    if waiting:
        yield run(waiting, first)


def _section(made: list[Element], *, quoted: bool = False) -> Element:
    merged: list[Element] = []
    for element in made:
        last = merged[-1] if merged else {}
        if element["type"] == "text" == last.get("type") and element.get("style") == last.get("style"):
            merged[-1] = last | {"text": last["text"] + element["text"]}
        else:
            merged.append(element)
    return {"type": "rich_text_quote" if quoted else "rich_text_section", "elements": merged}


def _line(content: Inlines) -> list[Element]:
    return [element for node in content for element in _inline(node)]


def _inline(node: Inline) -> list[Element]:
    match node:
        case Text():
            return [_styled(node)]
        case Break():
            return [_text("\n")]
        case Link(href, label):
            made = [_styled(text) | {"type": "link", "url": href} for text in label]
            return [*made, _text(f" ({node.leads_to})")] if node.leads_to else made
        case Foreign():
            return [_styled(text) for text in node.texts()]
        case Mention():
            return [_text(node.text) | {"style": {"bold": True}}]
        case Stranger():
            return [_text(node.text)]


def _styled(text: Text) -> Element:
    style = {name: True for mark, name in _STYLES.items() if mark in text.marks}
    return _text(text.text) | ({"style": style} if style else {})


def _text(text: str) -> Element:
    return {"type": "text", "text": text}
