"""Payloads that are damaged: one place after another goes, or becomes something else."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)  # fmt: skip


def damage(draw: st.DrawFn, payload: Any) -> None:
    """Remove or replace one to four places of `payload`."""
    for _ in range(draw(st.integers(1, 4))):
        places = _places(payload)
        if not places:
            break
        *parents, last = draw(st.sampled_from(places))
        target = payload
        for part in parents:
            target = target[part]
        if draw(st.booleans()):
            del target[last]
        else:
            target[last] = draw(JUNK)


def _places(value: object, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a JSON value."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [path for name, child in items for path in ((*prefix, name), *_places(child, (*prefix, name)))]
