"""Whom an erasure is about, as all records together tell it: ids, names, what they caused, where they wrote. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bot.store import Record, Table
from bot.store.erasure.wording import Names, Quotations, as_written, together
from bot.store.sealing import ERASED
from bot.store.text_hashes import ERASED_TEXT

_ID_FIELDS = ("account_id", "author_id", "by", "user", "user_id")
_NAME_FIELDS = ("name", "display_name", "author")
_TEXT_FIELDS = ("text", "body", "title")
_REPORTED = ("summary", "description")
SHORTEST = 3
"""Letters of a name: a shorter one stands in too many texts."""


class ErasedPerson:
    """Whom this is about, as the records tell it. `account` without its `slack:` or `jira:`.

    `names`: what they are called. `events`: those that they caused. `issues`: those that they reported. `threads`:
    those on which they wrote anything. `quotations`: their words.
    """

    def __init__(self, account: str, also: Iterable[str] = ()) -> None:
        """`also`: more names and addresses that are theirs, as whoever asks for the erasure knows them."""
        self.account = account
        self.ids = {account, f"slack:{account}", f"jira:{account}"}
        self.names = {name.strip() for name in also}
        self.events: set[str] = set()
        self.issues: set[str] = set()
        self.threads: set[str] = set()
        self.quotations = Quotations()
        self._id = re.compile(rf"(?<![\w-]){re.escape(account)}(?![\w-])")
        self._names = Names(())

    @classmethod
    def known_from(
        cls, account: str, records: Iterable[tuple[Table, Record]], also: Iterable[str] = ()
    ) -> ErasedPerson:
        """Learn names, events, issues and words from all records."""
        person = cls(account, also)
        for table, record in records:
            if not person._id_in(together(record)):
                continue
            heard = False
            for item in _dicts(record):
                person._learn(item)
                heard |= person._hear(item, record)
            event = record.get("event")
            if table == "webhook_events" and isinstance(event, dict) and person.caused(event):
                person.events.add(record["id"])
            if heard:
                person.threads |= keys_of(record)
        person.names -= {ERASED_TEXT, ERASED}
        person._names = Names(person.names)
        return person

    def _learn(self, item: Mapping[str, Any]) -> None:
        if any(_in(item.get(name), self.ids) for name in _ID_FIELDS):
            found = (item.get(name) for name in _NAME_FIELDS)
            self.names |= {name.strip() for name in found if isinstance(name, str) and len(name.strip()) >= SHORTEST}
        if self.is_me(item.get("reporter")):
            self.issues |= keys_of(item)

    def _hear(self, item: Mapping[str, Any], record: Record) -> bool:
        """Take in what they wrote in this comment, issue, edit or pull request. An edit is theirs where it differs."""
        wrote = any(self.is_me(item.get(name)) for name in ("author", "author_id", "by", "reporter"))
        fields = (*_TEXT_FIELDS, *(_REPORTED if self.is_me(item.get("reporter")) else ())) if wrote else ()
        found = [text for field in fields if isinstance(text := item.get(field), str)]
        if wrote and isinstance(changes := item.get("changes"), list):
            found += [str(change.get("after")) for change in changes if isinstance(change, dict)]
        wordings = record.get("revisions")
        before = [str(r.get("text")) for r in wordings or () if r is not item] if "by" in item else []
        for text in found:
            self.quotations.learn(text, before)
        return bool(found)

    def is_me(self, who: object) -> bool:
        """Whether this is the person: an account object, or one of the ids as text."""
        return _in(who.get("account_id"), self.ids) if isinstance(who, dict) else _in(who, self.ids)

    def caused(self, item: Mapping[str, Any]) -> bool:
        """Whether they wrote this event, comment, issue, wording or pull request."""
        comment = item.get("comment")
        author = comment.get("author") if isinstance(comment, dict) else item.get("author")
        return any(self.is_me(who) for who in (author, item.get("by"), item.get("reporter"), item.get("author_id")))

    def named_in(self, text: str) -> bool:
        """Whether the id or a whole name occurs in the text."""
        return any(self._id_in(way) or self._names.stand_in(way) for way in as_written(text))

    def concerns(self, record: Mapping[str, Any]) -> bool:
        """Whether they take part in the record."""
        return record.get("event_id") in self.events or self.named_in(together(record))

    def hinted_in(self, text: str) -> bool:
        """Whether the text would be taken to mean them in a record in which they take part."""
        return self.named_in(text) or any(self._names.hinted_in(way) for way in as_written(text))

    def _id_in(self, text: str) -> bool:
        return self.account in text and bool(self._id.search(text))


def keys_of(item: Mapping[str, Any]) -> set[str]:
    """The issue that a thing is about, as its shape tells it."""
    issues = item.get("issues")
    first = issues[0] if isinstance(issues, list) and issues else None
    found = (item.get("key"), item.get("issue_key"), item.get("issue"), first)
    return {key for key in found if isinstance(key, str)}


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dicts(item)


def _in(value: object, ids: set[str]) -> bool:
    return isinstance(value, str) and value in ids
