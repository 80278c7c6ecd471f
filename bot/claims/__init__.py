"""What a reply states that can be checked again, held against the facts of the moment. Pure.

::

    the model's entries, text → claims     `stated`: only what has the form, and whose quote stands in the text
    examine(claims, facts) → Examined      `checking`: contradictions, and what could not be checked

A person approves a text; between the model's reading and that click (days, perhaps) a pull request is merged, a build
fails, a due date moves, and a person's edit can be mistaken as well as a model. Which words state what is said by the
model, in whatever language; whether it is so, by the facts that `bot.workflow.publishing.claims` gathers.
"""

from bot.claims.checking import examine
from bot.claims.claim import Claim, Contradiction, Examined, Facts, IssueRef, PullRequestRef
from bot.claims.stated import StatedClaim, claims_of, named_in, well_formed

__all__ = [
    "Claim",
    "Contradiction",
    "Examined",
    "Facts",
    "IssueRef",
    "PullRequestRef",
    "StatedClaim",
    "claims_of",
    "examine",
    "named_in",
    "well_formed",
]  # fmt: skip
