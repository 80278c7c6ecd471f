"""Redaction: removes invisible characters (`characters`), and secrets that nobody meant to share. Pure.

Every text from Jira, Bitbucket or Claude goes through `tidy` at the door, so that what a person reads on a card is all
there is to read, and so that no key from a ticket reaches Claude, Slack, the log or the audit trail. All functions take
any string, never raise, and need time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from bot.safety.characters import clean as clean
from bot.safety.secret_kinds import KINDS, REDACTED, SecretKind, suspected

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
