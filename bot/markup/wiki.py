"""Jira's wiki markup → Markdown: blocks (headings, lists, tables, quotations). Pure.

Webhooks carry comments in this notation. Any string is accepted: what is not markup, or was never closed, stays text.
Every step goes over the text once, whatever is in it.
"""

from __future__ import annotations

import re

from bot.markup import escape
from bot.markup.wiki_inline import inline
from bot.markup.wiki_lines import Lines
from bot.markup.wiki_macros import PLACEHOLDER, Extracted, take_out

_HEADING = re.compile(r"\s*h([1-6])\.\s+(.*)")
_QUOTED_LINE = re.compile(r"\s*bq\.\s+(.*)")
_RULE = re.compile(r"\s*-{4,}\s*")
_ITEM = re.compile(r"\s*([*#]{1,12}-?|-)\s+(\S.*)")
_CELL = re.compile(r"\[[^\[\]\n]{1,2000}\]|\{\{[^{}\n]{0,2000}\}\}|!\S[^!\n]{0,300}!|\\.|(\|\|?)|[^\[{!\\|]+|.")


_BLOCKS = frozenset("hb-*#")
"""What a heading, quotation, rule or item begins with."""

# A line of words: it begins with a letter, so it is no list, quotation, rule or row, and holds nothing that wiki markup
# or Markdown knows; but hyphens in and between words, brackets that are no icon, and single marks at a sentence's end.
_PROSE = re.compile(
    r"""[^\S\n]*+ (?!h[1-6]\.|bq\.) [^\W\d_]
        (?: [^\\`*_~\]\[<&{}!?+^|(\x02\-\n]++ | (?<=[A-Za-z0-9])-(?=[A-Za-z0-9]) | (?<=\S[ ])-(?=[ ]\S)
          | \((?!(?:[/xyni]|on|off)\)) | !(?=\s|\Z) | \?(?!\?) )*+""",
    re.VERBOSE,
)


def from_wiki(text: str) -> str:
    """`text` as Markdown; mentions become `[~accountid:ID]`. Never raises."""
    extracted = Extracted()
    text = take_out(text.replace("\r\n", "\n").replace("\r", "\n"), extracted)
    reader = _Reader(extracted)
    reader.read(text.replace("&nbsp;", " ").split("\n"))
    return extracted.shown(reader.out.text())


class _Reader:
    """Reads a text's lines, of which some belong together: rows to a table, lines to a cell."""

    def __init__(self, extracted: Extracted) -> None:
        self.out = Lines()
        self._extracted = extracted
        self._table: list[list[str]] = []
        self._header = False
        self._all_closed = False  # no row that is open from here on is ever closed: keeps this linear

    def read(self, lines: list[str]) -> None:
        number = 0
        while number < len(lines):
            line = lines[number]
            if not self._table and _PROSE.fullmatch(line):  # most lines: nothing in them is looked at twice
                self.out.prose(line.strip())
            elif line.lstrip().startswith("|") and (last := self._end_of_row(lines, number)) is not None:
                self._row("\n".join(lines[number : last + 1]).strip())
                number = last
            else:
                self._end_table()
                self._line(line)
            number += 1
        self._end_table()

    def _end_of_row(self, lines: list[str], first: int) -> int | None:
        """The line with the last bar of the row that begins here; None where it is no row.

        Where the next row begins first, this one has ended without a bar.
        """
        line = lines[first].strip()
        if line not in ("|", "||"):
            if not line.strip(" |\t"):
                return None
            if line.endswith("|"):
                return first
        if self._all_closed:
            return None
        for number in range(first + 1, len(lines)):
            if lines[number].lstrip().startswith("|"):
                return number - 1 if "|" in line.lstrip("|") else None
            if lines[number].rstrip().endswith("|"):
                return number
        self._all_closed = True
        return None

    def _row(self, row: str) -> None:
        found = list(_CELL.finditer(row if row.endswith("|") else f"{row}|"))
        cells: list[str] = []
        cell: list[str] = []
        for match in found:
            if match[1]:
                cells.append("".join(cell))
                cell = []
            else:
                cell.append(match[0])
        if not self._table:
            self._header = all(match[1] in (None, "||") for match in found)
        self._table.append([self._cell(cell) for cell in cells[1:]])

    def _cell(self, cell: str) -> str:
        """A cell's lines as Markdown."""
        made: list[str] = []
        for line in cell.strip().split("\n"):
            for part in self._extracted.blocks(line.strip()):
                if not isinstance(part, str):
                    made += part.lines()
                elif part and part != "{quote}":
                    heading, item = _HEADING.fullmatch(part), _ITEM.fullmatch(part)
                    words = heading[2] if heading else item[2] if item else part
                    made.append(("- " if item else "") + inline(words))
        return "\n".join(made)

    def _end_table(self) -> None:
        if self._table:
            self.out.add("table", *escape.table(self._table, header=self._header))
            self._table = []

    def _line(self, line: str) -> None:
        if not PLACEHOLDER.search(line):
            _line(line, self.out)
            return
        for part in self._extracted.blocks(line):
            if not isinstance(part, str):
                self.out.add("code", *part.lines())
            elif part.strip():
                _line(part, self.out)


def _line(line: str, out: Lines) -> None:
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
