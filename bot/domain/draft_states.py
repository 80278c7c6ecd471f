"""The states of a draft and the arrows between them: its life, kept in the store, so that nothing waits in memory.

The way of most drafts is waiting → approved → posting → posted. All arrows, each with what makes it::

    waiting   ─ Approve, Edit ───────────────────────────→ approved
              ─ Skip ────────────────────────────────────→ skipped
              ─ a newer draft on the issue ──────────────→ superseded
              ─ nobody decided in PMAGENT_DRAFT_DAYS ────→ expired
              ─ its issue is not for the channel now ────→ expired
              ─ found in Jira after a restore ───────────→ posted
              ─ found in public after that, and deleted ─→ failed
    approved  ─ fresh, in production: the intent ────────→ posting
              ─ fresh, in simulation ────────────────────→ simulated
              ─ the issue changed, or who will see it ───→ held
              ─ what the reply says is not so ───────────→ held
              ─ Jira unreadable, or mode or card changed → waiting
              ─ an earlier POST was found ───────────────→ posted
              ─ the issue is gone, Jira takes nothing ───→ failed
              ─ its issue is not for the channel now ────→ expired
    held      ─ Post anyway ─────────────────────────────→ approved
              ─ Discard ─────────────────────────────────→ skipped
              ─ a newer draft, as by Draft anew ─────────→ superseded
              ─ nobody decided, or not for the channel ──→ expired
              ─ found in Jira after a restore ───────────→ posted
              ─ found in public after that, and deleted ─→ failed
    posting   ─ Jira took it ────────────────────────────→ posted
              ─ Jira refused it ─────────────────────────→ failed
              ─ Jira's answer was lost ──────────────────→ unknown
              ─ Jira asked to wait ──────────────────────→ approved
    failed    ─ Retry ───────────────────────────────────→ approved
              ─ Discard ─────────────────────────────────→ skipped
              ─ a newer draft ───────────────────────────→ superseded
              ─ its issue is not for the channel now ────→ expired
              ─ found in Jira after a restore ───────────→ posted
    unknown   ─ Look again ──────────────────────────────→ looking
              ─ Post again ──────────────────────────────→ approved
              ─ found in Jira after a restore ───────────→ posted
              ─ found in public after that, and deleted ─→ failed
    looking   ─ found ───────────────────────────────────→ posted
              ─ not found ───────────────────────────────→ unknown
              ─ found in public, and so deleted ─────────→ failed
    posted    ─ Undo ────────────────────────────────────→ undoing
    undoing   ─ deleted ─────────────────────────────────→ undone
              ─ Jira refused to delete it ───────────────→ posted
              ─ found in public after a restore, deleted → failed

`approved` is a decision on stable storage: whoever finds it there (its job, or the next process after a crash)
publishes it. Every change is one `save_draft` (`bot.workflow.records`): compare and set on the version, with its audit
record in the same write. An edit is a new revision, not a state: Claude's text stays beside the person's. Only an
erasure (`bot.store.erasure.erase`) is outside of this: it takes the text out of an open draft and closes it as expired.
"""

from __future__ import annotations

from enum import StrEnum


class DraftState(StrEnum):
    """Where a draft is; the drawing above has the arrows."""

    WAITING = "waiting"
    APPROVED = "approved"
    HELD = "held"
    POSTING = "posting"
    POSTED = "posted"
    SIMULATED = "simulated"
    FAILED = "failed"
    UNKNOWN = "unknown"
    LOOKING = "looking"
    UNDOING = "undoing"
    UNDONE = "undone"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


S = DraftState
TRANSITIONS: dict[DraftState, frozenset[DraftState]] = {
    S.WAITING: frozenset({S.APPROVED, S.SKIPPED, S.SUPERSEDED, S.EXPIRED, S.POSTED, S.FAILED}),
    S.APPROVED: frozenset({S.POSTING, S.SIMULATED, S.HELD, S.WAITING, S.POSTED, S.FAILED, S.EXPIRED}),
    S.HELD: frozenset({S.APPROVED, S.SKIPPED, S.SUPERSEDED, S.EXPIRED, S.POSTED, S.FAILED}),
    S.POSTING: frozenset({S.POSTED, S.FAILED, S.UNKNOWN, S.APPROVED}),
    S.FAILED: frozenset({S.APPROVED, S.SKIPPED, S.SUPERSEDED, S.EXPIRED, S.POSTED}),
    S.UNKNOWN: frozenset({S.LOOKING, S.APPROVED, S.POSTED, S.FAILED}),
    S.LOOKING: frozenset({S.POSTED, S.UNKNOWN, S.FAILED}),
    S.POSTED: frozenset({S.UNDOING}),
    S.UNDOING: frozenset({S.UNDONE, S.POSTED, S.FAILED}),
    S.SIMULATED: frozenset(),
    S.UNDONE: frozenset(),
    S.SKIPPED: frozenset(),
    S.SUPERSEDED: frozenset(),
    S.EXPIRED: frozenset(),
}

SUPERSEDABLE = frozenset({S.WAITING, S.HELD, S.FAILED})
"""States in which a newer draft on the issue takes a draft's place, and in which it follows the mode in force."""
OPEN = SUPERSEDABLE | {S.UNKNOWN}
"""States in which a person can still do something on the card (besides Undo)."""
BUSY = frozenset({S.APPROVED, S.POSTING, S.UNDOING, S.LOOKING})
"""States in which the program itself has the next move: there is a job for it."""
LAPSED = frozenset({S.SUPERSEDED, S.EXPIRED})
"""States of a draft that ended without a decision."""
