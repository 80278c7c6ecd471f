"""What a reply states that can be checked again: found in its words, and held against the facts of the moment. Pure.

::

    claims_in(text)  → claims              `reading`, by the table in `phrases`; `prose` and `values` for the words
    examine(claims, facts) → Examined      `checking`: contradictions, and what could not be checked

A person approves a text; between the model's reading and that click (days, perhaps) a pull request is merged, a build
fails, a due date moves, and a person's edit can be mistaken as well as a model. `bot.workflow.checking_claims` gathers
the facts and holds the draft.
"""

from bot.claims.checking import examine
from bot.claims.claim import Claim, Contradiction, Examined, Facts, Pull, Ticket
from bot.claims.reading import claims_in

__all__ = ["Claim", "Contradiction", "Examined", "Facts", "Pull", "Ticket", "claims_in", "examine"]
