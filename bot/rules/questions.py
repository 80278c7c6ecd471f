"""Whether a text asks something: by a question mark of any script, or a question's particle. Pure."""

from __future__ import annotations

import re

from bot.rules.policy import normalised

QUESTION_MARKS = frozenset("?？﹖؟՞፧⁇⁈⁉‽⸮¿\u037e꘏⳺⳻᥅\U00011143❓❔")
"""Question marks: Latin, full width, Arabic, Armenian, Ethiopic, doubled ones, interrobang, reversed, Spanish, Greek
(U+037E), Vai, Coptic, Limbu, Chakma, and the two emoji."""

MOST_ADDED = 200
"""Sentences that are told as new."""
_FENCE = re.compile(r"^[ ]{0,3}(```|~~~)")
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{0,15}://|\bwww\.|\bmailto:)[^\s<>\"]+", re.IGNORECASE)
_GREEK_QUESTION = re.compile(r"[Ͱ-Ͻἀ-῿];")  # Greek is typed with a semicolon for its question mark

_SENTENCE_END = re.compile(r"(?<=[.!?])[^\S\n]+|(?<=[。！？])|\n")
_QUESTION_PARTICLE = re.compile(r"[かカ吗嗎](?=\s*(?:[。．.!！]|$))", re.MULTILINE)
# Japanese and Chinese end a question with a particle, often without a mark.


def asks_something(text: str) -> bool:
    """Whether the text (Markdown) holds a question mark of any script, or a question's particle, outside code and
    addresses."""
    prose = _ADDRESS.sub(_end_of_address, _INLINE_CODE.sub(" ", _without_fences(text)))
    marked = any(c in QUESTION_MARKS for c in prose)
    return marked or any(sign.search(prose) for sign in (_GREEK_QUESTION, _QUESTION_PARTICLE))


def added(before: str, after: str) -> str:
    """The sentences of a text that were not in it before, one a line; "" where nothing was in it before."""
    known = set(_sentences(before))
    new = [one for one in _sentences(after) if one not in known]
    return "\n".join(new[:MOST_ADDED]) if known else ""


def still_in(text: str, sentences: str) -> str:
    """Those of the sentences (one a line) that stand in the text, however they are marked up in it."""
    whole = normalised(text)
    return "\n".join(one for one in sentences.splitlines() if normalised(one) in whole)


def newly_asks(before: str, after: str) -> bool:
    """Whether a text (Markdown) asks something after a change and did not before."""
    return asks_something(after) and not asks_something(before)


def _sentences(text: str) -> list[str]:
    return [one.strip() for one in _SENTENCE_END.split(text) if one.strip()]


def _without_fences(text: str) -> str:
    kept, fence = [], ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif fence and line.strip().startswith(fence):
            fence = ""
        elif not fence:
            kept.append(line)
    return "\n".join(kept)


def _end_of_address(match: re.Match[str]) -> str:
    # "Did you see https://example.net/a?" ends in a question, not in a query.
    address = match[0]
    return address[len(address.rstrip("?!.,;:)]}？؟")) :]
