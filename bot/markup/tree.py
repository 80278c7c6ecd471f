"""A reply as a tree: the one thing from which both Slack's card and Jira's document are made. Pure.

The tree can only say what Jira can show: `bot.markup.parse` flattens everything else (a heading in a list becomes a
bold paragraph). What a person sees on the card and what is posted can therefore not differ in words.

::

    Block   Paragraph · Heading · CodeBlock · Rule · Table · Items (a list) · Quote
    Inline  Text · Break · Link (allowed) · Foreign (an address that is no link) · Mention · Stranger (no mention)

Inside `Items` and `Quote` there are only paragraphs, code blocks and `Items`: that is all that Jira allows in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bot.markup import address

Mark = Literal["strong", "em", "strike", "code"]
Marks = frozenset[Mark]
PLAIN: Marks = frozenset()
_KEY = re.compile(r"\w+[-\u2010-\u2015\u2212]\d+")
"""What a reader takes for an issue's key, also with another hyphen or in other letters."""
_PAGE = re.compile(r"(?<![\w./@-])[\w-]+(?:\.[\w-]+)+(?::\d+)?/\S*")
"""What a reader takes for an address without its scheme."""


@dataclass(frozen=True)
class Text:
    """Words. `code` stands alone among the marks (Jira allows only a link beside it); never empty, no line ends."""

    text: str
    marks: Marks = PLAIN


@dataclass(frozen=True)
class Break:
    """A line end inside a paragraph."""


@dataclass(frozen=True)
class Link:
    """An address that may be a link. `href` is canonical. `issue`: the key of the issue whose page it is, or ""."""

    href: str
    label: tuple[Text, ...]
    issue: str = ""

    @property
    def words(self) -> str:
        return "".join(t.text for t in self.label)

    @property
    def leads_to(self) -> str:
        """What the card shows beside the label: the host, "" where the label is the address itself or the issue's key.

        Where the label names something else than the target, it is the whole address, without its scheme.
        """
        rest, said = _without_scheme(self.href), self.words.rstrip("/")
        if said and said in (self.href.rstrip("/"), rest.rstrip("/"), self.issue):
            return ""
        return rest if self.misleads else address.host(self.href)

    @property
    def misleads(self) -> bool:
        """Whether the label is the key of another issue, or holds an address that is not the target."""
        if _KEY.fullmatch(self.words):
            return self.words != self.issue
        found = [address.of(self.words[start:end]) for start, end in address.bare(self.words)]
        found += [f"https://{address.trim(page[0])}" for page in _PAGE.finditer(self.words)]
        target = _without_scheme(self.href)
        return any(_without_scheme(address.canonical_address(one) or "") != target for one in found)


def _without_scheme(href: str) -> str:
    return href.partition(":")[2].removeprefix("//")


@dataclass(frozen=True)
class Foreign:
    """An address that is not from the issue: text "label (address)", or the address alone where `label` is empty."""

    address: str
    label: tuple[Text, ...] = ()
    marks: Marks = PLAIN

    def texts(self) -> tuple[Text, ...]:
        """The words to show and to post."""
        if not self.label:
            return (Text(self.address, self.marks),)
        return (*self.label, Text(f" ({self.address})"))


@dataclass(frozen=True)
class Mention:
    """A person of the issue, to be notified by Jira."""

    account_id: str
    name: str

    @property
    def text(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True)
class Stranger:
    """A mention of somebody who is not in the issue: plain text."""

    account_id: str

    @property
    def text(self) -> str:
        return f"@{self.account_id}"


Inline = Text | Break | Link | Foreign | Mention | Stranger
Inlines = tuple[Inline, ...]


@dataclass(frozen=True)
class Paragraph:
    """Words and line ends; never empty but as a list item's or table cell's only content."""

    content: Inlines


@dataclass(frozen=True)
class Heading:
    """`level` 1 to 6."""

    level: int
    content: Inlines


@dataclass(frozen=True)
class CodeBlock:
    """`text` is never empty and ends in no newline; `language` may be empty."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Rule:
    """A horizontal line."""


@dataclass(frozen=True)
class Table:
    """`rows[0]` is the header; every cell holds words and line ends, possibly none."""

    rows: tuple[tuple[Inlines, ...], ...]


@dataclass(frozen=True)
class Items:
    """A list. `start` is the first number of an ordered one. Every item starts with a paragraph or a code block."""

    ordered: bool
    start: int
    items: tuple[tuple[Block, ...], ...]


@dataclass(frozen=True)
class Quote:
    """A quotation; never inside anything."""

    content: tuple[Block, ...]


Block = Paragraph | Heading | CodeBlock | Rule | Table | Items | Quote
Tree = tuple[Block, ...]


def line_text(content: Inlines) -> str:
    """The visible words of a line, as Jira will show them."""
    parts: list[str] = []
    for node in content:
        match node:
            case Break():
                parts.append("\n")
            case Link():
                parts += [t.text for t in node.label]
            case Foreign():
                parts += [t.text for t in node.texts()]
            case _:
                parts.append(node.text)
    return "".join(parts)


def walk(blocks: tuple[Block, ...]) -> Iterator[Inline | CodeBlock]:
    """Every inline and every code block, in reading order."""
    for block in blocks:
        match block:
            case Paragraph() | Heading():
                yield from block.content
            case Table():
                yield from (node for row in block.rows for cell in row for node in cell)
            case Items():
                for item in block.items:
                    yield from walk(item)
            case Quote():
                yield from walk(block.content)
            case CodeBlock():
                yield block


def plain_text(blocks: tuple[Block, ...]) -> str:
    """The whole tree as text: blank lines between blocks, `-` and numbers before items, `>` before quotations."""
    parts: list[str] = []
    for block in blocks:
        match block:
            case Paragraph() | Heading():
                parts.append(line_text(block.content))
            case CodeBlock():
                parts.append(block.text)
            case Rule():
                parts.append("---")
            case Table():
                parts.append("\n".join(" | ".join(line_text(cell) for cell in row) for row in block.rows))
            case Quote():
                parts.append("\n".join(f"> {line}" for line in plain_text(block.content).split("\n")))
            case Items():
                lines = []
                for number, item in enumerate(block.items, block.start):
                    marker = f"{number}. " if block.ordered else "- "
                    body = plain_text(item).replace("\n\n", "\n").replace("\n", "\n" + " " * len(marker))
                    lines.append(marker + body)
                parts.append("\n".join(lines))
    return "\n\n".join(parts)
