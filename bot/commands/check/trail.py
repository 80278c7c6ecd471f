"""The line of `check` about the audit trail: it is verified here and now, as far as the time of a check goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.commands.check.lines import CheckLine, good, wrong

if TYPE_CHECKING:
    from bot.store.data import Snapshot

TIMEOUT = 8.0
"""Seconds; a longer trail is verified by the bot, and by `audit verify`."""
MEND = "`python -m bot audit verify` says more; find out who can write the data, and compare with a backup from before"


def trail(snapshot: Snapshot) -> CheckLine:
    """Raises `UserError`."""
    from bot.store.examining import examined

    found = examined(snapshot, seconds=TIMEOUT)
    verdict = found.verdict
    if found.complete:
        if verdict.broken_at is not None:
            return wrong("audit trail", str(verdict), MEND)
        return good("audit trail", f"{verdict.records:,} records verified, with the texts that they are about")
    return _in_part(found.chain.broken or found.wrong, verdict.records, snapshot)


def _in_part(broken: tuple[int, str] | None, records: int, snapshot: Snapshot) -> CheckLine:
    """What is blanked or gone in a part may be accounted for by what comes later; the chain itself may not."""
    last = snapshot.get("state", "trail")
    if broken is None and last and last["broken_at"] is not None:
        broken = last["broken_at"], last["why"]
    if broken is not None:
        return wrong("audit trail", f"broken at seq {broken[0]}: {broken[1]}", MEND)
    told = f"; the bot verified all {last['records']:,} on {last['at'][:10]} at {last['at'][11:16]} UTC" if last else ""
    return good("audit trail", f"the first {records:,} records are one chain{told} (all: python -m bot audit verify)")
