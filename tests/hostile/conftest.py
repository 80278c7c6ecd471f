"""The fixture `wire`: a proxy between the program and each of the stage's stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.demo.stage import Stage
from tests.hostile.proxy import Proxy, Wire


@pytest.fixture
async def wire(stage: Stage) -> AsyncIterator[Wire]:
    """Every address that the program is given, and that the stand-ins give it, leads through a proxy."""
    names = ("slack", "jira", "bitbucket", "claude")
    found = Wire(*[await Proxy(stage.server.port).start() for _ in names])
    for name, value in stage.env.items():
        for service in names:
            address = f"{stage.server.url}/{service}"
            if value.startswith(address):
                proxy: Proxy = getattr(found, service)
                stage.env[name] = f"http://127.0.0.1:{proxy.port}/{service}" + value.removeprefix(address)
    stage.slack.base = f"http://127.0.0.1:{found.slack.port}/slack"
    stage.jira.base = f"http://127.0.0.1:{found.jira.port}/jira"
    stage.bitbucket.base = f"http://127.0.0.1:{found.bitbucket.port}/bitbucket"
    yield found
    await found.each(Proxy.stop)
