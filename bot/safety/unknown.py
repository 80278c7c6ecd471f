"""Tokens of a kind that no rule knows: long, random, and with a sign that they are one. Pure.

There are ever more services. Most give their tokens a beginning of their own (`lin_api_…`), and people say what they
paste ("the token I told you of"). Ids, checksums and addresses are long and random too, so one of both is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.safety.plausible import random

_LETTERS = bytes(ord("x" if re.match(r"[A-Za-z0-9_-]", chr(byte)) else " ") for byte in range(256))
_LONG = b"x" * 27
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]*")
_PREFIXED = re.compile(r"(?P<prefix>(?:[a-z]{2,12}\d?[_-]){1,3}|[A-Z]{2,8}[_-])(?P<rest>[A-Za-z0-9_=-]{26,})")
_IDS = re.compile(r"(?:sha|commit|rev|img|image|file|id|build|hash|etag|digest|md5|msg|req|request|trace|event|h1)")
_SAID = re.compile(r"(?:(?<!public[ _-])key|token|secret|credential|passwor[dt]|bearer|login)s?\b", re.I)
_DISCORD = re.compile(r"[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,40}")
_LONGEST = 500  # characters of an address before a part of it
_NEAR = 60  # characters before it in which somebody says what it is


def unknown(words: str) -> Iterator[tuple[int, int, str]]:
    """Where such tokens stand."""
    # One byte for each character, all letters of tokens alike: a long run is found in a tenth of a pattern's time.
    letters = words.encode("ascii", "replace").translate(_LETTERS)
    at = 0
    while (long := letters.find(_LONG, at)) >= 0:
        start = long
        while start > at and words[start - 1] not in " \t\n\"'`<>()[]{}|,;:=":
            start -= 1
        end = _TOKEN.match(words, long + len(_LONG)).end()  # type: ignore[union-attr]  # matches always: the pattern matches nothing too
        at = end
        token = words[start:end].rstrip(".")
        if "/" in token or "+" in token:  # an address, a path, a checksum in base64
            continue
        prefixed = _PREFIXED.fullmatch(token)
        if prefixed:
            plain = _IDS.match(prefixed["prefix"]) is None and random(prefixed["rest"])
        else:
            plain = bool(_DISCORD.fullmatch(token)) or (
                not token.islower() and random(token) and _is_said(words, start)
            )
        if plain:
            yield start, start + len(token), "token"


def _is_said(words: str, start: int) -> bool:
    """Whether the line says what it is just before it, and it is no part of an address."""
    line = words[max(0, start - _NEAR, words.rfind("\n", 0, start) + 1) : start]
    return bool(_SAID.search(line)) and "://" not in words[max(0, start - _LONGEST) : start + 1].split()[-1]
