"""Redaction: removes invisible characters (`characters`), and secrets that nobody meant to share. Pure.

Every text from Jira, Bitbucket or Claude goes through `tidy` at the door, so that what a person reads on a card is all
there is to read, and so that no key from a ticket reaches Claude, Slack, the log or the audit trail. All functions take
any string, never raise, and need time in proportion to its length.
"""

from __future__ import annotations

from bot.safety.characters import clean
from bot.safety.finding import REDACTED, find, hide_own
from bot.safety.reading import read

__all__ = ["REDACTED", "clean", "hide_own", "redact", "secrets_in", "seen", "tidy", "tidy_part"]


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
