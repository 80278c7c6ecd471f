"""Markdown, as markdown-it's tokens → blocks of the tree: paragraphs, headings, lists, tables, code, quotes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from markdown_it.token import Token

from bot.markup.inlines import Rules, inlines, trimmed
from bot.markup.tree import (
    Block,
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
from bot.safety import clean

_LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,40}")


class Blocks:
    """Walks the tokens once. `until(type)` reads blocks up to the closing token of that type."""

    def __init__(self, tokens: Sequence[Token], rules: Rules) -> None:
        self._tokens = iter(tokens)
        self._rules = rules

    def until(self, closing: str | None) -> Iterator[Block]:
        for token in self._tokens:
            match token.type:
                case kind if kind == closing:
                    return
                case "paragraph_open":
                    if content := self._line():
                        yield Paragraph(content)
                case "heading_open":
                    level = int(token.tag[1:])
                    yield Heading(level, _unbold(self._line()) or (Text(token.markup[:6]),))
                case "fence" | "code_block":
                    yield from self._code(token)
                case "hr":
                    yield Rule()
                case "blockquote_open":
                    if content_blocks := tuple(flat(self.until("blockquote_close"))):
                        yield Quote(content_blocks)
                case "bullet_list_open" | "ordered_list_open":
                    yield from self._list(token)
                case "table_open":
                    yield self._table()

    def _line(self, *, cell: bool = False) -> Inlines:
        """The inlines of a paragraph, heading or cell, whose opening token was just read."""
        content: Inlines = ()
        for token in self._tokens:
            if token.type == "inline":
                content = inlines(token.children or (), self._rules, cell=cell)
            elif token.nesting == -1:
                break
        return content

    @staticmethod
    def _code(token: Token) -> Iterator[Block]:
        info = clean(token.info).strip()
        text = clean(token.content).rstrip("\n")
        language = info if _LANGUAGE.fullmatch(info) and text.strip() else ""
        if info and not language:
            text = f"{info}\n{text}".rstrip("\n")  # words after the fence are words: "```see below" shows them
        if text.strip():
            yield CodeBlock(text, language)

    def _list(self, opening: Token) -> Iterator[Block]:
        ordered = opening.type == "ordered_list_open"
        start = max(1, int(str(opening.attrs.get("start", 1)))) if ordered else 1  # Slack counts from 1
        items: list[tuple[Block, ...]] = []
        markers: list[str] = []
        for token in self._tokens:
            if token.type == "list_item_open":
                markers.append(f"{token.info}{token.markup}")
                items.append(tuple(flat(self.until("list_item_close"))))
            elif token.nesting == -1:
                break
        if not any(items):  # "42." alone is an answer, not a list with nothing in it
            yield Paragraph((Text(" ".join(markers)),))
            return
        yield Items(ordered, start, tuple(_startable(item) for item in items))

    def _table(self) -> Table:
        rows: list[tuple[Inlines, ...]] = []
        cells: list[Inlines] = []
        for token in self._tokens:
            if token.type == "th_open":
                cells.append(_unbold(self._line(cell=True)))
            elif token.type == "td_open":
                cells.append(self._line(cell=True))
            elif token.type == "tr_close":
                rows.append(tuple(cells))
                cells = []
            elif token.type == "table_close":
                break
        return Table(tuple(rows))


def _startable(item: tuple[Block, ...]) -> tuple[Block, ...]:
    """Jira's editor wants an item to start with words or code; an empty paragraph stands in."""
    return item if item and not isinstance(item[0], Items) else (Paragraph(()), *item)


def flat(blocks: Iterator[Block]) -> Iterator[Block]:
    """What Jira does not allow inside a list or a quotation, as what it allows, with the same words."""
    for block in blocks:
        match block:
            case Heading():
                yield Paragraph(tuple(_bold(node) for node in block.content))
            case Rule():
                yield Paragraph((Text("———"),))
            case Quote():
                yield from block.content
            case Table():
                for row in block.rows:
                    line = [n for cell in row for n in (*cell, Text(" | "))][:-1]
                    if content := trimmed(line):
                        yield Paragraph(content)
            case _:
                yield block


def _unbold(content: Inlines) -> Inlines:
    """The words of a heading or a table's header, which are bold anyway: bold among them could not be told apart."""

    def thin(text: Text) -> Text:
        return Text(text.text, text.marks - {"strong"})

    found: list[Inline] = []
    for node in content:
        match node:
            case Text():
                node = thin(node)
            case Link():
                node = replace(node, label=tuple(thin(text) for text in node.label))
            case Foreign():
                node = replace(node, label=tuple(thin(text) for text in node.label), marks=node.marks - {"strong"})
        found.append(node)
    return tuple(found)


def _bold(node: Inline) -> Inline:
    return Text(node.text, node.marks | {"strong"}) if isinstance(node, Text) and "code" not in node.marks else node
