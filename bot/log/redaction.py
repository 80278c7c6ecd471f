"""Redaction of what is logged: this process's own secrets, in every form in which they may stand in a line."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from bot.safety import REDACTED, seen, tidy

if TYPE_CHECKING:
    from bot.settings import Settings

MIN_IN_TEXTS = 10
"""Characters from which on a secret is hidden in tickets and replies too: shorter ones may be ordinary words."""
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]+")  # what neither JSON nor a repr nor a URL writes in another way


class Redactor:
    """Replaces secrets in texts: the given ones in every form that we know they travel in, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = (), *, users: Iterable[str] = ()) -> None:
        """`secrets`: texts to hide. `users`: names that go before a secret in HTTP Basic credentials."""
        forms: set[str] = set()
        words: set[str] = set()
        cores: set[str] = set()
        for secret in filter(None, secrets):
            cores.add(_core(secret) if len(secret) >= 4 else secret)
            forms |= _forms(secret) if len(secret) >= 4 else set()
            # Three characters occur everywhere: hidden where they stand alone, or no line would be readable.
            words |= {secret} if len(secret) < 4 else set()
            for user in filter(None, users):
                basic = base64.b64encode(f"{user}:{secret}".encode("utf-8", "surrogatepass")).decode()
                forms.add(re.escape(basic))
                # Base64 turns three bytes into four letters: the user's part is the same for every secret.
                cores.add(basic[: len(f"{user}:".encode("utf-8", "surrogatepass")) // 3 * 4])
        # Longest first: a secret that begins with another one must not leave its end behind.
        parts = sorted(forms, key=len, reverse=True)
        parts += [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(words)]
        self._known = re.compile("|".join(parts)) if parts else None
        self.cores = tuple(sorted(cores))
        """One of these stands in every text that holds one of the secrets."""

    def known(self, text: str) -> str:
        """`text` without the given secrets."""
        return self._known.sub(REDACTED, text) if self._known and self._suspected(text) else text

    def places(self, text: str) -> Iterable[tuple[int, int]]:
        """Where the given secrets stand in `text`."""
        return (found.span() for found in self._known.finditer(text)) if self._known and self._suspected(text) else ()

    def _suspected(self, text: str) -> bool:
        # Every text from outside passes here, and next to none holds a secret: a look for the cores says so at a
        # fifth of the pattern's price.
        return any(core in text for core in self.cores)

    def text(self, text: str) -> str:
        """`text` without the given secrets, without anything that looks like one, and without control characters."""
        clean: str = tidy(self.known(text))
        return clean

    def value(self, value: object, depth: int = 0) -> Any:
        """A loggable copy of any value: numbers as they are, containers in depth, everything else as clean text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth < 6:  # deeper is no log line any more; its repr is enough
            if isinstance(value, Mapping):
                return {self.text(str(k)): self.value(v, depth + 1) for k, v in value.items()}
            if isinstance(value, list | tuple | set | frozenset):
                return [self.value(v, depth + 1) for v in value]
        return self.text(safe_repr(value))


def _forms(secret: str) -> set[str]:
    """Patterns of the secret as it may stand in a line: plain, in JSON or a repr (also twice over), in a URL."""
    raw = secret.encode("utf-8", "surrogatepass")  # a setting that is not UTF-8 arrives with lone surrogates
    urls = (quote(raw, safe=""), quote(raw), quote_plus(raw))
    return {"".join(map(_written, secret)), *map(re.escape, urls)}


def _core(secret: str) -> str:
    """The longest part of a secret that is written the same in all of `_forms`; "" (in every text) if it is short."""
    longest = max(_UNRESERVED.findall(secret), key=len, default="")
    return longest if len(longest) >= 4 else ""


def _written(character: str) -> str:
    """A pattern of one character: as it is, or as JSON, a repr of a text or a repr of bytes writes it."""
    if character in "\"'":
        return rf"\\*{character}"
    if character == "\\":
        return r"\\+"
    if " " <= character <= "~":
        return re.escape(character)
    escaped = {json.dumps(character)[1:-1], repr(character)[1:-1], ascii(character)[1:-1]}
    escaped.add(repr(character.encode("utf-8", "surrogatepass"))[2:-1])
    ways = [re.escape(way).replace(r"\\", r"\\+") for way in sorted(escaped, key=len, reverse=True)]
    return f"(?:{'|'.join([*ways, re.escape(character)])})"


def safe_repr(value: object) -> str:
    """A value as text, whatever its own `__repr__` does."""
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


def redactor_of(settings: Settings | None, *, least: int = 1) -> Redactor:
    """The redactor for these settings' secrets, those of at least so many characters."""
    if settings is None:
        return Redactor()
    users = (settings.atlassian_service_account_email, settings.bitbucket_email or "", "x-token-auth")
    secrets = [s for s in settings.secrets() if len(s) >= least]
    return Redactor([*secrets, *map(seen, secrets)], users=users)
