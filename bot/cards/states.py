"""The lower part of a draft's card, one method per state: its sentence and its buttons (Approve, Edit, Skip, Undo)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from bot.cards.actions import (
    APPROVE,
    DRAFT_ANEW,
    EDIT,
    LOOK_AGAIN,
    POST_AGAIN,
    POST_ANYWAY,
    RETRY,
    SKIP,
    UNDO,
)
from bot.cards.parts import (
    Block,
    button,
    buttons,
    clock,
    context,
    issue_url,
    link,
    listing,
    mode_words,
    named,
    not_there,
    one_line,
    rich,
    section,
    text,
)
from bot.domain.draft_states import DraftState
from bot.domain.drafts import UNDO_FOR, Decision, Draft
from bot.safety.quoting import shortened

S = DraftState
APPROVING = frozenset({"approve", "edit", "retry", "post_anyway", "post_again"})

HELD_REASONS = {
    "issue": "the issue changed since this was drafted",
    "claims": "something it says is not so",
    "both": "the issue changed since this was drafted, and something it says is not so",
}


def held_by(draft: Draft) -> Literal["issue", "claims", "both"]:
    """What a held draft waits for: a change of its issue, something that it says and that is not so, or both."""
    if not draft.claims:
        return "issue"
    return "both" if len(draft.changes) > len(draft.claims) else "claims"


def state_blocks(draft: Draft, *, site: str, now: datetime, timezone: ZoneInfo, newer_url: str | None) -> list[Block]:
    """The blocks that end the card. See `bot.domain.draft_states`."""
    return _StateBlocks(draft, site, now, timezone, newer_url).blocks()


class _StateBlocks:
    def __init__(self, draft: Draft, site: str, now: datetime, timezone: ZoneInfo, newer_url: str | None) -> None:
        self.draft, self.site, self.now, self.timezone, self.newer_url = draft, site, now, timezone, newer_url
        self.last = draft.decision
        self.approval = _last(draft, APPROVING) or draft.decision

    def blocks(self) -> list[Block]:
        say = {
            S.WAITING: self.waiting, S.APPROVED: self.approved, S.HELD: self.held, S.POSTING: self.posting,
            S.POSTED: self.posted, S.SIMULATED: self.simulated, S.FAILED: self.failed, S.UNKNOWN: self.unknown,
            S.LOOKING: self.looking, S.UNDOING: self.undoing, S.UNDONE: self.undone, S.SKIPPED: self.skipped,
            S.SUPERSEDED: self.superseded, S.EXPIRED: self.expired,
        }  # fmt: skip
        return self.restored() if self.draft.needs_search else say[self.draft.state]()

    # The states

    def restored(self) -> list[Block]:
        return self._busy("A backup was restored.", " Looking in Jira whether this was posted since.")

    def waiting(self) -> list[Block]:
        blocks = []
        if self.draft.note:
            # An approval that could not be carried out (Jira unreadable) or does not count any more (the mode changed).
            blocks.append(self._said(text("Still waiting. ", bold=True), shortened(self.draft.note, 500)))
        row = [
            self._button("Approve", APPROVE, style="primary"),
            self._button("Edit", EDIT),
            self._button("Skip", SKIP),
        ]
        return [*blocks, buttons(*row), context(mode_words(self.draft, "Approve"))]

    def approved(self) -> list[Block]:
        doing = "Looking at the issue once more" if self.draft.mode == "simulation" else "Posting it to Jira"
        when = f" {clock(self.draft.due, self.now, self.timezone)}" if self.draft.due else ""
        return self._busy(f"Approved by {self._who()}.", f" {doing}{when}.")

    def posting(self) -> list[Block]:
        return self._busy(f"Approved by {self._who()}.", " Posting it to Jira.")

    def held(self) -> list[Block]:
        changes: Sequence[str] = [one_line(change, 250) for change in self.draft.changes] or ["The issue changed."]
        head = section(
            text(f"Held: {HELD_REASONS[held_by(self.draft)]}.", bold=True),
            f" {named(self.approval.name)} approved it; nothing was posted." if self.approval else "",
        )
        blocks = [self._outcome(head, listing(changes)), *self._note(), *self._unchecked()]
        row = [
            self._button("Post anyway", POST_ANYWAY),
            self._button("Draft anew", DRAFT_ANEW, style="primary"),
            self._button("Discard", SKIP),
        ]
        return [*blocks, buttons(*row), context(mode_words(self.draft, "Post anyway"))]

    def posted(self) -> list[Block]:
        draft, found = self.draft, self.draft.posted
        at = found.at if found else (self.approval.at if self.approval else self.now)
        head, words = "✓ Posted", ""  # by whom and with which words is not known of one that a restore had forgotten
        if self.approval:
            head = f"✓ Posted by {named(self.approval.name)}"
            words = " with an edit" if draft.edited else " as drafted"
        parts: list[str | Block] = [text(head, bold=True), f" {clock(at, self.now, self.timezone)}{words}"]
        if found:
            parts += [" · ", link(issue_url(self.site, draft.issue.key, found.comment_id), "View in Jira")]
        blocks = [self._said(*parts), *self._note(), *self._unchecked()]
        if found and self.now < found.at + UNDO_FOR:
            until = (found.at + UNDO_FOR).astimezone(self.timezone)
            mailed = " It may already have been mailed." if draft.audience == "public" else ""
            blocks.append(buttons(self._button("Undo", UNDO)))
            blocks.append(context(f"Until {until:%H:%M}, Undo deletes the comment in Jira.{mailed}"))
        return blocks

    def simulated(self) -> list[Block]:
        words = "with an edit" if self.draft.edited else "as drafted"
        return [
            self._said(
                text(f"✓ Simulated: approved by {self._who()}", bold=True),
                f" {words}. The text above would have been posted to {self.draft.issue.key}; Jira was not written to.",
            ),
            *self._note(),
            *self._unchecked(),
        ]

    def failed(self) -> list[Block]:
        reason = shortened(self.draft.note, 700) or "Jira refused it."
        head = self._said(text("✗ Not posted.", bold=True), f" {reason[0].upper()}{reason[1:]}")
        row = [self._button("Retry", RETRY, style="primary"), self._button("Discard", SKIP)]
        return [head, buttons(*row), context(f"Approved by {self._who()}. Retry once the cause is mended.")]

    def unknown(self) -> list[Block]:
        reason = f" {shortened(self.draft.note, 700)}" if self.draft.note else ""
        head = self._said(
            text("It is not certain that this reached Jira.", bold=True),
            f"{reason} Look at the issue before you post again. ",
            link(issue_url(self.site, self.draft.issue.key), "Open the issue"),
        )
        row = [
            self._button("Look again", LOOK_AGAIN, style="primary"),
            self._button("Post again", POST_AGAIN),
        ]
        more = context(f"Approved by {self._who()}. Post again may make a second comment if the first is there.")
        return [head, buttons(*row), more]

    def looking(self) -> list[Block]:
        return self._busy("Looking for the comment in Jira.", f" Asked by {self._who(self.last)}.")

    def undoing(self) -> list[Block]:
        return self._busy("Undoing: deleting the comment in Jira.", f" Asked by {self._who(self.last)}.")

    def undone(self) -> list[Block]:
        mailed = " It may already have been mailed." if self.draft.audience == "public" else ""
        undo = _last(self.draft, frozenset({"undo"})) or self.last
        return [
            self._said(text(f"Undone by {self._who(undo)}.", bold=True), f" The comment was deleted in Jira.{mailed}"),
            *self._note(),
        ]

    def skipped(self) -> list[Block]:
        return [self._said(text(f"Skipped by {self._who(self.last)}.", bold=True), f" {self._nothing}")]

    def superseded(self) -> list[Block]:
        parts: list[str | Block] = [text("Replaced by a newer draft on this issue.", bold=True), f" {self._nothing}"]
        if self.newer_url:
            parts += [" ", link(self.newer_url, "Go to the newer draft")]
        return [self._said(*parts)]

    def expired(self) -> list[Block]:
        if self.draft.note:  # its texts were erased, or the issue is not looked after any more
            return [self._said(text("Expired.", bold=True), f" {shortened(self.draft.note, 300)} {self._nothing}")]
        return [
            self._said(
                text("Expired", bold=True),
                f" {clock(self.draft.expires, self.now, self.timezone)}: nobody decided. {self._nothing} ",
                "For a new draft: ",
                text(f"/pmagent draft {self.draft.issue.key}", code=True),
            )
        ]

    # The pieces

    @property
    def _nothing(self) -> str:
        """What is certain about Jira: an earlier attempt whose answer was lost may still have arrived."""
        if self.draft.attempts and self.draft.intent_at:
            return "An earlier attempt to post may have reached Jira: look at the issue."
        return "Nothing was posted."

    def _outcome(self, *elements: Block) -> Block:
        by = self.draft.decision.by if self.draft.decision else "none"
        return rich(*elements, block_id=f"outcome:{self.draft.state}:{by}"[:255])

    def _said(self, *parts: str | Block) -> Block:
        return self._outcome(section(*parts))

    def _busy(self, head: str, rest: str) -> list[Block]:
        return [self._said(text(head, bold=True), rest), *self._note()]

    def _note(self) -> list[Block]:
        return [context(f"⚠ {shortened(self.draft.note, 500)}")] if self.draft.note else []

    def _unchecked(self) -> list[Block]:
        lines = [f"⚠ {one_line(sentence, 250)}" for sentence in self.draft.unchecked]
        if self.draft.edited and self.draft.state is not S.HELD:  # where it is decided, they stand above the buttons
            lines = [*(f"⚠ {not_there(words)}" for words in self.draft.unsupported), *lines]
        return [context("\n".join(lines))] if lines else []

    def _who(self, decision: Decision | None = None) -> str:
        found = decision or self.approval
        return f"{named(found.name)} {clock(found.at, self.now, self.timezone)}" if found else "PM Agent"

    def _button(self, label: str, action_id: str, **more: str) -> Block:
        return button(label, action_id, {"draft": self.draft.id, "seen": self.draft.fingerprint}, **more)


def _last(draft: Draft, actions: frozenset[str]) -> Decision | None:
    known = [*draft.decided, *([draft.decision] if draft.decision else [])]
    return next((decision for decision in reversed(known) if decision.action in actions), None)
