"""Markdown → the tree of `bot.markup.tree`. Pure.

markdown-it-py parses (see `bot.markup.dialect`); everything that it may not decide is decided here: which address may
be a link, who may be mentioned, and that no word gets lost. Markdown has corners in which words vanish silently (an
unused link definition, a table row with too many cells, nesting beyond the parser's bound); where one is met, the text
is parsed again without that corner, and the words stay.

A line end is a line end: people who type two lines into a box mean two lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from markdown_it.token import Token

from bot.markup import address
from bot.markup.compact import compact
from bot.markup.dialect import MAX_NESTING, parser
from bot.markup.inlines import Rules, inlines, judged, leaf, trimmed
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
    Tree,
)
from bot.safety import clean

MAX_PARSED = 20_000
"""Characters; longer texts are shown as plain paragraphs. Drafts end at 3,000."""

_LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,40}")


def tree(markdown: str, rules: Rules) -> Tree:
    """The tree of `markdown` (already cleaned). Never raises; what cannot be parsed safely becomes plain paragraphs."""
    found = formatted(markdown, rules)
    return plain_tree(markdown, rules) if found is None else found


def formatted(markdown: str, rules: Rules) -> Tree | None:
    """The same; None for what cannot be parsed safely: too long, nested too deeply, or a parser's bug."""
    if len(markdown) > MAX_PARSED:
        return None
    try:
        tokens = _tokens(markdown)
        return None if tokens is None else compact(_Blocks(tokens, rules).until(None))
    except (ValueError, IndexError, KeyError, RecursionError):
        return None


def plain_tree(text: str, rules: Rules) -> Tree:
    """Paragraphs and line ends alone, every character as it stands; addresses are judged all the same."""
    paragraphs = []
    for part in re.split(r"\n[ \t]*\n\s*", text):
        line = [n for row in part.split("\n") for n in (*judged([leaf(row.strip())], rules), Break())]
        if content := trimmed(line):
            paragraphs.append(Paragraph(content))
    return compact(paragraphs)


def addresses(markdown: str) -> Iterator[str]:
    """Every address that stands in `markdown`, as it stands there: links, images, bare ones, and those in code."""
    tokens = parser("table", "reference").parse(markdown) if len(markdown) <= MAX_PARSED else None
    if tokens is None or _too_deep(tokens):
        yield from _bare_addresses(markdown)
        return
    for token in tokens:
        if token.type in ("fence", "code_block"):
            yield from _bare_addresses(token.content)
        for child in token.children or ():
            yield from (str(child.attrs[a]) for a in ("href", "src") if a in child.attrs)
        if token.children:
            yield from _bare_addresses("".join(c.content if c.type != "softbreak" else "\n" for c in token.children))


def _bare_addresses(text: str) -> Iterator[str]:
    for start, end in address.bare(text):
        yield address.of(text[start:end])


def _tokens(markdown: str) -> list[Token] | None:
    """The tokens of `markdown`, losing no word; None when it is nested deeper than the parser goes."""
    env: dict[str, dict[str, object]] = {}
    tokens = parser().parse(markdown, env)
    without = []
    if _unused_definition(tokens, env):
        without.append("reference")
    if _overfull_row(tokens, markdown):
        without.append("table")
    if without:
        tokens = parser(*without).parse(markdown)
    return None if _too_deep(tokens) else tokens


def _too_deep(tokens: Sequence[Token]) -> bool:
    """At its bound the parser drops what is deeper."""
    return any(t.level >= MAX_NESTING - 2 for t in tokens)


def _unused_definition(tokens: Sequence[Token], env: dict[str, dict[str, object]]) -> bool:
    """`[update]: fixed` is a link definition to Markdown; unless a link uses it, it was meant as words."""
    if not env.get("references"):
        return bool(env.get("duplicate_refs"))
    used = {c.meta.get("label") for t in tokens for c in t.children or ()}
    return bool(env.get("duplicate_refs")) or not set(env["references"]) <= used


def _overfull_row(tokens: Sequence[Token], markdown: str) -> bool:
    """A table row with more cells than the header has: Markdown drops the rest."""
    lines: list[str] = []
    columns = 0
    for token in tokens:
        if token.type == "table_open":
            columns = 0
        elif token.type == "th_open":
            columns += 1
        elif token.type == "tr_open" and token.map:
            lines = lines or markdown.split("\n")
            row = re.sub(r"\\.", "", lines[token.map[0]]).strip().strip("|")
            if row.count("|") >= columns > 0:
                return True
    return False


# --- blocks -----------------------------------------------------------------------------------------------------------


class _Blocks:
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
