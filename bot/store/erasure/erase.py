"""`erase ACCOUNT`: what a person's erasure changes in the records. Pure: records in, changes out.

What goes of a record is decided in `scrub`. In the audit trail the person's id is blanked in a way that the chain
allows (`sealing`), as are the hashes of the texts that went, against which their words could be tried; one `erase`
record says which fields of which records were blanked. It holds a salted hash of the id, never the id.

A backend reads its records for `planned` and writes what that says in one transaction, in which nobody else writes, and
then sees to it that the old records leave its files.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from bot.errors import UserError
from bot.store import TABLES, Audit, Job, Record, Table
from bot.store.audit import blank, spans
from bot.store.commits import Commit, ReadTable, RecordKey, record_json
from bot.store.erasure.person import SHORTEST, ErasedPerson
from bot.store.erasure.scrub import scrub, unclear
from bot.store.erasure.wording import together, words
from bot.store.text_hashes import text_sha256

_ACCOUNT = re.compile(r"[UW][A-Z0-9]{2,}|[A-Za-z0-9{][A-Za-z0-9:_.{}@-]{3,127}")
_CAUSE = {"reason": "erased"}


@dataclass
class Erased:
    """What an erase did. `records`: table → records changed; `drafts`: the ids of those that changed.

    What was left because it cannot be told apart, as `table/id`: `parts`, where a part of their name stands alone;
    `words`, where their words stand on an issue on which they did not write. `names`: how many they were known by.
    """

    records: dict[str, int] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)
    names: int = 0
    parts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


@dataclass
class _Forgotten:
    """What the trail must hold no hash of any more: wordings, by draft, and events, by id."""

    wordings: set[tuple[str, str]] = field(default_factory=set)
    events: set[str] = field(default_factory=set)

    def note(self, table: Table, before: Record, after: Record | None) -> None:
        now = after or {}
        if table == "webhook_events" and before.get("event") != now.get("event"):
            self.events.add(before["id"])
        if table == "drafts":
            kept = {text_sha256(wording["text"]) for wording in now.get("revisions", ())}
            found = {text_sha256(wording["text"]) for wording in before.get("revisions", ())}
            self.wordings |= {(before["id"], known) for known in found - kept}

    def leaves(self, record: Record) -> list[str]:
        details = record["details"]
        told = (record["draft_id"], details.get("sha256")) in self.wordings
        seen = record["event_id"] in self.events and "event_sha256" in details
        return ["sha256"] * told + ["event_sha256"] * seen


def account_id(text: str) -> str:
    """The bare account id of `ACCOUNT`, with or without `slack:` or `jira:`. Raises `UserError`."""
    account = text.strip().removeprefix("slack:").removeprefix("jira:")
    if not _ACCOUNT.fullmatch(account):
        raise UserError(
            f"{text!r} is neither a Slack user id (U0123ABCD) nor a Jira account id (712020:5a1e…). "
            "`python -m bot audit export` shows the ids of everybody who acted."
        )
    return account


def other_names(also: Sequence[str]) -> list[str]:
    """More names of the person, as they were given. Raises `UserError` for one that stands in too many texts."""
    if short := [name for name in also if len(words(name)) < 2 and len("".join(words(name))) < SHORTEST]:
        raise UserError(f"{short[0]!r} is too short to be looked for: it stands in too many texts.")
    return [*also]


def planned(account: str, also: Sequence[str], read: ReadTable, now: datetime) -> tuple[Commit, Erased]:
    """What to write so that nothing of this person is left. Each table is read twice: first to learn who is meant.

    `also`: more names and addresses of theirs. Raises `UserError` for what is no account.
    """
    account = account_id(account)
    erased = Erased()
    kept = [table for table in TABLES if table not in ("audit", "rollup")]
    person = ErasedPerson.known_from(account, ((table, record) for table in kept for record in read(table)), also)
    erased.names = len(person.names)
    forgotten = _Forgotten()
    changes: dict[RecordKey, str | None] = {}
    changed: Counter[str] = Counter()
    blanked: dict[str, list[int]] = {}
    lines: list[Audit] = []
    messages: list[str] = []  # those in Slack, or on their way there, are drawn again
    for table in (*kept, "audit"):
        for before in read(table):
            after = _without(person, table, before, forgotten)
            if after is before:
                if kind := unclear(person, table, before):
                    (erased.parts if kind == "name" else erased.words).append(f"{table}/{before['id']}")
                continue
            forgotten.note(table, before, after)
            changed[table] += 1
            changes[table, before["id"]] = None if after is None else record_json(after)
            if table == "audit" and after is not None:
                for leaf in after["erased"].keys() - (before.get("erased") or {}).keys():
                    blanked.setdefault(leaf, []).append(before["seq"])
            if table == "drafts":
                erased.drafts.append(before["id"])
            if table == "messages" and after is not None and after.get("pending"):
                messages.append(before["id"])
            cycle, ends = _ended(table, before, after, now.isoformat())
            changes |= {("agent_cycles", record["id"]): record_json(record) for record in cycle}
            lines += ends
    erased.records = dict(changed)
    if not changed:
        return Commit({}), erased
    salt = secrets.token_hex(16)
    details = {
        "account_sha256": f"{salt}:{sha256(f'{salt}:{account}'.encode()).hexdigest()}",
        "records": sum(changed.values()),
        "fields": {leaf: spans(seqs) for leaf, seqs in sorted(blanked.items())},
    }
    jobs = [*(Job("card", draft_id) for draft_id in erased.drafts), *(Job("message", key) for key in messages)]
    return Commit(changes, (), [*lines, Audit("system", "erase", details=details)], jobs), erased


def _without(person: ErasedPerson, table: Table, record: Record, forgotten: _Forgotten) -> Record | None:
    """The record without the person: the same object when it has nothing of them, None when it is to be dropped."""
    if table != "audit":
        return scrub(person, table, record)
    gone = record.get("erased") or {}
    found = [*_leaves_about(person, record), *(f"details.{name}" for name in forgotten.leaves(record))]
    names = [name for name in found if name not in gone]
    return blank(record, names) if names else record


def _leaves_about(person: ErasedPerson, record: Record) -> list[str]:
    if not person.concerns(record):
        return []
    names = ["actor"] if person.named_in(record["actor"]) else []
    return names + [
        f"details.{name}" for name, value in record["details"].items() if person.named_in(together({name: value}))
    ]


def _ended(table: Table, before: Record, after: Record | None, at: str) -> tuple[list[Record], list[Audit]]:
    """What is recorded about something that an erase has brought to its end: every event's story stays complete."""
    if after is None or before.get("state") == after.get("state"):
        return [], []
    if table == "drafts":
        return [], [Audit("system", "draft.expired", before["event_id"], before["id"], before.get("issue_key"), _CAUSE)]
    cycle = {
        "id": f"cyc_{before['id']}_erased", "event_id": before["id"], "at": at, "ended": at,
        "issue": before.get("issue"), "outcome": "silence", "reason": "erased", "reasoning": "", "confidence": None,
        "calls": [], "cost_usd": 0.0, "draft_id": None,
    }  # fmt: skip
    return [cycle], [Audit("system", "cycle.silence", before["id"], None, before.get("issue"), _CAUSE)]
