"""The story: what happens to an event, from the door to Jira. Each step is a room or a module, each module one idea.

::

    accept      bot.intake.accept        a delivery is stored, once, with the jobs of its reactions
    triage      bot.reactions.look       what an edited comment's versions settle ends here
                drafting.rule_skips      rules that need no model: is an answer out of the question?
                bot.reactions.subject    the issue as it is in Jira now; may it be answered in the channel?
                bot.reactions.answer     the cheap model: is an answer due? (`drafting.asking`)
    draft       bot.reactions.answer     the strong model writes it
                bot.reactions.drafting   it is stored, older drafts are superseded
    present     presenting.card          the card in Slack follows the stored draft, whatever is restarted
    decide      deciding.decision        a click changes the state, by compare and set; the loser hears who won
    publish     publishing.approved      still fresh, still true, and in production?
                publishing.posting       the intent, one POST with its marker, and what became of it
    undo        publishing.undoing       it is taken back

Two more rooms: `learning` (what people changed, and what the prompts could learn of it), and `reconciling` (what no
webhook brought, found by asking). Beside them, what several steps share: `records` (how drafts stand in the store),
`modes`, `pausing`, `requests` (why, pending, another try), `development` (pull requests known for an issue),
`withholding` (an issue that is not for the channel any more), `restoring` (what a restored backup left open), `trail`
(is the audit trail what it was?), `actor` (who does something). `bot.work` carries out the jobs, `bot.schedule` what
happens by the clock.
"""

from bot.domain.health import HealthLine
from bot.workflow.actor import Actor
from bot.workflow.deciding.decision import LostRace, decide, not_as_shown, refused, who_was_first
from bot.workflow.deciding.edit_windows import is_window, remember_window
from bot.workflow.deciding.expiring import expire
from bot.workflow.learning.corrections import corrections, forget
from bot.workflow.learning.proposing import is_proposal, propose, settle
from bot.workflow.learning.skipping import give_reason
from bot.workflow.modes import ModeSetting, adopt_mode, mode, switch_mode
from bot.workflow.pausing import pause, paused, resume
from bot.workflow.presenting.card import is_card
from bot.workflow.records import load_draft
from bot.workflow.requests import (
    LAST_EVENTS,
    WhyLine,
    health,
    is_failure,
    pending,
    request_draft,
    retry_event,
    why,
)
from bot.workflow.restoring import mark_restored
from bot.workflow.trail import broken_trail

__all__ = [
    "LAST_EVENTS",
    "Actor",
    "HealthLine",
    "LostRace",
    "ModeSetting",
    "WhyLine",
    "adopt_mode",
    "broken_trail",
    "corrections",
    "decide",
    "expire",
    "forget",
    "give_reason",
    "health",
    "is_card",
    "is_failure",
    "is_proposal",
    "is_window",
    "load_draft",
    "mark_restored",
    "mode",
    "not_as_shown",
    "pause",
    "paused",
    "pending",
    "propose",
    "refused",
    "remember_window",
    "request_draft",
    "resume",
    "retry_event",
    "settle",
    "switch_mode",
    "who_was_first",
    "why",
]
