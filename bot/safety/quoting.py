"""Words of others in a sentence of ours: where they begin and end is seen, and a name carries no sign of ours. Pure."""

from __future__ import annotations

import re

SIGNS = "⚠✓✗🌐🔒🧪📮"
"""What our own cards say something with: a mark, an outcome, who will see a reply, what Approve does."""
_ALIKE = "❗❌✅✔✘🌍🌎🌏🔐🔓🛡🚨⛔🚫ℹ"
"""What a hurried reader takes for one of them."""
_SIGN = re.compile(f"[{SIGNS}{_ALIKE}]")
_MARKS = str.maketrans(dict.fromkeys('“”„‟«»〝〞＂"', "'"))
_NO_NAME = re.compile(f"[{SIGNS}{_ALIKE}|│┃▌]|(?<!\\w)[·—–-]+|[·—–-]+(?!\\w)")


def shortened(value: str, length: int) -> str:
    """At most `length` characters, ending in … where something was left out."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def in_marks(words: str) -> str:
    """The words in quotation marks, which they cannot close: marks among them become apostrophes."""
    return f"“{words.translate(_MARKS)}”"


def unsigned(name: str) -> str:
    """A name without our signs and what we put between two facts: nobody is called "Ben · ✓ Posted"."""
    return " ".join(_NO_NAME.sub(" ", name).split()) or "somebody"


def sign_in(text: str) -> str:
    """From the first sign on that could be taken for ours to the end of its line; "" where there is none."""
    found = _SIGN.search(text)
    return text[found.start() :].partition("\n")[0].strip() if found else ""
