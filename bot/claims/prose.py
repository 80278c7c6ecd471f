"""Markdown → the sentences in which a claim may stand, each normalised, with the pull requests and issues it names.

Left out as a whole: quotations, code, tables, tasks not ticked, and lists under a heading or a lead-in that speaks of
what is to be done. Quoted, struck-out and code words inside a sentence become a gap that matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from bot.claims.claim import Pull, Ticket
from bot.claims.phrases import GAP, HEDGES, LIST_HEDGES
from bot.markup import Known
from bot.markup.parse import tree
from bot.markup.tree import Break, Foreign, Heading, Inlines, Items, Link, Paragraph, Text, Tree
from bot.safety import clean

_QUOTED = re.compile(r"“[^”]*”|„[^“”]*[“”]|«[^»]*»|‘[^’]*’|\"[^\"]*\"")
_PULL_ADDRESS = re.compile(
    r"^https?://[^/\s]+(?:/[\w.-]+)*?/(?P<repo>[\w.-]+/[\w.-]+)/pull-requests/(?P<number>\d{1,9})\b"
)
_TICKET_ADDRESS = re.compile(r"^https?://[^/\s]+(?:/[\w.-]+)*/browse/(?P<key>[A-Z][A-Z0-9_]+-\d{1,9})\b")
_SEVERAL = re.compile(r"\bPRs (#\d{1,9}(?:(?:,| and|, and) #\d{1,9})+)")
_NAMED = re.compile(
    r"(?P<repo>(?<![\w/.-])[\w.-]+/[\w.-]+)#(?P<full>\d{1,9})\b"
    r"|\b(?:PR|[Pp]ull[ -][Rr]equest) ?#?(?P<number>\d{1,9})\b(?![.:]\d)"
    r"|\b(?:[Tt]he|[Tt]his|[Ii]ts) (?P<only>PR|pull request)\b(?! ?[#\d])"
    r"|(?<![\w-])(?P<key>[A-Z][A-Z0-9_]+-[1-9]\d{0,8})(?![\w-])"
    r"|\b(?:[Tt]he|[Tt]his) (?P<own>issue|ticket)\b(?! [A-Z\ufffc])"
)
_SENTENCE_END = re.compile(r"(?<=[.!?])[)\]]? +(?=[^a-z\s])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|cf|incl|resp|ca|no|nr|dr|mr|mrs|ms|st|est|min|max|[A-Z]))\.$", re.IGNORECASE
)
_CONTRACTIONS = (
    (re.compile(r"\b(is|are|was|were|has|have|had|did|does|do|would|could|should)n't\b", re.IGNORECASE), r"\1 not"),
    (re.compile(r"\b(it|that|which)'s been\b", re.IGNORECASE), r"\1 has been"),
    (re.compile(r"\b(it|that|which)'s\b", re.IGNORECASE), r"\1 is"),
)  # fmt: skip
Named = Pull | Ticket
MARK = re.compile(r"\ue000[PI](\d+)\ue001")
"""A named thing in a normalised sentence: its place in `Sentence.named`."""


class Sentence(NamedTuple):
    """`text`: normalised, each named thing replaced by its mark. `named`: those things, by the number in the mark."""

    text: str
    named: tuple[Named, ...]

    def plain(self, part: str | None = None) -> str:
        """The sentence, or a part of it, with the names back in."""
        found = MARK.sub(lambda m: self.named[int(m[1])].name, part or self.text)
        return found.replace(GAP, "…").strip()


@dataclass
class _Reader:
    """What is learnt while reading. `repositories`: number → those that links in the text name for it."""

    repositories: dict[int, set[str]] = field(default_factory=dict)


def sentences(markdown: str, people: Mapping[str, str]) -> Iterator[list[Sentence]]:
    """The sentences of each paragraph. `people`: account id → name, for mentions. Never raises."""
    known = Known(site_host="", addresses=frozenset(), people=dict(people))
    reader = _Reader()
    blocks = list(_blocks(tree(clean(markdown), known.rules()), reader))
    for text, hedged in blocks:
        if not hedged:
            yield [_marked(part, reader) for part in _split(text)]


def _blocks(blocks: Tree, reader: _Reader) -> Iterator[tuple[str, bool]]:
    """Each paragraph's text, and whether what leads to it makes it no statement."""
    heading, last = "", ""
    for block in blocks:
        match block:
            case Heading():
                heading, last = _words(block.content, reader), ""
            case Paragraph():
                text = _words(block.content, reader)
                yield text, bool(LIST_HEDGES.search(heading))
                last = text
            case Items():
                lead = last.rstrip() if last.rstrip().endswith(":") else ""
                planned = bool(LIST_HEDGES.search(f"{heading} {lead}") or HEDGES.search(lead))
                for item in block.items:
                    for text, hedged in _blocks(item, reader):
                        todo = text.startswith("[ ]")
                        yield text.removeprefix("[x] "), hedged or todo or planned
                last = ""
            case _:
                last = ""


def _words(content: Inlines, reader: _Reader) -> str:
    """A line's words. A link to a pull request or an issue stands there by its number or key, whatever its label."""
    parts: list[str] = []
    for node in content:
        match node:
            case Break():
                parts.append(" ; ")
            case Text():
                parts.append(GAP if node.marks & {"code", "strike"} else node.text)
            case Link() | Foreign():
                parts.append(_link(node, reader))
            case _:
                parts.append(node.text.removeprefix("@"))
    text = _QUOTED.sub(GAP, "".join(parts)).replace("’", "'")
    for pattern, instead in _CONTRACTIONS:
        text = pattern.sub(instead, text)
    return _SEVERAL.sub(lambda m: m[1].replace("#", "PR #"), " ".join(text.split()))


def _link(node: Link | Foreign, reader: _Reader) -> str:
    address = node.href if isinstance(node, Link) else node.address
    label = "".join(GAP if t.marks & {"code", "strike"} else t.text for t in node.label)
    if found := _PULL_ADDRESS.match(address):
        number = int(found["number"])
        reader.repositories.setdefault(number, set()).add(found["repo"])
        return f"PR #{number}"
    if (found := _TICKET_ADDRESS.match(address)) and not _NAMED.search(label):
        return found["key"]
    return label or GAP


def _split(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[start : end.start()].rstrip(")]")):
            yield text[start : end.end()].strip()
            start = end.end()
    if text[start:].strip():
        yield text[start:].strip()


def _marked(text: str, reader: _Reader) -> Sentence:
    named: list[Named] = []

    def mark(found: re.Match[str]) -> str:
        thing: Named
        if found["key"] or found["own"]:
            thing = Ticket(key=found["key"] or "")
        elif found["full"]:
            thing = Pull(number=int(found["full"]), repository=found["repo"])
        else:
            number = int(found["number"] or 0)
            repositories = reader.repositories.get(number, set())
            # Two repositories' pull requests of one number in one text: which is meant is not known.
            thing = Pull(number=number, repository=next(iter(repositories)) if len(repositories) == 1 else "")
        if thing not in named:
            named.append(thing)
        return f"\ue000{'P' if isinstance(thing, Pull) else 'I'}{named.index(thing)}\ue001"

    return Sentence(_NAMED.sub(mark, text.replace("\ue000", "").replace("\ue001", "")), tuple(named))
