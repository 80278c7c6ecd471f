"""Where secrets stand in a text, and of which kinds. Pure, but for this process's own secrets, which it is told.

A text is searched as it stands and, where that differs, as it is read. One pass of an automaton over the literals of
all rules tells which of them are worth trying, so that an ordinary text costs little more than that pass.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick

from bot.safety import labels
from bot.safety.keys import KEY_LITERALS, private_keys
from bot.safety.numbers import numbers
from bot.safety.reading import VisibleText, read
from bot.safety.secret_kinds import KINDS, SecretKind
from bot.safety.unknown import unknown
from bot.safety.vendored import VendoredRule, vendored_rules

REDACTED = "[redacted secret]"

SecretRule = SecretKind | VendoredRule


class FoundSecret(NamedTuple):
    """A secret in a text."""

    start: int
    end: int
    kind: str


_own: Callable[[str], Iterable[tuple[int, int]]] | None = None


def hide_own(find: Callable[[str], Iterable[tuple[int, int]]] | None) -> None:
    """From now on this process's own secrets are found too, where `find` says that they stand; None: no longer.

    `bot.log.configure` calls it once at the start. It is the only state in here, and it is here on purpose: services
    echo credentials in their errors, people paste them into tickets, and all of that is searched anyway.
    """
    global _own
    _own = find


def find(text: str, *, part: bool = False) -> list[FoundSecret]:
    """The secrets in a text, in order, none inside another. `part`: see `private_keys`."""
    reading = read(text)
    found = list(_own_in(text))
    if reading is None or reading.lossy:
        found += _in_words(text, part)
    for way in (reading, read(text, underscores=True) if reading and reading.underscores else None):
        if way:
            read_so = (*_own_in(way.words), *_in_words(way.words, part))
            found += (_in_text(secret, way, text) for secret in read_so)
    if not found:
        return []
    merged: list[FoundSecret] = []
    for secret in sorted(found, key=lambda secret: secret.start):
        if merged and secret.start < merged[-1].end:
            merged[-1] = merged[-1]._replace(end=max(merged[-1].end, secret.end))
        else:
            merged.append(secret)
    return [piece for secret in merged for piece in _not_yet_hidden(secret, text)]


def _own_in(words: str) -> Iterator[FoundSecret]:
    return (FoundSecret(*span, "secret of this program") for span in (_own(words) if _own else ()))


def _in_words(words: str, part: bool) -> Iterator[FoundSecret]:
    suspects = suspected(words)
    if suspects.keys:
        yield from (FoundSecret(*span, "private key") for span in private_keys(words, suspects.keys, part=part))
    if suspects.numbers:
        yield from (FoundSecret(*number) for number in numbers(words))
    yield from by_rules(words, suspects)
    if suspects.labels:
        yield from (FoundSecret(*secret) for secret in labels.labelled(words, suspects.labels))
    yield from (FoundSecret(*token) for token in unknown(words))  # last: another rule has a better name for it


def by_rules(words: str, suspects: Suspects) -> Iterator[FoundSecret]:
    """What the rules find: our own first, whose names people know, then the vendored; of each what begins first."""
    matches = [
        (rule, match)
        for rule, places in suspects.rules
        for match in (_leading(rule, words, places) if rule.leads else rule.pattern.finditer(words))
    ]
    for rule, match in sorted(matches, key=lambda found: (isinstance(found[0], VendoredRule), found[1].start())):
        if span := rule.span(match):
            yield FoundSecret(*span, rule.name)


def _leading(rule: SecretRule, words: str, places: list[int]) -> Iterator[re.Match[str]]:
    """The matches of a rule that begin at one of the places; none inside another, which keeps this linear."""
    pattern, done = rule.pattern, 0
    for place in places:
        if place >= done and (match := pattern.match(words, place)):
            done = match.end()
            yield match


def _in_text(secret: FoundSecret, reading: VisibleText, text: str) -> FoundSecret:
    """The same where it stands in the text; with half a pair of marks in it, also the other half beside it."""
    start, end = reading.place(secret.start, secret.end)
    for mark in ("**", "~~", "`", "*", "_"):
        if text.count(mark, start, end) % 2:
            if text.startswith(mark, end):
                end += len(mark)
            elif text.endswith(mark, 0, start):
                start -= len(mark)
            break
    return FoundSecret(start, end, secret.kind)


def _not_yet_hidden(secret: FoundSecret, text: str) -> Iterator[FoundSecret]:
    """The secret without what was replaced in it before."""
    at = secret.start
    while (hidden := text.find(REDACTED, max(0, at - len(REDACTED) + 1), secret.end + len(REDACTED) - 1)) >= 0:
        if any(map(str.isalnum, text[at:hidden])):
            yield secret._replace(start=at, end=hidden)
        at = hidden + len(REDACTED)
    if any(map(str.isalnum, text[at : secret.end])):
        yield secret._replace(start=at)


# --- which rules to try -----------------------------------------------------------------------------------------------


class Suspects(NamedTuple):
    """What a text may hold, and where. What is not in here it does not hold for certain."""

    rules: list[tuple[SecretRule, list[int]]]
    """Each with the places of its literals: the matches of one that leads begin at these, if anywhere."""
    labels: list[int]
    keys: list[int]
    numbers: bool


_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_FEWEST_DIGITS = 10  # of an IBAN or a card number
_LABEL, _KEY = -1, -2  # what a literal may hint at, besides the number of a rule


@cache
def _finder() -> tuple[BytesAhoCorasick, list[list[int]], list[SecretRule]]:
    """The automaton, what each of its literals hints at, and the rules by their numbers."""
    hinted: dict[str, list[int]] = defaultdict(list)
    rules: list[SecretRule] = [*KINDS, *vendored_rules()]
    for number, hints in (
        *enumerate(rule.hints for rule in rules),
        (_LABEL, labels.LABEL_STARTS),
        (_KEY, KEY_LITERALS),
    ):
        for hint in hints:
            hinted[hint].append(number)
    return BytesAhoCorasick([hint.encode() for hint in hinted]), list(hinted.values()), rules


def suspected(words: str) -> Suspects:
    """What a text may hold, by one pass over the literals of all rules."""
    automaton, hinted, rules = _finder()
    # One byte for each character, so that the automaton's places are those of the words.
    letters = words.encode("ascii", "replace").lower()
    places: dict[int, list[int]] = defaultdict(list)
    for literal, start, _ in automaton.find_matches_as_indexes(letters, overlapping=True):
        for number in hinted[literal]:
            places[number].append(start)
    of_labels, of_keys = places.pop(_LABEL, []), places.pop(_KEY, [])
    if not words.isascii():
        of_labels += (match.start() for match in labels.FOREIGN.finditer(words))
    digits = len(letters.translate(None, _NO_DIGITS)) >= _FEWEST_DIGITS
    worth_trying = [(rules[number], found) for number, found in places.items()]
    return Suspects(worth_trying, sorted(set(of_labels)), of_keys, digits)
