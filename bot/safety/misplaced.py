"""Secrets in the wrong place: what may be repeated to whoever set it, and what may be a token in another's variable.

Whoever pastes a token into the wrong line of `.env` reads about it on a terminal, in a journal, in a ticket. So a text
is repeated only if it is plainly none: a few words, or a number. Pure.
"""

from __future__ import annotations

import re

from bot.safety import secrets_in

SHORTEST_SECRET = 16
"""Characters. A webhook's secret has at least so many; and only a text with fewer is repeated."""
INSTEAD = "what is set"
# What tokens begin with, also where they are cut off or have a wrong length.
_BEGINS = re.compile(
    r"(?i:xox[a-z]-|xoxe\.|xapp-|sk-ant-|sk-proj-|gh[pousr]_|github_pat_|glpat-|-----BEGIN)|A[TC][ACS]?TT[A-Z0-9]|ATBB|AKIA|eyJ"
)
_RANDOM = re.compile(r"(?=[A-Za-z+/=]*\d)(?=[\d+/=]*[A-Za-z])[A-Za-z0-9+/=]{20,}")
_WORD = r"(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})"
_WORDS = re.compile(rf"[\W_]*{_WORD}(?:[\W_]+{_WORD})*[\W_]*")
_NUMBER = re.compile(r"(?=(?:\D*\d){0,6}\D*\Z)[\W_]*(?:\d+[a-z]{0,2}[\W_]*)*")


def looks_secret(text: str) -> bool:
    """Whether a text seems to hold a secret: of a known kind, or a long run of letters and digits that says nothing."""
    return bool(_BEGINS.search(text) or secrets_in(text) or ("/" not in text and _RANDOM.search(text)))


def is_plain(text: str) -> bool:
    """Whether a text is a few words or a number, and so no secret, as far as anybody can tell."""
    return text.isprintable() and bool(_WORDS.fullmatch(text) or _NUMBER.fullmatch(text)) and not looks_secret(text)


def shown_or_hidden(value: object) -> str:
    """A wrong value, quoted, or words for one that may be a secret in the wrong place."""
    text = str(value)
    return f'"{text}"' if len(text) < SHORTEST_SECRET and is_plain(text) else INSTEAD
