"""A new record of the audit trail, written quickly: `audit.digest` says what its hash is, here that is written by hand.

It stands in the way of every commit, and a tenth of the time matters there. What does not depend on the place in the
chain is done by the caller (`Sealable`), the rest by the writer, one record after another (`seal`). Both put texts
together that are JSON already: no dict is made only to be turned into JSON again.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import NamedTuple

from bot.store import Audit
from bot.store.encoding import canonical

GENESIS = "0" * 64
FORM = 2
SALT = 32
"""Hex digits of a leaf's salt: 128 bits."""
_SPARE = 256
DELIVERY = frozenset({"body_sha256", "delivery_id", "kind", "source"})
"""Details that say how a delivery came: machines' words, which are one leaf together. Never to be changed."""


def delivery_leaf(names: Iterable[str]) -> str:
    """The name of the leaf that these of `DELIVERY` are together; it tells which, so that none comes or goes later."""
    return f"delivery.{'.'.join(sorted(names))}"


class Sealable:
    """An `Audit` that was found to be writable, with all of its record but its place in the chain."""

    __slots__ = ("_about", "_action", "_salts", "_sealed", "_told", "action", "draft_id")

    def __init__(self, entry: Audit) -> None:
        """Raises ValueError (NaN, a lone surrogate) or TypeError (not JSON)."""
        details = entry.details
        try:
            shape, texts = _shape(tuple(details)), [*map(_quoted, details.values())]
        except TypeError:  # not all are texts
            details = json.loads(canonical(dict(details)))  # as it is read back: a tuple is a list
            shape, texts = _shape(tuple(details)), [canonical(value) for value in details.values()]
        self.action, self.draft_id = entry.action, entry.draft_id
        actor, action = _quoted(entry.actor), _quoted(entry.action)
        draft_id, event_id, issue = _maybe(entry.draft_id), _maybe(entry.event_id), _maybe(entry.issue)
        order, together, delivery, rest = shape
        members = [key + texts[at] for key, at in order]
        inner = ",".join(members)
        self._action = action
        self._about = about = f'"draft_id":{draft_id},"event_id":{event_id},"form":{FORM},"issue":{issue}'
        self._told = told = f'"actor":{actor},"action":{action},{about},"details":{{{inner}}}'
        if not told.isascii():
            told.encode()  # a lone surrogate is refused here, before anybody waits for it
        salts = salt = _fresh_salt()
        sealed = f'"actor":"{sha256(f"{salt}:{actor}".encode()).hexdigest()}"'
        if together:
            value = f"{{{','.join(members[:together]) if rest else inner}}}"
            salt = _fresh_salt()
            salts += salt
            sealed += f',{delivery}"{sha256(f"{salt}:{value}".encode()).hexdigest()}"'
        for leaf, at in rest:
            salt = _fresh_salt()
            salts += salt
            sealed += f',{leaf}"{sha256(f"{salt}:{texts[at]}".encode()).hexdigest()}"'
        self._salts = salts
        self._sealed = sealed

    def seal(self, seq: int, at: str, prev: str) -> tuple[bytes, str]:
        """The next record of the chain, as it is put into the journal, and its hash.

        `at` is ISO-8601 UTC, `prev` the hash of the record before ("": the first).
        """
        prev = prev or GENESIS
        covered = (
            f'{{"action":{self._action},"at":"{at}",{self._about},"prev":"{prev}",'
            f'"sealed":{{{self._sealed}}},"seq":{seq}}}'
        )
        found = sha256(covered.encode()).hexdigest()
        record = (
            f'["audit",{{"id":"{seq}","seq":{seq},"at":"{at}",{self._told},"prev":"{prev}",'
            f'"salts":"{self._salts}","hash":"{found}"}}]'
        )
        return record.encode(), found


def _maybe(text: str | None) -> str:
    return "null" if text is None else _quoted(text)


_spare: deque[str] = deque()  # a deque, for threads may ask at the same time


def _fresh_salt() -> str:
    """Random hex digits, from the kernel, asked for many at a time: one system call costs as much as two hashes."""
    try:
        return _spare.popleft()
    except IndexError:
        _spare.extend(os.urandom(_SPARE * SALT // 2).hex(" ", SALT // 2).split())
        return os.urandom(SALT // 2).hex()


class _Shape(NamedTuple):
    """What is the same for all records with details of the same names.

    `details`: each one's name as a JSON key, and which it is; those of `DELIVERY` first, so many are `together`, else
    sorted by name. `delivery`: their leaf's name as a JSON key. `rest`: each other leaf's, and which detail it is of.
    """

    details: list[tuple[str, int]]
    together: int
    delivery: str
    rest: list[tuple[str, int]]


@lru_cache(maxsize=256)
def _shape(names: tuple[str, ...]) -> _Shape:
    order = sorted(names, key=lambda name: (name not in DELIVERY, name))
    together = [name for name in order if name in DELIVERY]
    return _Shape(
        [(f"{_quoted(name)}:", names.index(name)) for name in order],
        len(together),
        f"{_quoted(delivery_leaf(together))}:",
        [(f"{_quoted(f'details.{name}')}:", names.index(name)) for name in order[len(together) :]],
    )
