"""What is learned from people's edits: which are kept, and which of them the next request is given. Pure.

Kept is what may be shown again to whoever sees the project: nothing of a reply that a customer saw, of a restricted
comment, or of an issue with a security level. Given are the nearest: by the words of what was asked, rare words
counting more, and by age.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from difflib import SequenceMatcher
from math import log, sqrt

from bot.domain.corrections import Correction
from bot.domain.drafts import Draft
from bot.domain.mentions import without_names
from bot.rules.policy import Audience

MAX_CORRECTIONS = 3
"""Corrections in one request."""
MAX_TOTAL_SIZE = 4_000
"""Characters of all of them together. They are given whole or not at all: a torn one teaches what nobody wrote."""
MIN_SIMILARITY = 0.1
"""Similarity, from 0 to 1, under which two questions have nothing in common."""
_WORD = re.compile(r"[^\W_]+")
HALF_LIFE = 180.0
"""Days after which a correction counts half."""


def correction(draft: Draft, at: datetime) -> Correction | None:
    """What is to be learned from this draft, now that it is posted or simulated; None for nothing."""
    first, last = draft.revisions[0], draft.revisions[-1]
    edited = first.by == "claude" and last.by != "claude" and first.text != last.text
    if not edited or not draft.answered_text.strip() or not may_teach(draft):
        return None
    issue = draft.issue
    answered = next((c.author for c in issue.comments if c.id == draft.answered), None)
    asker = answered if draft.answered else issue.reporter
    return Correction(
        id=draft.id, at=at, event_id=draft.event_id, issue=issue.key, project=issue.project,
        audience="internal" if draft.audience == "internal" else "public", desk=issue.service_desk,
        asked=draft.answered_text, wrote=first.text, made=last.text, prompt=draft.prompt, by=last.by,
        asked_by=asker.account_id if asker else "", people=tuple(issue.people()),
    )  # fmt: skip


def may_teach(draft: Draft) -> bool:
    """Whether its texts are for everybody in the project."""
    restricted = draft.audience == "restricted" or draft.visibility is not None
    return not (draft.customer or restricted or draft.withheld or draft.issue.has_security_level)


def may_learn(audience: Audience) -> bool:
    """Whether a request whose reply this audience sees may hold others' texts."""
    return not (audience.customer or audience.audience == "restricted" or audience.visibility is not None)


def nearest_corrections(asked: str, known: Sequence[Correction], now: datetime) -> tuple[Correction, ...]:
    """At most `MAX_CORRECTIONS` of these that fit into `MAX_TOTAL_SIZE`, the nearest first."""
    terms = [_terms(one.asked) for one in known]
    found_in = Counter(term for one in terms for term in one)
    weights = {term: log(1 + len(known) / count) for term, count in found_in.items()}
    wanted = _terms(asked)
    scored = []
    for one, its in zip(known, terms, strict=True):
        near = _similarity(wanted, its, weights, log(1 + len(known)))
        if near >= MIN_SIMILARITY:
            days = max(0.0, (now - one.at).total_seconds() / 86_400)
            scored.append((near * 0.5 ** (days / HALF_LIFE), one))
    chosen: list[Correction] = []
    for _, one in sorted(scored, key=lambda pair: pair[0], reverse=True):
        if len(chosen) < MAX_CORRECTIONS and sum(other.size for other in (*chosen, one)) <= MAX_TOTAL_SIZE:
            chosen.append(one)
    return tuple(chosen)


def _similarity(a: set[str], b: set[str], weights: dict[str, float], unknown: float) -> float:
    """How much of both is in both; a word that stands nowhere else counts `unknown`."""
    shared, all_a, all_b = (sum(weights.get(term, unknown) for term in terms) for terms in (a & b, a, b))
    return shared / sqrt(all_a * all_b) if shared else 0.0


def _terms(text: str) -> set[str]:
    """The words of a text but the shortest, which all texts share; of scripts without spaces, pairs of signs."""
    found: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", without_names(text)).casefold()):
        if not word.isascii() and any("\u2e80" <= sign <= "\ua4cf" for sign in word):
            found |= {word[at : at + 2] for at in range(max(1, len(word) - 1))}
        elif len(word) > 2 or not (word.isascii() and word.isalpha()):
            found.add(word)
    return found


def count_changed_words(before: str, after: str) -> int:
    """How many words an edit changed: those that were replaced, added or taken away."""
    old, new = before.split(), after.split()
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for step, i1, i2, j1, j2 in steps if step != "equal")
