"""A new record of the audit trail, written quickly: `audit.digest` says what its hash is, here that is written by hand.

It stands in the way of every commit, and a tenth of the time matters there. What does not depend on the place in the
chain is done by the caller (`Sealable.of`), the rest by the writer, one record after another (`seal`).
"""

from __future__ import annotations

import json
import secrets
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple

from bot.store import Audit, Record
from bot.store.encoding import canonical

GENESIS = "0" * 64


class Sealable(NamedTuple):
    """An `Audit` that was found to be writable. `leaves`: actor and details as (name, canonical JSON), sorted by name.

    `action` and `about` (draft, event, issue) are parts of the text that is hashed.
    """

    entry: Audit
    details: dict[str, Any]
    leaves: list[tuple[str, str]]
    action: str
    about: str

    @classmethod
    def of(cls, entry: Audit) -> Sealable:
        """Raises ValueError (NaN, a lone surrogate) or TypeError (not JSON)."""
        details = dict(entry.details)
        for name, value in entry.details.items():
            if type(value) is not str or type(name) is not str:  # as it is read back: a tuple is a list
                details = json.loads(canonical(details))
                break
        leaves = [(f"details.{name}", canonical(value)) for name, value in details.items()]
        leaves.append(("actor", canonical(entry.actor)))
        leaves.sort()
        action = canonical(entry.action)
        about = (
            f'"draft_id":{canonical(entry.draft_id)},"event_id":{canonical(entry.event_id)},'
            f'"issue":{canonical(entry.issue)}'
        )
        for name, text in leaves:
            (name + text).encode()  # a lone surrogate is refused here, before anybody waits for it
        (action + about).encode()
        return cls(entry, details, leaves, action, about)

    def seal(self, *, seq: int, at: str, prev: str) -> Record:
        """The next record of the chain. `at` is ISO-8601 UTC, `prev` the hash of the record before ("": the first)."""
        entry = self.entry
        salt = secrets.token_hex(16)
        prev = prev or GENESIS
        sealed = []
        for name, text in self.leaves:
            leaf_salt = sha256(f"{salt}:{name}".encode()).hexdigest()[:32]
            sealed.append(f'{_quoted(name)}:"{sha256(f"{leaf_salt}:{text}".encode()).hexdigest()}"')
        covered = (
            f'{{"action":{self.action},"at":"{at}",{self.about},"prev":"{prev}",'
            f'"sealed":{{{",".join(sealed)}}},"seq":{seq}}}'
        )
        return {
            "id": str(seq), "seq": seq, "at": at, "actor": entry.actor, "action": entry.action,
            "event_id": entry.event_id, "draft_id": entry.draft_id, "issue": entry.issue, "details": self.details,
            "prev": prev, "salt": salt, "hash": sha256(covered.encode()).hexdigest(),
        }  # fmt: skip
