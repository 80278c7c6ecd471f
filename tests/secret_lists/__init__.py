"""Lists of secrets as people write them, and of ordinary comments: what the search for secrets is measured with.

`spellings` are ways to write a secret that is well known, `kinds` are kinds of secrets written plainly, `ordinary` are
comments that hold none. Each list has two halves, told apart by a hash of the name: the rules in `bot/safety` were made
with the seen half, and measured with the other one. All values are invented, and made here: `<A36>` in a file stands
for 36 letters and digits (see `_ALPHABETS`), so that no file holds what a scanner would take for a credential. What
must not be left of an entry stands between ⟦ and ⟧.
"""

from __future__ import annotations

import json
import random
import re
import string
import unicodedata
import uuid
from pathlib import Path
from typing import Literal, NamedTuple

from bot.markup import from_body
from bot.safety import REDACTED, tidy

Half = Literal["seen", "held_out"]
_HERE = Path(__file__).parent
_ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "B": string.ascii_uppercase + "234567",
    "H": "0123456789ABCDEF",
    "L": string.ascii_letters,
    "T": string.ascii_uppercase + "234567",
    "U": string.ascii_uppercase + string.digits,
    "b": string.ascii_letters + string.digits + "+/",
    "d": string.digits,
    "g": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "h": "0123456789abcdef",
    "l": string.ascii_lowercase + string.digits,
    "w": string.ascii_letters + string.digits + "-_",
}
_MADE = re.compile(r"<(?:([A-Za-z])(\d{1,3})|uuid)>")
_ESCAPES = re.compile(r"\\(?:u([0-9a-f]{4})|([nt\\]))")
_AFTER = "Thanks, Ana"
"""Words behind every entry: they must stay."""


class Entry(NamedTuple):
    """One way to write a secret: the text as it comes in, and the secret without the marks around and in it."""

    name: str
    form: str
    text: str
    secret: str

    def redacted(self) -> str:
        """What the program makes of the text, by the way that texts of its form take."""
        if self.form == "adf":
            found = json.loads(self.text)
            after = {"type": "paragraph", "content": [{"type": "text", "text": _AFTER}]}
            return from_body(
                {"type": "doc", "version": 1, "content": [*(found if isinstance(found, list) else [found]), after]}
            )
        return from_body(f"{self.text}\n\n{_AFTER}") if self.form == "wiki" else tidy(f"{self.text}\n\n{_AFTER}")

    def passes(self) -> bool:
        """Whether six characters in a row of the secret are left for a reader, whatever marks stand in between."""
        left, secret = _seen(self.redacted().replace(REDACTED, " ")), _seen(self.secret)
        return any(secret[at : at + 6] in left for at in range(max(1, len(secret) - 5)))

    def spoils(self) -> bool:
        """Whether the words behind it are gone too."""
        return _AFTER not in self.redacted()


def spellings(half: Half) -> list[Entry]:
    return [_entry(row, form) for form, row in (line.split(" :: ", 1) for line in _lines("spellings", half))]


def kinds(half: Half) -> list[Entry]:
    return [_entry(row, "md") for row in _lines("kinds", half)]


def ordinary(half: Half, count: int = 1000) -> list[str]:
    """So many comments without a secret, of one to four sentences or pieces each; always the same."""
    chance = random.Random(half)  # noqa: S311 - the same every time is what is wanted
    pieces = _lines("ordinary", half)
    return ["\n\n".join(_unescaped(_made(p, chance)) for p in chance.sample(pieces, 1 + n % 4)) for n in range(count)]


def _lines(name: str, half: Half) -> list[str]:
    return (_HERE / f"{name}.{half}.txt").read_text("utf-8").splitlines()


def _entry(row: str, form: str) -> Entry:
    name, text = row.split(" :: ", 1)
    text = _made(text, random.Random(name))  # noqa: S311 - the same every time is what is wanted
    text = text if form == "adf" else _unescaped(text)
    secret = "".join(re.findall("⟦(.*?)⟧", text, re.DOTALL))
    return Entry(f"{form}: {name}", form, text.replace("⟦", "").replace("⟧", ""), secret)


def _made(text: str, chance: random.Random) -> str:
    def made(found: re.Match[str]) -> str:
        if not found[1]:
            return str(uuid.UUID(int=chance.getrandbits(128), version=4))
        return "".join(chance.choices(_ALPHABETS[found[1]], k=int(found[2])))

    return _MADE.sub(made, text)


def _unescaped(text: str) -> str:
    plain = {"n": "\n", "t": "\t", "\\": "\\"}
    return _ESCAPES.sub(lambda found: plain[found[2]] if found[2] else chr(int(found[1], 16)), text)


def _seen(text: str) -> str:
    """The letters and digits of a text."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if c.isalnum())
