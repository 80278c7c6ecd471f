"""A process with a queue on PostgreSQL whose attempts never end: it prints the key of each, and is to be killed."""

from __future__ import annotations

import asyncio
import sys

from bot.clock import SystemClock
from bot.queue import Entry, Kind, Outcome
from bot.queue.procrastinate.engine import ProcrastinateQueue
from tests.queues import JobStore


async def attempt(entry: Entry) -> Outcome:
    sys.stdout.write(f"{entry.key}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()
    return None


async def main() -> None:
    store = JobStore(sys.argv[1])
    await ProcrastinateQueue(store.url, store, {"a": Kind(attempt, 8)}, SystemClock()).start()
    await asyncio.Event().wait()


asyncio.run(main())
