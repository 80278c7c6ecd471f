"""Drafts, events and cycles as the store's records, and the one way to change a draft: compare and set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bot.domain.draft_states import BUSY, OPEN, DraftState
from bot.domain.drafts import Draft
from bot.errors import UserError
from bot.log import get_logger
from bot.rules.learning import correction
from bot.store import Audit, Conflict, Delete, Expect, Figures, Job, Put, Record

if TYPE_CHECKING:
    from bot.context import Context
    from bot.domain.leases import OwnLease

log = get_logger(__name__)
CARD_DELAY = timedelta(seconds=0.3)
"""In which an approved draft is usually posted."""
_FIELDS = frozenset(Draft.model_fields)
_INDEXED = frozenset({"at", "issue_key", "open", "behind"})
REDRAW = Job("redraw", "cards")
"""Redraws the cards that are behind, one after another: `bot.workflow.presenting.redrawing`."""
PASSING = frozenset({DraftState.APPROVED, DraftState.POSTING, DraftState.UNDOING})
DONE = frozenset({DraftState.POSTED, DraftState.SIMULATED})


def draft_record(draft: Draft) -> Record:
    """The record of a draft, with the fields that the store indexes. `open`: somebody or something has a next move.

    `behind`: "card", where that is redrawn when its turn comes; else there is no such field.
    """
    to_be_drawn = draft.card.shown < draft.version
    return {
        **draft.model_dump(mode="json"),
        "at": _iso(draft.created),
        "issue_key": draft.issue.key,
        "open": draft.state in OPEN or draft.state in BUSY or draft.due is not None or to_be_drawn,
        **({"behind": "card"} if draft.card.behind and to_be_drawn else {}),
    }


def read_draft(record: Record) -> Draft:
    """A draft from its record."""
    return Draft.model_validate({k: v for k, v in record.items() if k not in _INDEXED})


async def open_drafts(ctx: Context, most: int) -> tuple[list[Draft], int]:
    """The drafts on which a person can decide: the oldest of them, and how many there are."""
    found: list[Record] = []
    count = 0
    for state in OPEN:
        found += await ctx.store.find("drafts", state=str(state), by="at", limit=most)
        count += await ctx.store.count("drafts", state=str(state))
    return sorted(map(read_draft, found), key=lambda draft: draft.created)[:most], count


async def load_draft(ctx: Context, draft_id: str) -> Draft:
    """The draft as it is on stable storage. Raises `UserError` when there is none of this id."""
    record = await ctx.store.get("drafts", draft_id)
    if record is None:
        raise UserError(
            "This draft is not in the store any more, so nothing was done. Ask for a new one: /pmagent draft KEY"
        )
    return read_draft(record)


async def save_draft(
    ctx: Context,
    before: Draft,
    after: Draft,
    *audit: Audit,
    jobs: Sequence[Job] = (),
    expect: Sequence[Expect] = (),
    together: bool = False,
) -> Draft:
    """Replace `before` by `after`, with its audit records and jobs, in one atomic write; its card follows by itself.
    What is to be learned from it is kept in the same write. `together`: many others change too, so its card waits for
    its turn.

    Returns the draft as it was stored. Raises `bot.store.Conflict` when the stored draft is not `before` any more (its
    state, wording, card or lease changed), or when something else is not as expected.
    """
    old = draft_record(before)
    if together and after.card.ts is not None:
        after = after.model_copy(update={"card": after.card.model_copy(update={"behind": True})})
    learned = _learned(ctx, before, after)
    unseen: tuple[Expect, ...] = ()
    if any(isinstance(change, Put) for change in learned):
        if await ctx.store.get("keys", nothing_learned(after.id)):
            learned = []
        else:
            unseen = (Expect("keys", nothing_learned(after.id), None),)
    await ctx.store.commit(
        Put("drafts", draft_record(after)),
        *learned,
        expect=(
            Expect("drafts", before.id, {name: old[name] for name in ("version", "card", "lease")}),
            *unseen,
            *expect,
        ),
        audit=audit,
        jobs=[*_card_job(ctx, before, after, together), *jobs],
    )
    return after


def nothing_learned(draft_id: str) -> str:
    """The key which says that a draft teaches nothing: its issue was withheld while the program was at work on it."""
    return f"withheld:{draft_id}"


def _learned(ctx: Context, before: Draft, after: Draft) -> list[Put | Delete]:
    """The correction that a posted or simulated draft is, where a person edited it; an undone one is none."""
    if before.state == DraftState.UNDOING:  # back to posted: what an admin forgot meanwhile stays forgotten
        return [] if after.state in (DraftState.POSTED, DraftState.UNDOING) else [Delete("corrections", after.id)]
    if after.state not in DONE or before.state in DONE:
        return []
    found = correction(after, ctx.clock.now())
    return [Put("corrections", {**found.model_dump(mode="json"), "place": found.place})] if found else []


def _card_job(ctx: Context, before: Draft, draft: Draft, together: bool) -> list[Job]:
    """The card is drawn anew after every change but those of the card's own state.

    A draft whose next state is a moment away waits that moment, so that a quick outcome is one update in Slack, which
    takes about one a second, and is seen at once. One that is changed along with many others waits for its turn.
    """
    if draft.version == before.version:
        return []
    if draft.card.behind and (together or not before.card.behind):
        return [REDRAW]
    return [Job("card", draft.id, at=ctx.clock.now() + CARD_DELAY if draft.state in PASSING else None)]


def audit(
    draft: Draft, name: str, actor: str, /, *, seconds: float | None = None, usd: float = 0.0, part: str = "",
    words: int = 0, **details: Any,
) -> Audit:  # fmt: skip
    """An audit record about a draft: facts and hashes, no texts. `seconds`, `usd`, `part`, `words`: what it adds to the
    figures."""
    facts = {"state": str(draft.state), "mode": draft.mode, "sha256": draft.revisions[-1].sha256, **details}
    return Audit(
        actor, name, draft.event_id, draft.id, draft.issue.key, {k: v for k, v in facts.items() if v is not None},
        Figures(seconds, usd, draft.prompt, part, words),
    )  # fmt: skip


async def move(
    ctx: Context, draft: Draft, to: DraftState, action: str, *, together: bool = False, **values: Any
) -> Draft | None:
    """The next state, by the program itself. Values that are fields of a draft change it, the others are audit details.
    `together`: as `save_draft` has it.

    None when the draft is not what it was any more, because another process has taken it over: then nothing is done.
    """
    fields = {name: value for name, value in values.items() if name in _FIELDS}
    details = {name: value for name, value in values.items() if name not in _FIELDS}
    current = draft
    while True:
        after = current.moved(to, **fields)
        try:
            line = audit(after, action, "system", **details)
            after = await save_draft(ctx, current, after, line, together=together)
        except Conflict:
            newer = await load_draft(ctx, draft.id)
            if _overtaken(draft, newer):
                log.warning("publish.overtaken", draft_id=draft.id, state=str(newer.state), wanted=str(to))
                return None
            current = newer  # only the card was redrawn meanwhile
            continue
        if to in (DraftState.FAILED, DraftState.UNKNOWN):
            log.warning(action, draft_id=draft.id, event_id=draft.event_id, issue=after.issue.key, reason=after.note)
        return after


async def lease_draft(ctx: Context, draft: Draft, own: OwnLease, *expect: Expect) -> Draft | None:
    """The draft under a lease of this attempt from now on: to take it over, and right before something is sent.

    None when somebody else has it, or has changed it, or when something is not as expected: then nothing may be sent.
    """
    current = draft
    while True:
        try:
            return await save_draft(ctx, current, current.model_copy(update={"lease": own.renew()}), expect=expect)
        except Conflict as conflict:
            newer = await load_draft(ctx, draft.id)
            if conflict.expect in expect or _overtaken(draft, newer):
                return None
            current = newer  # only the card was redrawn meanwhile


def _overtaken(draft: Draft, newer: Draft) -> bool:
    return (newer.version, newer.lease) != (draft.version, draft.lease)


def seconds_left(ctx: Context, draft: Draft) -> float:
    """Seconds until the draft is due; 0 when it is."""
    return max(0.0, (draft.due - ctx.clock.now()).total_seconds()) if draft.due else 0.0


def _iso(at: datetime) -> str:
    return at.isoformat()
