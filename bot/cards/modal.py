"""The window behind Edit: one field with the draft; submitting it approves the edited text."""

from __future__ import annotations

import json
from typing import Any

from bot.cards import parts
from bot.cards.actions import EDIT_MODAL, TEXT_ACTION, TEXT_BLOCK
from bot.cards.parts import Block, audience_words, context, key_of, mode_words, paragraph
from bot.domain.drafts import MAX_DRAFT_LENGTH, Draft
from bot.safety.quoting import shortened


def edit_modal(draft: Draft, *, text: str | None = None, problem: str | None = None) -> dict[str, Any]:
    """The view for `views.open`, or for an `update` that keeps what the person typed (`text`) and says why.

    Its `private_metadata` is `{"draft", "seen", "channel"}`: a submission counts only for the draft as shown here.
    """
    blocks: list[Block] = []
    if problem:
        blocks.append(paragraph(parts.text("⚠ " + shortened(problem, 1000), bold=True)))
        blocks.append(context("Your text is kept below."))
    blocks.append(
        {
            "type": "input",
            "block_id": TEXT_BLOCK,
            "label": {"type": "plain_text", "text": f"Reply on {key_of(draft.issue.key)}", "emoji": False},
            "hint": {
                "type": "plain_text",
                "text": "Markdown: **bold**, _italic_, `code`, - lists, > quotes, [text](address).",
                "emoji": False,
            },
            "element": {
                "type": "plain_text_input",
                "action_id": TEXT_ACTION,
                "multiline": True,
                "max_length": MAX_DRAFT_LENGTH,
                "initial_value": (draft.text if text is None else text)[:MAX_DRAFT_LENGTH],
            },
        }
    )
    blocks.append(context(f"{audience_words(draft).capitalize()}. {mode_words(draft, 'submitting')}"))
    return {
        "type": "modal",
        "callback_id": EDIT_MODAL,
        "private_metadata": json.dumps(
            {"draft": draft.id, "seen": draft.fingerprint, "channel": draft.card.channel}, separators=(",", ":")
        ),
        "title": {"type": "plain_text", "text": "Edit the reply", "emoji": False},
        "submit": {"type": "plain_text", "text": "Approve this text", "emoji": False},
        "close": {"type": "plain_text", "text": "Cancel", "emoji": False},
        "blocks": blocks,
    }
