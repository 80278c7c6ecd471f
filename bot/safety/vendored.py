"""The vendored rules: some 380 kinds of tokens as Betterleaks (which gitleaks became) knows them. Pure.

`vendored_rules.json` is made by `tests/secret_lists/make_vendored_rules.py` from a released package and never by hand.
A pattern is compiled when a text first holds one of its literals: most never are.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cached_property
from math import log2
from pathlib import Path

_FILE = Path(__file__).with_name("vendored_rules.json")


class VendoredRule:
    """A kind of secret: in every text that holds one stands one of its `hints`, in whatever case; where the hint
    `leads`, the secret begins with it.
    """

    def __init__(self, name: str, hints: tuple[str, ...], pattern: str, entropy: float, *, leads: bool) -> None:
        self.name, self.hints, self.leads = re.sub(r"\.\d$", "", name).replace("-", " "), hints, leads
        self._pattern, self._entropy = pattern, entropy

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self._pattern, re.ASCII)

    def span(self, found: re.Match[str]) -> tuple[int, int] | None:
        """Where the secret stands in what was found; None where it is too plain to be one."""
        groups = [number for number in range(1, self.pattern.groups + 1) if found[number]]
        group = groups[0] if len(groups) == 1 else 0
        return found.span(group) if _entropy(found[group]) >= self._entropy else None


def vendored_rules() -> list[VendoredRule]:
    rules = json.loads(_FILE.read_text("utf-8"))["rules"]
    return [
        VendoredRule(rule["name"], tuple(rule["hints"]), rule["pattern"], rule["entropy"], leads=rule["leads"])
        for rule in rules
    ]


def _entropy(text: str) -> float:
    """Shannon's, in bits a character."""
    return -sum(n / len(text) * log2(n / len(text)) for n in Counter(text).values()) if text else 0.0
