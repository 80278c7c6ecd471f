"""Progress on standard error: a bar on a terminal, or a line now and then."""

from __future__ import annotations

import sys
import time

WIDTH = 30
EVERY = 2.0
"""Seconds between two lines about one table."""


class ProgressBar:
    """One step for each thing that is done; nothing is shown where standard error is no terminal."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0
        self._shown = sys.stderr.isatty()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._shown:
            full = WIDTH * self._done // self._total
            bar = "█" * full + "·" * (WIDTH - full)
            print(f"\r{self._title}{bar} {self._done} of {self._total}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take it away."""
        if self._shown:
            print(f"\r{' ' * (len(self._title) + WIDTH + 24)}\r", end="", file=sys.stderr, flush=True)


class ProgressLines:
    """How far a backup or restore is: a line for each table when it is done, and for a long one now and then."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._said >= EVERY:
            self._said = now
            print(f"{what}: {done:,} of {total:,} records", file=sys.stderr)
