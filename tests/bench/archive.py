"""What figures and archiving cost: `stats` as a command, `/metrics`' counters, and moving old records beside commits.

    python -m tests.bench.archive [--events 20000]

A store of so many events (two fifths of them past the retention), each with its cycle and its audit records and every
hundredth with a draft. Figures are seconds of the processor; a commit's wait is by the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.reports.metrics import counters, figures
from bot.store import Audit, Put
from bot.store.tiny import TinyStore
from tests.bench.report import Row, table
from tests.old_records import NOW, Clock, cycle, story

ROOT = Path(__file__).parents[2]
RETENTION = timedelta(days=365)
DAYS = 608


def fill(folder: Path, events: int) -> None:
    """Events over the last 608 days: those of the first 243 are past the retention."""
    clock = Clock()
    store = TinyStore.open(folder, clock=clock)
    waiting: list[Future[None]] = []
    text = "some words that a comment has " * 60
    for number in range(events):
        clock.at = NOW - timedelta(days=DAYS * (1 - number / events))
        if number % 100 == 0:
            story(store, str(number), clock.at)
            continue
        at, event_id = clock.at.isoformat(), f"evt_{number}"
        event = {"id": event_id, "at": at, "state": "done", "issue": f"ECD-{number % 500}", "event": {"text": text}}
        ended = {**cycle(str(number), at, "silence", None), "reasoning": text[:200]}
        audit = [Audit("jira:712020:ana", "event.accepted", event_id), Audit("system", "cycle.silence", event_id)]
        waiting.append(store.engine.submit([Put("webhook_events", event), Put("agent_cycles", ended)], (), audit))
        if len(waiting) == 500:
            for future in waiting:
                future.result()
            waiting = []
    store.close_now()


def command(folder: Path) -> float:
    """CPU seconds of `python -m bot stats`, the least of three."""
    used = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "stats"], cwd=ROOT, env={**os.environ, "PMAGENT_DATA_DIR": str(folder)},
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 0
        used.append(usage.ru_utime + usage.ru_stime)
    return min(used)


def cpu(work: Coroutine[Any, Any, object]) -> float:
    """CPU seconds of a coroutine."""
    begun = time.process_time()
    asyncio.run(work)
    return time.process_time() - begun


async def beside(store: TinyStore) -> tuple[float, float, int]:
    """CPU seconds of a run with a commit every millisecond; the longest wait of a commit in ms; records moved."""
    begun, longest = time.process_time(), 0.0
    moving = asyncio.create_task(store.retire(RETENTION))
    number = 0
    while not moving.done():
        sent = time.perf_counter()
        await store.commit(Put("keys", {"id": f"schedule:{number}", "at": NOW.isoformat()}))
        longest, number = max(longest, time.perf_counter() - sent), number + 1
        await asyncio.sleep(0.001)
    return time.process_time() - begun, longest * 1000, sum((await moving).values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        empty = command(Path(name) / "none")
        fill(folder, events)
        full = command(folder)
        begun = time.process_time()
        store = TinyStore.open(folder, clock=Clock())
        opening = time.process_time() - begun
        everything = cpu(figures(store, store.engine.clock, None))
        scrape = min(cpu(counters(store)) for _ in range(2))  # the first one imports
        moving, longest, moved = asyncio.run(beside(store))
        store.close_now()
        packed = sum(path.stat().st_size for path in (folder / "archive").iterdir()) / 2**20
    rows = [
        Row("stats, no data", empty, "s", 0.5),
        Row(f"stats, {events:,} events", full, "s"),
        Row("  of it: opening the store", opening, "s"),
        Row("  of it: the figures", everything, "s"),
        Row("counters of one scrape of /metrics", scrape * 1000, "ms"),
        Row("archiving, per 1,000 records", moving / moved * 1e6, "ms"),
        Row("records archived", moved, ""),
        Row("archives", packed, "MiB"),
        Row("longest wait of a commit meanwhile", longest, "ms"),
    ]
    return 0 if table("Figures and archives", rows) else 1


if __name__ == "__main__":
    sys.exit(main())
