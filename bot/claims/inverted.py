"""Sentences in which the subject does not come first: "Chen has approved PR #12", "the build is green". Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bot.claims import phrases as p
from bot.claims import values
from bot.claims.claim import Claim, Kind, Pull, Ticket
from bot.claims.prose import MARK, Named, Sentence

_ALL_OR_NONE: dict[str, tuple[Kind, str]] = {
    "Nobody": ("approvals", "0"), "Everybody": ("approved", "all"), "Everyone": ("approved", "all"),
}  # fmt: skip


def it_means(earlier: Sequence[Named], kind: type[Named]) -> Named | None:
    """What "it" means where only this kind of thing makes sense: the one that was named; None if there are several."""
    found = {thing for thing in earlier if isinstance(thing, kind)}
    return next(iter(found)) if len(found) == 1 else None


def approvals(sentence: Sentence, before: Sequence[Named]) -> Iterator[Claim]:
    """Chen has approved PR #12."""
    for match in p.APPROVER.finditer(sentence.text):
        pull = (
            it_means(_earlier(sentence, match.start(), before), Pull) if match["it"] else _named(sentence, match["of"])
        )
        if not isinstance(pull, Pull):
            continue
        says = _words(sentence, match.start("names"), match.end())
        says = re.sub(r"\bit\b", pull.name, says) if match["it"] else says
        if match["names"] in _ALL_OR_NONE and not _negated(match["mods"]):
            kind, value = _ALL_OR_NONE[match["names"]]
            yield Claim(kind=kind, subject=pull, value=value, says=_lower(says))
            continue
        for name in re.split(r",? and |, ", match["names"]):
            yield Claim(kind="approved_by", subject=pull, value=name, negated=_negated(match["mods"]), says=says)


def assigned(sentence: Sentence, before: Sequence[Named], everywhere: set[Named]) -> Iterator[Claim]:
    """Ana is assigned; nobody is assigned to ECD-5."""
    for match in p.ASSIGNED.finditer(sentence.text):
        if match["it"]:
            ticket = it_means(_earlier(sentence, match.start(), before), Ticket)
        else:
            ticket = _named(sentence, match["of1"] or match["of2"]) or _own(everywhere)
        nobody = match["name"].lower() in ("nobody", "no one")
        if not isinstance(ticket, Ticket) or (nobody and _negated(match["mods"])):
            continue
        says = _words(sentence, match.start("name"), match.end())
        yield Claim(
            kind="assignee", subject=ticket, value="" if nobody else match["name"], negated=_negated(match["mods"]),
            says=_lower(says) if nobody else says,
        )  # fmt: skip


def due_dates(sentence: Sentence, everywhere: set[Named]) -> Iterator[Claim]:
    """The due date of ECD-5 is Friday; no due date is set."""
    for pattern in (p.DUE_DATE, p.NO_DUE_DATE):
        for match in pattern.finditer(sentence.text):
            ticket = _named(sentence, match["of"]) or _own(everywhere)
            value = values.due(match["date"]) if pattern is p.DUE_DATE else "none"
            if isinstance(ticket, Ticket) and value:
                says = _lower(_words(sentence, match.start("said"), match.end()))
                yield Claim(kind="due", subject=ticket, value=value, says=says)


def builds(sentence: Sentence, before: Sequence[Named], everywhere: set[Named]) -> Iterator[Claim]:
    """The build of PR #12 is green; CI has failed."""
    text = sentence.text
    for match in p.BUILD.finditer(text):
        pull = _named(sentence, match["of1"] or match["of2"]) or it_means(
            _earlier(sentence, match.start(), before), Pull
        )
        if pull is None and not any(isinstance(thing, Pull) for thing in everywhere):
            pull = Pull()  # the only one, if there is only one
        verb = p.AUX.match(text, match.end())
        phrases = p.BUILD_STATES if verb else p.BUILD_VERBS
        verb = verb or p.HAS.match(text, match.end())
        begin = verb.end() if verb else match.end()
        if not isinstance(pull, Pull) or (verb and verb.groupdict().get("past")):
            continue
        for phrase in phrases:
            if state := phrase.pattern.match(text, begin):
                says = f"the build of {pull.name} {_words(sentence, match.end(), state.end())}"
                negated = verb is not None and _negated(verb["mods"])
                yield Claim(kind="build", subject=pull, value=phrase.value, negated=negated, says=says)
                break


def _own(everywhere: set[Named]) -> Ticket | None:
    """The issue that is answered, unless the text names any other."""
    return Ticket() if not any(isinstance(thing, Ticket) and thing.key for thing in everywhere) else None


def _earlier(sentence: Sentence, end: int, before: Sequence[Named]) -> Sequence[Named]:
    """What is named in the sentence up to `end`, else in the one before."""
    return [sentence.named[int(n)] for n in MARK.findall(sentence.text[:end])] or before


def _named(sentence: Sentence, mark: str | None) -> Named | None:
    return sentence.named[int(mark[1:])] if mark else None


def _negated(adverbs: str | None) -> bool:
    return "not " in (adverbs or "") or "no longer " in (adverbs or "")


def _words(sentence: Sentence, start: int, end: int) -> str:
    return sentence.plain(sentence.text[start:end])


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
