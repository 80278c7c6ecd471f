"""Issue keys in names and texts that people write elsewhere: branches, titles of pull requests, commits. Pure.

A key counts when its project is watched; in branch names also in lower case, for projects that are configured by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

MAX_KEYS = 20
MAX_TEXT = 32_767
"""Characters of one text that are searched."""
ISSUE_KEY = re.compile(r"\b([A-Z][A-Z0-9_]+)-\d+\b")
"""A key in a short text, of whichever project; the group is its project."""
# A project's key has at most ten characters, and somewhere else a few more. Without a bound, A_A_A_… takes as long as
# its length squared.
_KEY = re.compile(r"(?<![A-Za-z0-9])([A-Z][A-Z0-9_]{1,63})-([1-9]\d{0,9})(?![0-9A-Za-z])")


def find_keys(
    branch: str, *texts: str, watches: Callable[[str], bool], projects: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The issue keys in a branch's name and in texts, in that order, each once, at most 20.

    `watches` tells whether a project's key is ours; `projects` are those configured by name.
    """
    found: dict[str, None] = {}
    if projects:
        found.update((f"{m[1].upper()}-{m[2]}", None) for m in _any_case(projects).finditer(branch[:MAX_TEXT]))
    for text in (branch, *texts):
        found.update((m[0], None) for m in _KEY.finditer(text[:MAX_TEXT]) if watches(m[1]))
    return tuple(found)[:MAX_KEYS]


@lru_cache(maxsize=8)
def _any_case(projects: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join(re.escape(p) for p in projects)
    return re.compile(rf"(?<![A-Za-z0-9])({names})-([1-9]\d{{0,9}})(?![0-9A-Za-z])", re.IGNORECASE)
