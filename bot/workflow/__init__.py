"""The story: what happens to an event, from the door to Jira. Each step is a module, each module one idea.

::

    accept      bot.intake.accept        a delivery is stored, once, with the jobs of its reactions
    triage      bot.reactions.look       what an edited comment's versions settle ends here
                rule_skips               rules that need no model: is an answer out of the question?
                bot.reactions.subject    the issue as it is in Jira now; may it be answered in the channel?
                bot.reactions.answer     the cheap model: is an answer due?
    draft       bot.reactions.answer     the strong model writes it
                bot.reactions.drafting   it is stored, older drafts are superseded
    present     presenting               the card in Slack follows the stored draft, whatever is restarted
    decide      deciding                 a click changes the state, by compare and set; the loser hears who won
    publish     publishing               still fresh, still true, and in production? `undoing` takes it back
                posting                  the intent, one POST with its marker, and what became of it

Beside it: `modes`, `redrawing` (cards in great number), `pausing`, `expiring`, `requests` (why, pending, another try),
`announcing` (messages that appear once), `development` (pull requests known for an issue), `windows` (which edit
windows were opened), `ending` (silence and failure), `withholding` (an issue that is not for the channel any more),
`skipping` (why a draft was skipped), `learning` (what people changed), `proposing` (what the prompts could learn of
it), `restoring` (what a restored backup left open), `records` (how drafts stand in the store), `reconciling` (what no
webhook brought, found by asking: `checkpoint` has its rules, `reconciling_development` the pull requests,
`reconcile_health` how it went), `trail` (is the audit trail what it was?). `bot.work` carries out the jobs,
`bot.schedule` what happens by the clock.
"""

from bot.domain.health import HealthLine
from bot.workflow.actor import Actor
from bot.workflow.deciding import LostRace, decide, not_as_shown, refused, who_was_first
from bot.workflow.expiring import expire
from bot.workflow.learning import corrections, forget
from bot.workflow.modes import ModeSetting, adopt_mode, mode, switch_mode
from bot.workflow.pausing import pause, paused, resume
from bot.workflow.presenting import is_card
from bot.workflow.proposing import is_proposal, propose, settle
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
from bot.workflow.skipping import give_reason
from bot.workflow.trail import broken_trail
from bot.workflow.windows import is_window, remember_window

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
