"""The Markdown that is written while wiki markup is read line by line: blocks apart, lists numbered. Pure."""

from __future__ import annotations


class Lines:
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
        if self._kind != kind or kind in ("table", "code"):
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
