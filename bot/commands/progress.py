"""A progress bar on a terminal's standard error."""

from __future__ import annotations

import sys

WIDTH = 30


class Progress:
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
