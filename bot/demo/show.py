"""The demo in the browser, from start to end: stage, story, program, page, and a clean end whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import signal
import sys
import webbrowser

from bot.demo import story
from bot.demo.process import BotFailed
from bot.demo.site import Site
from bot.demo.stage import Stage


def real_claude(stage: Stage, key: str) -> str:
    """Point the program at the real model, if there is a key; returns the model's name for the page."""
    if not key:
        return "stand-in"
    stage.env["ANTHROPIC_API_KEY"] = key
    stage.env.pop("ANTHROPIC_BASE_URL")
    return "claude-sonnet-5-5"


async def show(*, port: int, browser: bool, claude_key: str = "", stage: Stage | None = None) -> int:
    """Run until SIGINT or SIGTERM (0), or until the program ends by itself (1). A taken port: 2."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stage = stage or Stage()
    site = Site(stage)
    try:
        site.mount()
        await stage.open(port)
        site.model = real_claude(stage, claude_key)
        story.prepare(stage)
        await stage.start_bot()
        site.start()
        await story.announce(stage)
        address = f"http://127.0.0.1:{stage.server.port}/"
        print(f"The demo's page:   {address}\nPM Agent's sidecar: {stage.bot_url}/", flush=True)
        print(
            "Stand-ins for Slack, Jira, Bitbucket" + (" and Claude." if not claude_key else "; the real Claude writes.")
        )
        print("Ctrl-C ends it.", flush=True)
        if browser:
            await asyncio.to_thread(webbrowser.open, address)
        return await _until_the_end(stage, stop)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"Port {port} is taken. Another one: python -m bot demo --port {port + 1}", file=sys.stderr)
        return 2
    except BotFailed as error:
        print(f"PM Agent did not start.\n{error}", file=sys.stderr)
        return 1
    finally:
        await site.close()
        if stage.bot is not None:
            with contextlib.suppress(TimeoutError):
                await stage.stop_bot(seconds=20.0)
        await stage.close()
        shutil.rmtree(stage.folder, ignore_errors=True)


async def _until_the_end(stage: Stage, stop: asyncio.Event) -> int:
    bot = stage.bot
    if bot is None:
        return 1
    ended, told = asyncio.create_task(bot.process.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
    for task in (ended, told):
        task.cancel()
    if stop.is_set():
        print("\nEnding.", flush=True)
        return 0
    print(f"PM Agent ended by itself with {bot.returncode}:\n{stage.log[-4000:]}", file=sys.stderr)
    return 1
