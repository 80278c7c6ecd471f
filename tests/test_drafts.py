"""The state machine is as it is drawn, and a move is a new version and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.cards.notification import NOTIFICATIONS
from bot.domain import draft_states
from bot.domain.draft_states import BUSY, OPEN, SUPERSEDABLE, TRANSITIONS, DraftState
from bot.domain.drafts import Card, Decision, Draft, Revision
from bot.domain.issues import Issue
from bot.errors import Illegal
from bot.workflow.deciding.decision import ARROWS

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
STATES = st.sampled_from(list(DraftState))


def draft(state: DraftState = DraftState.WAITING, **changes: object) -> Draft:
    issue = Issue(key="ECD-1", project="ECD", summary="s", url="https://x.example/browse/ECD-1", status="Open")
    return Draft.model_validate({
        "id": "drf_1", "event_id": "evt_1", "cycle_id": "cyc_1", "issue": issue, "state": state, "mode": "production",
        "revisions": (Revision(text="Hi.", by="claude", at=NOW),), "model": "m", "prompt": "p", "created": NOW,
        "expires": NOW, "card": Card(channel="C1"), **changes,
    })  # fmt: skip


def drawn() -> set[tuple[str, str]]:
    """The arrows of the drawing: a source, or nothing for the one above, the cause, the target."""
    found, source = set(), ""
    for line in (draft_states.__doc__ or "").splitlines():
        if match := re.fullmatch(r" {4}(\w*) +─ .+ ─*→ (\w+)", line):
            source = match[1] or source
            found.add((source, match[2]))
    return found


def test_every_arrow_is_drawn_and_every_drawn_arrow_is_there() -> None:
    assert drawn() == {(str(source), str(target)) for source, targets in TRANSITIONS.items() for target in targets}


def test_every_state_has_its_place() -> None:
    assert set(TRANSITIONS) == set(DraftState) == set(NOTIFICATIONS)
    assert not OPEN & BUSY
    assert SUPERSEDABLE < OPEN
    ends = {state for state, targets in TRANSITIONS.items() if not targets}
    assert ends == set(DraftState) - OPEN - BUSY - {DraftState.POSTED}
    reached = {DraftState.WAITING} | {target for targets in TRANSITIONS.values() for target in targets}
    assert reached == set(DraftState)
    for state in SUPERSEDABLE:
        assert DraftState.SUPERSEDED in TRANSITIONS[state]


def test_every_click_is_an_arrow() -> None:
    for action, (sources, target, _) in ARROWS.items():
        for source in sources:
            assert target in TRANSITIONS[source] or (action == "draft_anew" and target == source)


@given(STATES, STATES, st.integers(min_value=1, max_value=10**6), st.text(max_size=20))
def test_a_move_follows_an_arrow_or_is_refused(before: DraftState, after: DraftState, version: int, note: str) -> None:
    found = draft(before, version=version)
    if after == before or after in TRANSITIONS[before]:
        moved = found.moved(after, note=note)
        assert (moved.state, moved.version, moved.note) == (after, version + 1, note)
        assert moved.model_copy(update={"state": before, "version": version, "note": ""}) == found
        assert Draft.model_validate_json(moved.model_dump_json()) == moved
    else:
        with pytest.raises(Illegal, match=f"{before} → {after}"):
            found.moved(after, note=note)


@given(STATES)
def test_a_fingerprint_is_of_what_was_seen_and_of_nothing_else(state: DraftState) -> None:
    found = draft(state)
    asked = Decision(action="draft_anew", by="U1", name="Dana", at=NOW)
    for seen in (
        {"revisions": (*found.revisions, Revision(text="Hi!", by="slack:U1", at=NOW))},
        {"mode": "simulation"}, {"audience": "internal"}, {"customer": True}, {"changes": ("Ben commented.",)},
        {"decided": (asked,)},
    ):  # fmt: skip
        assert found.model_copy(update=seen).fingerprint != found.fingerprint
    for unseen in ({"version": 9}, {"card": Card(channel="C1", ts="1.2", shown=3)}, {"due": NOW}, {"attempts": 2}):
        assert found.model_copy(update=unseen).fingerprint == found.fingerprint
    assert len({draft(other).fingerprint for other in DraftState}) == len(DraftState)
