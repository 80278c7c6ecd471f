"""A draft, whole: everything that its card shows and that posting it needs. Its states are in `draft_states`."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, Literal

from bot.claims.claim import Claim
from bot.domain.corrections import SkipReason
from bot.domain.draft_states import BUSY, OPEN, TRANSITIONS, DraftState
from bot.domain.issues import Frozen, Issue, Visibility
from bot.domain.leases import Lease
from bot.errors import Illegal
from bot.support.given import Given

MAX_DRAFT_LENGTH = 3000
"""Characters in a draft: the limit of Slack's plain_text_input, so that every draft can be edited."""

MARKER = "pm-agent"
"""The key of the comment property by which our comments are known, from their first moment."""
UNDO_FOR = timedelta(minutes=10)
"""How long Undo is offered on a posted comment's card."""


Mode = Literal["simulation", "production"]


class Revision(Frozen):
    """One wording of a draft. `by` is `claude` or `slack:U…`; `at` is when it was written."""

    text: str
    by: str
    at: datetime

    @property
    def sha256(self) -> str:
        """Hex digest of the Markdown in UTF-8: what the marker in Jira carries, and what a click is bound to."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class Decision(Frozen):
    """Who moved the draft last, how, and when. `action`: approve, edit, skip, retry, post_anyway, undo, …"""

    action: str
    by: str
    name: str
    at: datetime


class Card(Frozen):
    """The Slack message of a draft. `shown` is the draft version that it shows; behind `version`: to be redrawn.

    `sending_since`: when it was first sent, under `lease`, where it is not known yet which message it became.
    `behind`: it was changed along with many others, and is redrawn when its turn comes
    (`bot.workflow.presenting.redrawing`).
    """

    channel: str
    ts: str | None = None
    shown: int = 0
    sending_since: datetime | None = None
    lease: Lease | None = None
    behind: bool = False


class Posted(Frozen):
    """The comment in Jira."""

    comment_id: str
    url: str
    at: datetime


class Draft(Frozen):
    """A drafted reply, whole: everything that the card shows and that the publisher needs.

    `version` grows with every change (compare and set is on it); `revision` is the index of the current wording.
    `issue` is the issue as it was when this was drafted (for `held`: as it is shown on the card now).
    `answered` is the comment's id, None when the issue itself is answered; `described`: because its description was
    changed. `look_alikes`: sentences about accounts whose name looks like another's in the issue. `audience`: `public`
    is everybody who sees the issue, `internal` a service desk note, `restricted` the same role or group as the answered
    comment. `customer`: the reply will be seen by a service desk customer. `links`: addresses that stood in the issue
    or its pull requests when it was drafted. `rendering`: the digest of the present wording as it was rendered for the
    card (`bot.markup.Rendered.digest`): only what still comes out the same is posted. `expires`: without the pauses
    since; `paused_before`: seconds that all earlier ones lasted. `note`: a sentence about what stands in the way, shown
    on the card. `attempts`: POSTs tried. `lease`: of who is posting it. `changes`: sentences about what holds it, as
    shown on the card (state `held`): what changed in the issue, and what the reply says that is not so. `claims`: the
    latter as `bot.claims.Contradiction.key`, so that "Post anyway" counts for exactly them. `unchecked`: sentences
    about what could not be checked at Approve. `given`: what can be looked up of the data that Claude was given.
    `stated`: what the present wording states; None while nobody has said. `unsupported`: its words that `given`
    does not support. `look_twice`: what deserves a second look in it, in Claude's words. `doubts`: sentences about
    what it states and what was not so when it was drafted. `withheld`: the issue is not for the channel any more,
    so the card shows its key and no content. `skip_reason`: why whoever skipped it says they did. `restored`: it
    comes from a backup, and may have been posted since this time; None when it does not, or when Jira was asked.
    """

    id: str
    event_id: str
    cycle_id: str
    issue: Issue
    state: DraftState = DraftState.WAITING
    version: int = 1
    mode: Mode
    revisions: tuple[Revision, ...]
    answered: str | None = None
    answered_text: str = ""
    answered_author: str = ""
    answered_at: datetime | None = None
    described: bool = False
    look_alikes: tuple[str, ...] = ()
    audience: Literal["public", "internal", "restricted"] = "public"
    customer: bool = False
    visibility: Visibility | None = None
    why: str = ""
    confidence: float = 0.0
    sources: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    rendering: str = ""
    model: str
    prompt: str
    created: datetime
    expires: datetime
    paused_before: float = 0.0
    card: Card
    decision: Decision | None = None
    decided: tuple[Decision, ...] = ()
    posted: Posted | None = None
    intent_at: datetime | None = None
    due: datetime | None = None
    attempts: int = 0
    lease: Lease | None = None
    note: str = ""
    changes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    given: Given | None = None
    stated: tuple[Claim, ...] | None = None
    unsupported: tuple[str, ...] = ()
    look_twice: str = ""
    doubts: tuple[str, ...] = ()
    superseded_by: str | None = None
    withheld: bool = False
    skip_reason: SkipReason | None = None
    restored: datetime | None = None

    @property
    def revision(self) -> int:
        return len(self.revisions) - 1

    @property
    def text(self) -> str:
        return self.revisions[-1].text

    @property
    def edited(self) -> bool:
        return len(self.revisions) > 1

    @property
    def needs_search(self) -> bool:
        """Whether it comes from a backup and Jira has not said yet if it was posted since: nobody can decide on it."""
        return self.restored is not None and (self.state in OPEN or self.state in BUSY)

    @property
    def fingerprint(self) -> str:
        """What a person saw when they clicked: wording, audience, mode, state, and what had changed in the issue.

        Every button carries it; a click whose fingerprint is not the draft's decides nothing. The number of decisions
        is in it too: a state can come back (held, failed, unknown), and a click on its earlier card does not mean it.
        """
        seen = [
            self.id, self.revisions[-1].sha256, self.audience, self.customer, self.mode, self.state, len(self.decided),
            *self.changes,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:16]

    def moved(self, to: DraftState, **changes: Any) -> Draft:
        """This draft in its next state, one version on. Raises `Illegal` where there is no such arrow."""
        if to != self.state and to not in TRANSITIONS[self.state]:
            raise Illegal(f"draft {self.id}: {self.state} → {to}")
        return self.model_copy(update={"state": to, "version": self.version + 1, "lease": None, **changes})
