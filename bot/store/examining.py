"""Examining the audit trail: the chain, and with it the texts that are still there. For the command and the bot alike.

`examine` is given the trail's lines one after another and reads to each the record that it is about, so it needs no
more memory for a million lines than for ten. A text that is gone has to have been deleted by the retention.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from bot.errors import UserError
from bot.store import Record, StoreReader, Table
from bot.store.audit import Chain, ChainCheck, Published, UnreadableRecord
from bot.store.data import AsyncSnapshot, Snapshot
from bot.store.text_hashes import ACCEPTED, CREATED, EVENTS, wrong_draft, wrong_event

NAMES: dict[Table, str] = {"drafts": "draft", "webhook_events": "event"}
"""The tables whose texts are looked at, and what one of their records is."""
MAX_ATTEMPTS = 3
"""A record and its lines are read again where they differ: between two reads the program may have changed both."""
Wrong = tuple[int, str]


@dataclass
class Examination:
    """What was found. `texts`: how many texts of each kind were compared; `gone`: how many are gone;
    `complete`: all lines were taken in."""

    chain: Chain
    texts: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    wrong: Wrong | None = None
    complete: bool = True
    _seen: Counter[str] = field(default_factory=Counter)
    _missing: dict[Table, tuple[int, str]] = field(default_factory=dict)
    _deleted: Counter[str] = field(default_factory=Counter)

    @property
    def verdict(self) -> ChainCheck:
        """The first thing that is wrong, or that nothing is."""
        return self.chain.verdict(*self._in_texts())

    @property
    def all_wrong(self) -> list[Wrong]:
        """One of each kind of what is wrong, the first bad record first."""
        return self.chain.wrong(*self._in_texts())

    def _in_texts(self) -> list[Wrong]:
        found = [self.wrong] if self.wrong else []
        for table, (seq, record_id) in self._missing.items():
            gone, deleted = self.gone[table], self._deleted[table]
            if gone > deleted:
                text = f"{record_id} is gone: {gone} of the {NAMES[table]}s are, and the retention deleted {deleted}"
                found.append((seq, text))
        return found

    async def look(self, line: Record, store: StoreReader) -> None:
        """Compare what a line is about with what the store has."""
        try:
            await self._look(line, store)
        except (UserError, KeyError, TypeError, ValueError, AttributeError) as error:
            text = str(error) if isinstance(error, UserError) else "this is no line, or no text, of PM Agent's"
            self._note((line["seq"], text))

    async def count(self, store: StoreReader) -> None:
        """Once all lines were taken in, of data that do not change meanwhile: no text may be there without a line."""
        for table, what in NAMES.items():
            more = await store.count(table) - self._seen[table]
            if more > 0 and self.chain.broken is None:
                text = f"no record of the trail names {more} of the {what}s that are there"
                self._note((self.chain.records + 1, text))

    def _note(self, wrong: Wrong) -> None:
        self.wrong = min(self.wrong, wrong) if self.wrong else wrong

    async def _look(self, line: Record, store: StoreReader) -> None:
        if line["action"] == "retention.deleted":
            self._deleted.update({table: int(line["details"].get(table, 0)) for table in NAMES})
        elif line["action"] == CREATED and line["draft_id"]:
            await self._compare("drafts", line["draft_id"], line, store)
        elif line["action"] in EVENTS and line["event_id"]:
            await self._compare("webhook_events", line["event_id"], line, store)

    async def _compare(self, table: Table, record_id: str, line: Record, store: StoreReader) -> None:
        wrong: Wrong | None = None
        for _ in range(MAX_ATTEMPTS):
            record = await store.get(table, record_id)
            if record is None:
                self.gone[table] += 1  # whether the retention deleted it is known when all lines were read
                self._missing[table] = line["seq"], record_id
                return
            if table == "drafts":
                wrong = wrong_draft(await store.find("audit", draft_id=record_id), record)
            elif line["action"] == ACCEPTED:
                wrong = wrong_event(line, record)
                line = (wrong and await store.get("audit", line["id"])) or line  # an erasure changes it, too
            if wrong is None:
                self.texts[table] += 1
                break
        self._seen[table] += 1
        if wrong:
            self._note(wrong)


def examined(snapshot: Snapshot, heads: Sequence[Published] = (), *, seconds: float = float("inf")) -> Examination:
    """The same for all data as they were at one moment; no longer than so many seconds. Raises `UserError`."""
    end = time.monotonic() + seconds
    store = AsyncSnapshot(snapshot)
    cut = False

    async def lines() -> AsyncIterator[Record | UnreadableRecord]:
        nonlocal cut
        for line in snapshot.salvaged("audit"):
            if time.monotonic() > end:
                cut = True
                return
            yield line if isinstance(line, dict) else UnreadableRecord(line)

    async def run() -> Examination:
        found = await examine(lines(), store, heads)
        found.complete = not cut
        if found.complete:
            await found.count(store)
        return found

    return _at_once(run())


def _at_once(work: Coroutine[Any, Any, Examination]) -> Examination:
    """Carry out what never waits: a snapshot answers at once. Whether an event loop runs here does not matter then."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast(Examination, end.value)
    raise RuntimeError("a snapshot made somebody wait")


async def examine(
    lines: AsyncIterable[Record | UnreadableRecord], store: StoreReader, heads: Sequence[Published] = ()
) -> Examination:
    """Take in all lines of the trail, oldest first. Raises what reading raises (`StoreUnavailable`, `UserError`)."""
    found = Examination(Chain(tuple(heads)))
    async for line in lines:
        if not found.chain.take(line):
            break
        if isinstance(line, dict):
            await found.look(line, store)
    return found
