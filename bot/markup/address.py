"""Addresses: what counts as one, its one canonical spelling, and where in a text they stand. Pure.

A link is allowed only in its canonical spelling, and it is the canonical spelling that is posted: what was compared is
what a browser will open. Whatever has two readings (user names before the host, backslashes, control characters, a
trailing dot, percent signs in the host) has no canonical spelling, and so is never a link.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit

MAX_ADDRESS = 2000
"""Characters; longer addresses are text. Browsers and mail programs start to differ there."""

_BARE = re.compile(r"""(?:https?|ftp):[/\\]+[^\s<>"`\[\]]+|(?<![\w./@-])www\.[^\s<>"`\[\]]+""", re.IGNORECASE)
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f-\xa0\\<>\"`^{|}]")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)*")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8})")
_DEFAULT_PORT = {"http": 80, "https": 443}
_CLOSES = {")": "(", "]": "[", "}": "{"}


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  # raises ValueError on a port that is no number
    except ValueError:
        return None
    return parts


def _ascii_host(host: str) -> str | None:
    """`host` in lower-case ASCII (punycode for other alphabets), or None if it is not one a browser would accept."""
    try:
        host = host.lower() if host.isascii() else host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    return host if len(host) <= 253 and _HOST.fullmatch(host) else None


def canonical_address(address: str) -> str | None:
    """The one spelling of an http, https or mailto address, or None where it has none (see above)."""
    if len(address) > MAX_ADDRESS or _AMBIGUOUS.search(address):
        return None
    if address[:7].lower() == "mailto:":
        mail = _EMAIL.fullmatch(address[7:])
        return f"mailto:{mail[0]}" if mail else None
    parts = _split(address)
    if parts is None or parts.scheme not in _DEFAULT_PORT or "@" in parts.netloc or not parts.hostname:
        return None
    host = _ascii_host(parts.hostname)
    if host is None or "[" in parts.netloc or parts.netloc.endswith(":"):
        return None
    port = "" if parts.port in (None, _DEFAULT_PORT[parts.scheme]) else f":{parts.port}"
    safe = "/:@!$&'()*+,;=~%-._"
    path = quote(parts.path, safe=safe) or "/"
    query = f"?{quote(parts.query, safe=safe + '?[]')}" if parts.query else ""
    fragment = f"#{quote(parts.fragment, safe=safe + '?[]')}" if parts.fragment else ""
    return f"{parts.scheme}://{host}{port}{path}{query}{fragment}"


def host(address: str) -> str:
    """What to show of an address so that a person can judge it: its real host, whole, or its beginning without one."""
    parts = None if _AMBIGUOUS.search(address) else _split(address)
    if parts is not None and parts.scheme == "mailto":
        return parts.path
    if parts is not None and parts.hostname and parts.scheme in ("http", "https", "ftp"):
        name = _ascii_host(parts.hostname) or parts.hostname
        port = "" if parts.port in (None, _DEFAULT_PORT.get(parts.scheme)) else f":{parts.port}"
        return f"{name}{port}"
    return address if len(address) <= 60 else f"{address[:59]}…"


def site(site_host: str, href: str) -> bool:
    """Whether the canonical `href` is on our own site. A site host without a port means the usual ports."""
    scheme = href.partition("://")[0]
    if scheme not in _DEFAULT_PORT or not site_host:
        return False
    return urlsplit(href).netloc == site_host.strip().lower().removesuffix(f":{_DEFAULT_PORT[scheme]}")


def issue(site_host: str, href: str, path: str = "") -> str:
    """The key of the issue whose page on our own site the canonical `href` is, or "". `path`: where the site begins."""
    page = re.fullmatch(rf"https?://[^/]+{re.escape(path)}/browse/([A-Z][A-Z0-9_]+-\d+)", href)
    return page[1] if page and site(site_host, href) else ""


def trim(address: str) -> str:
    """A bare address without the punctuation of the sentence around it; balanced brackets belong to it."""
    open_count = {o: address.count(o) for o in _CLOSES.values()}
    close_count = {c: address.count(c) for c in _CLOSES}
    end = len(address)
    while end:
        last = address[end - 1]
        if last in _CLOSES and close_count[last] > open_count[_CLOSES[last]]:
            close_count[last] -= 1
        elif last not in ".,;:!?'*_~|…»”’":
            break
        end -= 1
    return address[:end]


def bare(text: str) -> list[tuple[int, int]]:
    """Where in `text` addresses stand by themselves: (start, end) of each, in order."""
    if ":/" not in text and ":\\" not in text and "www." not in text.lower():
        return []  # most texts; the pattern is tried at every letter
    found = []
    for match in _BARE.finditer(text):
        address = trim(match[0])
        if address[-1:] not in ("", ":", "/", "\\") or "." in address:
            found.append((match.start(), match.start() + len(address)))
    return found


def of(bare_address: str) -> str:
    """The address meant by bare text: `www.` alone means http."""
    return f"http://{bare_address}" if bare_address[:4].lower() == "www." else bare_address
