"""What the engines do alike: come to an end, and tell of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from bot.domain.health import HealthLine
from bot.log import get_logger
from bot.queue import Kinds

log = get_logger("bot.queue")


class KindStatus(NamedTuple):
    """The status of one kind. `hold_reason`: why it rests. `stuck`: the jobs that wait for a reason, with it."""

    running: int
    waiting: int
    hold_reason: str | None
    stuck: list[tuple[str, str]]


async def finish(running: set[asyncio.Task[None]], seconds: float) -> None:
    """Let these attempts come to their end within `seconds`; those that are left are cancelled."""
    if not running:
        return
    _, late = await asyncio.wait(running, timeout=seconds)
    for task in late:
        task.cancel()
    if late:
        await asyncio.wait(late, timeout=2.0)
        log.info("queue.parked", jobs=len(late))


def health_lines(unready: str | None, kinds: Kinds, told: Mapping[str, KindStatus]) -> list[HealthLine]:
    """For `/pmagent health`. `unready`: why no jobs are carried out."""
    running, later = sum(kind.running for kind in told.values()), sum(kind.waiting for kind in told.values())
    why = "".join(f"; {name}s wait: {kind.hold_reason}" for name, kind in told.items() if kind.hold_reason)
    lines = [HealthLine("worker", unready is None, unready or f"{running} running, {later} waiting{why}")]
    for name, kind in kinds.items():
        if kind.told and (stuck := told[name].stuck):
            more = f", and {len(stuck) - 1} more" if len(stuck) > 1 else ""
            lines.append(HealthLine(kind.told, False, f"{' '.join(stuck[0])}{more}"))
    return lines
