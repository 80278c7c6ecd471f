"""Verifying the audit trail: the hash chain, what was blanked in it, and heads that were published earlier. Pure.

`bot.store.sealing` says how a record is made. The chain is no signature: somebody who may write the data can write all
of it anew. That is found by a head that was published where they cannot write (each standup carries one), for what
stands before that head. What came after the last published head, nothing proves.

A blanked leaf has to be named by an `erase` record after it. Such a record can be forged by the same somebody, so
erasures are listed (`Chain.erasures`) and told in Slack: people know whether they asked for one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bot.store import Record
from bot.store.sealing import ERASED, FIELDS, GENESIS, blank, check_audit, digest, seal

__all__ = [
    "ERASED", "GENESIS", "Chain", "ChainCheck", "Erasure", "Published", "UnreadableRecord", "blank", "check_audit",
    "digest", "seal", "spans", "verify",
]  # fmt: skip
SHORT_HEAD = 16
"""A published head may be shortened to this many hex digits."""
Spans = list[list[int]]


@dataclass(frozen=True)
class UnreadableRecord:
    """Stands in the trail where something cannot be read at all. `what` is for a person."""

    what: str


@dataclass(frozen=True)
class ChainCheck:
    """What was found. `broken_at`: the first bad `seq`, None when all is as it should be."""

    records: int
    head: str
    broken_at: int | None = None
    why: str = ""

    def __str__(self) -> str:
        if self.broken_at is not None:
            return f"broken at seq {self.broken_at}: {self.why}"
        return f"ok {self.records} records, head {self.head}"


@dataclass(frozen=True)
class Published:
    """A head that was published. `where`: in words, after "the head"; `seq`: whose hash it is, where that was said."""

    head: str
    where: str = ""
    seq: int | None = None


@dataclass(frozen=True)
class Erasure:
    """An `erase` record. `blanked`: leaf → the records in which it was blanked, as spans."""

    seq: int
    at: str
    blanked: Mapping[str, Spans]


@dataclass
class Chain:
    """The trail as far as it was taken in, record after record, in the order in which it is stored.

    `broken`: the first bad `seq` and why, where the chain itself does not hold. `blanked`: leaf → records, as spans.
    `reached`: the heads of `wanted` that were found. Needs memory for what was erased, not for what there is.
    """

    wanted: tuple[Published, ...] = ()
    records: int = 0
    head: str = GENESIS
    broken: tuple[int, str] | None = None
    blanked: dict[str, Spans] = field(default_factory=dict)
    erasures: list[Erasure] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    _unreadable: str = ""

    def __post_init__(self) -> None:
        self._heads = {_plain(known.head) for known in self.wanted}
        self._lengths = {len(head) for head in self._heads if len(head) >= SHORT_HEAD}

    def take(self, record: Record | UnreadableRecord) -> bool:
        """Take in the next record; False when it breaks the chain, and then nothing more is to be taken in."""
        if isinstance(record, UnreadableRecord):
            self._unreadable = self._unreadable or record.what
            return True
        seq = self.records + 1
        if why := _wrong(record, seq, self.head):
            self.broken = seq, self._unreadable or why
            return False
        self._unreadable = ""
        self.records, self.head = seq, record["hash"]
        self.reached |= {self.head[:length] for length in self._lengths} & self._heads
        for leaf in record.get("erased") or ():
            _append(self.blanked.setdefault(leaf, []), seq)
        if record["action"] == "erase":
            self.erasures.append(Erasure(seq, str(record["at"]), _fields_of(record)))
        return True

    def verdict(self, *more: tuple[int, str]) -> ChainCheck:
        """The verdict on all that was taken in. `more`: what else was found wrong; the first bad record is named."""
        found = self.wrong(*more)
        return ChainCheck(self.records, self.head, *(found[0] if found else (None, "")))

    def wrong(self, *more: tuple[int, str]) -> list[tuple[int, str]]:
        """All that was found wrong, the first bad record first."""
        end = (self.records + 1, self._unreadable) if self._unreadable else None
        found = [self.broken or end] if self.broken or end else [*self._lost_heads()]
        return sorted(filter(None, (*found, *self._unaccounted(), *more)), key=lambda wrong: wrong[0])

    def _unaccounted(self) -> Iterator[tuple[int, str]]:
        """The first record, for each leaf, that was blanked without a later `erase` record that names it."""
        for leaf, blanked in self.blanked.items():
            allowed = _merged([a, min(b, e.seq - 1)] for e in self.erasures for a, b in e.blanked.get(leaf, ()))
            starts = [first for first, _ in allowed]
            for first, last in blanked:
                seq = first
                while seq <= last and (at := bisect_right(starts, seq) - 1) >= 0 and allowed[at][1] >= seq:
                    seq = allowed[at][1] + 1
                if seq <= last:
                    yield seq, f"its {leaf} was blanked, and no erase record says so"
                    break

    def _lost_heads(self) -> Iterator[tuple[int, str]]:
        for known in self.wanted:
            head = _plain(known.head)
            if head in self.reached or (not self.records and len(head) >= SHORT_HEAD and GENESIS.startswith(head)):
                continue  # the second: the head of nothing; once there are records it proves nothing
            named = f"the head {head}{f' {known.where}' if known.where else ''}"
            if known.seq is not None and known.seq <= self.records:
                yield known.seq, f"{named} is not its hash: it, or what stands before it, was rewritten since"
            else:
                why = f"what followed record {self.records} was cut off, or the trail was rewritten"
                yield self.records + 1, f"{named} is not in the chain: {why}"


def verify(records: Iterable[Record | UnreadableRecord], head: str | None = None) -> ChainCheck:
    """Recompute the chain, in the order in which it is stored, and name the first bad record.

    `head`: a hash that was published earlier; it must be in the chain, else the end was cut off or rewritten.
    """
    chain = Chain((Published(head),) if head else ())
    for record in records:
        if not chain.take(record):
            break
    return chain.verdict()


def spans(seqs: Iterable[int]) -> Spans:
    """Numbers as [first, last] pairs, in order: how an `erase` record names what it blanked."""
    found: Spans = []
    for seq in sorted(set(seqs)):
        _append(found, seq)
    return found


def _plain(head: str) -> str:
    return head.strip().lower()


def _append(found: Spans, seq: int) -> None:
    if found and found[-1][1] == seq - 1:
        found[-1][1] = seq
    else:
        found.append([seq, seq])


def _merged(found: Iterable[list[int]]) -> Spans:
    """The same numbers as spans that do not touch, in order."""
    merged: Spans = []
    for first, last in sorted(found):
        if first > last:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def _fields_of(record: Record) -> dict[str, Spans]:
    """What an `erase` record says that it blanked; what is no such thing is left out."""
    fields = record["details"].get("fields")
    return {
        str(leaf): [
            span
            for span in (found if isinstance(found, list) else ())
            if isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)
        ]
        for leaf, found in (fields.items() if isinstance(fields, dict) else ())
    }


def _wrong(record: Record, seq: int, prev: str) -> str:
    """Why this cannot be record number `seq` after the hash `prev`; empty when it can."""
    found = record.get("seq")
    if found != seq or isinstance(found, bool):
        if isinstance(found, int) and found > seq:
            return f"record {seq} is missing (record {found} stands in its place)"
        return f"record {found} stands in its place"
    if record.get("prev") != prev:
        return "it does not follow the record before it"
    if record.get("id") != str(seq) or record.keys() - FIELDS:
        return "it was changed: its fields are not those of an audit record"
    try:
        right = digest(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return f"it was changed: {error}" if isinstance(error, ValueError) else "it was changed: it is not whole"
    return "" if right == record.get("hash") else "it was changed: its content does not match its hash"
