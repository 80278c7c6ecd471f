"""What "every text of and about a person" means, record by record. Pure: records in, records out.

First everything is read once, to learn who is meant: the display names that stand beside the id, the events that the
person caused, the issues that they reported. Then, in each record:

- texts that they wrote: comments, descriptions and summaries of their issues, edits, titles of their pull requests;
- what answers them: the wording, the reasons and the sources of drafts and cycles for their events;
- every text in which their id or a display name occurs, whole, and where they take part in a record also those in
  which a part of their name occurs ("Hi Ana");
- their id and name themselves, wherever they stand.

It errs towards erasing: a text about the person goes even when somebody else wrote it. Hashes, times, states, issue
keys and counts stay, so that the story of each event stays complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bot.store import Record, Table
from bot.store.encoding import to_json

GONE = "[erased]"
GONE_ID = "erased"
_ID_FIELDS = ("account_id", "author_id", "by", "user", "user_id")
_NAME_FIELDS = ("name", "display_name", "author")
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


class ErasedPerson:
    """Whom this is about, as the records tell it. `account` without its `slack:` or `jira:`."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.ids = {account, f"slack:{account}", f"jira:{account}"}
        self.names: set[str] = set()
        self.events: set[str] = set()
        self.issues: set[str] = set()
        self._id = re.compile(rf"(?<![\w-]){re.escape(account)}(?![\w-])")
        self._name: re.Pattern[str] | None = None
        self._folded: tuple[str, ...] = ()
        self._part: re.Pattern[str] | None = None

    @classmethod
    def known_from(cls, account: str, records: Iterable[tuple[Table, Record]]) -> ErasedPerson:
        """Learn names, events and issues from all records."""
        person = cls(account)
        for table, record in records:
            if account not in (text := _text(record)) or not person._id.search(text):
                continue
            for item in _dicts(record):
                person._learn(item)
            event = record.get("event")
            if table == "webhook_events" and isinstance(event, dict) and person.caused(event):
                person.events.add(record["id"])
        person.names -= {GONE, GONE_ID}
        parts = {part for name in person.names for part in re.findall(r"[^\W\d_]{2,}", name) if part[0].isupper()}
        person._name = _words(person.names, re.IGNORECASE)
        person._folded = tuple(name.casefold() for name in person.names)
        person._part = _words(parts, 0)
        return person

    def _learn(self, item: Mapping[str, Any]) -> None:
        if any(_in(item.get(name), self.ids) for name in _ID_FIELDS):
            found = (item.get(name) for name in _NAME_FIELDS)
            self.names |= {name.strip() for name in found if isinstance(name, str) and len(name.strip()) >= 3}
        if self.is_me(item.get("reporter")):
            self.issues |= _keys(item)

    def is_me(self, who: object) -> bool:
        """Whether this is the person: an account object, or one of the ids as text."""
        return _in(who.get("account_id"), self.ids) if isinstance(who, dict) else _in(who, self.ids)

    def caused(self, item: Mapping[str, Any]) -> bool:
        """Whether they wrote this event, comment, issue, wording or pull request."""
        comment = item.get("comment")
        author = comment.get("author") if isinstance(comment, dict) else item.get("author")
        return any(self.is_me(who) for who in (author, item.get("by"), item.get("reporter"), item.get("author_id")))

    def named_in(self, text: str) -> bool:
        """Whether the id or a whole display name occurs in the text."""
        if self.account in text and self._id.search(text):
            return True
        # Most texts have neither, and a look without regard to words is much quicker than an expression.
        folded = text.casefold() if self._name else ""
        return any(name in folded for name in self._folded) and bool(self._name and self._name.search(text))

    def concerns(self, record: Mapping[str, Any]) -> bool:
        """Whether they take part in the record."""
        return record.get("event_id") in self.events or self.named_in(_text(record))

    def hinted_in(self, text: str) -> bool:
        """Whether the text would be taken to mean them in a record in which they take part."""
        return self.named_in(text) or bool(self._part and self._part.search(text))


def scrub(person: ErasedPerson, table: Table, record: Record) -> Record | None:
    """The record without the person: the same object when it has nothing of them, None when it is to be dropped."""
    if (table, record["id"]) == ("state", "me"):
        return record  # our own service account: it is how we know our own comments
    if table in ("keys", "deliveries"):
        kept = _anywhere(person, record)
        return None if person.named_in(record["id"]) else record if kept == record else kept
    event_id = record.get("event_id") or (record["id"] if table == "webhook_events" else None)
    theirs = event_id in person.events
    touches_issue = bool(person.issues & _keys(record | {"issue_key": record.get("issue_key")}))
    told = table == "messages" and any(event in record["id"] for event in person.events)
    if not (theirs or touches_issue or told or person.concerns(record)):
        return record
    found = _blank_message(record) if isinstance(record.get("blocks"), list) else _walk(person, record, "")
    if table == "agent_cycles" and theirs:
        found["reasoning"] = GONE if found.get("reasoning") else found.get("reasoning")
    if table == "drafts":
        found = _draft(person, record, found, theirs)
    if table == "webhook_events" and theirs and record["state"] == "received":
        found |= {"state": "done", "reason": "erased at the person's request"}
    found = _anywhere(person, found)
    return record if found == record else found


def _walk(person: ErasedPerson, value: Any, name: str) -> Any:
    """A value without the person's texts, id and name. `name`: the field in which it stands."""
    if isinstance(value, str):
        if value in person.ids:
            return GONE_ID
        return value if name in _STRUCTURE or not person.hinted_in(value) else GONE
    if isinstance(value, list):
        return [_walk(person, item, name) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _walk(person, item, key) for key, item in value.items() if not person.named_in(key)}
    if person.is_me(value.get("account_id")):
        return {**found, "account_id": GONE_ID, "name": GONE}
    if person.is_me(value.get("author_id")):
        found["author"] = GONE
    if person.is_me(value.get("by")) and isinstance(value.get("name"), str):
        found["name"] = GONE
    blank: set[str] = set()
    if person.caused(value):
        blank |= {"text", "body", "title", "commits", "asks"}
    if person.is_me(value.get("reporter")) or person.issues & _keys(value):
        blank |= {"summary", "description", "asks"}
    if str(value.get("field", "")).lower() in _WRITTEN_FIELDS:
        blank |= {"before", "after"}
    for key in blank & found.keys():
        found[key] = [GONE] if isinstance(found[key], list) and found[key] else GONE if found[key] else found[key]
    return found


def _draft(person: ErasedPerson, before: Record, found: Record, theirs: bool) -> Record:
    """A draft: what answers them goes whole, and a draft that has lost its wording is closed."""
    comments = {c["id"]: c for c in before.get("issue", {}).get("comments", ())}
    answered = comments.get(before.get("answered"))
    if theirs or (answered and person.is_me(answered["author"])):
        found |= {name: GONE for name in _DRAFT_TEXTS if found.get(name)}
        found |= {name: [] for name in _DRAFT_LISTS if name in found} | {"given": None}
        found["revisions"] = [{**revision, "text": GONE} for revision in found.get("revisions", ())]
    if found == before:
        return found
    revisions = found.get("revisions") or [{}]
    if revisions[-1].get("text") == GONE and before["state"] in _STILL_OPEN:
        found |= {"state": "expired", "due": None, "note": "Its texts were erased at a person's request."}
    # Whoever has the draft in hand must not write the old texts back, and its card is to be drawn again.
    found["version"] = before.get("version", 0) + 1
    return found | {"open": True}


def _blank_message(record: Record) -> Record:
    """A Slack message of ours: it is one text to a reader, so it goes whole; what was posted is drawn again."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": GONE}]}
    found = {**record, "blocks": [{"type": "rich_text", "elements": [section]}], "text": GONE}
    if "pending" in record:
        found |= {"version": record["version"] + 1, "pending": bool(record.get("ts") or record.get("sending_since"))}
    return found


def _anywhere(person: ErasedPerson, value: Any) -> Any:
    """The last sieve: whatever still holds the id or the name, whatever field it is in."""
    if isinstance(value, str):
        return (GONE_ID if value in person.ids else GONE) if person.named_in(value) else value
    if isinstance(value, list):
        return [_anywhere(person, item) for item in value]
    if isinstance(value, dict):
        return {key: item if key == "id" else _anywhere(person, item) for key, item in value.items()}
    return value


def _text(value: Any) -> str:
    return to_json(value)


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dicts(item)


def _keys(item: Mapping[str, Any]) -> set[str]:
    """The issue that a thing is about, as its shape tells it."""
    issues = item.get("issues")
    first = issues[0] if isinstance(issues, list) and issues else None
    return {key for key in (item.get("key"), item.get("issue_key"), first) if isinstance(key, str)}


def _in(value: object, ids: set[str]) -> bool:
    return isinstance(value, str) and value in ids


def _words(words: set[str], flags: int) -> re.Pattern[str] | None:
    longest_first = sorted((re.escape(word) for word in words), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)", flags) if longest_first else None
