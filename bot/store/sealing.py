"""A new record of the audit trail, written quickly: `audit.digest` says what its hash is, here that is written by hand.

It stands in the way of every commit, and a tenth of the time matters there. What does not depend on the place in the
chain is done by the caller (`Sealable`), the rest by the writer, one record after another (`seal`). Both put texts
together that are JSON already: no dict is made only to be turned into JSON again.
"""

from __future__ import annotations

import json
import os
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
        actor, action = canonical(entry.actor), canonical(entry.action)
        draft_id, event_id, issue = canonical(entry.draft_id), canonical(entry.event_id), canonical(entry.issue)
        order, together, leaves = shape
        members = [key + texts[at] for key, at in order]
        inner = ",".join(members)
        self._action = action
        self._about = about = f'"draft_id":{draft_id},"event_id":{event_id},"form":{FORM},"issue":{issue}'
        self._told = told = f'"actor":{actor},"action":{action},{about},"details":{{{inner}}}'
        if not told.isascii():
            told.encode()  # a lone surrogate is refused here, before anybody waits for it
        self._salts = salts = os.urandom(len(leaves) * SALT // 2).hex()
        sealed = f'"actor":"{sha256(f"{salts[:SALT]}:{actor}".encode()).hexdigest()}"'
        values = []
        if together:
            values.append(f"{{{','.join(members[:together]) if together < len(order) else inner}}}")
        if together < len(order):
            values += [texts[at] for _, at in order[together:]]
        start = SALT
        for leaf, value in zip(leaves[1:], values, strict=True):
            end = start + SALT
            sealed += f',{leaf}"{sha256(f"{salts[start:end]}:{value}".encode()).hexdigest()}"'
            start = end
        self._sealed = sealed

    def seal(self, *, seq: int, at: str, prev: str) -> tuple[bytes, str]:
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


class _Shape(NamedTuple):
    """What is the same for all records with details of the same names.

    `details`: each one's name as a JSON key, and which it is. Those of `DELIVERY` come first, so many are `together`;
    else sorted by name. `leaves`: the leaves' names as JSON keys, sorted.
    """

    details: list[tuple[str, int]]
    together: int
    leaves: list[str]


@lru_cache(maxsize=256)
def _shape(names: tuple[str, ...]) -> _Shape:
    order = sorted(names, key=lambda name: (name not in DELIVERY, name))
    together = [name for name in order if name in DELIVERY]
    leaves = ["actor", *([delivery_leaf(together)] if together else [])]
    leaves += [f"details.{name}" for name in order[len(together) :]]
    return _Shape(
        [(f"{_quoted(name)}:", names.index(name)) for name in order],
        len(together),
        [f"{_quoted(leaf)}:" for leaf in leaves],
    )
