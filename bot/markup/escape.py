"""Text that must stay text in Markdown, and the pieces that the two ways in (wiki, ADF) write. Pure.

Only what Markdown would misread is escaped, so that Claude reads Jira's words and not backslashes. Two habits are left
alone on purpose: lines that begin with `-`, `*` or `1.` were meant as lists by whoever typed them.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from bot.markup import address

_SPECIAL = re.compile(
    r"""\\(?=[!-/:-@\[-`{-~]|$)      # a backslash that would escape something
      | `
      | (?<=\S)\* | \*(?=\S)        # a star beside a word
      | (?<![^\W_])(?<![^\W_]_)(?<![^\W_]__)_(?=\S) | (?<=\S)_(?!_{0,2}[^\W_])  # not within a word
      | ~(?=~) | (?<=~)~
      | \](?=[(\[:])                # the label of a link
      | \[(?=~)                     # a mention
      | <(?=[A-Za-z][A-Za-z0-9+.-]{1,31}:|[^\s<>@]{1,64}@|[bB][rR]\s?/?>)
      | &(?=\#?\w{1,31};)""",
    re.VERBOSE | re.MULTILINE,
)
_PERHAPS = re.compile(r"[\\`*_~\]\[<&]")  # what every special begins with: found in a tenth of the time
_AHEAD = 70  # how far the pattern looks past a character
_LINE_START = re.compile(r"\#{1,6}(?=\s|$)|>|\+(?=\s)|=+\s*$|-+\s*$|(?:[*_]\s*){3,}$|[|:\s-]*-[|:\s-]*$")
_BRACKET = re.compile(r"\\.|\[~[^\[\]\s]{1,128}\]|[\[\]]")
_BULLETS = re.compile(r"(?:(?:[-*]|\d{1,9}[.)])\s+)*")
_FENCE = re.compile(r"`+")
_FENCED = re.compile(r"((?:[\s>]|[-*]\s|\d{1,9}[.)]\s)*)(`{3,})(.*)")
_SCHEME = re.compile(r"(?:https?|ftp|mailto):", re.IGNORECASE)


def text(raw: str) -> str:
    """`raw` so that Markdown shows it as it stands; addresses in it stay readable."""
    if not _PERHAPS.search(raw):
        return raw
    parts: list[str] = []
    done = 0
    for start, end in address.bare(raw):
        parts.append(_escaped(raw, done, start))
        if _SCHEME.match(raw, start) and _SPECIAL.search(raw, start, end + (raw[end : end + 1] == ";")):
            parts.append("\\" * (raw[start - 1 : start] == "\\") + f"<{raw[start:end]}>")
        else:
            parts.append(_escaped(raw, start, end))
        done = end
    return "".join([*parts, _escaped(raw, done, len(raw))])


def _escaped(raw: str, start: int, end: int) -> str:
    """That part of `raw`, each special character judged with what stands around it."""
    parts: list[str] = []
    for found in _PERHAPS.finditer(raw, start, end):
        at = found.start()
        if _SPECIAL.match(raw, at, end + _AHEAD):
            parts += [raw[start:at], "\\"]
            start = at
    return "".join([*parts, raw[start:end]])


def line(markdown: str) -> str:
    """A finished line of a paragraph, so that it starts no heading, quotation, rule or table; not indented."""
    markdown = markdown.strip()
    after = _BULLETS.match(markdown).end()  # type: ignore[union-attr]  # matches always: the pattern matches nothing too
    for at in {0, after}:
        if _LINE_START.match(markdown, at):
            return f"{markdown[:at]}\\{markdown[at:]}"
    return markdown


def code(raw: str) -> str:
    """An inline code span; "" for nothing."""
    raw = " ".join(_no_mention(raw).split("\n"))
    if not raw.strip():
        return raw
    fence = "`" * (1 + max((len(run) for run in _FENCE.findall(raw)), default=0))
    pad = " " if raw.startswith("`") or raw.endswith("`") or (raw[0] == " " == raw[-1]) else ""
    return f"{fence}{pad}{raw}{pad}{fence}"


def title(raw: str) -> str:
    """A frame's title on a line of its own; "" for none."""
    words = " ".join(raw.split())
    return f"**{text(words)}**" if words else ""


def code_block(raw: str, language: str = "") -> list[str]:
    """The lines of a fenced code block."""
    fence = "`" * max(3, 1 + max((len(run) for run in _FENCE.findall(raw)), default=0))
    language = "-".join(language.split())
    other = [] if re.fullmatch(r"[A-Za-z0-9+#._-]{0,40}", language) else [title(language), ""]
    return [*other, f"{fence}{'' if other else language}", *_no_mention(raw).strip("\n").split("\n"), fence]


def _no_mention(raw: str) -> str:
    """Code that shows how a mention is written, so that it mentions nobody: in code nothing can be escaped."""
    return raw.replace("[~accountid:", "[ ~accountid:")


def link(label: str, target: str, title: str = "") -> str:
    """A link whose `label` is Markdown already; a target that is no address becomes text beside the label."""
    target = target.strip()
    if not _SCHEME.match(target) or "\n" in target:
        return f"{label} ({text(target)})" if label and target else label or text(target)
    title = " ".join(title.split())
    if title and title not in (label, target):
        label, title = label or text(target), ' "{}"'.format(re.sub(r'(["\\&])', r"\\\1", title))
    else:
        title = ""
    target = target.replace("[~", "%5B~")  # no mention
    target = quote(target, safe="!#$%&'()*+,/:;=?@[]~\\^`{|}" + "".join(c for c in target if not c.isascii()))
    if not label or label == target:
        return f"<{target}>"
    label = _BRACKET.sub(lambda found: f"\\{found[0]}" if found[0] in "[]" else found[0], label.replace("\n", " "))
    return f"[{label}](<{target}>{title})" if re.search(r"[()\\`]", target) else f"[{label}]({target}{title})"


def table(rows: list[list[str]], *, header: bool) -> list[str]:
    """The lines of a table whose cells are Markdown already; without a header row, an empty one stands in."""
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        return []
    if not header:
        rows = [[""] * columns, *rows]
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return [lines[0] + "  |" * (columns - len(rows[0])), "|" + " --- |" * columns, *lines[1:]]


def _cell(markdown: str) -> str:
    """Blocks as a cell: `<br>` between their lines, each line of code for itself."""
    found: list[str] = []
    fence = ""
    for line in markdown.split("\n"):
        opening = _FENCED.match(line)
        if opening and not fence:
            fence = opening[2]
            found.append(f"{opening[1]}{text(opening[3])}")
        elif opening and opening[2] == fence and not opening[3]:
            fence = ""
        else:
            found.append(code(line.strip()) if fence else line)
    lines = (" ".join(line.split()) for line in found)
    return re.sub(r"(?<!\\)\|", r"\\|", "<br>".join(line for line in lines if line))
