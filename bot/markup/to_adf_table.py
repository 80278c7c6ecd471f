"""A table of Atlassian's as rows of cells in which each value stands in its columns. Pure.

Markdown has no merged cells. The value of one is repeated in every row and column that it covers, so that each row says
whole what it says in Jira ("prod | Bob"); a long one is repeated as its beginning.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_REPEATED_TEXT = 60
"""Characters of a merged cell's value that are repeated."""
MAX_COLUMNS = 100
MAX_ROWS = 1000


@dataclass(frozen=True)
class Cell:
    """A cell's Markdown, and over how many columns and rows it reaches."""

    text: str
    columns: int = 1
    rows: int = 1


def grid(rows: list[list[Cell]], spent: Callable[[], bool]) -> list[list[str]]:
    """The cells of each row, merged ones repeated. `spent`: counts a repetition; True when there were too many."""
    made: list[list[str]] = []
    from_above: dict[int, tuple[str, int]] = {}  # column → a value that reaches into it, and into how many rows
    for row in rows:
        line: list[str] = []
        below: dict[int, tuple[str, int]] = {}
        cells = iter(row)
        while True:
            column = len(line)
            if above := from_above.pop(column, None):
                text, left = above
                if spent():
                    break
                line.append(text)
                if left > 1:
                    below[column] = (text, left - 1)
            elif cell := next(cells, None):
                again = _again(cell.text)
                for number in range(cell.columns):
                    if number and (len(line) >= MAX_COLUMNS or spent()):
                        break
                    if cell.rows > 1:
                        below[len(line)] = (again, cell.rows - 1)
                    line.append(again if number else cell.text)
            elif from_above and len(line) < MAX_COLUMNS:
                line.append("")  # a row that ends before what reaches into it from above
            else:
                break
        from_above = below
        made.append(line)
    return made


def _again(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REPEATED_TEXT else f"{line[:MAX_REPEATED_TEXT].rstrip()}…"


def colour(background: str) -> str:
    """A cell that holds nothing but a colour, in words: "(red)"; "" for white and grey."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", background):
        return ""
    red, green, blue = (int(background[at : at + 2], 16) / 255 for at in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    if saturation < 0.15 or light > 0.985:
        return ""
    names = ((20, "red"), (45, "orange"), (70, "yellow"), (165, "green"), (255, "blue"), (320, "purple"), (361, "red"))
    return f"({next(name for end, name in names if hue * 360 < end)})"
