"""The standup as a Slack message: the written summary, the facts beneath it, the head of the audit trail. Pure.

Everything is `rich_text`, built here: no text from Jira, Bitbucket or Claude can ping, unfurl or format. A message
holds at most 50 blocks and about 13,200 characters (`msg_blocks_too_long`); the rest is folded into "and N more".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bot.cards.parts import MAX_MESSAGE, Block, Message, link, listing, named, one_line, rich, section, size, text
from bot.prompting import Sentence
from bot.reports.facts import Fact, StandupFacts
from bot.safety.quoting import shortened

if TYPE_CHECKING:
    from bot.clients.claude.record import CallRecord

EVENT_TYPE = "pmagent_standup"
"""The metadata's event type, by which a posted standup is found again: after a crash by the payload's `id`, the date;
and by `audit verify --slack`, which looks for `head`, that of the audit trail, and `seq`, how many records it had.
Slack keeps the metadata of a message that is changed without any."""
MOST_BLOCKS = 50
"""Slack's limit."""
FOLDS = (12, 8, 5, 3, 2, 1)
"""How many lines a person, or a list, may have: the largest number with which everything fits is taken."""
MAX_PEOPLE = (40, 20, 10, 5)
"""How many people a project may have, likewise, once a line each is still too long."""


@dataclass(frozen=True)
class Report:
    """A standup, ready to be shown. `why_plain`: why there is no written summary, a sentence; empty when there is one.

    `head`: number of audit records and the hash of the last one. `calls`: what was asked of Claude, for the record.
    """

    facts: StandupFacts
    lines: tuple[Sentence, ...] = ()
    why_plain: str = ""
    head: tuple[int, str] = (0, "")
    calls: tuple[CallRecord, ...] = ()


def standup_message(report: Report, *, day: date | None = None) -> Message:
    """The message. `day`: the date it is the standup of (None for one that somebody asked for)."""
    tries = [(fold, MAX_PEOPLE[0]) for fold in FOLDS] + [(FOLDS[-1], people) for people in MAX_PEOPLE[1:]]
    for fold, people in tries:
        blocks = _blocks(report, fold, people)
        if size(blocks) <= MAX_MESSAGE and len(blocks) <= MOST_BLOCKS:
            break
    else:
        # Dozens of projects: the summary and the count, and where the rest is.
        more = section(f"{len(report.facts.facts)} facts are too many for one message; Jira has them.")
        blocks = [rich(*_head(report)), *_summary(report), rich(more), *_foot(report)]
    payload: dict[str, str | int] = {"id": day.isoformat()} if day else {}
    if report.head[1]:
        payload |= {"head": report.head[1], "seq": report.head[0]}
    metadata = {"event_type": EVENT_TYPE, "event_payload": payload} if payload else None
    return Message(blocks=blocks, text=f"Standup, {_date(report)}", metadata=metadata)


def _blocks(report: Report, fold: int, people: int) -> list[Block]:
    facts = report.facts
    blocks = [rich(*_head(report)), *_summary(report)]
    if not facts.facts and not facts.notes:
        blocks.append(rich(section("Nothing moved, nothing waits and nothing is due.")))
    for project in facts.projects:
        if moved := facts.of("moved", project):
            blocks.append(rich(_heading(f"Moved in {project}"), *_by_person(moved, fold, people)))
    if waiting := facts.of("waits"):
        blocks.append(rich(_heading("Waits for"), *_by_person(waiting, fold, people)))
    if due := facts.of("due"):
        blocks.append(rich(_heading("Due"), *_by_person(due, fold, people)))
    if drafts := facts.of("draft"):
        blocks.append(rich(_heading("Drafts waiting for a decision"), _lines(drafts, fold)))
    return blocks + _foot(report)


def _head(report: Report) -> list[Block]:
    since = report.facts.since.astimezone(ZoneInfo(report.facts.timezone))
    return [section(text(f"Standup, {_date(report)}", bold=True), f" · since {since:%A}")]


def _summary(report: Report) -> list[Block]:
    """The sentences, as many as leave half of the message to the facts, or why there are none."""
    for shown in range(len(report.lines), 0, -1):
        block = rich(listing([_sentence(line, report.facts.refs) for line in report.lines[:shown]]))
        if size([block]) <= MAX_MESSAGE // 2:
            return [block]
    return [rich(section(text(shortened(report.why_plain, 500), italic=True)))] if report.why_plain else []


def _foot(report: Report) -> list[Block]:
    count, head = report.head
    blocks = [rich(section(text(shortened(note, 500), italic=True))) for note in report.facts.notes]
    if head:
        blocks.append(rich(section(text(f"Audit trail: {count} records, head {head}", italic=True))))
    return blocks


def _date(report: Report) -> str:
    local = report.facts.now.astimezone(ZoneInfo(report.facts.timezone))
    return f"{local:%A} {local.day} {local:%B %Y}"


def _by_person(facts: Sequence[Fact], fold: int, people: int) -> list[Block]:
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.person or "somebody", []).append(fact)
    found: list[Block] = []
    for person, theirs in list(groups.items())[:people]:
        found += [section(named(person)), _lines(theirs, fold)]
    if len(groups) > people:
        rest = sum(len(theirs) for theirs in list(groups.values())[people:])
        found.append(section(text(f"and {len(groups) - people} more people with {rest} entries", italic=True)))
    return found


def _lines(facts: Sequence[Fact], fold: int) -> Block:
    rows: list[Sequence[str | Block]] = [(_ref(fact.ref, fact.url), f" {fact.text}") for fact in facts[:fold]]
    if len(facts) > fold:
        rows.append([text(f"and {len(facts) - fold} more", italic=True)])
    return listing(rows)


def _sentence(line: Sentence, refs: dict[str, str]) -> list[str | Block]:
    """The sentence with its references as links: where it names them itself, else in brackets at its end."""
    parts: list[str | Block] = []
    rest, unnamed = line.text, []
    for ref in sorted(line.refs, key=lambda r: (line.text.find(r), r)):
        before, named, after = rest.partition(ref)
        # ECD-14 is not named by ECD-142.
        if named and not after[:1].isalnum():
            parts += [before, _ref(ref, refs.get(ref, ""))]
            rest = after
        else:
            unnamed.append(ref)
    parts.append(rest)
    for number, ref in enumerate(unnamed):
        parts += [" (" if number == 0 else ", ", _ref(ref, refs.get(ref, ""))]
    return [*parts, ")"] if unnamed else parts


def _ref(ref: str, url: str) -> Block:
    # A pull request's address came with a webhook: shown as a link only where it is an ordinary one.
    ordinary = urlsplit(url).scheme in ("http", "https") and len(url) < 500
    return link(url, one_line(ref, 120)) if ordinary else text(one_line(ref, 120))


def _heading(value: str) -> Block:
    return section(text(value, bold=True))
