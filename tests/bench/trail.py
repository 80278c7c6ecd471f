"""What it costs to verify the audit trail, by the command and in the running bot, and who waits meanwhile.

    python -m tests.bench.trail [--records 1000000]

Half of the records are the trail's, as `tests.bench.store` builds them, with an event to each second line of it. The
bot's way is run here in this process, beside a task that wakes every millisecond: how much later than that it wakes is
what somebody else on the event loop would wait.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bot.clock import SystemClock
from bot.store.embedded.store import TinyStore
from bot.workflow.trail import verify_trail
from tests.bench.report import Row, table
from tests.bench.store import build


async def in_the_bot(folder: Path) -> tuple[float, float, list[float]]:
    """Seconds on the clock and of the processor, and how late the other task woke each time."""
    store = TinyStore.open(folder)
    late: list[float] = []

    async def other() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - begun - 0.001)

    waking = asyncio.create_task(other())
    begun, cpu = time.perf_counter(), time.process_time()
    await verify_trail(cast(Any, SimpleNamespace(store=store, clock=SystemClock())), None)
    took = time.perf_counter() - begun, time.process_time() - cpu
    waking.cancel()
    found = await store.get("state", "trail")
    assert found is not None, found
    assert found["broken_at"] is None, found
    await store.close()
    return *took, late


def by_the_command(folder: Path) -> tuple[float, float]:
    """Seconds, and MiB of memory at most."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "bot", "audit", "verify"]
    environment = {"PATH": os.environ["PATH"], "PMAGENT_DATA_DIR": str(folder)}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="of all tables; half of them are the trail's")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(build(Path(folder), args.records, recent=False))
        command, memory = by_the_command(Path(folder))
        seconds, cpu, late = asyncio.run(in_the_bot(Path(folder)))
    late.sort()
    rows = [
        Row("by the command", command, "s"),
        Row("its memory", memory, "MiB", 300),
        Row("in the bot", seconds, "s"),
        Row("of the processor meanwhile", 100 * cpu / seconds, "%", 50),
        Row("somebody else waits, p99", 1000 * late[len(late) * 99 // 100], "ms", 20),
        Row("at most", 1000 * late[-1], "ms", 100),
    ]
    sys.exit(not table(f"A trail of {args.records // 2:,} records", rows))


if __name__ == "__main__":
    main()
