"""Jira's wiki markup → Markdown: blocks (headings, lists, tables, code, quotations). Pure.

Webhooks carry comments in this notation. Any string is accepted: what is not markup, or was never closed, stays text.
Every step goes over the text once, whatever is in it. Code is cut out first, because nothing in it is markup.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from bot.markup import escape
from bot.markup.from_adf import from_adf
from bot.markup.wiki_inline import inline

_VERBATIM = re.compile(r"\{(code|noformat|adf)(?::([^}\n]{0,200}))?\}")
_QUOTE = re.compile(r"\{quote\}")
_FRAME = re.compile(r"\{(?:panel|info|note|tip|warning|expand)(?::([^}\n]{0,300}))?\}")
_INVISIBLE = re.compile(r"\{(?:color|anchor|toc|section|column|align|div|span|center)(?::[^}\n]{0,300})?\}")
_HEADING = re.compile(r"\s*h([1-6])\.\s+(.*)")
_QUOTED_LINE = re.compile(r"\s*bq\.\s+(.*)")
_RULE = re.compile(r"\s*-{4,}\s*")
_ITEM = re.compile(r"\s*([*#]{1,12}-?|-)\s+(\S.*)")
_ROW = re.compile(r"\s*\|.*\|\s*")
_CELL = re.compile(r"\[[^\[\]\n]{1,2000}\]|\{\{[^{}\n]{0,2000}\}\}|!\S[^!\n]{0,300}!|\\.|(\|\|?)|[^\[{!\\|]+|.")


_BLOCKS = frozenset("hb-*#")
"""What a heading, quotation, rule or item begins with."""
_ADF = "{adf}"

# A line of words: it begins with a letter, so it is no list, quotation, rule or row, and holds nothing that wiki markup
# or Markdown knows; but hyphens inside and between words, and single marks at a sentence's end.
_PROSE = re.compile(
    r"""[^\S\n]*+ (?!h[1-6]\.|bq\.) [^\W\d_]
        (?: [^\\`*_~\]\[<&{}!?+^|\-\n]++ | (?<=[A-Za-z0-9])-(?=[A-Za-z0-9]) | (?<=\S[ ])-(?=[ ]\S)
          | !(?=\s|\Z) | \?(?!\?) )*+""",
    re.VERBOSE,
)


def from_wiki(text: str) -> str:
    """`text` as Markdown; mentions become `[~accountid:ID]`. Never raises."""
    out = _Lines()
    for part in _parts(text.replace("\r\n", "\n").replace("\r", "\n")):
        if isinstance(part, str):
            _words(part.replace("&nbsp;", " "), out)
        elif part[1] == _ADF:
            out.add("adf", *_adf(part[0]).split("\n"))
        else:
            out.add("code", *escape.code_block(*part))
    return out.text()


def _parts(text: str) -> Iterator[str | tuple[str, str]]:
    """The text between code blocks, and the code blocks as (code, language), in order."""
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
        if code := text[opening.end() : end].strip("\n"):
            yield code, _ADF if kind == "adf" else _language(parameters)
        done = end + len(kind) + 2
    yield text[done:]


def _adf(text: str) -> str:
    """What wiki markup cannot say stands in it as JSON."""
    try:
        return from_adf(json.loads(text))
    except (ValueError, RecursionError):
        return "\n".join(escape.code_block(text, "json"))


def _language(parameters: str) -> str:
    """`python`, `title=a.py|python` and `language=python` all say python."""
    for parameter in parameters.split("|"):
        name, equals, value = parameter.partition("=")
        if not equals and name:
            return name.strip()
        if name.strip() == "language":
            return value.strip()
    return ""


def _words(text: str, out: _Lines) -> None:
    if "{" in text:
        text = _QUOTE.sub("\n{quote}\n", text)
        text = _FRAME.sub(_frame, _INVISIBLE.sub("", text))
    table: list[list[str]] = []
    header = False
    for line in text.split("\n"):
        if not table and _PROSE.fullmatch(line):  # most lines: nothing in them is looked at twice
            out.prose(line.strip())
            continue
        if "|" in line and _ROW.fullmatch(line) and line.strip(" |\t"):
            if not table:
                header = line.lstrip().startswith("||")
            table.append(_cells(line))
            continue
        if table:
            out.add("table", *escape.table(table, header=header))
            table = []
        _line(line, out)
    if table:
        out.add("table", *escape.table(table, header=header))


def _frame(match: re.Match[str]) -> str:
    """A panel's frame is gone, its title stays as a line."""
    title = re.search(r"(?:^|\|)title=([^|]{1,200})", match[1] or "")
    return f"\n*{title[1].strip()}*\n" if title else "\n"


def _line(line: str, out: _Lines) -> None:
    if line == "{quote}":
        out.quote()
    elif not line.strip():
        out.blank()
    elif line.lstrip()[:1] not in _BLOCKS:
        out.paragraph(_rows(line))
    elif heading := _HEADING.fullmatch(line):
        out.add("heading", f"{'#' * int(heading[1])} {' '.join(inline(heading[2]).split())}")
    elif quoted := _QUOTED_LINE.fullmatch(line):
        out.add("bq", *(f"> {part}" for part in _rows(quoted[1])))
    elif _RULE.fullmatch(line):
        out.add("rule", "---")
    elif item := _ITEM.fullmatch(line):
        out.item(item[1], _rows(item[2]))
    else:
        out.paragraph(_rows(line))


def _rows(line: str) -> list[str]:
    return [escape.line(row) for row in inline(line).split("\n")]


def _cells(line: str) -> list[str]:
    """The cells of a table row; bars in links, images and monospace are not borders."""
    cells: list[str] = []
    cell: list[str] = []
    for match in _CELL.finditer(line.strip()):
        if match[1]:
            cells.append("".join(cell))
            cell = []
        else:
            cell.append(match[0])
    return [inline(c.strip()).replace("\n", " ") for c in [*cells, "".join(cell)][1 : len(cells)]]


class _Lines:
    """The Markdown written so far: keeps blocks apart, quotes quoted, list numbers and indents right."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._kind = ""
        self._quoting = False
        self._levels: list[tuple[str, int]] = []  # of the open list: marker and number of the last item on each level

    def text(self) -> str:
        return "\n".join(self._lines).strip("\n")

    def add(self, kind: str, *lines: str) -> None:
        """Writes a block, or another line of it; blocks of different kinds are kept apart."""
        if self._kind != kind or kind in ("table", "code", "adf"):
            self._apart()
        self._kind = kind
        if kind != "list":
            self._levels = []
        prefix = "> " if self._quoting else ""
        self._lines += [f"{prefix}{line}".rstrip() for line in lines]

    def _apart(self) -> None:
        if self._lines and self._lines[-1] not in ("", ">"):
            self._lines.append(">" if self._quoting else "")

    def blank(self) -> None:
        """Ends the block, and with it the numbering."""
        self._apart()
        self._kind = ""
        self._levels = []

    def quote(self) -> None:
        """Opens or closes a quotation."""
        self.blank()
        if self._quoting and self._lines and self._lines[-1] == ">":
            self._lines[-1] = ""
        self._quoting = not self._quoting

    def paragraph(self, rows: list[str]) -> None:
        """A line of words: of the item it follows, else of a paragraph."""
        if self._kind == "list":
            self.add("list", *(self._indent(len(self._levels)) + row for row in rows))
        else:
            self.add("paragraph", *rows)

    def prose(self, row: str) -> None:
        """As `paragraph`, for one line of words."""
        if self._kind == "paragraph" and not self._quoting:
            self._lines.append(row)
        else:
            self.paragraph([row])

    def item(self, marker: str, rows: list[str]) -> None:
        """A list item; the marker's length is its level, its last character its kind."""
        depth = min(len(marker), len(self._levels) + 1)
        kind = "#" if marker[-1] == "#" else "-"
        before = self._levels[depth - 1 : depth]
        number = before[0][1] + 1 if before and before[0][0] == kind else 1
        self._levels = [*self._levels[: depth - 1], (kind, number)]
        indent = self._indent(depth - 1)
        bullet = f"{number}. " if kind == "#" else "- "
        self.add("list", indent + bullet + rows[0], *(indent + " " * len(bullet) + row for row in rows[1:]))

    def _indent(self, depth: int) -> str:
        return " " * sum(2 if kind == "-" else len(str(number)) + 2 for kind, number in self._levels[:depth])
