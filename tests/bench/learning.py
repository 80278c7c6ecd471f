"""What it costs a request to look for what was learned, beside 100,000 corrections of which each project has many.

python -m tests.bench.learning [--corrections 100000] [--projects 5]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bot.clock import SystemClock
from bot.rules.policy import Audience
from bot.store import Put
from bot.store.embedded.store import TinyStore
from bot.workflow.learning.corrections import lessons
from tests.bench.report import Row, table

GROUP = 500
WORDS = [f"word{number}" for number in range(4_000)]


def words(count: int) -> str:
    return " ".join(random.choices(WORDS, k=count))  # noqa: S311 - no secret


def pair(number: int, projects: int, at: datetime) -> Put:
    project = f"P{number % projects}"
    record = {
        "id": f"drf_{number}", "at": at.isoformat(), "event_id": "e", "issue": f"{project}-{number}",
        "project": project, "audience": "public", "place": f"{project}|public", "desk": False, "prompt": "p",
        "by": "slack:U1", "asked_by": "a", "people": [f"account-{n}" for n in range(10)], "asked": words(40),
        "wrote": words(60), "made": words(50),
    }  # fmt: skip
    return Put("corrections", record)


async def measured(folder: Path, corrections: int, projects: int) -> list[float]:
    """Milliseconds of each look-up."""
    store, now = TinyStore.open(folder), datetime.now(UTC)
    for start in range(0, corrections, GROUP):
        some = range(start, min(start + GROUP, corrections))
        await store.commit(*(pair(n, projects, now - timedelta(minutes=corrections - n)) for n in some))
    ctx = cast(Any, SimpleNamespace(store=store, clock=SystemClock()))
    took = []
    for number in range(200):
        begun = time.perf_counter()
        await lessons(ctx, f"P{number % projects}", Audience(audience="public"), words(40))
        took.append(1000 * (time.perf_counter() - begun))
    await store.close()
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corrections", type=int, default=100_000)
    parser.add_argument("--projects", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        took = asyncio.run(measured(Path(folder), args.corrections, args.projects))
    rows = [
        Row("a look-up, median", took[len(took) // 2], "ms", 30),
        Row("p99", took[len(took) * 99 // 100], "ms", 100),
    ]
    sys.exit(not table(f"{args.corrections:,} corrections in {args.projects} projects", rows))


if __name__ == "__main__":
    main()
