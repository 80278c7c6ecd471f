"""The ids behind every button, modal and field: what a card offers and what `handlers/` listens for."""

from __future__ import annotations

from bot.domain.corrections import SKIP_REASONS, SkipReason

APPROVE = "pm.approve"
EDIT = "pm.edit"
SKIP = "pm.skip"
UNDO = "pm.undo"
RETRY = "pm.retry"
LOOK_AGAIN = "pm.look_again"
POST_AGAIN = "pm.post_again"
POST_ANYWAY = "pm.post_anyway"
DRAFT_ANEW = "pm.draft_anew"

ACTIONS: dict[str, str] = {
    APPROVE: "approve",
    SKIP: "skip",
    UNDO: "undo",
    RETRY: "retry",
    LOOK_AGAIN: "look_again",
    POST_AGAIN: "post_again",
    POST_ANYWAY: "post_anyway",
    DRAFT_ANEW: "draft_anew",
}
"""Buttons that decide at once: action id → the action of `bot.workflow.decide`. Edit opens a modal first."""

REASONS: dict[str, SkipReason] = {f"pm.reason.{reason}": reason for reason in SKIP_REASONS}
"""Buttons of the private question after Skip: action id → the reason."""
FORGET = "pm.learned.forget"
"""`Forget` on a correction; its value is `{"correction": id, "project": the one that was asked for}`."""
ACCEPT_CHANGE = "pm.learned.accept"
DECLINE_CHANGE = "pm.learned.decline"
"""On a proposed change of the prompts; their value is `{"proposal": number}`."""

RETRY_EVENT = "pm.event.retry"
"""`Retry` on an event that Claude could not answer; its value is `{"event": id}`."""
EDIT_MODAL = "pm.edit.modal"
TEXT_BLOCK = "reply"
TEXT_ACTION = "text"
