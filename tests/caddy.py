"""The real Caddy with the shipped Caddyfile on this machine, without certificates, in front of any upstream."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CADDYFILE = ROOT / "deploy" / "Caddyfile"


def need(program: str) -> str:
    """The program's path; without it the test is skipped, and says so."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} IS NOT INSTALLED HERE: deploy/ is not tested against it")
    return found


@asynccontextmanager
async def caddy_before(upstream: str, folder: Path) -> AsyncIterator[str]:
    """Caddy in front of `upstream` (`host:port`), as long as the block lasts; its address. `folder`: for its files."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        need("caddy"), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile",
        env={
            "PATH": os.environ["PATH"], "HOME": str(folder), "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder), "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
            "PMAGENT_SITE": f"http://127.0.0.1:{port}", "PMAGENT_UPSTREAM": upstream,
        },
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 15)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    for _ in range(200):
        assert process.returncode is None, "Caddy ended"
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return
    pytest.fail("Caddy did not listen within 10 s")
