"""The fields of each table that are looked up by an index; `embedded.schema` and `postgres.migrations` make them."""

from __future__ import annotations

from bot.store import Table

INDEXES: dict[Table, tuple[tuple[str, ...], ...]] = {
    "webhook_events": (("state",), ("issue",), ("comment",), ("at",)),
    "agent_cycles": (("event_id",),),
    "drafts": (
        ("state", "at"), ("state", "expires"), ("mode", "state", "at"), ("behind", "at"), ("issue_key", "open"),
        ("issue_key",), ("event_id",), ("answered",), ("open",),
    ),
    "audit": (("draft_id",),),
    "development": (),
    "messages": (("pending",),),
    "keys": (),
    "state": (),
    "deliveries": (),
    "rollup": (("day",),),
    "corrections": (("place",), ("issue",)),
    "jobs": (),
}  # fmt: skip
"""The indexes of each table, by the fields that they cover."""
LISTS: dict[Table, str] = {"development": "keys"}
"""A field that holds a list, of which each member is indexed."""


def indexed(table: Table) -> frozenset[str]:
    """The fields for which an equality is answered by an index."""
    return frozenset(fields[0] for fields in INDEXES[table])
