"""What the tests share: the stage, with the real program as a process on it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from bot.demo.stage import Stage
from tests import warm

hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ours")  # how long an example takes says how busy the machine is


def pytest_sessionfinish() -> None:
    if "tests.postgres" in sys.modules:
        sys.modules["tests.postgres"].stop_server()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Four stand-ins, open; the program is started by the test (`await stage.start_bot()`)."""
    async with Stage(folder=tmp_path, starter=warm.start) as opened:
        yield opened
