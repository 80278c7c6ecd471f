"""The program's parts on the stage, for what cannot be timed from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC

import pytest

from bot.demo.stage import Stage
from bot.store.opening import store_of
from tests.acceptance.test_workflow_faults import Clock, Program


@pytest.fixture
async def program(stage: Stage) -> AsyncIterator[Program]:
    clock = Clock()
    store = await store_of(stage.data, stage.env.get("PMAGENT_DATABASE_URL"), clock=clock, zone=UTC)
    found = Program(stage, store, clock)
    await found.start()
    yield found
    found.store.before_commit = found.store.before_find = None
    await found.close()
    await found.ctx.store.close()
