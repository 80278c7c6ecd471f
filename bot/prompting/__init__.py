"""What is asked of Claude, and what its answers mean: data in, request out; answer in, decision out. Pure.

::

    prompts/*.md ──────────────→ files.Prompts ─┐
    Issue, pull requests ──────→ material ──────┼→ requests.Request ──→ (bot.clients.claude) ──→ text
    standup facts ─────────────→ standup ───────┤                                                 │
    corrections ───────────────→ proposing ─────┘                                                 │
    ReplyDecision, Sentence, Proposal ←──────────────── parsing, standup, proposing ←──────────────────┘

The instructions are the project's own prompt files and stand in the system part. Whatever somebody else wrote stands
in the user part, as JSON inside one delimited block (`untrusted`).
"""

from bot.prompting.files import PROMPTS, Prompts, load_prompts
from bot.prompting.material import Material, refs_of
from bot.prompting.parsing import InvalidAnswer, ReplyDecision, TooComplex, TooLong, read_claims, read_decision
from bot.prompting.proposing import Proposal, chosen, diff_of, proposal_request, read_proposal
from bot.prompting.requests import (
    Request,
    Shown,
    as_reply,
    claims_request,
    facts_in,
    reply_message,
    reply_request,
    single_call,
    stored_request,
    triage_message,
    triage_request,
    without_lessons,
)
from bot.prompting.standup import Sentence, read_standup, standup_request
from bot.prompting.untrusted import block, read_block

__all__ = [
    "PROMPTS",
    "InvalidAnswer",
    "Material",
    "Prompts",
    "Proposal",
    "ReplyDecision",
    "Request",
    "Sentence",
    "Shown",
    "TooComplex",
    "TooLong",
    "as_reply",
    "block",
    "chosen",
    "claims_request",
    "diff_of",
    "facts_in",
    "load_prompts",
    "proposal_request",
    "read_block",
    "read_claims",
    "read_decision",
    "read_proposal",
    "read_standup",
    "refs_of",
    "reply_message",
    "reply_request",
    "single_call",
    "standup_request",
    "stored_request",
    "triage_message",
    "triage_request",
    "without_lessons",
]  # fmt: skip
