"""The facts and sentences of this folder, and what the support check makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bot.support import given, unsupported

HERE = Path(__file__).parent


class Line(NamedTuple):
    """A sentence about a block. `mark`: the words that the block does not support; "" where it supports all of it."""

    block: str
    mark: str
    named: tuple[tuple[str, str], ...]
    text: str


def blocks() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((HERE / "blocks.json").read_text(encoding="utf-8"))
    return found


def lines(name: str) -> Iterator[Line]:
    for row in (HERE / f"sentences_{name}.tsv").read_text(encoding="utf-8").splitlines():
        block, mark, claims, text = row.split("\t")
        named = [claim.strip().partition("=") for claim in claims.split(";") if claim.strip()]
        yield Line(block, mark, tuple((kind, value) for kind, _, value in named), text)


def result(name: str) -> tuple[list[tuple[Line, tuple[str, ...]]], list[tuple[Line, tuple[str, ...]]]]:
    """The planted facts that were missed, and the false alarms, with what was marked."""
    facts = {key: given(b["data"], datetime.fromisoformat(b["now"])) for key, b in blocks().items()}
    missed, alarms = [], []
    for line in lines(name):
        marks = unsupported(line.text, facts[line.block], line.named)
        if line.mark and not any(m in line.mark or line.mark in m for m in marks):
            missed.append((line, marks))
        if not line.mark and marks:
            alarms.append((line, marks))
    return missed, alarms


if __name__ == "__main__":
    import sys

    for half in sys.argv[1:] or ["seen"]:
        everything = list(lines(half))
        planted = sum(bool(line.mark) for line in everything)
        missed, alarms = result(half)
        print(f"{half}: {planted - len(missed)} of {planted} planted facts marked; "
              f"{len(alarms)} false alarms in {len(everything) - planted} supported sentences")  # fmt: skip
        if half.endswith("seen"):
            for title, found in (("missed", missed), ("alarm", alarms)):
                for line, marks in found:
                    print(f"  {title}: {line.block}: {line.text!r} {marks}")
