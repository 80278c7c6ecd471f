"""Jira's wiki markup → Markdown: one line's words (emphasis, links, mentions, images, monospace). Pure.

Linear: every alternative of the one pattern ends at the next character that could start another one, and where a mark
may close is found once for the whole line.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from bot.markup import address, escape

_WRAPS = {"*": "**", "_": "*", "-": "~~", "+": "", "^": "", "~": ""}
"""Marks and what they are in Markdown; it has nothing for inserted, raised and lowered words."""

_MARK = re.compile(r"[*_\-+^~]")
_TOKEN = re.compile(
    r"""(?P<line_end>\\\\)
      | \\(?P<escaped>[*_\-+^~?{}\[\]!|#])
      | \{\{(?P<mono>(?:[^{}\n]|\{(?!\{)|\}(?!\}))+)\}\}
      | \[~(?P<person>[^\[\]\s|]{1,128})\]
      | \[(?P<link>[^\[\]\n]{1,2000})\]
      | !(?P<image>[^!\n\s|][^!\n|]{0,300})(?:\|[^!\n]{0,200})?!
      | \?\?(?P<cite>[^?\s](?:[^?\n]{0,500}[^?\s])?)\?\?
      | (?P<mark>[*_\-+^~])""",
    re.VERBOSE,
)
_BEGIN = re.compile(r"[\\{\[!?*_\-+^~]")  # what every token begins with: found in a tenth of the time
_FILE = re.compile(r"\S.*\.\w{2,5}")
_TARGET = re.compile(r"[#^~]|[A-Za-z][A-Za-z0-9+.-]{1,20}:\S|www\.")


def inline(line: str, within: str = "") -> str:
    """One line as Markdown; a forced line break becomes a line end. `within`: marks that are open around it."""
    if not _BEGIN.search(line):
        return escape.text(line)
    addresses = address.bare(line)
    closers = _closers(line, within, addresses)
    out: list[str] = []
    written = at = 0
    while begin := _BEGIN.search(line, at):
        start = begin.start()
        match = _TOKEN.match(line, start)
        if match is None:
            at = start + 1
            continue
        if (end := _end_of_address(addresses, start)) is not None:  # nothing in an address is markup
            at = end
            continue
        converted = _mark(line, start, within, closers) if match["mark"] else _token(match, within)
        if converted is None:
            at = start + 1
            continue
        made, at = converted
        out += [escape.text(line[written:start]), made]
        written = at
    return "".join([*out, escape.text(line[written:])])


def _end_of_address(addresses: list[tuple[int, int]], at: int) -> int | None:
    """The end of the address that `at` is inside of (its first character does not count), if it is."""
    index = bisect_left(addresses, (at, 0)) - 1
    return addresses[index][1] if index >= 0 and at < addresses[index][1] else None


def _closers(line: str, within: str, addresses: list[tuple[int, int]]) -> dict[str, list[int]]:
    """For each mark, where it may close: after a word, before no word."""
    found: dict[str, list[int]] = {mark: [] for mark in _WRAPS if mark not in within}
    for match in _MARK.finditer(line):
        at, mark = match.start(), match[0]
        before, after = line[at - 1 : at], line[at + 1 : at + 2]
        if mark not in found or not before or before.isspace() or before in (mark, "\\"):
            continue
        if after != mark and not (after.isalnum() or after == "_") and _end_of_address(addresses, at) is None:
            found[mark].append(at)
    return found


def _mark(line: str, at: int, within: str, closers: dict[str, list[int]]) -> tuple[str, int] | None:
    mark = line[at]
    before, after = line[at - 1 : at], line[at + 1 : at + 2]
    if mark not in closers or before.isalnum() or before == mark or not after or after.isspace() or after == mark:
        return None
    index = bisect_right(closers[mark], at + 1)
    if index == len(closers[mark]):
        return None
    end = closers[mark][index]
    wrap = _WRAPS[mark]
    return f"{wrap}{inline(line[at + 1 : end], within + mark)}{wrap}", end + 1


def _token(match: re.Match[str], within: str) -> tuple[str, int] | None:
    made: str | None
    match match.lastgroup:
        case "line_end":
            made = "\n"
        case "escaped":
            made = f"\\{match['escaped']}" if match["escaped"] in "*_~[]#" else match["escaped"]
        case "mono":
            made = escape.code(match["mono"])
        case "person":
            made = f"[~{match['person']}]"
        case "link":
            made = _link(match["link"], within)
        case "image":
            made = _image(match["image"])
        case _:
            made = f"*{escape.text(match['cite'])}*"
    return None if made is None else (made, match.end())


def _link(content: str, within: str) -> str | None:
    """`[text|target]`, `[text|target|smart-link]`, `[target]`; None where the brackets are only brackets."""
    label, bar, rest = content.partition("|")
    target = (rest.partition("|")[0] if bar else label).strip()
    label = label.strip() if bar else ""
    if not _TARGET.match(target):
        return None
    if target.startswith("~"):
        return f"[{target}]"
    if target.startswith("^"):
        return f"(file: {escape.text(target[1:])})"
    if target.startswith("#"):
        return inline(label, within) if label else None
    target = address.of(target)
    return escape.link("" if label == target else inline(label, within), target)


def _image(name: str) -> str | None:
    if name.startswith(("http://", "https://")) and " " not in name:
        return escape.link("image", name)
    return f"(image: {escape.text(name)})" if _FILE.fullmatch(name) else None
