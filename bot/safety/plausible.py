"""Whether a value beside a label is a secret, or a word about one. Pure.

"password: please reset it", `token = get_token()` and `max_tokens=4096` stand in every other ticket; what is redacted
there is lost to whoever answers. So the weaker the sign that a value follows, the more it must look like no word.
"""

from __future__ import annotations

import re

_STAND_INS = re.compile(
    r"\$[{(A-Za-z_]|%[A-Za-z_]|<.*>?$|\{\{|%\(|[*•●x.]+$|…|\[redacted|\{\w{1,20}(?:[:|][^}]*)?\}|(?:none|null|true|false|nil|undefined|string|todo|tbd)$"
    r"|(?:your|my|some|the|example|change|redacted|hidden|secret|dummy|placeholder|process\.env|os\.environ|env\.)[\w.-]*[_-]?\w*$"
    r"|(?:password|passwd|pass|token|secret)\d{0,1}$",
    re.IGNORECASE,
)
_ODD = re.compile(r"\d|[^\w.,:;!?)'\"/-]")
_CODE = re.compile(r"[\w.$]*(?:\(|\[\d*\]|::|->)|[a-z_]+(?:\.[A-Za-z_]{1,40})+\d?$")
_ADDRESS = re.compile(
    r"(?:https?|ftp|ssh|s3|arn|mailto)[:/]|[./~]*/|[A-Za-z]:\\|[\w.+-]+@[\w-]+\.\w|www\.", re.IGNORECASE
)
_NUMBERISH = re.compile(
    r"""v?\d+(?:[.,:/-]\d+)*(?:[a-z%]{1,6}|[+-]?\d*)?[.,;:!?)]*$  # 30s, 2.4.1, 10:42, 2026-11-30, 98%
      | [A-Z][A-Z0-9]{1,9}-\d+\W*$                              # ECD-142
      | \#?\d+\W*$ | \d{4}-\d\d-\d\dT.*$""",
    re.VERBOSE,
)
_AMOUNT = re.compile(r"\d+[A-Za-z]{1,3}$")  # 3600s, 30d, 256bit
_WORD_WITH_NUMBER = re.compile(
    r"[a-z]+[-_]?v?\d{1,4}\W*$|v?\d{1,3}[a-z]{1,8}\W*$", re.IGNORECASE
)  # admin2, sha256, 2FA
_IDENTIFIER = re.compile(r"[a-z]+(?:[_-][a-z0-9]*)+$|[A-Z]+(?:_[A-Z0-9]*)+$|[a-z]+(?:[A-Z][a-z]+)+\d?$")
_FILE = re.compile(
    r"[\w./-]*\.(?:py|js|ts|tsx|go|java|rs|json|ya?ml|txt|md|csv|pdf|png|jpe?g|log|sh|sql|html?|xml|zip|env|pem|toml|conf|ini)\b"
)
_RESTLESS = re.compile(r"(?:[a-z][A-Z].*){2}")  # capitals in the middle, twice: no word, hardly a name


def given(value: str) -> bool:
    """After `=`: anything but a stand-in and code."""
    return not _STAND_INS.match(value)


def worded(value: str) -> bool:
    """After a colon people write sentences ("password: please reset it"): only what no sentence has counts."""
    if not given(value) or len(value) < 5 or _CODE.match(value):
        return False
    return bool(_ODD.search(value) or (len(value) >= 8 and _RESTLESS.search(value)))


def token(value: str) -> bool:
    """`max_tokens=4096` and `token: expired` are no secrets; `token=8f3a09bc12` is."""
    if not given(value) or _CODE.match(value) or _AMOUNT.match(value):
        return False
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed or (len(value) >= 20 and "." not in value) or (len(value) >= 12 and bool(_RESTLESS.search(value)))


def striking(value: str) -> bool:
    """Where little says that a value follows ("the password is …", a cell, the next line): what looks like one itself."""
    value = value.rstrip(".,;:!?)")
    if len(value) < 7 or not given(value):
        return False
    if any(p.match(value) for p in (_ADDRESS, _NUMBERISH, _WORD_WITH_NUMBER, _IDENTIFIER, _FILE, _CODE)):
        return False
    mixed = any(c.isdigit() for c in value) and any(c.isalpha() for c in value)
    return mixed or bool(
        len(value) >= 8 and (_RESTLESS.search(value) or re.search(r"\w[^\w\s.,:;!?()'\"/-]+\w", value))
    )
