"""The kinds of jobs: what carries each out, how many at once, and which of them wait for each other.

============ ===================================================== ===================================================
kind, key    what is done                                          lock: one after another
============ ===================================================== ===================================================
look, event  what the versions of an edited comment settle         —
note, event  what an event tells of pull requests or levels        the pull request or branch (the issue)
answer,      Jira, Claude, a draft; rests as a whole while nobody  the issue: a flood on one takes one place
event        may call Claude
draft, draft publishing, undo, catching up with what changed       —
search,      the same for each of the many drafts that a restored  —
draft        backup left open: is it in Jira?
card, draft  the card in Slack                                     —
message, key a message in Slack                                    —
redraw       the cards that many changes at once left behind       one for all of them
============ ===================================================== ===================================================

So an event that deserves a card never waits behind those that a rule settles, and what people click has places of its
own. A job without a lock still waits for an earlier attempt at the same key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.queue import Kind, Kinds
from bot.reactions import answer, look, note
from bot.work.attempts import Attempts, Handler
from bot.workflow.presenting.announcing import deliver
from bot.workflow.presenting.card import present
from bot.workflow.presenting.redrawing import redraw
from bot.workflow.publishing.approved import advance, search

if TYPE_CHECKING:
    from bot.context import Context

TABLE: dict[str, tuple[Handler, int]] = {
    "look": (look.look, 16),  # so many ends share one synced write
    "note": (note.note, 16),
    "answer": (answer.answer_when_due, 8),  # each holds a Jira and a Claude call, none of them much memory
    "draft": (advance, 16),  # a POST to Jira may hang for 15 s, and must not keep the others from theirs
    "search": (search, 4),
    "card": (present, 8),  # Slack takes one message after another
    "message": (deliver, 8),
    "redraw": (redraw, 1),
}
"""Kind → what carries it out, and how many of it at once."""
TOLD = {"card": "cards", "redraw": "redrawing"}


def kinds(ctx: Context) -> Kinds:
    """The table, for the queue."""
    attempts = Attempts(ctx)
    return {
        name: Kind(attempts.of(name, handler), limit, told=TOLD.get(name, ""))
        for name, (handler, limit) in TABLE.items()
    }
