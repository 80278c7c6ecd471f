"""A process of the program: how it is started, when it serves, how it ends. It never outlives whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Protocol, Self

import aiohttp

_GUARD = 'read -r _; kill -9 "$1"'
"""Ends the program when this process is gone, however it went: then, and only then, its standard input ends."""


class Running(Protocol):
    """A process of the program's: what the stage needs of `asyncio.subprocess.Process`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    @property
    def stdout(self) -> asyncio.StreamReader | None: ...

    @property
    def stderr(self) -> asyncio.StreamReader | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, signal: int, /) -> None: ...


async def start(*arguments: str, folder: Path, environment: dict[str, str], apart: bool = False) -> Running:
    """Start `python -m MODULE …` (`arguments`: from the module on). `apart`: its errors are not among its output."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if apart else asyncio.subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C in a terminal is for us; we pass it on
    )  # fmt: skip


class BotFailed(RuntimeError):
    """The program ended, or did not get ready. The text holds what it printed."""


class Bot:
    """One process of the program. `log`: takes what it prints, as it comes."""

    def __init__(self, process: Running, port: int, log: bytearray) -> None:
        self.process = process
        self.port = port
        self._log = log
        self._reader = asyncio.create_task(self._read())
        self._guard: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.returncode

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def _printed(self) -> str:
        return self._log.decode("utf-8", "replace")

    def send_signal(self, signal: int) -> None:
        self.process.send_signal(signal)

    async def guarded(self) -> Self:
        """Let the process end with this one, however that goes."""
        self._guard = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", _GUARD, "guard", str(self.pid), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return self

    async def ready(self, seconds: float = 20.0) -> None:
        """Wait until it serves. Raises `BotFailed`."""
        end = time.monotonic() + seconds
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < end:
                if self.returncode is not None:
                    await asyncio.sleep(0.05)
                    raise BotFailed(f"the program ended with {self.returncode}:\n{self._printed}")
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/ready") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise BotFailed(f"the program was not ready after {seconds:g} s:\n{self._printed}")

    async def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 25.0) -> int:
        """End it by a signal; its exit code (negative: killed by that signal)."""
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(how)
        return await self.ended(seconds)

    async def ended(self, seconds: float = 25.0) -> int:
        """Wait until it has ended, and return its exit code."""
        code = await asyncio.wait_for(self.process.wait(), seconds)
        if self._guard:
            self._guard.kill()
            await self._guard.wait()
            self._guard = None
        await self._reader
        return code

    async def _read(self) -> None:
        stdout = self.process.stdout
        while stdout is not None and (chunk := await stdout.read(65536)):
            self._log += chunk


def free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody: one that it had just given may soon be another's.

    Whoever still sends to a program that was killed must find nobody there, not the program of another stage. So it is
    the kernel's chance: `random` is the same in every test that hypothesis runs, and they would take the same ports.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
