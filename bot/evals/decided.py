"""The decided events of an installation, from its records: what Claude was shown, what it wrote, what became of it.

Pure. A draft that nobody has decided on yet is left out, and so is whatever holds no request any more, because it was
erased, or its issue is not for the channel now.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from bot.domain.draft_states import DraftState
from bot.domain.drafts import Draft
from bot.store import Record
from bot.store.data import Snapshot

S = DraftState
_BY_A_PERSON = {
    S.POSTED: "approved", S.SIMULATED: "approved", S.UNDONE: "approved and undone", S.SKIPPED: "skipped",
}  # fmt: skip


class Decided(NamedTuple):
    """One event. `messages`: what was shown, by purpose (`triage`, `reply`). `drafted`: Claude's words, "" for silence.

    `outcome`: what became of it, in words; `final`: what was approved. `cost`: US dollars, then.
    """

    event_id: str
    at: str
    issue: str
    messages: dict[str, str]
    why: str
    drafted: str
    outcome: str
    final: str
    cost: float


def decided(snapshot: Snapshot, since: datetime | None) -> Iterator[Decided]:
    """Those since then, oldest first."""
    for cycle in snapshot.find("agent_cycles", since=since):
        messages = {call["purpose"]: call["shown"] for call in cycle.get("calls", ()) if _whole(call)}
        if not messages:
            continue
        if cycle["outcome"] == "silence":
            yield _of(cycle, messages, "", "silence", "")
        elif cycle["outcome"] == "draft" and (record := snapshot.get("drafts", cycle["draft_id"])):
            yield from _drafted(cycle, messages, record)


def _whole(call: dict[str, Any]) -> bool:
    return call.get("purpose") in ("triage", "reply") and "</untrusted_data>" in call.get("shown", "")


def _drafted(cycle: Record, messages: dict[str, str], record: Record) -> Iterator[Decided]:
    draft = Draft.model_validate({k: v for k, v in record.items() if k in Draft.model_fields})
    outcome = _BY_A_PERSON.get(draft.state)
    if outcome is None or draft.withheld or draft.decision is None:
        return
    edited = " after an edit" if draft.edited and draft.state is not S.SKIPPED else ""
    words = f"{outcome}{edited} by {draft.decision.name}"
    final = "" if draft.state is S.SKIPPED else draft.text
    yield _of(cycle, messages, draft.revisions[0].text, words, final)


def _of(cycle: Record, messages: dict[str, str], drafted: str, outcome: str, final: str) -> Decided:
    return Decided(
        cycle["event_id"], cycle["at"], cycle["issue"] or "", messages, cycle.get("reasoning") or cycle["reason"],
        drafted, outcome, final, float(cycle.get("cost_usd") or 0.0),
    )  # fmt: skip
