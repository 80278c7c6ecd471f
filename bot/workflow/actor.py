"""Actor: the person who does something."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who does something: a Slack user id and the name to show."""

    id: str
    name: str

    @property
    def account(self) -> str:
        """The name in the audit trail and in revisions."""
        return f"slack:{self.id}"
