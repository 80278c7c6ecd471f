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
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bot.demo.bitbucket import BitbucketStandIn
from bot.demo.claude.stand_in import ClaudeStandIn
from bot.demo.jira.stand_in import JiraStandIn
from bot.demo.process import Bot, Running, free_port, start
from bot.demo.slack.stand_in import SlackStandIn
from bot.demo.wire import Server

ROOT = Path(__file__).resolve().parents[2]


class Stage:
    """Stand-ins, server, data folder and the program's process. `env` may be changed before `start_bot`.

    `bot` is the process that the stand-ins send to; `others` are those that share its database with it.

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
        self.bot: Bot | None = None
        self.bot_port = 0
        self.others: list[Bot] = []
        self.output = bytearray()
        self.env: dict[str, str] = {}
        self.program = "bot"
        self.starter = starter

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

    async def start_bot(self, *arguments: str, seconds: float = 20.0, **changes: str) -> None:
        """Start `python -m bot` and wait until it is ready, `seconds` long. `changes`: settings for this start."""
        self.bot = await self._started(arguments, changes)
        self.bot_port = self.bot.port
        self.jira.target = f"{self.bot_url}/webhooks/jira"
        self.bitbucket.target = f"{self.bot_url}/webhooks/bitbucket"
        await self.bot.ready(seconds)

    async def start_other(self, *arguments: str, **changes: str) -> Bot:
        """Start another process with the same settings, beside the first one, and wait until it is ready."""
        other = await self._started(arguments, changes)
        self.others.append(other)
        await other.ready()
        return other

    async def _started(self, arguments: Sequence[str], changes: Mapping[str, str]) -> Bot:
        port = free_port()
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "SYSTEMROOT")},
            "PYTHONPATH": str(ROOT),
            "PMAGENT_PORT": str(port),
            **self.env,
            **changes,
        }
        process = await self.starter(self.program, *arguments, folder=self.folder, environment=environment)
        return await Bot(process, port, self.output).guarded()

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
        code = await self.bot.ended(seconds)
        self.bot = None
        return code

    async def close(self) -> None:
        for bot in (self.bot, *self.others):
            if bot is not None:
                with contextlib.suppress(TimeoutError):
                    await bot.stop(signal.SIGKILL, 5.0)
        self.bot = None
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


async def _whole(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream else b""
