"""Whether a value beside a label is a secret, or a word about one. Pure.

"password: please reset it", `token = get_token()` and `max_tokens=4096` stand in every other ticket; what is redacted
there is lost to whoever answers. So the weaker the sign that a value follows, the more it must look like no word.
"""

from __future__ import annotations

import re

_STAND_INS = re.compile(
    r"""\$[{(A-Za-z_] | %[A-Za-z_] | <.*>?$ | \{\{ | %\( | \{\w{1,20}(?:[:|][^}]*)?\} | [*•●x.]+$ | … | \[redacted
      | (?:none|null|true|false|nil|undefined|string|todo|tbd|yes|no)$ | (?:password|passwd|pass|token|secret)\d?$
      | your | (?:my|the|some)[_-][a-z_-]*$ | (?:example|change|redacted|hidden|dummy|placeholder)[a-z_-]*$
      | process\.env | os\.environ | env\.""",
    re.IGNORECASE | re.VERBOSE,
)
_CALL = re.compile(r"[A-Za-z_$][\w.$]{0,80}\([\w.]*\)?[.()\w]*$")
_ODD = re.compile(r"\d|[^\w.,:;!?)'\"/-]")
_CODE = re.compile(r"[\w.$]*(?:\(|\[\d*\]|::|->)|[a-z_]+(?:\.[A-Za-z_]{1,40})+\d?$")
# Where something is to be had, a public key among it.
_ADDRESS = re.compile(
    r"(?:https?|ftp|ssh|s3|arn|mailto)[:/]|AAAA[A-Za-z0-9]|[./~]*/|[A-Za-z]:\\|[\w.+-]+@[\w-]+\.\w|www\.", re.IGNORECASE
)
_PATH = re.compile(r"(?:~|\.{1,2})?/?(?:[a-z0-9._-]+/)+[a-z0-9._-]*$|https?://")
_RATIO = re.compile(r"\d{1,4}(?:[/:.-]\d{1,4}){1,3}$")  # 14/15, 10:42, 2026-11-30
_NUMBERISH = re.compile(
    r"""v?\d+(?:[.,:/-]\d+)*(?:[a-z%]{1,6}|[+-]?\d*)?[.,;:!?)]*$  # 30s, 2.4.1, 10:42, 2026-11-30, 98%
      | [A-Z][A-Z0-9]{1,9}-\d+\W*$                              # ECD-142
      | \#?\d+\W*$ | \d{4}-\d\d-\d\dT.*$""",
    re.VERBOSE,
)
_AMOUNT = re.compile(r"\d+[A-Za-z]{1,3}$")  # 3600s, 30d, 256bit
# admin2, sha256, 2FA, base64url, gcp-eu-west1
_WORD_WITH_NUMBER = re.compile(
    r"(?:[a-z]{2,}[-_.])*(?:[a-z]+|[A-Z]+|[A-Z][a-z]+)[-_]?v?\d{1,4}(?:[a-z]{2,6})?\W*$|v?\d{1,3}[A-Za-z]{1,8}\W*$"
)
_IDENTIFIER = re.compile(r"[a-z]+(?:[_-][a-z0-9]*)+$|[A-Z]+(?:_[A-Z0-9]*)+$|[a-z]+(?:[A-Z][a-z]+)+\d?$")
_PASSPHRASE = re.compile(r"[a-z]{3,12}(?:[-_.][a-z]{3,12}){3,7}$")
_FILE = re.compile(
    r"[\w./-]*\.(?:py|js|ts|tsx|go|java|rs|json|ya?ml|txt|md|csv|pdf|png|jpe?g|log|sh|sql|html?|xml|zip|env|pem|toml|conf|ini)\b"
)
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_SIGN_INSIDE = re.compile(r"\w[^\w\s.,:;!?()'\"/-]+\w")
_RESTLESS = re.compile(r"(?:[a-z][A-Z].*){2}")  # capitals in the middle, twice: no word, hardly a name


def is_assigned(value: str) -> bool:
    """After `=`: anything but a stand-in and a call."""
    return not (_STAND_INS.match(value) or _CALL.match(value))


def is_name(value: str) -> bool:
    """A name in code: what stands after ` = ` there is where the secret is, and not what it is."""
    return bool(_IDENTIFIER.match(value) or _CODE.match(value))


def pin(value: str) -> bool:
    return value.isdigit() and 4 <= len(value) <= 12


def lengthy(value: str) -> bool:
    """After "key", which may be anything's: long, and no name."""
    return bool(re.fullmatch(r"[\w-]{20,}", value)) and random(value) and not _ADDRESS.match(value)


def random(value: str) -> bool:
    """Letters and digits as nobody types them: of three sorts, or hexadecimal."""
    sorts = (any(map(str.islower, value)), any(map(str.isupper, value)), sum(map(str.isdigit, value)) > 1)
    return all(sorts) or (len(value) >= 32 and bool(_HEXADECIMAL.fullmatch(value)) and _mixed(value))


def _mixed(value: str) -> bool:
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def worded(value: str) -> bool:
    """After a colon people write sentences ("password: please reset it"): only what no sentence has counts."""
    odd = _ODD.search(value) or (len(value) >= 8 and _RESTLESS.search(value)) or _PASSPHRASE.match(value)
    if not odd or len(value) < 5:  # most words end here
        return False
    return is_assigned(value) and not any(p.match(value) for p in (_CODE, _PATH, _RATIO))


def token(value: str) -> bool:
    """`max_tokens=4096` and `token: expired` are no secrets; `token=8f3a09bc12` is."""
    odd = _mixed(value) or (len(value) >= 20 and "." not in value) or (len(value) >= 12 and _RESTLESS.search(value))
    if not odd or (len(value) < 16 and _WORD_WITH_NUMBER.match(value)):
        return False
    return is_assigned(value) and not any(p.match(value) for p in (_CODE, _PATH, _AMOUNT))


def striking(value: str) -> bool:
    """Where little says that a value follows ("the password is …", a cell, the next line): no word, and no name."""
    value = value.rstrip(".,;:!?)")
    odd = _mixed(value) or (len(value) >= 8 and (_RESTLESS.search(value) or _SIGN_INSIDE.search(value)))
    if not odd or len(value) < 7 or not is_assigned(value):
        return False
    kinds = (_ADDRESS, _PATH, _NUMBERISH, _WORD_WITH_NUMBER, _IDENTIFIER, _FILE, _CODE)
    return not any(p.match(value) for p in kinds)
