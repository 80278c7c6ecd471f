"""The audit trail: a hash chain that holds no text, and whose people can be erased without breaking it.

::

    hash   = SHA-256 of {seq, at, action, event_id, draft_id, issue, prev, sealed}   (canonical JSON)
    prev   = the hash of the record before (the first: 64 zeros)
    sealed = {"actor": leaf, "delivery.NAMES": leaf, "details.KEY": leaf, …}
    leaf   = SHA-256 of leaf salt + canonical JSON of the value

So a record's hash covers everything, but who acted, and each detail, only through a salted hash. The details of
`DELIVERY` are one leaf, an object, named after those that there are; each other detail is a leaf of its own.
The record's `salts` are its leaves' salts, each 32 random hex digits, in the order of the leaves' names.

`blank` removes a leaf's value for good: it keeps the leaf hash of what went (`erased`, by name) and the leaf salts of
what stays (`salts`, by name now), and drops the others. Nobody can try ids against the leaf hash then, and the chain
still verifies, as long as a later `erase` record in the chain names the leaf (`bot.store.audit`).
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any

from bot.store import Audit, Record
from bot.store.encoding import canonical_json

GENESIS = "0" * 64
SALT = 32
"""Hex digits of a leaf's salt: 128 bits."""
DELIVERY = frozenset({"body_sha256", "delivery_id", "kind", "source"})
"""Details that say how a delivery came: machines' words, which are one leaf together. Never to be changed."""
ERASED = "erased"

_HASHED = ("seq", "at", "action", "event_id", "draft_id", "issue", "prev")
FIELDS = frozenset({*_HASHED, "id", "actor", "details", "hash", "salts", "erased"})
"""The fields of a record."""


def _delivery_leaf(names: Iterable[str]) -> str:
    """The name of the leaf that these of `DELIVERY` are together; it tells which, so that none comes or goes later."""
    return f"delivery.{'.'.join(sorted(names))}"


def _leaf(leaf_salt: str, value: Any) -> str:
    return sha256(b"%s:%s" % (leaf_salt.encode(), canonical_json(value))).hexdigest()


def _details_of_leaves(record: Mapping[str, Any]) -> dict[str, list[str]]:
    """The leaves of the details by name: which details each covers."""
    names = record["details"].keys()
    together = names & DELIVERY
    found = {f"details.{name}": [name] for name in names if name not in together}
    return {_delivery_leaf(together): sorted(together), **found} if together else found


def _leaves(record: Mapping[str, Any]) -> dict[str, Any]:
    """Each leaf's value."""
    leaves, details = {"actor": record["actor"]}, record["details"]
    for leaf, names in _details_of_leaves(record).items():
        alone = leaf == f"details.{names[0]}"
        leaves[leaf] = details[names[0]] if alone else {name: details[name] for name in names}
    return leaves


def _is_blank(leaf: str, value: Any) -> bool:
    if leaf == "actor" or leaf.startswith("details."):
        return bool(value == ERASED)
    return all(detail == ERASED for detail in value.values())


def _salts(record: Mapping[str, Any], leaves: Collection[str]) -> Mapping[str, str]:
    """The salts of the leaves: of all, or in a blanked record of those that are not blank."""
    match record["salts"]:
        case dict(salts):
            return salts
        case str(salts) if len(salts) == SALT * len(leaves):
            return {name: salts[SALT * at : SALT * (at + 1)] for at, name in enumerate(sorted(leaves))}
    raise ValueError("its salts are not those of an audit record")


def _sealed(record: Mapping[str, Any]) -> dict[str, str]:
    """Name → leaf hash. Raises ValueError with the reason where a blanked value is not blank."""
    gone: dict[str, str] = record.get("erased") or {}
    leaves = _leaves(record)
    salts = _salts(record, leaves)
    sealed: dict[str, str] = {}
    for name, value in leaves.items():
        if name not in gone:
            sealed[name] = _leaf(salts[name], value)
        elif not _is_blank(name, value):
            raise ValueError(f"{name} was erased and has a value again")
        else:
            sealed[name] = gone[name]
    if gone.keys() - sealed.keys():
        raise ValueError("an erased value is missing")
    return sealed


def digest(record: Mapping[str, Any]) -> str:
    """The hash that a record should have. Raises KeyError, TypeError or ValueError for one that is no audit record."""
    covered = {name: record[name] for name in _HASHED}
    return sha256(canonical_json({**covered, "sealed": _sealed(record)})).hexdigest()


def seal(entry: Audit, *, seq: int, at: str, prev: str) -> Record:
    """The next record of the chain. `at` is ISO-8601 UTC, `prev` the hash of the record before ("": the first)."""
    record: Record = {
        "id": str(seq), "seq": seq, "at": at, "actor": entry.actor, "action": entry.action,
        "draft_id": entry.draft_id, "event_id": entry.event_id, "issue": entry.issue,
        "details": dict(entry.details), "prev": prev or GENESIS,
    }  # fmt: skip
    record["salts"] = secrets.token_hex(SALT // 2 * len(_leaves(record)))
    record["hash"] = digest(record)
    return record


def check_audit(entry: Audit) -> None:
    """Raises ValueError (NaN, a lone surrogate) or TypeError (not JSON) for what could not be sealed."""
    canonical_json([entry.actor, entry.action, entry.event_id, entry.draft_id, entry.issue, dict(entry.details)])


def blank(record: Mapping[str, Any], names: Collection[str]) -> Record:
    """`record` without these values (`actor`, `details.KEY`), its hash unchanged. A leaf goes as a whole."""
    covered = _details_of_leaves(record)
    wanted = {leaf for leaf, details in covered.items() if any(f"details.{name}" in names for name in details)}
    wanted |= {"actor"} & set(names) | (record.get("erased") or {}).keys()
    sealed = _sealed(record)
    gone = {leaf: sealed[leaf] for leaf in sealed if leaf in wanted}
    salts = _salts(record, sealed)
    without = {name for leaf in gone for name in covered.get(leaf, ())}
    found = {name: value for name, value in record.items() if name not in ("salts", "erased")}
    found["actor"] = ERASED if "actor" in gone else record["actor"]
    found["details"] = {name: ERASED if name in without else value for name, value in record["details"].items()}
    found["salts"] = {leaf: salts[leaf] for leaf in sealed if leaf not in gone}
    return {**found, "erased": gone}
