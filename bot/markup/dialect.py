"""The Markdown that we read: CommonMark with tables, strikethrough and mentions, without HTML. Pure.

markdown-it-py parses it. Three things in it are ours: a mention, `<br>` (a line end in a table's cell, else words),
and that the stars and underscores of a file pattern, a sum or a name in code are characters and no emphasis.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.emphasis import tokenize as emphasis

from bot.domain.mentions import MENTION

MAX_NESTING = 30
_BREAK = re.compile(r"<br\s?/?>", re.IGNORECASE)
_RUN = re.compile(r"\*+|_+")


def parser(*without: str) -> MarkdownIt:
    """The parser, without the rules of these names."""
    md = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING, "store_labels": True})
    md.enable(["strikethrough", "table"]).disable(["html_block", "html_inline", *without], ignoreInvalid=True)
    md.inline.ruler.before("link", "mention", _mention)
    md.inline.ruler.before("autolink", "br", _line_end)
    md.inline.ruler.at("emphasis", _emphasis)
    md.validateLink = lambda url: True  # type: ignore[method-assign]  # the documented way; what is allowed we say ourselves
    md.normalizeLink = lambda url: url  # type: ignore[method-assign]  # and on the address as it was written
    md.normalizeLinkText = lambda link: link  # type: ignore[method-assign]  # the same for its text
    return md


def _mention(state: StateInline, silent: bool) -> bool:
    """Inline rule: `[~accountid:ID]`, before the rule for links sees the bracket."""
    match = MENTION.match(state.src, state.pos) if state.src.startswith("[~", state.pos) else None
    if match is None:
        return False
    if not silent:
        state.push("mention", "", 0).content = match["id"]
    state.pos = match.end()
    return True


def _line_end(state: StateInline, silent: bool) -> bool:
    """Inline rule: `<br>`; whoever reads the token knows whether it is in a table."""
    match = _BREAK.match(state.src, state.pos) if state.src.startswith("<", state.pos) else None
    if match is None:
        return False
    if not silent:
        state.push("br", "", 0).content = match[0]
    state.pos = match.end()
    return True


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Inline rule: markdown-it's own, for marks that may be marks."""
    start = state.pos
    found = None if silent or state.src[start] not in "*_" else _RUN.match(state.src, start, state.posMax)
    if found is None:
        return False
    may_open, may_close = marks(state.src, start, found.end())
    if not (may_open or may_close):
        state.append_pending(found[0])
        state.pos = found.end()
        return True
    before = len(state.delimiters)
    done = emphasis(state, silent)
    for delimiter in state.delimiters[before:]:
        delimiter.open, delimiter.close = delimiter.open and may_open, delimiter.close and may_close
    return done


def marks(line: str, start: int, end: int) -> tuple[bool, bool]:
    """Whether the stars or underscores there may open emphasis, and whether they may close it.

    Not in `*.ts`, `src/**/*.py`, `dist/*`, `log*txt`, `2*3`, `x**2` and `__init__.py`. A star too many is seen and
    misleads nobody; a pattern without its stars is another pattern.
    """
    run, before, after = line[start:end], line[start - 1 : start], line[end : end + 1]
    beyond = line[end + 1 : end + 2]
    if run[0] == "_":
        inner = before == "." and (line[start - 2 : start - 1].isalnum() or line[start - 2 : start - 1] == "_")
        return not inner, not (after in (".", "(") and beyond and (beyond.isalnum() or beyond in ")_"))
    ascii_word = before.isascii() and before.isalnum() and after.isascii() and after.isalnum()
    if ascii_word and (run == "*" or before.isdigit() or after.isdigit()):
        return False, False
    if before == "/" and after == "/":
        return False, False
    if run == "*":
        pattern = after in (".", "/") and bool(beyond) and (beyond.isalnum() or beyond in "*{[_")
        within = before == "/" and line[start - 2 : start - 1] != "*"
        return not (pattern or within), before != "/"
    path = before == "/" and not _whole_word_is_marked(line, start, run)
    return not (after == "/" and beyond == "*"), not path


def _whole_word_is_marked(line: str, at: int, run: str) -> bool:
    """Whether the word that ends at these stars began with the same, as `**dist/**` does."""
    word = line[max(line.rfind(" ", 0, at), line.rfind("\n", 0, at)) + 1 : at]
    return word.startswith(run) and word[len(run) : len(run) + 1].isalnum()
