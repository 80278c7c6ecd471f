"""The standup as a Slack message: the written summary, the facts beneath it, the head of the audit trail. Pure.

Everything is `rich_text`, built here: no text from Jira, Bitbucket or Claude can ping, unfurl or format. A message
holds at most 50 blocks and about 13,200 characters (`msg_blocks_too_long`); what does not fit is folded into "and N more".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from bot.cards import Message
from bot.issues import Frozen
from bot.reports.facts import Fact, StandupFacts

EVENT_TYPE = "pmagent_standup"
"""The metadata's event type, by which a posted standup is found again after a crash. Its payload's `id` is the date."""
CHARACTERS = 12_000
"""Characters of text and addresses in one message: Slack's limit with room for its own counting."""
FOLDS = (12, 8, 5, 3, 2, 1)
"""How many lines a person, or a list, may have: the largest number with which everything fits is taken."""
PEOPLE = (40, 20, 10, 5)
"""How many people a project may have, likewise, once a line each is still too long."""

Element = dict[str, Any]


class Line(Frozen):
    """A written sentence with the references it stands on."""

    text: str
    refs: tuple[str, ...]


class Report(Frozen):
    """A standup, ready to be shown. `why_plain`: why there is no written summary, a sentence; empty when there is one.

    `head`: number of audit records and the hash of the last one. `calls`: what was asked of Claude, for the record.
    """

    facts: StandupFacts
    lines: tuple[Line, ...] = ()
    why_plain: str = ""
    head: tuple[int, str] = (0, "")
    calls: tuple[dict[str, Any], ...] = ()


def standup_message(report: Report, *, day: date | None = None) -> Message:
    """The message. `day`: the date it is the standup of (metadata; None for one that somebody asked for)."""
    for people in PEOPLE:
        for fold in FOLDS if people == PEOPLE[0] else FOLDS[-1:]:
            elements = _elements(report, fold, people)
            if _size(elements) <= CHARACTERS:
                break
        else:
            continue
        break
    else:
        elements = [*_head(report), _text("There is more than fits into a message. Ask Jira for the details.")]
    metadata = {"event_type": EVENT_TYPE, "event_payload": {"id": day.isoformat()}} if day else None
    blocks = [{"type": "rich_text", "elements": part} for part in elements_in_blocks(elements)]
    return Message(blocks=blocks, text=f"Standup, {_date(report)}", metadata=metadata)


def elements_in_blocks(elements: Sequence[Element]) -> list[list[Element]]:
    """The elements cut into blocks, a new one at each heading: 50 at most, the rest stays in the last."""
    parts: list[list[Element]] = []
    for element in elements:
        heading = element["type"] == "rich_text_section" and element["elements"][0].get("style", {}).get("bold")
        if not parts or (heading and len(parts) < 50):
            parts.append([])
        parts[-1].append(element)
    return parts


def _elements(report: Report, fold: int, people: int) -> list[Element]:
    facts = report.facts
    found = _head(report)
    if facts.facts and not report.lines and report.why_plain:
        found.append(_text(report.why_plain, italic=True))
    if report.lines:
        found.append(_list([_sentence(line, facts.refs) for line in report.lines]))
    if not facts.facts:
        found.append(_text("Nothing moved, nothing waits and nothing is due."))
    many = len(facts.projects) > 1
    for project in facts.projects:
        if moved := facts.of("moved", project):
            found.append(_heading(f"What moved in {project}" if many else f"What moved ({project})"))
            found += _by_person(moved, fold, people)
    for kind, title in (("waits", "Waits for"), ("due", "Due"), ("draft", "Drafts waiting for a decision")):
        if chosen := facts.of(kind):  # type: ignore[arg-type]  # the literals of this very tuple
            found.append(_heading(title))
            if kind == "draft":
                found.append(_lines(chosen, fold))
            else:
                found += _by_person(chosen, fold, people)
    found += [_text(note, italic=True) for note in facts.notes]
    count, head = report.head
    if head:
        found.append(_text(f"Audit trail: {count} records, head {head}", italic=True))
    return found


def _head(report: Report) -> list[Element]:
    zone = ZoneInfo(report.facts.timezone)
    since = report.facts.since.astimezone(zone)
    return [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": f"Standup, {_date(report)}", "style": {"bold": True}},
                {"type": "text", "text": f" · since {since:%A}"},
            ],
        }
    ]


def _date(report: Report) -> str:
    local = report.facts.now.astimezone(ZoneInfo(report.facts.timezone))
    return f"{local:%A} {local.day} {local:%B %Y}"


def _by_person(facts: Sequence[Fact], fold: int, people: int) -> list[Element]:
    groups: dict[str, list[Fact]] = {}
    for fact in facts:
        groups.setdefault(fact.person or "somebody", []).append(fact)
    found: list[Element] = []
    for person, theirs in list(groups.items())[:people]:
        found += [_text(person), _lines(theirs, fold)]
    if len(groups) > people:
        rest = sum(len(theirs) for theirs in list(groups.values())[people:])
        found.append(_text(f"and {len(groups) - people} more people with {rest} entries", italic=True))
    return found


def _lines(facts: Sequence[Fact], fold: int) -> Element:
    rows = [[_ref(fact.ref, fact.url), {"type": "text", "text": f" {fact.text}"}] for fact in facts[:fold]]
    if len(facts) > fold:
        rows.append([{"type": "text", "text": f"and {len(facts) - fold} more", "style": {"italic": True}}])
    return _list(rows)


def _sentence(line: Line, refs: dict[str, str]) -> list[Element]:
    parts: list[Element] = [{"type": "text", "text": f"{line.text} ("}]
    for number, ref in enumerate(line.refs):
        parts += [{"type": "text", "text": ", "}] if number else []
        parts.append(_ref(ref, refs.get(ref, "")))
    return [*parts, {"type": "text", "text": ")"}]


def _ref(ref: str, url: str) -> Element:
    # A pull request's address came with a webhook: shown as a link only where it is an ordinary one.
    if urlsplit(url).scheme in ("http", "https"):
        return {"type": "link", "url": url[:2000], "text": ref}
    return {"type": "text", "text": ref}


def _heading(text: str) -> Element:
    return {"type": "rich_text_section", "elements": [{"type": "text", "text": text, "style": {"bold": True}}]}


def _text(text: str, *, italic: bool = False) -> Element:
    part: Element = {"type": "text", "text": text}
    return {"type": "rich_text_section", "elements": [{**part, "style": {"italic": True}} if italic else part]}


def _list(rows: Iterable[list[Element]]) -> Element:
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [{"type": "rich_text_section", "elements": row} for row in rows],
    }


def _size(elements: Sequence[Element]) -> int:
    total = 0
    for element in elements:
        total += len(element.get("text", "")) + len(element.get("url", ""))
        total += _size(element.get("elements", ()))
    return total
