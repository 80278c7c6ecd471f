"""Jira's wiki markup → Markdown: one line's words (emphasis, links, mentions, images, monospace). Pure.

Linear: every alternative of the one pattern ends at the next character that could start another one, and where a mark
may close is found once for the whole line.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from bot.markup import address, escape

_WRAPS = {"*": "**", "_": "*", "-": "~~", "+": "", "^": "", "~": ""}
"""Marks and what they are in Markdown; it has nothing for inserted words, and raised and lowered ones have a sign."""
_RAISED = {"^": "^", "~": "_"}
_ICONS = {
    "/": "✅", "x": "❌", "!": "⚠️", "?": "❓", "on": "💡", "off": "⚪", "y": "👍", "n": "👎", "+": "➕", "-": "➖",
    "*": "⭐", "i": "ℹ️",
}  # fmt: skip
"""What Jira draws for `(/)` and its like; its editor's emoji come so as well."""

_MARK = re.compile(r"[*_\-+^~]")
_TOKEN = re.compile(
    r"""(?P<line_end>\\\\)
      | \\(?P<escaped>[*_\-+^~?{}\[\]!|#])
      | \{(?P<braced>[*_\-+^~])\}
      | \{\{(?P<mono>(?:[^{}\n]|\{(?!\{)|\}(?!\}))+)\}\}
      | \[~(?P<person>[^\[\]\s|]{1,128})\]
      | \[(?P<link>[^\[\]\n]{1,2000})\]
      | !(?P<image>[^!\n\s|][^!\n|]{0,300})(?:\|(?P<drawn>[^!\n]{0,500}))?!
      | (?<!\w)\((?P<icon>[/x!?yn+\-*i]|on|off)\)(?!\w)
      | \?\?(?P<cite>[^?\s](?:[^?\n]{0,500}[^?\s])?)\?\?
      | (?P<mark>[*_\-+^~])""",
    re.VERBOSE,
)
_BEGIN = re.compile(
    r"[\\{\[!?*_\-+^~]|\((?=[/x!?yn+\-*io][)nf])"
)  # what every token begins with: found in a tenth of the time
_WORDS = re.compile(r"(?:^|[|,])\s*(?:alt|title)=(\"[^\"]*\"|[^|,]*)")
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
        marked = match["mark"] or match["braced"]
        converted = _mark(line, match, within, closers) if marked else _token(match, within)
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


def _closers(line: str, within: str, addresses: list[tuple[int, int]]) -> dict[str, list[tuple[int, int]]]:
    """For each mark, where it may close (from, to): after a word and before none, or anywhere in braces."""
    found: dict[str, list[tuple[int, int]]] = {mark: [] for mark in _WRAPS if mark not in within}
    for match in _MARK.finditer(line):
        at, mark = match.start(), match[0]
        before, after = line[at - 1 : at], line[at + 1 : at + 2]
        if mark not in found or not before or before.isspace() or before in (mark, "\\"):
            continue
        if before == "{" and after == "}":
            found[mark].append((at - 1, at + 2))
        elif after != mark and not (after.isalnum() or after == "_") and _end_of_address(addresses, at) is None:
            found[mark].append((at, at + 1))
    return found


def _mark(
    line: str, match: re.Match[str], within: str, closers: dict[str, list[tuple[int, int]]]
) -> tuple[str, int] | None:
    """Marked words and their end. `*Stop*` stands between words, `{*}Stop{*}` may stand within one."""
    mark = match["mark"] or match["braced"]
    start, begin = match.span()
    before, after = line[start - 1 : start], line[begin : begin + 1]
    if mark not in closers or not after:
        return None
    if match["mark"] and (before.isalnum() or before == mark or after.isspace() or after == mark):
        return None
    index = bisect_right(closers[mark], (begin, len(line)))
    if index == len(closers[mark]):
        return None
    end, beyond = closers[mark][index]
    made = inline(line[begin:end], within + mark)
    words = made.strip()
    if mark in _RAISED:
        marked = _RAISED[mark] + (words if words.isalnum() else f"({words})")
    else:
        marked = f"{_WRAPS[mark]}{words}{_WRAPS[mark]}"
    return (made.replace(words, marked, 1) if words else made), beyond


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
            made = f"[~{match['person']}]" + "\\" * match.string.startswith("(@", match.end())  # no name of theirs
        case "link":
            made = _link(match["link"], within)
        case "image" | "drawn":
            made = _image(match["image"], match["drawn"] or "")
        case "icon":
            made = _ICONS[match["icon"]]
        case _:
            made = f"*{escape.text(match['cite'])}*"
    return None if made is None else (made, match.end())


def _link(content: str, within: str) -> str | None:
    """`[text|target]`, `[text|target|smart-link]`, `[target]`; None where the brackets are only brackets."""
    label, bar, rest = content.partition("|")
    target, _, title = rest.partition("|") if bar else (label, "", "")
    target, label = target.strip(), label.strip() if bar else ""
    if not _TARGET.match(target):
        return None
    if target.startswith("~"):
        return " ".join(filter(None, (inline(label, within), f"[{target}]")))
    if target.startswith("^"):
        file = f"(file: {escape.text(target[1:])})"
        return f"{inline(label, within)} {file}" if label and label != target[1:] else file
    if target.startswith("#"):
        return inline(label, within) if label else None
    target = address.of(target)
    title = "" if title.startswith("smart-") else title
    return escape.link("" if label == target else inline(label, within), target, title)


def _image(name: str, drawn: str) -> str | None:
    """An image. `drawn`: how it is drawn, and among that the words that stand for it."""
    said = escape.text(" ".join(words.strip(' "') for words in _WORDS.findall(drawn)))
    if name.startswith(("http://", "https://")) and " " not in name:
        return escape.link(said or "image", name)
    return f"(image: {', '.join(filter(None, (escape.text(name), said)))})" if _FILE.fullmatch(name) else None
