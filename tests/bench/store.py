"""What the store costs with nothing in it, with 100,000 and with 1,000,000 records: commits, opening, memory.

    python -m tests.bench.store [--records 1000000] [--recent]

The records are what the program writes about a comment that it leaves unanswered: the event of 1–2 kB (twice: received,
done), its cycle and two audit records, spread over half a year; with `--recent` all of them within 72 hours, so that
every delivery's keys are still remembered (the worst case). Memory is that of a fresh process that has opened the
folder, less that of one that has opened an empty one. Accepts are made in turn on the stores of all sizes, so that
what else the machine does counts for all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot.store import DELIVERY_KEYS_KEPT, Audit, Delete, Job, Put, Unseen
from bot.store.embedded.store import TinyStore
from bot.store.text_hashes import event_sha256

PER_EVENT = 4  # records that are alive of each event: it, its cycle, two of the audit trail
WRITERS, ROUNDS, ACCEPTS = 32, 12, 1500
SMALL = 100_000
BARS = {"open 1,000,000": (0.5, 40.0)}  # seconds, MB
SLOWER = 2.5
"""How many times as long as with nothing in it an accept may take."""
OPEN = """
import asyncio, json, sys, time
from pathlib import Path
from bot.store.embedded.store import TinyStore
def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
begun = time.perf_counter()
store = TinyStore.open(Path(sys.argv[1]))
took = time.perf_counter() - begun
megabytes = memory()
async def count():
    return [await store.count(table) for table in ("webhook_events", "agent_cycles", "audit", "deliveries")]
*records, keys = asyncio.run(count())
print(json.dumps({"seconds": took, "cpu": time.process_time(), "MB": megabytes, "records": sum(records), "keys": keys}))
"""


class Events:
    """Events as the doors make them, one after another."""

    def __init__(self, begin: datetime, every: timedelta) -> None:
        self._at = begin
        self._every = every
        self._chance = random.Random(3)  # noqa: S311 - sizes and issues, no secret
        self._number = 0

    def __next__(self) -> dict[str, Any]:
        self._number += 1
        self._at += self._every
        number, at = self._number, self._at.isoformat()
        event_id = f"evt_{int(self._at.timestamp() * 1000):010x}{self._chance.getrandbits(40):010x}"
        digest = hashlib.sha256(event_id.encode()).hexdigest()
        words = " ".join(["Is anybody looking at this?"] * self._chance.randint(5, 40))
        issue = f"ECD-{self._chance.randint(1, 5000)}"
        person = {"account_id": f"712020:{number % 300:08x}", "name": "Ben Okafor", "kind": "person"}
        comment = {"id": str(10_000 + number), "author": person, "text": words, "updated": at, "public": True}
        return {
            "id": event_id, "event_id": event_id, "at": at, "source": "jira", "kind": "issue_commented",
            "delivery_id": event_id, "body_sha256": digest, "issue": issue, "issues": [issue],
            "comment": comment["id"], "state": "received", "reason": "", "attempts": 0, "due": None,
            "event": {"kind": "issue_commented", "issues": [issue], "comment": comment, "edited": False, "at": at},
        }  # fmt: skip


def keys(event: dict[str, Any]) -> list[str]:
    """What this event is known again by."""
    digest = event["body_sha256"]
    said = f"{event['comment']}:{event['at']}:{digest[:32]}"
    return [f"jira:delivery:{event['id']}", f"jira:body:{digest}", f"jira:comment:{said}"]


async def accept(store: TinyStore, event: dict[str, Any]) -> None:
    """What `bot.intake.accept` commits."""
    since = datetime.fromisoformat(event["at"]) - DELIVERY_KEYS_KEPT
    details = {name: event[name] for name in ("source", "kind", "delivery_id", "body_sha256")}
    details["event_sha256"] = event_sha256(event["event"])
    actor = f"jira:{event['event']['comment']['author']['account_id']}"
    known = [Put("deliveries", {"id": key, "at": event["at"], "event_id": event["id"]}) for key in keys(event)]
    await store.commit(
        Put("webhook_events", event),
        *known,
        expect=(Unseen(tuple(keys(event)), since),),
        audit=(Audit(actor, "event.accepted", event["id"], None, event["issue"], details),),
        jobs=(Job("answer", event["id"], event["issue"]),),
    )


async def settle(store: TinyStore, event: dict[str, Any]) -> None:
    """What is committed about an event that needs no answer."""
    cycle = {
        "id": f"cyc_{event['id'][4:]}", "event_id": event["id"], "at": event["at"], "ended": event["at"],
        "issue": event["issue"], "outcome": "silence", "reason": "context", "reasoning": "", "confidence": None,
        "calls": [], "cost_usd": 0.0, "draft_id": None,
    }  # fmt: skip
    line = Audit("system", "cycle.silence", event["id"], None, event["issue"], {"reason": "context"})
    done = {**event, "state": "done", "reason": "context"}
    job = Job("answer", event["id"]).id
    await store.commit(Put("webhook_events", done), Put("agent_cycles", cycle), Delete("jobs", job), audit=(line,))


async def build(folder: Path, records: int, *, recent: bool) -> None:
    """A folder with so many records, written through the store in large groups."""
    span = timedelta(hours=70) if recent else timedelta(days=180)
    count = records // PER_EVENT
    store = TinyStore.open(folder)
    events = Events(datetime.now(UTC) - span, span / max(count, 1))
    for start in range(0, count, 1000):
        some = [next(events) for _ in range(min(1000, count - start))]
        await asyncio.gather(*(accept(store, event) for event in some))
        await asyncio.gather(*(settle(store, event) for event in some))
    await store.close()


async def accepts(folders: dict[str, Path]) -> dict[str, list[float]]:
    """Seconds of each durable accept, by store, 32 writers at a time."""
    stores = {name: TinyStore.open(folder) for name, folder in folders.items()}
    source = Events(datetime.now(UTC), timedelta(milliseconds=1))
    took: dict[str, list[float]] = {name: [] for name in stores}

    async def writer(store: TinyStore, events: Iterator[dict[str, Any]], into: list[float]) -> None:
        for event in events:
            begun = time.perf_counter()
            await accept(store, event)
            into.append(time.perf_counter() - begun)

    for number in range(ROUNDS + 1):
        turn = list(stores.items())
        for name, store in turn[number % 3 :] + turn[: number % 3]:
            events = iter([next(source) for _ in range(ACCEPTS if number else 200)])
            into: list[float] = [] if not number else took[name]
            begun, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(writer(store, events, into) for _ in range(WRITERS)))
            if number:
                rates.setdefault(name, []).append(ACCEPTS / (time.perf_counter() - begun))
                costs.setdefault(name, []).append((time.process_time() - cpu) / ACCEPTS * 1e6)
    for store in stores.values():
        await store.close()
    return took


rates: dict[str, list[float]] = {}
costs: dict[str, list[float]] = {}


def opened(folder: Path) -> dict[str, float]:
    """What a fresh process says that opens the folder: the quickest of three."""
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", OPEN, str(folder)], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    return min(runs, key=lambda run: float(run["seconds"]))


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


def say(name: str, text: str, *, good: bool) -> None:
    print(f"{name:34}{text:84}{'met' if good else 'NOT met'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="in the largest store")
    parser.add_argument("--recent", action="store_true", help="all records within 72 hours")
    parser.add_argument("--folder", type=Path, help="keep the stores here, and use those that are there")
    args = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {platform.machine()}; {WRITERS} writers, {ROUNDS}×{ACCEPTS} accepts each"
    )
    with tempfile.TemporaryDirectory() as temporary:
        base = args.folder or Path(temporary)
        sizes = sorted({0, min(SMALL, args.records), args.records})
        folders = {f"{size:,}": base / f"{size}{'-recent' if args.recent else ''}" for size in sizes}
        for size, folder in zip(sizes, folders.values(), strict=True):
            if not folder.exists():
                begun = time.perf_counter()
                asyncio.run(build(folder, size, recent=args.recent))
                megabytes = (folder / "pm_agent.db").stat().st_size / 1e6
                print(f"built {size:,} records, {megabytes:,.0f} MB, in {time.perf_counter() - begun:.1f} s")
        report(folders)


def report(folders: dict[str, Path]) -> None:
    """Measure and print."""
    empty = opened(folders["0"])
    for name, folder in folders.items():
        if name == "0":
            continue
        found = opened(folder)
        seconds, more = BARS.get(f"open {name}", (float("inf"), float("inf")))
        memory = found["MB"] - empty["MB"]
        cpu = found["cpu"] - empty["cpu"]
        text = f"{found['seconds']:.2f} s (bar {seconds:g}; {cpu:.2f} s of CPU), {memory:+.0f} MB (bar {more:g}), "
        text += f"{found['keys']:,.0f} keys"
        say(f"open {found['records']:,.0f} records", text, good=found["seconds"] < seconds and memory <= more)
    took = asyncio.run(accepts(folders))
    base = statistics.median(took["0"])
    for name, values in took.items():
        middle = statistics.median(values)
        rate, cpu = statistics.median(rates[name]), statistics.median(costs[name])
        text = f"median {middle * 1e3:.2f} ms, × {middle / base:.2f} (bar {SLOWER:g}), p99 {p99(values) * 1e3:.1f} ms, "
        say(f"accept with {name} records", text + f"{rate:,.0f}/s, {cpu:.0f} µs", good=middle <= SLOWER * base)


if __name__ == "__main__":
    main()
