"""The program as evals run it: `python -m bot.evals.program NOW PROMPTS`, at another hour, with a folder of prompts."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from bot.app import serve
from bot.settings import load


class ShiftedClock:
    """A clock that showed `start` when it was made, and goes on from there."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._made = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=time.monotonic() - self._made)

    def monotonic(self) -> float:
        return time.monotonic()


if __name__ == "__main__":
    now, prompts = sys.argv[1:]
    sys.exit(asyncio.run(serve(load(), ShiftedClock(datetime.fromisoformat(now)), Path(prompts))))
