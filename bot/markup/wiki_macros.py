"""Jira's wiki markup: its macros, taken out of a text before its lines are read. Pure.

Code is taken out, because nothing in it is markup; what stands for it is a mark that no text can hold. Frames (panels,
expands) become a line for their kind and one for their title; what only draws is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from bot.markup import escape
from bot.markup.from_adf import from_adf

PLACEHOLDER = re.compile("\x02(\\d+)\x03")
"""What stands for something that was taken out."""

_VERBATIM = re.compile(r"\{(code|noformat|adf)(?::([^}\n]{0,1000}))?\}")
_QUOTE = re.compile(r"\{quote\}")
_FRAME = re.compile(r"\{(panel|info|note|tip|warning|expand)(?::([^}\n]{0,1000}))?\}")
_DRAWS = re.compile(r"\{(?:color|anchor|toc|section|column|align|div|span|center)(?::[^}\n]{0,300})?\}")
_MARKS = "\x02\x03\x04"
_BESIDE_BAR = re.compile(r"(?<=\|)\x04(?!\{quote\}\x04?[ \t]*(?:\n|\Z))|\n?\x04(?=[ \t]*\|)")
"""A macro's line end beside a bar: what is in a cell stays in it."""
_MARKUP = re.compile(r"[*_\-+^~?{}\[\]!|#]")
_TITLE = re.compile(r"(?:^|\|)title=([^|]+)")
_KINDS = {"#deebff": "info", "#eae6ff": "note", "#e3fcef": "success", "#fffae6": "warning", "#ffebe6": "error"}
"""How Jira itself writes the panels of its editor: by their colours."""


@dataclass(frozen=True)
class Code:
    """A block of code. `title`: Markdown."""

    text: str
    language: str = ""
    title: str = ""

    def lines(self) -> list[str]:
        block = escape.code_block(self.text, self.language)
        return [self.title, "", *block] if self.title else block


@dataclass(frozen=True)
class Document:
    """A piece of Atlassian's format, as Markdown: what wiki markup cannot say stands in it as JSON."""

    text: str
    inline: bool

    def lines(self) -> list[str]:
        return self.text.split("\n")


@dataclass
class Extracted:
    """What was taken out of a text, by its number."""

    items: list[Code | Document] = field(default_factory=list)

    def add(self, item: Code | Document) -> str:
        self.items.append(item)
        return f"\x02{len(self.items) - 1}\x03"

    def blocks(self, line: str) -> Iterator[str | Code | Document]:
        """A line's words, and the blocks among them, in order."""
        done = 0
        for found in PLACEHOLDER.finditer(line):
            item = self.items[int(found[1])]
            if not (isinstance(item, Document) and item.inline):
                yield line[done : found.start()]
                yield item
                done = found.end()
        yield line[done:]

    def shown(self, markdown: str) -> str:
        """Markdown with what was taken out put back, for what stands within a line."""
        return PLACEHOLDER.sub(lambda found: " ".join(self.items[int(found[1])].lines()), markdown)


def take_out(text: str, extracted: Extracted) -> str:
    """The text without its macros, each on the lines that it becomes."""
    for mark in _MARKS:
        text = text.replace(mark, "")
    text = "".join(_extract(text, extracted))
    if "{" not in text:
        return text
    text = _QUOTE.sub("\x04{quote}\x04", text)
    opened: set[str] = set()
    text = _FRAME.sub(lambda found: _frame(found, opened), _DRAWS.sub("", text))
    return _BESIDE_BAR.sub("", text).replace("\x04", "\n")


def _extract(text: str, extracted: Extracted) -> Iterator[str]:
    done = 0
    unclosed: set[str] = set()  # a kind that is not closed from here on is never closed: keeps this linear
    while opening := _VERBATIM.search(text, done):
        kind, parameters = opening[1], opening[2] or ""
        end = -1 if kind in unclosed else text.find(f"{{{kind}}}", opening.end())
        yield text[done : opening.start()]
        if end < 0:
            unclosed.add(kind)
            done = opening.end()
            continue
        code = text[opening.end() : end].strip("\n")
        if kind == "adf":
            yield extracted.add(_document(code, parameters))
        elif code:
            yield extracted.add(Code(code, *_described(parameters)))
        done = end + len(kind) + 2
    yield text[done:]


def _document(text: str, parameters: str) -> Document:
    try:
        made = from_adf(json.loads(text))
    except (ValueError, RecursionError):
        return Document("\n".join(escape.code_block(text, "json")), inline=False)
    return Document(made, inline="display=inline" in parameters and "\n" not in made)


def _described(parameters: str) -> tuple[str, str]:
    """Language and title of a block of code: `python`, `title=a.py|python`, `language=python`."""
    language = title = ""
    for parameter in parameters.split("|"):
        name, equals, value = (part.strip() for part in parameter.partition("="))
        if name == "title":
            title = escape.title(value)
        elif name == "language" or not equals:
            language = language or value or name
    return language, title


def _frame(found: re.Match[str], opened: set[str]) -> str:
    """The line that says what kind of frame opens here, and the line with its title."""
    name, parameters = found[1], found[2]
    if parameters is None and name in opened:
        opened.discard(name)
        return "\x04"
    opened.add(name)
    parameters = parameters or ""
    titled = _TITLE.search(parameters)
    title = titled[1] if titled else parameters if name == "expand" else ""
    kind = name if name not in ("panel", "expand") else next((_KINDS[c] for c in _KINDS if c in parameters.lower()), "")
    lines = [f"({kind} panel)"] if kind else []
    if title := " ".join(title.split()):
        lines.append("{*}" + _MARKUP.sub(r"\\\g<0>", title) + "{*}")
    return "\x04" + "".join(f"{line}\x04" for line in lines)
