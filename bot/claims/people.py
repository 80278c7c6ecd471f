"""Names as people write them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


def same_person(said: str, name: str) -> bool:
    """Whether a name in a text can mean the person of this name: every word of it begins one of theirs, or is begun
    by it ("Ben" and "Benjamin Okafor")."""
    theirs = _parts(name)
    return bool(theirs) and all(any(_alike(a, b) for b in theirs) for a in _parts(said))


def _alike(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return short == long or (len(short) > 2 and long.startswith(short))  # "Li" is not short for "Lisa"


def meant(said: str, names: Iterable[str]) -> list[str]:
    """The names of those whom a name in a text can mean."""
    return [name for name in dict.fromkeys(names) if same_person(said, name)]


def _parts(name: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    return [part for part in re.findall(r"[^\W\d_]+", plain) if len(part) > 1]
