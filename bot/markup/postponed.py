"""Wiki markup whose conversion can wait until somebody reads it: the door stores it as it came. Pure.

Conversion is the dearest part of taking a comment in, and nobody who waits for the door's answer needs it. It may wait
where it only moves and replaces marks: where it drops nothing that stands between two characters (a secret or a name
could become whole by that, and be on the disk until then) and neither adds nor drops letters, because by its letters a
comment that is announced twice is known. That is what most comments are: sentences, lists, headings, mentions, code.
The rest (links, images, colours, panels, numbered lists, escapes, raised and inserted words) is converted at once.
"""

from __future__ import annotations

import re

from bot.any_of import any_of
from bot.markup.wiki import from_wiki
from bot.safety import tidy, unsuspected

_CODE = re.compile(r"\{(code|noformat)(?::([A-Za-z0-9]{1,20}))?\}(\s*+[^{}\s][^{}]*+)\{\1\}")
_MONOSPACE = re.compile(r"\{\{[^{}\n]+\}\}")
_IMAGE = re.compile(r"!(?![\s!|]|\Z)")
_EMPHASIS = re.compile(r"_(?<![^\W_]_)|_(?![^\W_])")  # an underscore that is not inside a word
_OPENER = re.compile(r"\n[^\S\n]*(?:h[1-6]|bq)\.[^\S\n]+")
_may_open = any_of([*(f"\nh{level}.".encode() for level in range(1, 7)), b"\nbq.", b"\n ", b"\n\t"])
_NUMBERED = re.compile(r"\n[^\S\n]*\**#")


def postponed(body: str) -> tuple[str, str] | None:
    """A comment's wiki text, cleaned, to be stored as it is; None: it must be converted now (`from_body`).

    With it comes what it says, in which no letter belongs to the notation: it has the letters of `written_out(text)`.
    The text holds no hint of a secret, and at least one letter or digit.
    """
    text = unsuspected(body)
    if text is None:
        return None
    if "\\" in text or "+" in text or "^" in text or ("&" in text and "&nbsp;" in text):
        return None
    if ("[" in text or "~" in text) and not _only_mentions(text):
        return None
    if ("!" in text and _IMAGE.search(text)) or ("_" in text and _EMPHASIS.search(text)):
        return None
    says = _without_notation(text) if "{" in text else _lines(text)
    return (text, says) if says is not None and any(map(str.isalnum, says)) else None


def _only_mentions(text: str) -> bool:
    """Whether each `[` and each `~` belongs to a mention."""
    at = text.find("[")
    while at >= 0:
        if not text.startswith("~", at + 1):
            return False
        at = text.find("[", at + 2)
    at = text.find("~")
    while at >= 0:
        if not text.endswith("[", 0, at):
            return False
        at = text.find("~", at + 1)
    return True


def _without_notation(text: str) -> str | None:
    """`text` without the letters of its notation, or None where it has more of that than is known here."""
    pieces = _CODE.split(text)  # words, kind, language, code, words, …
    for at in range(0, len(pieces), 4):
        words = pieces[at]
        if "{" in words:
            words = words.replace("{quote}", "\n")
        found = None if "{" in words and "{" in _MONOSPACE.sub("`", words) else _lines(words)
        if found is None:
            return None
        pieces[at] = found
        pieces[at + 1 : at + 2] = [""] if at + 1 < len(pieces) else []
    return "\n".join(piece or "" for piece in pieces)


def _lines(text: str) -> str | None:
    """`text` without the openings of headings and quotations; None where it may hold a numbered list."""
    text = "\n" + text
    if "#" in text and _NUMBERED.search(text):
        return None
    # Most comments have no heading, and their lines begin at once: a look for that takes a fifth of the replacing.
    return text if text.isascii() and not _may_open(text.encode()) else _OPENER.sub("\n", text)


def written_out(text: str) -> str:
    """What was postponed, as the tidy Markdown that `from_body` makes of it."""
    return tidy(from_wiki(text))
