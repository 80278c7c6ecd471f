"""Compares the texts that are there with the hashes of them that the audit trail holds. Pure.

- An event: `event_sha256` of its line `event.accepted`, over all that was understood of the delivery.
- A draft's wordings: `sha256` of every line of the draft, over the wording it had then.
- A draft's decisions and its comment in Jira: who did what, and the comment's id, stand in its lines.

An erasure blanks the hash with the text, so that nobody can try words against it: `bot.store.erasure.erase`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

from bot.store import Record
from bot.store.encoding import canonical_json
from bot.store.sealing import ERASED

ERASED_TEXT = "[erased]"
"""Stands where a text was."""
CREATED = "draft.created"
ACCEPTED = "event.accepted"
EVENTS = frozenset({ACCEPTED, "event.ignored", "event.invalid"})
"""Lines with which a record of `webhook_events` comes."""
_DECISIONS = frozenset(
    {"draft.approved", "draft.edited", "draft.skipped", "draft.anew", "draft.looking", "draft.undoing"}
)


def text_sha256(text: str) -> str:
    """The hash of a wording: of its UTF-8."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def event_sha256(event: Mapping[str, Any]) -> str:
    """The hash of an event as it is stored."""
    return sha256(canonical_json(event)).hexdigest()


def wrong_event(line: Record, record: Record) -> tuple[int, str] | None:
    """What the event's first line and its record do not agree on: the line's `seq`, and a sentence."""
    known = line["details"].get("event_sha256")
    if known is None or known == ERASED:
        return None
    event = record.get("event")
    if isinstance(event, dict) and event_sha256(event) == known:
        return None
    return line["seq"], f"the event {record['id']} is not what its hash in this record is of"


def wrong_draft(lines: Sequence[Record], record: Record) -> tuple[int, str] | None:
    """What a draft and its lines do not agree on: the `seq` of the line, and a sentence. `lines`: oldest first."""
    try:
        return next(iter(_wrong_in_draft(lines, record)), None)
    except (KeyError, TypeError, AttributeError):
        return lines[0]["seq"], f"the draft {record['id']} is not whole"


def _wrong_in_draft(lines: Sequence[Record], record: Record) -> Iterator[tuple[int, str]]:
    name, first = f"the draft {record['id']}", lines[0]["seq"]
    # Every line has the hash of the wording at its time, so one wording is a run of equal hashes.
    by_hash = groupby(
        (line for line in lines if "sha256" in line["details"]), key=lambda line: line["details"]["sha256"]
    )
    hashes = [(next(run)["seq"], known) for known, run in by_hash]
    wordings = [ERASED if r["text"] == ERASED_TEXT else text_sha256(r["text"]) for r in record["revisions"]]
    wordings = [known for known, _ in groupby(wordings)]
    yield from _differ(hashes, wordings, first, f"a wording of {name} is not what its hash in this record is of")
    told = [(line["seq"], (line["details"].get("action"), line["actor"])) for line in lines if _is_decision(line)]
    decided = [
        (made["action"], ERASED if made["by"] == ERASED else f"slack:{made['by']}") for made in record["decided"]
    ]
    yield from _differ(told, decided, first, f"{name} names another decision than this record, or another person")
    comments = [(line["seq"], line["details"].get("comment_id")) for line in lines if line["action"] == "draft.posted"]
    if comments and comments[-1][1] is not None and record["posted"]:
        yield from _differ(
            comments[-1:], [record["posted"]["comment_id"]], first, f"{name} names another comment in Jira"
        )


def _is_decision(line: Record) -> bool:
    return line["action"] in _DECISIONS and "action" in line["details"]


def _differ(told: Sequence[tuple[int, Any]], found: Sequence[Any], first: int, why: str) -> Iterator[tuple[int, str]]:
    """The first line that tells something else than was found, or the last one where more was found, else `first`."""
    for at, (seq, value) in enumerate(told):
        if at >= len(found) or found[at] != value:
            yield seq, why
    if len(found) > len(told):
        yield (told[-1][0] if told else first), why
