"""Scrubs records: removes every text of and about a person, record by record. Pure: records in, records out.

First everything is read once, to learn who is meant (`bot.store.erasure.person`). Then, in each record:

- what was learned from an edit of theirs, an answer to them, or a text with anything of them in it: the whole record;
- texts that they wrote: comments, descriptions and summaries of their issues, edits, titles of their pull requests;
- what answers them: the wording, the reasons and the sources of drafts and cycles for their events;
- every text in which their id or a name of theirs occurs, whole, however it is spelled (`wording`); and where
  they take part in a record, or have written on its issue, also those in which a part of their name occurs ("Hi Ana");
- on issues on which they wrote, their words in others' texts: the quotation goes, and of a draft the whole wording;
- their id and name themselves, wherever they stand.

It errs towards erasing: a text about the person goes even when somebody else wrote it. Hashes of what stays, times,
states, issue keys and counts stay, so that the story of each event stays complete. What cannot be told apart (a first
name alone where nothing says that it is theirs, their words on another issue) stays, and `unclear` names it.
"""

from __future__ import annotations

import re
from typing import Any

from bot.store import Record, Table
from bot.store.erasure.person import ErasedPerson, keys_of
from bot.store.erasure.wording import texts, together
from bot.store.sealing import ERASED
from bot.store.text_hashes import ERASED_TEXT

ISSUE_KEY = re.compile(r"(?<![^\W_])[A-Z][A-Z0-9_]+-[0-9]+(?![^\W_])")
_STRUCTURE = frozenset(
    {
        "id", "at", "kind", "state", "type", "event_id", "draft_id", "cycle_id", "issue", "issue_key", "key", "project",
        "mode", "audience", "outcome", "model", "prompt", "source", "body_sha256", "delivery_id", "created", "updated",
        "expires", "action", "status", "status_category", "issue_type", "priority", "channel", "ts", "field",
        "keys",
    }
)  # fmt: skip
_DRAFT_TEXTS = ("answered_text", "answered_author", "why", "note", "look_twice")
_DRAFT_LISTS = ("sources", "links", "changes", "unchecked", "look_alikes", "stated", "unsupported", "doubts")
_STILL_OPEN = frozenset({"waiting", "held", "failed", "approved", "posting", "unknown", "looking"})
_WRITTEN_FIELDS = frozenset({"summary", "description", "environment", "comment"})


def scrub(person: ErasedPerson, table: Table, record: Record) -> Record | None:
    """The record without the person: the same object when it has nothing of them, None when it is to be dropped."""
    if (table, record["id"]) == ("state", "me"):
        return record  # our own service account: it is how we know our own comments
    if table in ("keys", "deliveries"):
        kept = _anywhere(person, record)
        return None if person.named_in(record["id"]) else record if kept == record else kept
    if table == "corrections":
        return None if _teaches_of(person, record) else record
    theirs = _event_of(table, record) in person.events
    touches_issue = bool(person.issues & keys_of(record))
    concerned = theirs or touches_issue or _told(person, table, record) or person.concerns(record)
    here = bool(person.threads & _issues_of(record))
    if isinstance(record.get("blocks"), list):
        found = _blank_message(record) if concerned or (here and _means(person, record)) else record
    elif concerned or here:
        found = _walk(person, record, "", here)
    else:
        return record
    if table == "agent_cycles" and theirs:
        found["reasoning"] = ERASED_TEXT if found.get("reasoning") else found.get("reasoning")
    if table == "drafts":
        found = _draft(person, record, found, theirs, here)
    if table == "webhook_events" and theirs and record["state"] == "received":
        found |= {"state": "done", "reason": "erased at the person's request"}
    found = _anywhere(person, found)
    return record if found == record else found


def unclear(person: ErasedPerson, table: Table, record: Record) -> str:
    """What a record that was left as it is may have of the person, in a word: `name` or `words`; else empty."""
    if table in ("keys", "deliveries", "audit") or (table, record["id"]) == ("state", "me"):
        return ""
    text = together(record)
    return "name" if person.hinted_in(text) else "words" if person.quotations.stand_in(text) else ""


def _event_of(table: Table, record: Record) -> Any:
    return record.get("event_id") or (record["id"] if table == "webhook_events" else None)


def _teaches_of(person: ErasedPerson, record: Record) -> bool:
    """Whether a correction was made by them, answers them, or has anything of them in it: then all of it goes."""
    if record["event_id"] in person.events or record["by"] in person.ids or record["asked_by"] in person.ids:
        return True
    here = record["issue"] in person.threads | person.issues or not person.ids.isdisjoint(record["people"])
    texts_of = {name: record[name] for name in ("asked", "wrote", "made")}
    return person.named_in(together(texts_of)) or (here and _means(person, texts_of))


def _told(person: ErasedPerson, table: Table, record: Record) -> bool:
    """Whether this is a message about one of their events."""
    return table == "messages" and any(event in record["id"] for event in person.events)


def _issues_of(record: Record) -> set[str]:
    """The issues that a record is about; of a message, those that it names."""
    if isinstance(record.get("blocks"), list):
        return set(ISSUE_KEY.findall(" ".join(texts(record["blocks"]))))
    named = record.get("issues")
    more = {key for key in named if isinstance(key, str)} if isinstance(named, list) else set()
    return keys_of(record) | more


def _means(person: ErasedPerson, value: Any) -> bool:
    """Whether something in here would be taken to mean them, or is their words, on an issue on which they wrote."""
    return any(person.hinted_in(text) or person.quotations.stand_in(text) for text in texts(value))


def _walk(person: ErasedPerson, value: Any, name: str, here: bool) -> Any:
    """A value without the person's texts, id and name. `name`: the field in which it stands. `here`: they wrote on the
    issue, so their words may be quoted."""
    if isinstance(value, str):
        if value in person.ids:
            return ERASED
        if name in _STRUCTURE:
            return value
        return ERASED_TEXT if person.hinted_in(value) else person.quotations.cut(value, ERASED_TEXT) if here else value
    if isinstance(value, list):
        return [_walk(person, item, name, here) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _walk(person, item, key, here) for key, item in value.items() if not person.named_in(key)}
    if person.is_me(value.get("account_id")):
        return {**found, "account_id": ERASED, "name": ERASED_TEXT}
    if person.is_me(value.get("author_id")):
        found["author"] = ERASED_TEXT
    if person.is_me(value.get("by")) and isinstance(value.get("name"), str):
        found["name"] = ERASED_TEXT
    blank: set[str] = set()
    if person.caused(value):
        blank |= {"text", "body", "title", "commits", "asks", "added"}
    if person.is_me(value.get("reporter")) or person.issues & keys_of(value):
        blank |= {"summary", "description", "asks", "added"}
    if str(value.get("field", "")).lower() in _WRITTEN_FIELDS:
        blank |= {"before", "after"}
    for key in blank & found.keys():
        found[key] = (
            [ERASED_TEXT] if isinstance(found[key], list) and found[key] else ERASED_TEXT if found[key] else found[key]
        )
    return found


def _draft(person: ErasedPerson, before: Record, found: Record, theirs: bool, here: bool) -> Record:
    """A draft: what answers them goes whole, as does a wording that quotes them. One without a wording is closed."""
    if here:
        found["revisions"] = [
            {**after, "text": after["text"] if after["text"] == revision["text"] else ERASED_TEXT}
            for after, revision in zip(found.get("revisions", ()), before.get("revisions", ()), strict=True)
        ]
    comments = {c["id"]: c for c in before.get("issue", {}).get("comments", ())}
    answered = comments.get(before.get("answered"))
    if theirs or (answered and person.is_me(answered["author"])):
        found |= {name: ERASED_TEXT for name in _DRAFT_TEXTS if found.get(name)}
        found |= {name: [] for name in _DRAFT_LISTS if name in found} | {"given": None}
        found["revisions"] = [{**revision, "text": ERASED_TEXT} for revision in found.get("revisions", ())]
    if found == before:
        return found
    revisions = found.get("revisions") or [{}]
    if revisions[-1].get("text") == ERASED_TEXT and before["state"] in _STILL_OPEN:
        found |= {"state": "expired", "due": None, "note": "Its texts were erased at a person's request."}
    # Whoever has the draft in hand must not write the old texts back, and its card is to be drawn again.
    found["version"] = before.get("version", 0) + 1
    return found | {"open": True}


def _blank_message(record: Record) -> Record:
    """A Slack message of ours: it is one text to a reader, so it goes whole; what was posted is drawn again."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": ERASED_TEXT}]}
    found = {**record, "blocks": [{"type": "rich_text", "elements": [section]}], "text": ERASED_TEXT}
    if "pending" in record:
        found |= {"version": record["version"] + 1, "pending": bool(record.get("ts") or record.get("sending_since"))}
    return found


def _anywhere(person: ErasedPerson, value: Any) -> Any:
    """The last sieve: whatever still holds the id or the name, whatever field it is in."""
    if isinstance(value, str):
        return (ERASED if value in person.ids else ERASED_TEXT) if person.named_in(value) else value
    if isinstance(value, list):
        return [_anywhere(person, item) for item in value]
    if isinstance(value, dict):
        return {key: item if key == "id" else _anywhere(person, item) for key, item in value.items()}
    return value
