"""What secrets look like: one row per kind, with the hints without which a text cannot hold it. Pure, used by
`bot.safety` alone.

All patterns together cost about a millisecond on a comment of 2 kB. Whether there is any hint at all (`bot.any_of`)
costs one microsecond and excuses ordinary texts from the rest; which ones there are (Aho-Corasick, `ahocorasick_rs`)
costs three more. `test_safety` holds the ways against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from bot.any_of import any_of

REDACTED = "[redacted secret]"


class Kind(NamedTuple):
    """A kind of secret and how it looks. A named group in `pattern`, where there is one, is what is replaced; else all.

    `hints`: one of them stands in every text that `pattern` matches; in lower case where case does not count. `needs`:
    characters of which one does as well.
    """

    name: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    plausible: Callable[[str], bool] = lambda value: True
    needs: str = ""


_STAND_INS = re.compile(
    r"\$[{(A-Z_]|<.*>?$|\{\{|%\(|\*+$|x+$|\.{2,}$|…|\[redacted|(?:none|null|true|false|nil)$", re.IGNORECASE
)


def _password(value: str) -> bool:
    return not _STAND_INS.match(value)


def _worded(value: str) -> bool:
    """After a colon people write sentences ("password: please reset it"): only what no sentence has counts."""
    return _password(value) and len(value) >= 5 and bool(re.search(r"\d|[^\w.,;:!?)'\"-]", value))


def _token(value: str) -> bool:
    """`max_tokens=4096` and `token: expired` are no secrets; `token=8f3a09bc12` is."""
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return _password(value) and (mixed or (len(value) >= 20 and "." not in value))


_QUOTE = r"""["'`]?"""
_BARE_VALUE = r"""["'`]?(?P<value>(?:[^\s"'`<>|\[\],;&]|&(?!\w{1,40}=)){%d,400})"""


def _value(least: int) -> str:
    """A pattern for a value of at least so many characters: in quotes with spaces, or without either."""
    return rf"""(?:"(?P<double>[^"\n]{{{least},200}})"|'(?P<single>[^'\n]{{{least},200}})'|{_BARE_VALUE % least})"""


_LOGIN = r"(?i:passwords?|passwort|passwd|passphrase|pwd|kennwort)"  # how passwords are called
_LOGINS = ("password", "passwort", "passwd", "passphrase", "pwd", "kennwort")
_KEYED = (  # how secrets are called
    r"(?i:secret(?:[_-]?(?:access)?[_-]?key)?|(?<!max)[_-]?token|api[_-]?key|access[_-]?key|private[_-]?key|accountkey"
    r"|client[_-]?secret|sharedaccesskey|credentials?)"
)
_KEYS = (
    "secret", "token", "apikey", "api_key", "api-key", "accesskey", "access_key", "access-key", "privatekey",
    "private_key", "private-key", "accountkey", "credential",
)  # fmt: skip
_GITLAB = ("pat", "dt", "rt", "rtr", "ptt", "ft", "soat", "cbt", "imt", "agent", "oas", "ffct")

KINDS: tuple[Kind, ...] = tuple(
    Kind(name, hints, re.compile(pattern), *rest)
    for name, hints, pattern, *rest in (
        ("Anthropic API key", ("sk-ant-",), r"sk-ant-[A-Za-z0-9_-]{8,}"),
        ("OpenAI API key", ("sk-",), r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
        (
            "AWS access key",
            ("AKIA", "ASIA", "ABIA", "ACCA"),
            r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
        ),
        (
            "GitHub token",
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
            r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}",
        ),
        (
            "GitLab token",
            tuple(f"gl{kind}-" for kind in _GITLAB),
            rf"\bgl(?:{'|'.join(_GITLAB)})-[A-Za-z0-9_=.-]{{16,}}",
        ),
        ("Slack token", ("xox", "xapp-"), r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-\d-[A-Za-z0-9-]{8,}"),
        (
            "Slack webhook",
            ("https://hooks.slack",),
            r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/+-]{16,}",
        ),
        (
            "Atlassian token",
            ("ATATT", "ATCTT", "ATSTT", "ATBB"),
            r"\bAT(?:ATT|CTT|STT|BB)[A-Za-z0-9_-]{16,}(?:=[A-Fa-f0-9]{4,16})?",
        ),
        (
            "Google API key",
            ("AIza", "ya29.", "GOCSPX-"),
            r"AIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
        ),
        ("Stripe key", ("k_live_", "k_test_", "whsec_"), r"\b(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9]{10,}"),
        ("npm token", ("npm_",), r"\bnpm_[A-Za-z0-9]{30,}"),
        ("PyPI token", ("pypi-AgE",), r"pypi-AgE[A-Za-z0-9_-]{20,}"),
        ("SendGrid key", ("SG.",), r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}"),
        ("Twilio key", ("SK",), r"\bSK[0-9a-f]{32}\b"),
        ("Hugging Face token", ("hf_",), r"\bhf_[A-Za-z0-9]{30,}"),
        (
            "access token",
            ("dop_v1_", "dapi", "shpat_", "shpca_", "shppa_", "shpss_"),
            r"\b(?:dop_v1_[a-f0-9]{64}|dapi[a-f0-9]{32}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})",
        ),
        ("Telegram bot token", (":AA",), r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}"),
        (
            "JSON web token",
            ("eyJ",),
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,8000}\.eyJ[A-Za-z0-9_-]{4,8000}(?:\.[A-Za-z0-9_-]{0,2000})?",
        ),
        ("Bearer token", ("bearer",), r"(?i:\bbearer)[ \t]{1,3}(?P<value>[A-Za-z0-9._~+/=-]{12,})", _token),
        (
            "Authorization header",
            ("authorization",),
            r"(?i:authorization)\W{1,4}(?i:basic|token)[ \t]{1,3}(?P<value>[A-Za-z0-9+/=_.-]{8,})",
        ),
        (
            "signed address",
            ("sig=", "Signature="),
            r"[?&](?:sig|(?:X-Amz-|X-Goog-)?Signature)=(?P<value>[A-Za-z0-9%+/=_-]{16,})",
        ),
        (
            "password in a URL",
            ("://",),
            r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@<>\"'()\[\]]{0,200}:(?P<value>[^\s/@<>\"']{1,200})@",
            _password,
            "@",
        ),
        (
            "password",
            _LOGINS,
            rf"{_LOGIN}(?:[_-]\w{{1,20}})?{_QUOTE}[ \t]{{0,3}}=>?[ \t]{{0,3}}{_value(3)}",
            _password,
            "=",
        ),
        (
            "password",
            _LOGINS,
            rf"{_LOGIN}(?:[_-]\w{{1,20}})?{_QUOTE}[ \t]{{0,3}}:[ \t]{{0,3}}{_value(5)}",
            _worded,
            ":",
        ),
        (
            "secret",
            _KEYS,
            rf"{_KEYED}(?:[_-]\w{{1,20}})?{_QUOTE}[ \t]{{0,3}}(?:=>?|:)[ \t]{{0,3}}{_value(8)}",
            _token,
            "=:",
        ),
    )
)

OWN, PRIVATE_KEY = -2, -1
ALL = range(OWN, len(KINDS))
"""Every kind by its place in `KINDS`, and the two that `bot.safety` finds: this process's own secrets, private keys."""


class _Hints:
    """All hints, the machine that finds all of them at once, and two quick looks for whether there are any."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.rows = [
            (PRIVATE_KEY, "-----BEGIN "),
            *((place, hint) for place, kind in enumerate(KINDS) for hint in kind.hints),
            *((OWN, core) for core in own),
        ]
        patterns = [hint.encode().lower() for _, hint in self.rows]
        self.finder = BytesAhoCorasick(patterns, implementation=Implementation.DFA)
        hints = {hint for _, hint in self.rows}
        self.any_in_lower_case = any_of(hint.encode() for hint in hints if hint.islower())
        self.any_as_they_are = any_of(hint.encode() for hint in hints if not hint.islower())


_hints = _Hints()


def look_for_own(cores: Collection[str]) -> None:
    """From now on a text with one of these in it is suspected to hold one of this process's own secrets.

    `cores`: ASCII, one of them in every way a secret may be written; "" suspects every text.
    """
    global _hints, _every
    _every = frozenset({OWN}) if "" in cores else _NONE
    _hints = _Hints(core for core in cores if core)


_NONE: frozenset[int] = frozenset()
_every = _NONE  # what every text is suspected of

UNCASED = "ſıİ"
"""What `re` takes for an s or an i where case does not count, and `str.lower` does not make one (so not the Kelvin
sign)."""

KELVIN = "\u212a"
"""The Kelvin sign, in lower case a k. Outside ASCII only it and İ become a letter of ASCII so."""


def hinted(raw: bytes, lower: bytes) -> bool:
    """Whether there is any hint in a text. `raw`: the text in UTF-8; `lower`: the same with its ASCII in lower case."""
    return bool(_every) or _hints.any_as_they_are(raw) or _hints.any_in_lower_case(lower)


def possible(text: str) -> frozenset[int] | range:
    """The kinds of which `text` may hold one. All others it does not hold for certain."""
    if not text.isascii() and any(character in text for character in UNCASED):
        return ALL
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return ALL
    # Bytes know the case of ASCII only, which is quicker, and enough for hints.
    lower = (raw if text.isascii() else text.replace(KELVIN, "k").encode()).lower()
    if not hinted(raw, lower):
        return _every
    found = _hints.finder.find_matches_as_indexes(lower, overlapping=True)
    hints = {_hints.rows[number] for number, _, _ in found}
    return _every.union(place for place, hint in hints if _holds(text, hint, KINDS[place].needs if place >= 0 else ""))


def _holds(text: str, hint: str, needs: str) -> bool:
    """Whether a hint that was found in lower case is there as it is, with one of the characters that go with it."""
    return (hint.islower() or hint in text) and (not needs or any(character in text for character in needs))
