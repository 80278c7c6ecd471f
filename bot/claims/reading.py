"""A reply → the claims in it. Pure, and conservative: what is not understood whole is not a claim.

A wrong alarm costs trust in all the right ones, so a claim needs all of this: a subject that is named (or an "it" that
can mean one thing only) at the place of a subject, a verb in a tense that speaks of now, a state out of the table in
`bot.claims.phrases`, and nothing after it that could turn it round. A sentence with a condition, an opinion, somebody
else's words or a question holds no claim at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from bot.claims import inverted, values
from bot.claims import phrases as p
from bot.claims.claim import Claim, Kind, Pull, Ticket
from bot.claims.prose import MARK, Named, Sentence, sentences

_GROUP = re.compile(r"\ue000[PI]\d+\ue001(?:(?:,| and|, and) \ue000[PI]\d+\ue001)*")
_BEFORE_WHICH = re.compile(r"\ue000[PI](\d+)\ue001(?: \([^()]{1,300}\))?, $")
_INFIX: dict[type[Named], re.Pattern[str]] = {
    Pull: re.compile(rf"(?: \([^()\ue000]{{1,200}}\))?(?: (?:by|from) {p.NAME})?,? "),
    Ticket: re.compile(r"(?: \([^()\ue000]{1,300}\))? "),
}
"""What may stand between a subject and its verb: "PR #12 (“Stream exports”) by Ana, …"."""
_VERB = re.compile(r"(?:is|are|was|were|has|have|remains?|stays?)\b")

Tense = Literal["now", "past", "perfect", "has", "aside"]


class _Opening(NamedTuple):
    """What stands before a state: its tense, its adverbs, where its words begin and where the state does."""

    tense: Tense
    adverbs: str
    words: int
    state: int


class _Said(NamedTuple):
    """A state that was said: the parts of a claim besides its subject, its words, where they end, and the tense."""

    kind: Kind
    found: tuple[str, ...]
    negated: bool
    words: str
    end: int
    tense: Tense


def claims_in(
    markdown: str, *, own: str = "", people: Mapping[str, str] | None = None, statuses: Iterable[str] = ()
) -> tuple[Claim, ...]:
    """Every claim that is understood, in reading order, each once. Never raises.

    `own`: the key of the issue that is answered. `people`: account id → name, so that a mention counts as a name.
    `statuses`: names of statuses known on this site; the common ones count anyway.
    """
    reading = _Reading(statuses)
    found: dict[Claim, None] = {}
    everything = list(sentences(markdown, people or {}))
    named = {thing for paragraph in everything for sentence in paragraph for thing in sentence.named} - {
        Ticket(key=own)
    }
    for paragraph in everything:
        before: Sequence[Named] = ()
        for sentence in paragraph:
            claims = list(reading.of(sentence, before, named))
            found.update(dict.fromkeys(claims))
            # "It" in the next sentence: what this one names, or what its own "it" stood for.
            before = sentence.named or tuple(dict.fromkeys(claim.subject for claim in claims))
    return tuple(found)


class _Reading:
    def __init__(self, statuses: Iterable[str]) -> None:
        names = {status.casefold(): status for status in (*p.COMMON_STATUSES, *p.DONE, *statuses) if status.strip()}
        words = "|".join(re.escape(name) for name in sorted(names.values(), key=len, reverse=True))
        pattern = re.compile(rf"(?:in (?:the )?status )?(?P<status>{words}){p.TAIL}{p.END}", re.IGNORECASE)
        status, done = (
            p.Phrase("status", "", pattern, now=True),
            re.compile(rf"(?P<status>{'|'.join(p.DONE)}){p.TAIL}{p.END}"),
        )
        self._phrases: dict[tuple[type[Named], Tense], tuple[p.Phrase, ...]] = {
            (Pull, "now"): p.PULL_STATES,
            (Pull, "past"): p.PULL_PAST,
            (Pull, "perfect"): p.PULL_PAST,
            (Pull, "has"): p.PULL_HAS,
            (Pull, "aside"): (*p.PULL_HAS[:1], *p.PULL_STATES),
            (Ticket, "now"): (*p.TICKET_STATES, status),
            (Ticket, "perfect"): (p.Phrase("status", "", done),),
            (Ticket, "has"): p.TICKET_HAS,
            (Ticket, "aside"): (status,),
        }

    def of(self, sentence: Sentence, before: Sequence[Named], everywhere: set[Named]) -> Iterator[Claim]:
        """The claims of one sentence. `before`: what an "it" can mean. `everywhere`: all that the text names."""
        text = sentence.text
        if p.DUE_HEDGES.search(text):
            return
        found = [*inverted.due_dates(sentence, everywhere), *self._states(sentence, before)]
        found += [*inverted.approvals(sentence, before), *inverted.assigned(sentence, before, everywhere)]
        found += inverted.builds(sentence, before, everywhere)
        hedged = p.HEDGES.search(text)
        yield from (claim for claim in found if claim.kind == "due" or not hedged)

    def _states(self, sentence: Sentence, before: Sequence[Named]) -> Iterator[Claim]:
        for at, subjects in _subjects(sentence, before):
            said = self._said(sentence, at, type(subjects[0]), None)
            together = _listed([subject.name for subject in subjects])
            while said is not None:
                for subject in subjects:
                    says = f"{together} {said.words}"
                    for value in said.found:
                        yield Claim(kind=said.kind, subject=subject, value=value, negated=said.negated, says=says)
                said = self._said(sentence, said.end, type(subjects[0]), said.tense)

    def _said(self, sentence: Sentence, at: int, what: type[Named], before: Tense | None) -> _Said | None:
        """The state that is said at this place of what ends there. `before`: the tense of the state just before it."""
        text = sentence.text
        for opening in _openings(text, at, what, before):
            for phrase in self._phrases.get((what, opening.tense), ()):
                match = phrase.pattern.match(text, opening.state)
                if match is None:
                    continue
                negations = opening.adverbs.count("not ") + opening.adverbs.count("no longer ")
                opposite = phrase.value.startswith("-")
                found = _values(phrase, match, sentence)
                if (
                    negations > 1
                    or not found
                    or (negations and (opening.tense == "past" or phrase.kind in ("due", "approvals")))
                ):
                    return None
                words = sentence.plain(text[opening.words : match.end()])
                if not _VERB.match(words):
                    words = f"{'has' if phrase.kind == 'approvals' or opening.tense == 'has' else 'is'} {words}"
                return _Said(phrase.kind, found, bool(negations) != opposite, words, match.end(), opening.tense)
        return None


def _openings(text: str, at: int, what: type[Named], before: Tense | None) -> Iterator[_Opening]:
    """The ways in which a state can begin here: an apposition, a verb; after a state "and", with a verb or not."""
    if before is None and (lead := p.ASIDE.match(text, at)) and (bare := p.BARE.match(text, lead.end())):
        yield _Opening("aside", bare[0], lead.end(), bare.end())
    if lead := (p.AND if before else _INFIX[what]).match(text, at):
        start = lead.end()
        if verb := p.AUX.match(text, start):
            tense: Tense = "now" if verb["now"] else "past" if verb["past"] else "perfect"
            yield _Opening(tense, (verb["mods0"] or "") + verb["mods"], start, verb.end())
        elif verb := p.HAS.match(text, start):
            yield _Opening("has", verb["mods"], start, verb.end())
        elif before and (bare := p.BARE.match(text, start)):
            yield _Opening(before, bare[0], start, bare.end())


def _values(phrase: p.Phrase, match: re.Match[str], sentence: Sentence) -> tuple[str, ...]:
    """The claim's values: the phrase's own, or what its group says; () where that is not understood."""
    if phrase.value:
        return (phrase.value.removeprefix("-"),)
    name, said = next(((k, v) for k, v in match.groupdict().items() if v and k != "tail"), ("", ""))
    match name:
        case "count":
            return (str(values.number(said)),)
        case "names":
            return tuple(re.split(r",? and |, ", said))
        case "date":
            understood = values.due(said)
            return (understood,) if understood else ()
        case "key":
            thing = sentence.named[int(said[1:])]
            return (thing.key,) if isinstance(thing, Ticket) else ()
        case _:
            return (said,)


# What a sentence speaks of


def _subjects(sentence: Sentence, before: Sequence[Named]) -> Iterator[tuple[int, list[Named]]]:
    """Where a subject ends, and what it is."""
    text = sentence.text
    for found in _GROUP.finditer(text):
        group = [sentence.named[int(n)] for n in MARK.findall(found[0])]
        if len({type(thing) for thing in group}) == 1 and p.LEAD.search(text[: found.start()]):
            yield found.end(), group
    for found in p.IT.finditer(text):
        earlier = [sentence.named[int(n)] for n in MARK.findall(text[: found.start()])] or before
        if found["it"].lower() == "which":
            directly = _BEFORE_WHICH.search(text[: found.start("it")])
            earlier = [sentence.named[int(directly[1])]] if directly else []
        for kind in (Pull, Ticket):
            if (thing := inverted.it_means(earlier, kind)) is not None:
                yield found.end("it"), [thing]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
