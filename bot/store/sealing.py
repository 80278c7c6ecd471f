"""A new record of the audit trail, written quickly: `audit.digest` says what its hash is, here that is written by hand.

It stands in the way of every commit, and a tenth of the time matters there. What does not depend on the place in the
chain is done by the caller (`Sealable`), the rest by the writer, one record after another (`seal`). Both put texts
together that are JSON already: no dict is made only to be turned into JSON again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any

from bot.store import Audit
from bot.store.encoding import canonical

GENESIS = "0" * 64


class Sealable:
    """An `Audit` that was found to be writable, with all of its record that does not depend on its place in the chain.

    `leaves`: of the actor and each detail the name, the name quoted and the value as canonical JSON, sorted by name.
    `about`: action, draft, event and issue as they are hashed. `told`: the record's JSON from `actor` to `details`.
    """

    __slots__ = ("about", "action", "action_text", "draft_id", "leaves", "told")

    def __init__(self, entry: Audit) -> None:
        """Raises ValueError (NaN, a lone surrogate) or TypeError (not JSON)."""
        details: Mapping[str, Any] = entry.details
        for name, value in details.items():
            if type(value) is not str or type(name) is not str:  # as it is read back: a tuple is a list
                details = json.loads(canonical(dict(details)))
                break
        texts = [canonical(value) for value in details.values()]
        texts.append(canonical(entry.actor))
        names, order = _names(tuple(details))
        self.action, self.draft_id = entry.action, entry.draft_id
        self.action_text = action = canonical(entry.action)
        draft_id, event_id, issue = canonical(entry.draft_id), canonical(entry.event_id), canonical(entry.issue)
        self.leaves = [(name, quoted, texts[at]) for name, quoted, at in order]
        self.about = f'"draft_id":{draft_id},"event_id":{event_id},"issue":{issue}'
        written = ",".join([name + text for name, text in zip(names, texts, strict=False)])
        # A lone surrogate is refused here, before anybody waits for it.
        self.told = (
            f'"actor":{texts[-1]},"action":{action},"event_id":{event_id},"draft_id":{draft_id},"issue":{issue},'
            f'"details":{{{written}}}'
        ).encode()

    def seal(self, *, seq: int, at: str, prev: str) -> tuple[bytes, str]:
        """The next record of the chain, as JSON, and its hash.

        `at` is ISO-8601 UTC, `prev` the hash of the record before ("": the first).
        """
        salt = secrets.token_hex(16)
        prev = prev or GENESIS
        sealed = []
        for name, quoted, text in self.leaves:
            leaf_salt = sha256(f"{salt}:{name}".encode()).hexdigest()[:32]
            sealed.append(f'{quoted}:"{sha256(f"{leaf_salt}:{text}".encode()).hexdigest()}"')
        covered = (
            f'{{"action":{self.action_text},"at":"{at}",{self.about},"prev":"{prev}",'
            f'"sealed":{{{",".join(sealed)}}},"seq":{seq}}}'
        )
        found = sha256(covered.encode()).hexdigest()
        head = f'{{"id":"{seq}","seq":{seq},"at":"{at}",'
        tail = f',"prev":"{prev}","salt":"{salt}","hash":"{found}"}}'
        return b"%s%s%s" % (head.encode(), self.told, tail.encode()), found


@lru_cache(maxsize=256)
def _names(details: tuple[str, ...]) -> tuple[list[str], list[tuple[str, str, int]]]:
    """What is the same for all records with these details: their names as JSON keys, and the leaves sorted by name.

    Of a leaf: its name, the name quoted, and which value it is of; the actor's comes after the details'.
    """
    leaves = [*(f"details.{name}" for name in details), "actor"]
    order = sorted((leaf, _quoted(leaf), at) for at, leaf in enumerate(leaves))
    return [f"{_quoted(name)}:" for name in details], order
