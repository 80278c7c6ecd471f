"""One line of the program's health, as `/pmagent health` shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class HealthLine:
    """One part of the program: its name, whether it is well, and a sentence."""

    name: str
    ok: bool
    text: str
