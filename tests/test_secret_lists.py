"""How many secrets pass, and how many false alarms there are, on the lists in `tests/secret_lists`.

`python -m tests.bench.secrets` names what passes, and takes the time.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot.safety import clean, tidy
from tests.secret_lists import Entry, Half, kinds, ordinary, spellings

RECORDINGS = Path(__file__).parents[2] / "shared" / "fixtures"
HALVES: tuple[Half, Half] = ("seen", "held_out")


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(("entries", "share"), [(spellings, 0.03), (kinds, 0.05)], ids=["spellings", "kinds"])
def test_few_secrets_pass(entries: Callable[[Half], list[Entry]], share: float, half: Half) -> None:
    listed = entries(half)
    assert len(listed) >= 90
    assert sum(entry.passes() for entry in listed) <= share * len(listed)


def test_the_words_after_a_secret_stay() -> None:
    spoilt = [entry.name for half in HALVES for entry in spellings(half) + kinds(half) if entry.spoils()]
    assert spoilt == []


@pytest.mark.parametrize("half", HALVES)
def test_ordinary_comments_stay_as_they_are(half: Half) -> None:
    comments = ordinary(half)
    assert len(set(comments)) > 850
    assert sum(tidy(comment) != clean(comment) for comment in comments) <= 2


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in texts(inner)]
    return [value] if isinstance(value, str) else []


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recorded payloads are not here")
def test_recorded_payloads_stay_as_they_are() -> None:
    recorded = [json.loads(path.read_text("utf-8")) for path in sorted(RECORDINGS.rglob("*.json"))]
    assert len(recorded) >= 30
    changed = [text for payload in recorded for text in texts(payload) if tidy(text) != clean(text)]
    assert changed == []
