"""The signature of a delivery: an HMAC of its raw body under a secret that the sender shares with us."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import lru_cache

_SIGNED = len("sha256=") + 64


def verify(secrets: Sequence[str], body: bytes, header: str | None) -> bool:
    """Whether `header` is `sha256=` and the hex HMAC (either case) of the raw `body` under one of `secrets`.

    Blank secrets never count. Every secret is tried, each compared in constant time. Never raises.
    """
    if header is None or len(header) != _SIGNED or not header.startswith("sha256=") or not header.isascii():
        return False
    given, found = header[7:].lower(), False
    for secret in secrets:
        if key := key_of(secret):
            found |= hmac.compare_digest(given, hmac.digest(key, body, "sha256").hex())
    return found


@lru_cache(maxsize=16)
def key_of(secret: str) -> bytes:
    """A secret's bytes as the environment had them; empty for one that is blank or cannot be checked."""
    try:
        return secret.encode("utf-8", "surrogateescape") if secret.strip() else b""
    except UnicodeEncodeError:
        return b""
