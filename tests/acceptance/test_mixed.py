"""Webhooks as they come: no call for what a rule can settle, and the fixed prefix is read from the cache."""

from __future__ import annotations

import pytest

from bot.demo.stage import Stage
from tests.bench.material import THEIRS
from tests.bench.mixed import NEED_CLAUDE, measure, mixture


async def test_rules_settle_what_they_can_and_calls_read_their_prefix_from_the_cache(stage: Stage) -> None:
    if not THEIRS.exists():
        pytest.skip(f"the recorded payloads are not beside the repository ({THEIRS.name}/): the mixture is not tried")
    webhooks = mixture(THEIRS, 96)
    result = await measure(stage, webhooks)
    assert set(result.statuses) == {200, 202}
    assert not result.needless
    judged = sum(hook.name in NEED_CLAUDE for hook in webhooks)
    assert judged == sum(result.called.values()) == 18
    assert {end for end in result.ends if end.startswith("draft")}
    caches = result.cache()
    assert len(caches) == 2  # the model that decides and the model that writes
    for calls, from_cache, prefix in caches.values():
        assert prefix > 1024
        assert from_cache == calls - 1  # the first one writes it
