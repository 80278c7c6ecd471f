"""A card's text for notifications and screen readers: what became of the reply, and the issue's key."""

from __future__ import annotations

from bot.cards.parts import key_of
from bot.cards.states import held_by
from bot.domain.draft_states import DraftState
from bot.domain.drafts import Draft

S = DraftState
NOTIFICATIONS = {
    S.WAITING: "Draft reply for {key} waits for a decision",
    S.APPROVED: "Reply for {key} approved",
    S.HELD: "Reply for {key} is held: the issue changed",
    S.POSTING: "Reply for {key} is being posted",
    S.POSTED: "Reply for {key} posted",
    S.SIMULATED: "Reply for {key} simulated",
    S.FAILED: "Reply for {key} was not posted",
    S.UNKNOWN: "Reply for {key}: it is not certain that it was posted",
    S.LOOKING: "Reply for {key}: looking for it in Jira",
    S.UNDOING: "Reply for {key} is being undone",
    S.UNDONE: "Reply for {key} undone",
    S.SKIPPED: "Draft reply for {key} skipped",
    S.SUPERSEDED: "Draft reply for {key} was replaced by a newer one",
    S.EXPIRED: "Draft reply for {key} expired",
}


def notification(draft: Draft) -> str:
    """The message's `text`: our own words and the issue's key."""
    said = NOTIFICATIONS[draft.state].format(key=key_of(draft.issue.key))
    if draft.state is S.HELD and held_by(draft) == "claims":
        said = f"Reply for {key_of(draft.issue.key)} is held: something it says is not so"
    return said
