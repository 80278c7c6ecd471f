"""What must never pass: characters that nobody can see, and secrets that nobody meant to share. Pure.

Every text from Jira, Bitbucket or Claude goes through `tidy` at the door, so that what a person reads on a card is all
there is to read, and so that no key from a ticket reaches Claude, Slack, the log or the audit trail. All functions take
any string, never raise, and need time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

REDACTED = "[redacted secret]"

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
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub(_meant, _NEWLINES.sub("\n", text))


# --- secrets ----------------------------------------------------------------------------------------------------------


class _Secret(NamedTuple):
    """A kind of secret and how it looks. A named group, where there is one, is what is replaced; else all of it."""

    kind: str
    pattern: re.Pattern[str]
    plausible: Callable[[str], bool] = lambda value: True


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
_KEYED = (  # how secrets are called
    r"(?i:secret(?:[_-]?(?:access)?[_-]?key)?|(?<!max)[_-]?token|api[_-]?key|access[_-]?key|private[_-]?key|accountkey"
    r"|client[_-]?secret|sharedaccesskey|credentials?)"
)

_SECRETS: tuple[_Secret, ...] = tuple(
    _Secret(kind, re.compile(pattern), *rest)
    for kind, pattern, *rest in (
        ("Anthropic API key", r"sk-ant-[A-Za-z0-9_-]{8,}"),
        ("OpenAI API key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
        ("AWS access key", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
        ("GitHub token", r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"),
        ("GitLab token", r"\bgl(?:pat|dt|rt|rtr|ptt|ft|soat|cbt|imt|agent|oas|ffct)-[A-Za-z0-9_=.-]{16,}"),
        ("Slack token", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{8,}|xapp-\d-[A-Za-z0-9-]{8,}"),
        ("Slack webhook", r"https://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/[A-Za-z0-9_/+-]{16,}"),
        ("Atlassian token", r"\bAT(?:ATT|CTT|STT|BB)[A-Za-z0-9_-]{16,}(?:=[A-Fa-f0-9]{4,16})?"),
        ("Google API key", r"AIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}"),
        ("Stripe key", r"\b(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9]{10,}"),
        ("npm token", r"\bnpm_[A-Za-z0-9]{30,}"),
        ("PyPI token", r"pypi-AgE[A-Za-z0-9_-]{20,}"),
        ("SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128}"),
        ("Twilio key", r"\bSK[0-9a-f]{32}\b"),
        ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
        ("access token", r"\b(?:dop_v1_[a-f0-9]{64}|dapi[a-f0-9]{32}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})"),
        ("Telegram bot token", r"\b\d{8,10}:AA[A-Za-z0-9_-]{32,}"),
        (
            "JSON web token",
            r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,8000}\.eyJ[A-Za-z0-9_-]{4,8000}(?:\.[A-Za-z0-9_-]{0,2000})?",
        ),
        ("Bearer token", r"(?i:\bbearer)[ \t]{1,3}(?P<value>[A-Za-z0-9._~+/=-]{12,})", _token),
        (
            "Authorization header",
            r"(?i:authorization)\W{1,4}(?i:basic|token)[ \t]{1,3}(?P<value>[A-Za-z0-9+/=_.-]{8,})",
        ),
        ("signed address", r"[?&](?:sig|(?:X-Amz-|X-Goog-)?Signature)=(?P<value>[A-Za-z0-9%+/=_-]{16,})"),
        (
            "password in a URL",
            r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@<>\"'()\[\]]{0,200}:(?P<value>[^\s/@<>\"']{1,200})@",
            _password,
        ),
        ("password", rf"{_LOGIN}(?:[_-]\w{{1,20}})?{_QUOTE}[ \t]{{0,3}}=>?[ \t]{{0,3}}{_value(3)}", _password),
        ("password", rf"{_LOGIN}(?:[_-]\w{{1,20}})?{_QUOTE}[ \t]{{0,3}}:[ \t]{{0,3}}{_value(5)}", _worded),
        ("secret", rf"{_KEYED}(?:[_-]\w{{1,20}})?{_QUOTE}[ \t]{{0,3}}(?:=>?|:)[ \t]{{0,3}}{_value(8)}", _token),
    )
)

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
    hidden = _own(text)
    kinds = ["secret of this program"] if hidden != text else []
    text, keys = _without_private_keys(hidden, part=part)
    kinds += ["private key"] if keys else []

    for secret in _SECRETS:

        def replace(match: re.Match[str], secret: _Secret = secret) -> str:
            group = match.lastgroup or 0
            value = match[group]
            if not secret.plausible(value) or REDACTED in match[0]:
                return match[0]
            kinds.append(secret.kind)
            start, end = match.span(group)
            return match[0][: start - match.start()] + REDACTED + match[0][end - match.start() :]

        text = secret.pattern.sub(replace, text)
    return text, tuple(dict.fromkeys(kinds))


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
