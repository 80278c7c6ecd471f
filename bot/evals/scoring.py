"""What is right and wrong about an answer, by rule. Pure.

| check | fails when |
|---|---|
| `decision` | it stays silent where a reply is due, or the other way, or nothing came of it |
| `mention` | something that the reply has to say is not in it |
| `never` | something that it must not say is in it |
| `unsupported` | it states what the data do not hold (as the card would mark it) |
| `promise` | it gives somebody's word: that something will be done, or be done by then |
| `language` | it is not in the language of the question |
| `length` | it has more words than the situation allows |
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bot.demo.jira.world import people
from bot.domain.mentions import renamed, spoken
from bot.evals.language import is_in
from bot.evals.situation import Situation

PROMISES = (
    r"\b(will|'ll|going to) (be (ready|done|fixed|available|deployed|released|resolved|finished|updated)|fix|look into"
    r"|follow up|get back|keep you|update you|let you know|take care|make sure|finish|deliver|escalate)\b",
    r"\b(should|ought to) be (ready|done|fixed|available|deployed|released|resolved|finished)\b",
    r"\bwe promise\b|\bguarantee",
    r"\b(wird|werden) (\w+ ){0,5}(fertig|behoben|erledigt|bereit|ausgeliefert|gefixt)\b",
    r"\b(wir|ich) (melden? (uns|mich)|kümmern? (uns|mich)|halten? (sie|euch|dich) auf dem laufenden)",
    r"\b(sera|seront) (bientôt |rapidement )?(prêt|corrig|dispon|déploy|livr|résolu)",
    r"\b(estará|estarán|será|serán) (list|resuelt|corregid|disponible)",
    r"\b(sarà|saranno) (pront|risolt|corrett|disponibil)",
    r"修正します|対応します|お待ちください",
)
"""What a promise looks like in the languages of the situations. `prompts/voice.md` has the rule."""


class Fault(NamedTuple):
    """A check that is not passed, and what about the answer does not pass it."""

    check: str
    what: str


def score(
    situation: Situation, decided: str, text: str, unsupported: tuple[str, ...] = (), reason: str = ""
) -> list[Fault]:
    """All faults of an answer; none: it passes. `decided`: `draft`, `silence` or `failure`, for its `reason`.

    A mention says the name of whom it means.
    """
    expect = situation.expect
    if decided == "failure":
        return [Fault("decision", f"nothing came of it: {reason}")]
    if (decided == "draft") != expect.reply:
        due = "a reply is due" if expect.reply else "silence is due"
        return [Fault("decision", f"{due}, and it was {decided}: {reason}")]
    if decided != "draft":
        return []
    names = {person.account_id: person.name for person in people().values()}
    text = spoken(renamed(text, names | {person.id: person.name for person in situation.people}))
    faults = [Fault("mention", f"does not say {pattern}") for pattern in expect.mention if not _found(pattern, text)]
    faults += [Fault("never", f"says “{found}”") for pattern in expect.never if (found := _found(pattern, text))]
    faults += [Fault("unsupported", what) for what in unsupported]
    faults += [Fault("promise", f"says “{found}”") for pattern in PROMISES if (found := _found(pattern, text))]
    if not is_in(text, expect.language):
        faults.append(Fault("language", f"is not in “{expect.language}”"))
    if (words := _length(text)) > expect.words:
        faults.append(Fault("length", f"has {words} words, at most {expect.words} are right"))
    return faults


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.IGNORECASE)
    return match[0] if match else ""


def _length(text: str) -> int:
    """Words; in scripts without spaces two characters count as one."""
    spaceless = len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]", text))
    return len(re.findall(r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+", text)) + spaceless // 2
