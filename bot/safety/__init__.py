"""Redaction: removes invisible characters, and secrets that nobody meant to share. Pure.

Every text from Jira, Bitbucket or Claude goes through `tidy` at the door, so that what a person reads on a card is all
there is to read, and so that no key from a ticket reaches Claude, Slack, the log or the audit trail. All functions take
any string, never raise, and need time in proportion to its length.
"""

from __future__ import annotations

import re

from bot.safety.finding import REDACTED, find, hide_own
from bot.safety.reading import read

__all__ = ["REDACTED", "clean", "hide_own", "redact", "secrets_in", "seen", "tidy", "tidy_part"]

# --- characters -------------------------------------------------------------------------------------------------------

_NEWLINES = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")

# C0 and C1 controls (but \t \n), soft hyphen, grapheme joiner, Arabic letter mark, fillers that render as nothing,
# zero-width and bidi controls, word joiner and friends, variation selectors, byte order mark, interlinear marks,
# noncharacters, lone surrogates, shorthand and musical format controls, and the whole tag plane (which also holds the
# supplementary variation selectors): each has been used to hide orders to a model in a text that looks harmless.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_SEEN = bytes([*b"\t\n", *range(0x20, 0x7F)])

_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_IS_EMOJI = re.compile(f"[{_EMOJI}]")
_KEYCAP = frozenset("0123456789#*")
# Scripts in which a joiner or non-joiner between two letters is spelling: Arabic, Syriac, N'Ko and the Indic scripts.
_JOINING = re.compile("[\u0620-\u074f\u0750-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17b3\u17b6-\u17d3\ufb50-\ufdcf]")


def _meant(match: re.Match[str]) -> str:
    """The character itself where it belongs to what is seen (an emoji, a Persian word), else nothing."""
    text, at, char = match.string, match.start(), match[0]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if char in "\ufe0e\ufe0f":
        meant = bool(_IS_EMOJI.match(before)) or (before in _KEYCAP and after == "\u20e3")
    elif char == "\u200d" and _IS_EMOJI.match(after):
        meant = bool(_IS_EMOJI.match(before)) or (before == "\ufe0f" and bool(_IS_EMOJI.match(text[at - 2 : at - 1])))
    elif char in "\u200c\u200d":
        meant = bool(_JOINING.match(before) and _JOINING.match(after))
    else:
        meant = False
    return char if meant else ""


def clean(text: str) -> str:
    """`text` without what cannot be seen: zero-width, bidi, tag and control characters, smuggled variation selectors.

    Line ends of every kind become `\\n`; tabs stay. Emoji keep their own selectors and joiners, and one joiner between
    two letters stays in scripts that spell with it. Cleaning twice changes nothing.
    """
    if text.isascii() and not text.encode().translate(None, _SEEN):
        return text  # what most texts are: nothing but what can be seen
    return _INVISIBLE.sub(_meant, _NEWLINES.sub("\n", text))


# --- secrets ----------------------------------------------------------------------------------------------------------


def _redacted(text: str, *, part: bool = False) -> str:
    # What stood beside a secret may be one too, once that is gone: looked at again, and nearly always found clean.
    for _ in range(4):
        found = find(text, part=part)
        if not found:
            break
        pieces, done = [], 0
        for secret in found:
            pieces += [text[done : secret.start], REDACTED]
            done = secret.end
        text = "".join([*pieces, text[done:]])
    return text


def redact(text: str) -> str:
    """`text` with what looks like a secret replaced by `[redacted secret]`; names and hosts around it stay."""
    return _redacted(text)


def secrets_in(text: str) -> tuple[str, ...]:
    """The kinds of secrets that `text` seems to hold ("GitHub token", "password", …), each once."""
    return tuple(dict.fromkeys(secret.kind for secret in find(text)))


def seen(text: str) -> str:
    """What a reader sees of a text with marks in it."""
    reading = read(text)
    return reading.words if reading else text


def tidy_part(text: str) -> str:
    """As `tidy`, for a piece of a text that is tidied as a whole later: a private key may go on in the next piece."""
    return _redacted(clean(text), part=True)


def tidy(text: str) -> str:
    """What every text from outside goes through: cleaned first, so that no invisible character hides a secret."""
    return redact(clean(text))
