"""What secrets look like: one row per kind, with the hints without which a text cannot hold it. Pure, used by
`bot.safety` alone.

All patterns together cost about a millisecond on a comment of 2 kB. Looking for the hints first costs a hundredth of
that and excuses ordinary texts from the rest. `test_safety` holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick

REDACTED = "[redacted secret]"


class SecretKind(NamedTuple):
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

KINDS: tuple[SecretKind, ...] = tuple(
    SecretKind(name, hints, re.compile(pattern), *rest)
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

UNCASED = {"ſ": "s", "ı": "i", "İ": "i"}
"""What `re` takes for an s or an i where case does not count, and `str.lower` does not make one."""


_HINTS = [(place, hint) for place, kind in enumerate(KINDS) for hint in kind.hints]
_FINDER = BytesAhoCorasick([hint.lower().encode() for _, hint in _HINTS])


def suspected(text: str) -> set[int]:
    """The kinds, by their places in `KINDS`, of which `text` may hold one. All others it does not hold for certain."""
    lower = text
    for character, plain in UNCASED.items() if not text.isascii() else ():
        lower = lower.replace(character, plain)
    # All hints in one pass: one after the other they take twenty times as long.
    found = _FINDER.find_matches_as_indexes(lower.lower().encode(errors="replace"), overlapping=True)
    hints = {_HINTS[number] for number, _, _ in found}
    return {place for place, hint in hints if (hint.islower() or hint in text) and _goes_with(text, KINDS[place].needs)}


def _goes_with(text: str, needs: str) -> bool:
    return not needs or any(character in text for character in needs)
