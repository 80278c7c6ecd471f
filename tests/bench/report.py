"""A benchmark's table: what was measured, the bar, and whether it is met."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """What a process has used of the processor so far, its threads together. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """A process's resident memory in MiB. Linux."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


@dataclass(frozen=True)
class Row:
    """`value` and `bar` in `unit`; the bar is an upper one unless `at_least`. `bar` None: only told."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.at_least else self.value <= self.bar


def table(title: str, rows: list[Row]) -> bool:
    """Print it. Returns whether every bar is met."""
    print(f"{title}\nPython {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    width = max(len(row.name) for row in rows) + 2
    for row in rows:
        bar = "" if row.bar is None else f"{'≥' if row.at_least else '≤'} {row.bar:,.10g} {row.unit}"
        verdict = "" if row.bar is None else "met" if row.met else "NOT MET"
        print(f"{row.name:{width}}{row.value:>12,.2f} {row.unit:8}{bar:>16}  {verdict}")
    return all(row.met for row in rows)
