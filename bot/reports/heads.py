"""The heads of the audit trail that standups published, as Slack still has them.

Each standup carries the head in its metadata, in whatever channel it was posted. Who can write the data cannot write
those messages, so they vouch for the trail; how far back depends on the workspace's retention, and on who may delete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.errors import Permanent
from bot.reports.standup_message import EVENT_TYPE
from bot.store import Record
from bot.store.audit import GENESIS, Published

if TYPE_CHECKING:
    from bot.clients.slack.client import Slack

PAGES = 5000
"""Pages of 200 messages that are read of a channel: a million messages."""


@dataclass(frozen=True)
class Window:
    """From when to when what was recorded went with a restore: the backup's time and that of the restore."""

    backup: datetime
    restored: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.backup <= at <= self.restored


@dataclass(frozen=True)
class Heads:
    """What the channels hold. `lost`: published between a backup and its restore, so they cannot be in the trail.

    `posts`: (channel, ts) of every standup that was found. `closed`: channels that cannot be read, and why.
    """

    known: tuple[Published, ...]
    lost: tuple[Published, ...]
    posts: frozenset[tuple[str, str]]
    closed: Mapping[str, str]


async def published(
    slack: Slack, channels: Collection[str], windows: Collection[Window], *, pages: int = PAGES
) -> Heads:
    """Read the channels' history. Raises `RetryLater`, and `Permanent` where none can be read."""
    known: list[Published] = []
    lost: list[Published] = []
    posts: set[tuple[str, str]] = set()
    closed: dict[str, str] = {}

    async def read(channel: str) -> None:
        async for ts, payload in slack.said(channel, EVENT_TYPE, pages=pages):
            head, seq = payload.get("head"), payload.get("seq")
            if not isinstance(head, str) or len(head) != len(GENESIS) or not isinstance(seq, int):
                continue
            posts.add((channel, ts))
            at = datetime.fromtimestamp(float(ts), UTC)
            where = f"of the standup of {at:%Y-%m-%d %H:%M} UTC in {channel}"
            (lost if any(at in window for window in windows) else known).append(Published(head, where, seq))

    for number, channel in enumerate(channels, 1):
        try:
            await read(channel)
        except Permanent as error:
            closed[channel] = error.reason
            if len(closed) == number == len(channels):
                raise
    return Heads(tuple(known), tuple(lost), frozenset(posts), closed)


def window(created: str, restored: str) -> Window:
    """The window of a restore, from its record's times."""
    return Window(datetime.fromisoformat(created), datetime.fromisoformat(restored))


def standups(lines: Iterable[Record]) -> set[tuple[str, str]]:
    """(channel, ts) of the standups that the trail names."""
    found = ((line["details"].get("channel"), line["details"].get("ts")) for line in lines)
    return {(channel, ts) for channel, ts in found if isinstance(channel, str) and isinstance(ts, str)}
