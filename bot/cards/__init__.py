"""Every Block Kit message, modal and home tab, built from facts. Pure: no Slack, no store, no clock of its own.

`card`     the draft's message, in every state         `modal`   the window behind Edit
`messages` the channel's other messages                `home`    the app's home tab
`learning` what is said about learning
`parts`    the pieces, and Slack's limits              `actions` the ids behind every button and field

Text that is not ours (Jira's, Claude's, people's names) appears only as `rich_text` or `plain_text` elements, which
Slack never interprets: nobody is pinged, nothing becomes a link that we did not make. A message's `text` (the
notification) is mrkdwn in Slack, so it holds only words of ours and the issue's key.
"""

from bot.cards.actions import (
    ACCEPT_CHANGE,
    ACTIONS,
    APPROVE,
    DECLINE_CHANGE,
    DRAFT_ANEW,
    EDIT,
    EDIT_MODAL,
    FORGET,
    LOOK_AGAIN,
    POST_AGAIN,
    POST_ANYWAY,
    REASONS,
    RETRY,
    RETRY_EVENT,
    SKIP,
    TEXT_ACTION,
    TEXT_BLOCK,
    UNDO,
)
from bot.cards.card import draft_card
from bot.cards.home import home_view
from bot.cards.learning import CorrectionRow, ProposalOutcome, learned_page, proposal_message, skip_question
from bot.cards.messages import (
    budget_message,
    erasure_message,
    failure_message,
    missed_message,
    mode_message,
    outage_message,
    trail_message,
)
from bot.cards.modal import edit_modal
from bot.cards.parts import Message, bullets, context, link, paragraph, text, whisper

__all__ = [
    "ACCEPT_CHANGE",
    "ACTIONS",
    "APPROVE",
    "DECLINE_CHANGE",
    "DRAFT_ANEW",
    "EDIT",
    "EDIT_MODAL",
    "FORGET",
    "LOOK_AGAIN",
    "POST_AGAIN",
    "POST_ANYWAY",
    "REASONS",
    "RETRY",
    "RETRY_EVENT",
    "SKIP",
    "TEXT_ACTION",
    "TEXT_BLOCK",
    "UNDO",
    "CorrectionRow",
    "Message",
    "ProposalOutcome",
    "budget_message",
    "bullets",
    "context",
    "draft_card",
    "edit_modal",
    "erasure_message",
    "failure_message",
    "home_view",
    "learned_page",
    "link",
    "missed_message",
    "mode_message",
    "outage_message",
    "paragraph",
    "proposal_message",
    "skip_question",
    "text",
    "trail_message",
    "whisper",
]  # fmt: skip
