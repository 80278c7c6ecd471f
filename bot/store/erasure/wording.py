"""How texts are compared for an erasure: by their words, whatever stands between them. Pure.

A name is looked for as people write it: in any case, with or without accents, with other spaces, a line break, markup
or a full stop between its parts, last name first, run together, and as the first part of an e-mail address. Somebody's
words are found in another text as a run of `QUOTE_WORDS` words or more.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from bot.safety import clean

QUOTE_WORDS = 6
"""Words in a row that are taken for a quotation; fewer stand in too many texts by themselves."""
GAP = r"[\W_]{1,8}"
NO_GAP = r"[\W_]{0,8}"
LONG_ENOUGH = 6
"""Letters that a name has to have to be looked for without anything between its parts."""
_WORD = re.compile(r"[^\W_]+")
_ASIDE = re.compile(r"[(\[].*?[)\]]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_LETTERS = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t"}
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})
_ESCAPED = re.compile(r'\\[nrt"]')
_QUOTED_LINE = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_APART = " 0apart0 "


def spelled(text: str) -> str:
    """A text in the one spelling in which texts are compared."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", clean(text)).casefold())
    return _ACCENTS.sub("", plain).translate(_LETTERS)


def words(text: str) -> list[str]:
    return _WORD.findall(spelled(text))


def as_written(text: str) -> Iterator[str]:
    """The text, and how it was before it became JSON, in which a line break is a sign with a letter."""
    yield text
    if "\\" in text:
        yield _ESCAPED.sub(" ", text)


def texts(value: Any) -> Iterator[str]:
    """Every text in a value: keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def together(value: Any) -> str:
    """All texts in a value as one, in which no name or quotation reaches from one into the next."""
    return _APART.join(texts(value))


class Names:
    """A person's names, to be found in texts."""

    def __init__(self, names: Iterable[str]) -> None:
        wholes, mails, parts = set[str](), set[str](), set[str]()
        self._first: set[tuple[str, ...]] = set()
        self._unspaced: set[str] = set()
        known = set(names)
        for name in sorted(known | {_ASIDE.sub(" ", name) for name in known}):
            for spelling in {spelled(name), spelled(name.casefold().translate(_UMLAUTS))}:
                found = tuple(_WORD.findall(spelling))
                if not found:
                    continue
                if not any(char.isupper() or char.islower() for char in name):  # a script without spaces, mostly
                    self._unspaced.add("".join(found))
                for order in _orders(found):
                    self._first.add(order)
                    wholes.add((NO_GAP if len("".join(order)) >= LONG_ENOUGH else GAP).join(map(re.escape, order)))
                mails |= set(_mail_names(found))
                parts |= {f"{re.escape(word)}@" for word in found if len(found) > 1}
        shown = {part for name in known for part in re.findall(r"[^\W\d_]{2,}", name) if part[0].isupper()}
        self._whole = _any(wholes, r"(?<![^\W_])(?:%s)\d{0,4}(?![^\W_])")
        self._mail = _any(mails, r"(?<![\w.+-])(?:%s)\d{0,4}(?:\+[\w.-]{0,64})?@")
        self._part = _any({re.escape(part) for part in shown}, r"(?<!\w)(?:%s)(?!\w)")
        self._mail_part = _any(parts, r"(?<![\w.+-])(?:%s)")

    def stand_in(self, text: str) -> bool:
        """Whether a whole name, or an address made of it, stands in the text."""
        if not self._first:
            return False
        found = spelled(text)
        # Most texts have no name, and a look for its parts is much quicker than an expression.
        there = any(all(word in found for word in order) for order in self._first)
        if there and self._whole and self._whole.search(found):
            return True
        if self._unspaced and any(name in "".join(_WORD.findall(found)) for name in self._unspaced):
            return True
        return "@" in found and bool(self._mail and self._mail.search(found))

    def hinted_in(self, text: str) -> bool:
        """Whether a part of a name stands in the text, as a name is written, or as an e-mail address."""
        if self._part and self._part.search(text):
            return True
        return "@" in text and bool(self._mail_part and self._mail_part.search(spelled(text)))


def _orders(name: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The orders in which a name's parts are written: all of them, or the first and the last, either way round."""
    if len(name) == 1:
        return {name}
    ends = (name[0], name[-1])
    return {name, (name[-1], *name[:-1]), ends, ends[::-1]}


def _mail_names(name: tuple[str, ...]) -> Iterator[str]:
    """What stands before the @ in the addresses that are made of a name, besides the whole name."""
    if len(name) > 1 and len(name[0]) > 1 and len(name[-1]) > 1:
        first, last = re.escape(name[0]), re.escape(name[-1])
        yield from (f"{first[0]}[._-]?{last}", f"{last}[._-]?{first[0]}", f"{first}[._-]?{last[0]}")


def _any(alternatives: Collection[str], within: str) -> re.Pattern[str] | None:
    longest_first = sorted(alternatives, key=lambda text: (-len(text), text))
    return re.compile(within.replace("%s", "|".join(longest_first))) if longest_first else None


class Quotations:
    """Somebody's words, to be found in other texts. What they quoted themselves is not theirs."""

    def __init__(self) -> None:
        self._runs: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._runs)

    def learn(self, text: str, but: Iterable[str] = ()) -> None:
        """Take these words for theirs, without the runs that stand in the other texts too."""
        others = {run for other in but for run in _runs(words(other))}
        self._runs |= set(_runs(words(_QUOTED_LINE.sub(_APART, text)))) - others

    def stand_in(self, text: str) -> bool:
        return bool(self._runs) and any(run in self._runs for way in as_written(text) for run in _runs(words(way)))

    def cut(self, text: str, mark: str) -> str:
        """The text with `mark` in the place of each quotation."""
        if not self.stand_in(text):
            return text
        found = list(_WORD.finditer(text))
        spoken = [spelled(match[0]) for match in found]
        kept, at, end = [], 0, -1
        for number, run in enumerate(_runs(spoken)):
            if run not in self._runs:
                continue
            if number > end + 1 or end < 0:
                kept += [text[at : found[number].start()], mark]
            end = number + QUOTE_WORDS - 1
            at = found[end].end()
        return "".join(kept) + text[at:] if kept else mark


def _runs(found: list[str]) -> Iterator[str]:
    return (" ".join(found[at : at + QUOTE_WORDS]) for at in range(len(found) - QUOTE_WORDS + 1))
