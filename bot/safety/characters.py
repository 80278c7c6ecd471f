"""Characters that show nothing: `clean` removes them from a text, by their Unicode properties. Pure.

Each has been used to hide orders to a model in a text that looks harmless, to push words out of sight, or to write over
the lines above and below. What belongs to something that is seen stays: an emoji's selector, a joiner in Persian.
"""

from __future__ import annotations

import re

import regex

_NEWLINES = re.compile("[\r\x0b\x0c\x85\u2028\u2029]")
_SEEN = bytes([*b"\t\n", *range(0x20, 0x7F)])

_UNSEEN = regex.compile(
    r"[[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]"
    r"--[\t\n\p{Prepended_Concatenation_Mark}]]",
    regex.VERSION1,
)
"""What no reader sees: format and control characters, halves of characters, fillers, selectors, tags. Of the format
characters only the Arabic and Kaithi number signs are drawn."""
_BLANK = re.compile("[\u2800\ufffc\U00016fe4\U0001d159]")
"""What is drawn as a blank, and has no property that says so: Braille without dots, an object that is not there,
Khitan's filler, a note without a head."""
_MARK = regex.compile(r"[\p{Mn}\p{Me}]")
_PILE = regex.compile(r"(?<=[\p{Mn}\p{Me}]{6})[\p{Mn}\p{Me}]+")
"""Marks over marks. Six are more than any script stacks; dozens paint over the lines around them."""

_EMOJI = regex.compile(r"[\p{Emoji}--[0-9#*]]", regex.VERSION1)
_KEYCAP = frozenset("0123456789#*")
# Scripts in which a joiner or non-joiner between two letters is spelling: Arabic, Syriac, N'Ko and the Indic scripts.
_JOINING = re.compile("[\u0620-\u074f\u0750-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17d3\ufb50-\ufdcf]")


def _meant(match: regex.Match[str]) -> str:
    """The character itself where it belongs to what is seen (an emoji, a Persian word), else nothing."""
    text, at, char = match.string, match.start(), match[0]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if char in "\ufe0e\ufe0f":
        meant = bool(_EMOJI.match(before)) or (before in _KEYCAP and after == "\u20e3")
    elif char == "\u200d" and _EMOJI.match(after):
        meant = bool(_EMOJI.match(before)) or (before == "\ufe0f" and bool(_EMOJI.match(text[at - 2 : at - 1])))
    elif char in "\u200c\u200d":
        meant = bool(_JOINING.match(before) and _JOINING.match(after))
    else:
        meant = False
    return char if meant else ""


def clean(text: str) -> str:
    """`text` without what cannot be seen: zero-width, bidi, tag and control characters, smuggled variation selectors.

    Line ends of every kind become `\\n`; tabs stay; what is drawn as a blank becomes one. Emoji keep their own
    selectors and joiners, and one joiner between two letters stays in scripts that spell with it. Of marks that are
    piled up on one letter six stay. Cleaning twice changes nothing.
    """
    if text.isascii() and not text.encode().translate(None, _SEEN):
        return text  # what most texts are: nothing but what can be seen
    alphabet = "".join(set(text))  # most texts are made of few characters: to look at each once is quick
    if _NEWLINES.search(alphabet):
        text = _NEWLINES.sub("\n", text.replace("\r\n", "\n"))
    if _BLANK.search(alphabet):
        text = _BLANK.sub(" ", text)
    if _UNSEEN.search(alphabet):
        text = _UNSEEN.sub(_meant, text)
    return _PILE.sub("", text) if _MARK.search(alphabet) else text
