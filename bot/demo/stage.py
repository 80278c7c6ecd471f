"""The stage: four stand-ins on one port, and the real program as a process pointed at them by its settings.

The demo and the acceptance tests stand on it alike::

    async with Stage() as stage:
        await stage.start_bot()
        ...
        await stage.stop_bot()
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import aiohttp

from bot.demo.bitbucket import BitbucketStandIn
from bot.demo.claude import ClaudeStandIn
from bot.demo.jira import JiraStandIn
from bot.demo.slack import SlackStandIn
from bot.demo.wire import Server

ROOT = Path(__file__).resolve().parents[2]
_GUARD = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), 9)"
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


class Stage:
    """Stand-ins, server, data folder and the program's process. `env` may be changed before `start_bot`.

    `program`: the module that `start_bot` runs; a test may run the program through a launcher of its own. `starter`:
    how it is started, if not by a Python of its own.
    """

    def __init__(self, *, folder: Path | None = None, starter: Callable[..., Awaitable[Running]] = start) -> None:
        self.server = Server()
        self.slack = SlackStandIn()
        self.jira = JiraStandIn()
        self.bitbucket = BitbucketStandIn()
        self.claude = ClaudeStandIn()
        self.folder = folder or Path(tempfile.mkdtemp(prefix="pm-agent-"))
        self.bot: Running | None = None
        self.bot_port = 0
        self.output = bytearray()
        self.env: dict[str, str] = {}
        self.program = "bot"
        self.starter = starter
        self._reader: asyncio.Task[None] | None = None
        self._guard: asyncio.subprocess.Process | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def bot_url(self) -> str:
        return f"http://127.0.0.1:{self.bot_port}"

    @property
    def standins(self) -> tuple[SlackStandIn, JiraStandIn, BitbucketStandIn, ClaudeStandIn]:
        return (self.slack, self.jira, self.bitbucket, self.claude)

    async def open(self, port: int = 0) -> None:
        """Start the stand-ins and work out the program's settings."""
        self.server.mount("/slack/", self.slack.application())
        self.server.mount("/jira/", self.jira.application())
        self.server.mount("/bitbucket/", self.bitbucket.application())
        self.server.mount("/claude/", self.claude.application())
        await self.server.start(port)
        url = self.server.url
        self.slack.base = f"{url}/slack"
        self.jira.base = f"{url}/jira"
        self.bitbucket.base = f"{url}/bitbucket"
        jira_secret, bitbucket_secret = secrets.token_hex(16), secrets.token_hex(16)
        self.jira.secret, self.bitbucket.secret = jira_secret, bitbucket_secret
        self.env = {
            "ANTHROPIC_API_KEY": self.claude.api_key,
            "ANTHROPIC_BASE_URL": f"{url}/claude",
            "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": self.jira.email,
            "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": self.jira.token,
            "JIRA_URL": f"{url}/jira",
            "JIRA_WEBHOOK_SECRET": jira_secret,
            "BITBUCKET_URL": f"{url}/bitbucket/2.0",
            "BITBUCKET_WEBHOOK_SECRET": bitbucket_secret,
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": f"{url}/slack/api/",
            "SLACK_CHANNEL_APPROVALS": self.slack.approvals_channel,
            "PMAGENT_APPROVERS": ",".join(self.slack.approvers),
            "PMAGENT_DATA_DIR": str(self.data),
            "PMAGENT_MODE": "production",
            "PMAGENT_STANDUP_AT": "",
            "PMAGENT_LOG_FORMAT": "json",
        }

    async def start_bot(self, *arguments: str, **changes: str) -> None:
        """Start `python -m bot` and wait until it is ready. `changes`: settings for this start (upper-case names)."""
        self.bot_port = _free_port()
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "SYSTEMROOT")},
            "PYTHONPATH": str(ROOT),
            "PMAGENT_PORT": str(self.bot_port),
            **self.env,
            **changes,
        }
        self.bot = await self.starter(self.program, *arguments, folder=self.folder, environment=environment)
        self._reader = asyncio.create_task(self._read(self.bot))
        self._guard = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _GUARD, str(self.bot.pid), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.jira.target = f"{self.bot_url}/webhooks/jira"
        self.bitbucket.target = f"{self.bot_url}/webhooks/bitbucket"
        await self._ready(20.0)

    async def run(self, *arguments: str, seconds: float = 60.0, **changes: str) -> tuple[int, str]:
        """Run another command of the program (`stats`, `export drafts`), same settings: exit code and output."""
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), **self.env, **changes}
        process = await self.starter("bot", *arguments, folder=self.folder, environment=environment, apart=True)
        out, err, code = await asyncio.wait_for(
            asyncio.gather(_whole(process.stdout), _whole(process.stderr), process.wait()), seconds
        )
        return code, (out if code == 0 else out + err).decode()

    async def stop_bot(self, how: signal.Signals = signal.SIGTERM, seconds: float = 25.0) -> int:
        """End the program by a signal and return its exit code (negative: killed by that signal)."""
        if self.bot is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.bot.send_signal(how)
        return await self.ended(seconds)

    async def ended(self, seconds: float = 25.0) -> int:
        """Wait until the program has ended (at a failpoint, say) and return its exit code."""
        if self.bot is None:
            return 0
        code = await asyncio.wait_for(self.bot.wait(), seconds)
        if self._guard:
            self._guard.kill()
            await self._guard.wait()
        if self._reader:
            await self._reader
        self.bot = None
        return code

    async def close(self) -> None:
        if self.bot is not None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                await self.stop_bot(signal.SIGKILL, 5.0)
        for standin in self.standins:
            await standin.close()
        await self.server.stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def log(self) -> str:
        """Everything the program printed so far, over all its starts."""
        return self.output.decode("utf-8", "replace")

    async def _read(self, bot: Running) -> None:
        if bot.stdout is None:
            return
        while chunk := await bot.stdout.read(65536):
            self.output += chunk

    async def _ready(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < end:
                if self.bot is None or self.bot.returncode is not None:
                    await asyncio.sleep(0.05)
                    raise BotFailed(f"the program ended with {self.bot and self.bot.returncode}:\n{self.log}")
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.bot_url}/ready") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise BotFailed(f"the program was not ready after {seconds:g} s:\n{self.log}")


async def _whole(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream else b""


def _free_port() -> int:
    """A port that nobody has, and that the kernel gives to nobody: one that it had just given may soon be another's.

    Whoever still sends to a program that was killed must find nobody there, not the program of another stage. So it is
    the kernel's chance: `random` is the same in every test that hypothesis runs, and they would take the same ports.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
