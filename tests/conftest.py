"""What the tests share: the stage, with the real program as a process on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo.stage import Stage
from tests import warm


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Four stand-ins, open; the program is started by the test (`await stage.start_bot()`)."""
    async with Stage(folder=tmp_path, starter=warm.start) as opened:
        yield opened
