"""Redaction: removes invisible characters, and secrets that nobody meant to share. Pure.

Every text from Jira, Bitbucket or Claude goes through `tidy` at the door, so that what a person reads on a card is all
there is to read, and so that no key from a ticket reaches Claude, Slack, the log or the audit trail. All functions take
any string, never raise, and need time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bot.safety.secret_kinds import KINDS, REDACTED, SecretKind, suspected

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

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(
    r"\s{0,4}[A-Za-z0-9+/=]{0,200}(?:[\\\s]{0,4}[A-Za-z0-9+/=]{24,200})*(?:\s{0,2}[A-Za-z0-9+/]{1,24}={1,2})?"
)


def _without_private_keys(text: str, *, part: bool = False) -> tuple[str, bool]:
    """`text` with PEM and PGP private keys replaced, whole or cut off; and whether there was one.

    `part`: the text goes on elsewhere, so a key without its end is left for whoever has the whole.
    """
    parts: list[str] = []
    done = 0
    endless = False  # once no END follows, none follows later either: keeps this linear
    while begin := _KEY_BEGIN.search(text, done):
        end = None if endless else _KEY_END.search(text, begin.end())
        endless = end is None
        if part and endless:
            break
        stop = end.end() if end else begin.end() + len(_KEY_BODY.match(text, begin.end())[0])  # type: ignore[index]  # matches always: the pattern matches nothing too
        parts += [text[done : begin.start()], REDACTED]
        done = stop
    return "".join([*parts, text[done:]]), done > 0


_own: Callable[[str], str] = str


def hide_own(replace: Callable[[str], str] | None) -> None:
    """From now on `redact` also hides this process's own secrets, as `replace` does; None: no longer.

    `bot.log.configure` calls it once at the start. It is the only state in here, and it is here on purpose: services
    echo credentials in their errors, people paste them into tickets, and all of that passes `redact` anyway.
    """
    global _own
    _own = replace or str


def _redact(text: str, *, part: bool = False) -> tuple[str, tuple[str, ...]]:
    """The text without secrets, and the kinds of those that were there."""
    before, kinds = text, []
    text = _own(text)
    if text != before:
        kinds.append("secret of this program")
    text, keys = _without_private_keys(text, part=part)
    kinds += ["private key"] if keys else []
    suspects = suspected(text)
    for place, kind in enumerate(KINDS):
        if place in suspects and (replaced := _replaced(text, kind, kinds)) != text:
            text, suspects = replaced, suspected(replaced)
    return text, tuple(dict.fromkeys(kinds))


def _replaced(text: str, kind: SecretKind, kinds: list[str]) -> str:
    """`text` without secrets of this kind; the kind's name is added to `kinds` for each."""

    def replace(match: re.Match[str]) -> str:
        group = match.lastgroup or 0
        value = match[group]
        if not kind.plausible(value) or REDACTED in match[0]:
            return match[0]
        kinds.append(kind.name)
        start, end = match.span(group)
        return match[0][: start - match.start()] + REDACTED + match[0][end - match.start() :]

    return kind.pattern.sub(replace, text)


def redact(text: str) -> str:
    """`text` with what looks like a secret replaced by `[redacted secret]`; names and hosts around it stay."""
    return _redact(text)[0]


def secrets_in(text: str) -> tuple[str, ...]:
    """The kinds of secrets that `text` seems to hold ("GitHub token", "password", …), each once."""
    return _redact(text)[1]


def tidy_part(text: str) -> str:
    """As `tidy`, for a piece of a text that is tidied as a whole later: a private key may go on in the next piece."""
    return _redact(clean(text), part=True)[0]


def tidy(text: str) -> str:
    """What every text from outside goes through: cleaned first, so that no invisible character hides a secret."""
    return redact(clean(text))
