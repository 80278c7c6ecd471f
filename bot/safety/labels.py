"""Secrets that only their label tells: `password: …`, "the token is …", a cell under "API key", the line below. Pure.

Searched in words as they are read, so without marks. The labels are found first, by one pass of an automaton over all
literals; only there is looked what follows.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from bot.safety.plausible import is_assigned, is_name, lengthy, pin, striking, token, worded

_LOGINS = (
    "password", "passwort", "passwd", "passphrase", "passcode", "pwd", "kennwort", "pw", "pass", "contrase", "senha",
    "mot de passe", "mdp", "wachtwoord", "haslo", "has?o", "heslo", "parol", "salasana", "pin",
    "l?senord", "losenord", "adgangskode", "passord", "jelsz", "kata sandi", "m?t kh?u", "lozinka", "geslo",
)  # fmt: skip
_KEYS = (
    "secret", "token", "apikey", "api_key", "api-key", "api key", "accesskey", "access_key", "access-key", "access key",
    "privatekey", "private_key", "private-key", "private key", "accountkey", "account key", "sharedaccesskey",
    "credential", "auth-key", "auth_key", "auth key", "authkey", "secret key", "encryption_key", "encryption key",
    "encryption-key", "encryptionkey", "signing_key", "signing key", "signing-key", "signingkey", "master_key",
    "master key", "master-key", "masterkey", "app_key", "admin_key", "_pat", "_key", "recovery code", "backup code",
    "license key", "licence key", "key",
)  # fmt: skip
_ACCOUNTS = ("login", "credential", "creds", "zugangsdaten")
LABEL_STARTS = (*_LOGINS, *_KEYS, *_ACCOUNTS)
"""What labels begin with, in lower case, with `?` for what is not ASCII."""
FOREIGN = re.compile(
    "Пароль|пароль|密码|密碼|口令|パスワード|暗証番号|비밀번호|암호|Şifre|şifre|Κωδικός|κωδικός|סיסמה"
    "|كلمة[ ]المرور|كلمة[ ]السر"
)
"""Labels that begin with no ASCII. Each begins with one letter: `re` looks for these, and tries no other place."""

_LOGIN = (
    r"(?:passwords?|passwort|passwd|passphrase|passcode|pwd|kennwort|contrase(?:[ñn]|ny)a|senha|mot\ de\ passe"
    r"|wachtwoord|has[łl]o|heslo|parol[aăà]|salasana"
    r"|l[öo]senord|adgangskode|passord|jelsz[óo]|kata\ sandi|mật\ khẩu|lozinka|geslo"
    r"|(?<![^\W_])(?:pw|pass|mdp)(?![^\W_])"
    f"|{FOREIGN.pattern})"
)
_PIN = r"(?:(?<!\w)pin(?:[ -]?code)?(?!_*[^\W_]))"
_KEYED = (
    r"(?:secret(?:[ _-]?(?:access)?[ _-]?(?:key|value))?|(?<!max)(?<!max_)tokens?|credentials?"
    r"|(?:api|access|private|account|shared[ _-]?access|auth|encryption|signing|master|admin|app|licen[cs]e)[ _-]?keys?"
    r"|_pat|_key|(?:recovery|backup)\ codes?)"
)
_LABEL = rf"(?P<login>{_LOGIN})|(?P<pin>{_PIN})|(?P<keyed>{_KEYED})|(?P<key>(?<![^\W_])(?<!public[ _-])keys?(?![^\W_]))"
_QUOTE = r"""(?:\\?["'`*~]){0,3}"""
_SPACE = r"[^\S\n]{0,12}"
_FOR = r"\ (?:for|of|on|to|from|in|at|für|von|zu|de|para|pour)\ "
_ASIDE = rf"(?:\ ?\d{{1,2}}|\ ?\([^()\n]{{1,40}}\)|{_FOR}[^:=\n|]{{1,60}}?)?"
_BARE = r"""(?:\\?["'`<(\[*~]){0,3}[ ]?(?P<value>(?:[^\s"'`<>|\[\],;&\\]|&(?!\w{1,40}=)|\\(?=\w)){%d,400})"""


def _value(least: int) -> str:
    """A pattern for a value of at least so many characters: in quotes with spaces, or without either."""
    return rf"""(?:"(?P<double>[^"\n]{{{least},200}})"|'(?P<single>[^'\n]{{{least},200}})'|{_BARE % least})"""


_FLAGS = re.VERBOSE | re.IGNORECASE
# `TOKEN_URL`, `password_min_length`, `secret-id`: names of something about the secret.
_ABOUT = (
    r"(?![\w-]{0,30}[_-](?:algorithm|class|count|dir|directory|endpoint|expir\w*|field|file|format|hash\w*|header|host|ids?"
    r"|issuer|length|lifetime|manager|max|min|names?|path|policy|prefix|provider|ref|rotation|scopes?|service|size|status"
    r"|store|timeout|ttl|type|ur[il]s?|version|stdin)(?!\w))"
)
_NAME = rf"(?>(?:{_LABEL}){_ABOUT}(?:[_-]\w{{1,20}})?)"
_HEAD = re.compile(rf"{_NAME}{_QUOTE}", _FLAGS)
_NO_VALUE = "\n.,;?/@)]}"
"""What no value follows: by this most labels are told to be words about a secret, and the patterns below not tried."""
_EQUALS = re.compile(rf"{_SPACE}:?=>?(?!=){_SPACE}{_value(3)}", _FLAGS)
_COLON = re.compile(rf"{_ASIDE}{_SPACE}(?::|->){_SPACE}{_value(4)}", _FLAGS)
_WEAK = re.compile(
    rf"""{_ASIDE}
        (?: [^\S\n]{{1,12}}-{{1,2}}{_SPACE} | {_SPACE}(?:\||[=!]==?){_SPACE} | \ ?[(]
          | \ ?(?:は|是|为){_SPACE}
          | \ (?:is|was|now|to|lautet|ist|auf|es|est|é|è|jest|это){_SPACE}(?:(?:now|jetzt|ahora)\ ?)?:?{_SPACE}
          | [^\S\n]{{1,12}} | :{_SPACE}(?:[(][!?/*xiy+-][)]|:\w{{1,30}}:)[^\S\n]{{1,3}} )
        {_value(6)}""",
    _FLAGS,
)
_PAIR = re.compile(
    rf"(?:login|credentials?|creds|zugangsdaten){_SPACE}[:=]{_SPACE}"
    rf"[\w.@+-]{{1,60}}{_SPACE}[/|]{_SPACE}(?P<value>[^\s/]{{6,100}})",
    _FLAGS,
)
_CODES = re.compile(
    rf"(?:recovery|backup)\ codes?{_SPACE}[:=]?\s{{1,3}}(?P<value>(?:\w{{4,8}}-\w{{4,8}}[\s,;]{{0,3}}){{1,20}})", _FLAGS
)

# A cell, or a line of its own, that is a label: "Password", "The admin password (staging):", "DB_PASSWORD".
_BEFORE = re.compile(r"(?:[^\W\d][\w.-]{0,30}[ ]){0,3}[\w.-]{0,30}")
_ALONE = re.compile(rf"{_NAME}{_ASIDE}\s{{0,3}}(?::\s{{0,3}}(?:[|>][+-]?)?)?", _FLAGS)
_ENDS = re.compile(rf"(?:[^\w\n|,;?]|_)*+(?:[\n|]|\Z)|\ ?[\d(]|{_FOR}", _FLAGS)
"""What follows every label that stands alone, and few others."""
_LONGEST = 120  # characters of a line that may be a label alone
_FURNITURE = " \t>*+-#|:.\"'`_=~()[]{}"  # what stands before and after a line's words


# How a value may follow a label, and what makes one plausible after which sort of label.
_WAYS: tuple[tuple[re.Pattern[str], dict[str | None, Callable[[str], bool]]], ...] = (
    (_EQUALS, {"login": is_assigned, "pin": pin, "keyed": token, "key": lengthy}),
    (_COLON, {"login": worded, "pin": pin, "keyed": token, "key": lengthy}),
    (_WEAK, {"login": striking, "pin": pin, "keyed": striking, "key": lengthy}),
)
_KINDS: dict[str | None, str] = {"login": "password", "pin": "PIN", "keyed": "secret", "key": "secret"}


def labelled(words: str, places: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Where the values of the labels stand that begin at these places, and their kinds."""
    last = []  # the places of labels that are perhaps the last words of their line or cell
    for place in places:
        if head := _HEAD.match(words, place):
            end = head.end()
            if _ENDS.match(words, end):
                last.append(place)
            if words[end : end + 1] not in _NO_VALUE and (found := _beside(words, head)):
                yield found
        if words[place] in "lLcCzZ" and (pair := _PAIR.match(words, place)) and striking(pair["value"]):
            yield *pair.span("value"), "password"
        if words[place] in "rRbB" and (codes := _CODES.match(words, place)):
            yield *codes.span("value"), "password"
    yield from _below(words, last)


def _beside(words: str, head: re.Match[str]) -> tuple[int, int, str] | None:
    end, sort = head.end(), head.lastgroup
    for pattern, plausible in _WAYS:
        found = pattern.match(words, end)
        if not found:
            continue
        group = str(found.lastgroup)  # of the three ways to write a value, there is one
        value, before = found[group], words[found.start(group) - 1]
        if group == "value" and pattern is _EQUALS and before.isspace() and is_name(value):
            continue  # code: `password = user.password`
        if pattern is _COLON and before == ":" == words[head.start() - 1 : head.start()]:
            continue  # a name of parts: `arn:aws:…:secret:db`
        if group == "value" and pattern is not _EQUALS:
            value = value.rstrip(".,:;!?)")
        if plausible[sort](value):
            return *found.span(group), _KINDS[sort]
    return None


def _below(words: str, places: Sequence[int]) -> Iterator[tuple[int, int, str]]:
    """Where values stand that are alone on the line after one of the labels at these places, or in a cell beside or
    under one.
    """
    ahead = 0  # of the places, the first that is not behind
    waiting: tuple[re.Match[str], int] | None = None  # the label, and how many lines may be empty yet
    header: list[re.Match[str] | None] = []
    at = 0
    while at <= len(words):
        if not (waiting or header):  # on to the next line with a label
            if ahead == len(places):
                return
            at = words.rfind("\n", at, places[ahead]) + 1 or at
        start = at
        line = words[start : end if (end := words.find("\n", start)) >= 0 else None]
        at += len(line) + 1
        first_place = ahead
        while ahead < len(places) and places[ahead] < at:
            ahead += 1
        here = places[first_place:ahead]
        bare = line.strip(_FURNITURE)
        if "****" in line:  # the value is there, and hidden
            waiting = None
            continue
        if bare and "|" in line and len(cells := list(_cells(line, start))) > 1:
            labels = [_alone(words, cell, here) for cell in cells]
            for number, cell in enumerate(cells):
                for label in (labels[number - 1] if number else None, header[number] if number < len(header) else None):
                    if label and not labels[number] and (found := _single(words, cell, label)):
                        yield found
                        break
            # A row of labels is a header; one whose cells have values beside them is not, but does no harm as one.
            header = labels if any(labels) else header
            waiting = None
            continue
        if bare and "|" not in line:
            header = []
        if not bare:
            waiting = (waiting[0], waiting[1] - 1) if waiting and waiting[1] else None
            continue
        first = start + line.index(bare)
        span = (first, first + len(bare))
        if waiting and (found := _single(words, span, waiting[0])):
            yield found
        label = _alone(words, span, here)
        waiting = (label, 3) if label else None


def _alone(words: str, span: tuple[int, int], places: Sequence[int]) -> re.Match[str] | None:
    """The label that stands there alone, perhaps after two or three words."""
    if span[1] - span[0] > _LONGEST:
        return None
    within = places[bisect_left(places, span[0]) : bisect_left(places, span[1])]
    found = (_ALONE.fullmatch(words, place, span[1]) for place in within if _BEFORE.fullmatch(words, span[0], place))
    return next((label for label in found if label and not label["key"]), None)  # "Key" heads every table of issues


def _cells(line: str, start: int) -> Iterator[tuple[int, int]]:
    """Where the words of the cells of a table's row stand, those of an empty cell from a place to itself."""
    end = len(line.rstrip().removesuffix("|").removesuffix("|"))
    at = len(line) - len(line.lstrip(" \t>").removeprefix("|").removeprefix("|"))
    while at <= end:
        border = line.find("|", at, end)
        stop = end if border < 0 else border
        bare = line[at:stop].strip(_FURNITURE)
        first = start + line.index(bare, at)
        yield first, first + len(bare)
        at = stop + 1 + (line[stop + 1 : stop + 2] == "|")  # wiki markup writes a header's border twice


def _single(words: str, span: tuple[int, int], label: re.Match[str]) -> tuple[int, int, str] | None:
    """The value, if it is one and no sentence."""
    value = words[span[0] : span[1]]
    plausible = pin if label["pin"] else striking
    if any(map(str.isspace, value)) or not plausible(value):
        return None
    return *span, _KINDS[label.lastgroup]
