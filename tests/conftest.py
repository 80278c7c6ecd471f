"""What the tests share: the stage, with the real program as a process on it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from bot.demo.stage import Stage
from bot.safety import hide_own
from tests import warm
from tests.model.reins import Reins

hypothesis.settings.register_profile("ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("ours")  # how long an example takes says how busy the machine is


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        os.environ[warm.SHARED] = warm.begin()  # one for all workers, which begin after this


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Schemathesis makes thousands of requests while this one is collected, by each worker."""
    return (collection_path.name == "test_openapi_in_depth.py" and config.getoption("markexpr") == "not soak") or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_sessionfinish() -> None:
    if "tests.postgres" in sys.modules:
        sys.modules["tests.postgres"].stop_server()


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _databases_go() -> Iterator[None]:
    """Around every other fixture of a test, so that nobody is connected any more."""
    yield
    if "tests.postgres" in sys.modules:
        sys.modules["tests.postgres"].drop_databases()


@pytest.fixture
def restored() -> Iterator[None]:
    """For a test that calls `bot.log.configure`, which sets up the whole process: logging and hooks are put back."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield
    logging.captureWarnings(False)
    hide_own(None)
    root.handlers[:], level, sys.excepthook, threading.excepthook, sys.unraisablehook = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Four stand-ins, open; the program is started by the test (`await stage.start_bot()`).

    Its store is TinyDB; what is marked `tests.stores.both` runs on PostgreSQL too.
    """
    async with Stage(folder=tmp_path, starter=warm.start) as opened:
        if getattr(request, "param", "tinydb") == "postgres":
            from tests.postgres import store_database  # only here: few tests need PostgreSQL's driver

            opened.env["PMAGENT_DATABASE_URL"] = await store_database()
        yield opened


@pytest.fixture
def reins(stage: Stage) -> Reins:
    """The program's clock can be moved, and time passes five times as fast for it: for what takes its time."""
    found = Reins(stage.folder)
    stage.program = "tests.model.program"
    stage.env |= found.environment
    return found
