"""The line of `check` about the audit trail: it is verified here and now, as far as the time of a check goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bot.commands.check_lines import Line, good, wrong

if TYPE_CHECKING:
    from bot.store import Record
    from bot.store.audit import Unreadable
    from bot.store.data import Snapshot
    from bot.store.examining import Examination

PATIENCE = 8.0
"""Seconds; a longer trail is verified by the bot, and by `audit verify`."""
MEND = "`python -m bot audit verify` says more; find out who can write the data, and compare with a backup from before"


def trail(snapshot: Snapshot) -> Line:
    """Raises `UserError`."""
    from bot.store.data import Awaited
    from bot.store.examining import examine

    end, cut = time.monotonic() + PATIENCE, False

    async def lines() -> AsyncIterator[Record | Unreadable]:
        nonlocal cut
        from bot.store.audit import Unreadable

        for line in snapshot.salvaged("audit"):
            if time.monotonic() > end:
                cut = True
                return
            yield line if isinstance(line, dict) else Unreadable(line)

    async def examined() -> Examination:
        found = await examine(lines(), Awaited(snapshot))
        if not cut:
            await found.count(Awaited(snapshot))
        return found

    found = asyncio.run(examined())
    verdict = found.verdict
    if not cut:
        if verdict.broken_at is not None:
            return wrong("audit trail", str(verdict), MEND)
        return good("audit trail", f"{verdict.records:,} records verified, with the texts that they are about")
    return _in_part(found.chain.broken, verdict.records, snapshot)


def _in_part(broken: tuple[int, str] | None, records: int, snapshot: Snapshot) -> Line:
    """What is blanked or gone in a part may be accounted for by what comes later; the chain itself may not."""
    last = snapshot.get("state", "trail")
    if broken is None and last and last["broken_at"] is not None:
        broken = last["broken_at"], last["why"]
    if broken is not None:
        return wrong("audit trail", f"broken at seq {broken[0]}: {broken[1]}", MEND)
    told = f"; the bot verified all {last['records']:,} on {last['at'][:16]}" if last else ""
    return good("audit trail", f"the first {records:,} records are one chain{told} (all: python -m bot audit verify)")
