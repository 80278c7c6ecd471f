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

from markdown_it.token import Token

from bot.markup import address
from bot.markup.blocks import Blocks
from bot.markup.compact import compact
from bot.markup.dialect import MAX_NESTING, parser
from bot.markup.inlines import Rules, judged, leaf, trimmed
from bot.markup.tree import Break, Paragraph, Tree

MAX_PARSED = 20_000
"""Characters; longer texts are shown as plain paragraphs. Drafts end at 3,000."""


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
        return None if tokens is None else compact(Blocks(tokens, rules).until(None))
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
