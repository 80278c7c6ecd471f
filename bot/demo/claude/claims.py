"""What a reply states, as the stand-in of Claude says it: simple English (and German) sentences, one state each.

The real model does this in any language; here it is enough for the demo and for tests, which can also script it.
"""

from __future__ import annotations

import re
from typing import Any

Entry = dict[str, Any]
_SENTENCE = re.compile(r"[^.!?;\n]+(?:\.\d+[^.!?;\n]*)*")
_GREETING = re.compile(r"^(?:Hi|Hello|Hallo) \w+, ")
_PULL = re.compile(r"(?:[\w.-]+/[\w.-]+)?#\d+")
_KEY = re.compile(r"\b[A-Z][A-Z0-9]+-\d+\b")
_NOT = re.compile(r"\b(?:not|isn't|no longer|nicht|kein)\b", re.IGNORECASE)
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_NAME = r"[A-ZÀ-Ý][\w’'-]+(?: [A-ZÀ-Ý][\w’'-]+)?"
_OF_A_PULL: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("merged", re.compile(r"\b(?:is|was|been|ist)\b.{0,12}\b(?:merged|gemergt)\b")),
    ("open", re.compile(r"\b(?:is|ist)(?: \w+)? (?:open|offen)\b")),
    ("declined", re.compile(r"\bwas declined\b")),
    ("approvals", re.compile(rf"\b(?P<value>\d+|{'|'.join(_NUMBERS)}) (?:of \w+ )?approvals?\b")),
    ("approved_by", re.compile(rf"(?P<value>{_NAME}) has (?:not )?approved\b")),
    ("approved_by", re.compile(r"approved by (?P<value>everybody)")),
    ("build_passed", re.compile(r"\bbuild\b.*\b(?:has passed|passed|is green)\b")),
    ("build_failed", re.compile(r"\bbuild\b.*\b(?:has failed|failed)\b")),
)
_OF_AN_ISSUE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("assigned_to", re.compile(rf"\bassigned to (?P<value>{_NAME})")),
    ("assigned_to", re.compile(rf"(?P<value>{_NAME}) is assigned")),
    ("assigned_to", re.compile(r"(?P<value>[Nn]obody) is assigned")),
    ("blocked_by", re.compile(r"\bblocked by (?P<value>[A-Z][A-Z0-9]+-\d+)")),
    ("due", re.compile(r"\bdue\b.*?(?P<value>\d{4}-\d\d-\d\d)")),
    (
        "status",
        re.compile(r"\b(?:is|ist) (?:in )?(?P<value>Done|In Progress|In Review|To Do|Blocked|Erledigt|Offen)\b"),
    ),
)


def claims(text: str) -> list[Entry]:
    """The entries for a reply. "It" is what the sentence before spoke of."""
    found: list[Entry] = []
    pull = key = ""
    for sentence in (_GREETING.sub("", match[0].strip()) for match in _SENTENCE.finditer(text)):
        about = _PULL.search(sentence), _KEY.search(sentence)
        pull = f"PR {about[0][0]}" if about[0] else "" if about[1] else pull
        key = about[1][0] if about[1] else "" if about[0] else key
        for part in re.split(r",? (?:and|und|but) |, (?=which|it|one|two|no )", sentence):
            own = (_PULL.search(part), _KEY.search(part))
            if pull or "pull request" in sentence or "build" in part:
                found += _entries(f"PR {own[0][0]}" if own[0] else pull, part, _OF_A_PULL)
            found += _entries(own[1][0] if own[1] else key, part, _OF_AN_ISSUE)
    return found


def _entries(about: str, words: str, table: tuple[tuple[str, re.Pattern[str]], ...]) -> list[Entry]:
    found: list[Entry] = []
    for says, pattern in table:
        if match := pattern.search(words):
            value = match.groupdict().get("value") or ""
            value = str(_NUMBERS.index(value)) if value in _NUMBERS else "nobody" if value == "Nobody" else value
            negated = bool(_NOT.search(words[: match.end()])) and says != "approvals"
            found.append({"about": about, "says": says, "value": value, "negated": negated, "quote": words})
    return found
