"""The running program: settings in, an exit code out. The only module besides `__main__` that knows the handlers.

One event loop carries the sidecar, Slack, the queue and the schedule. They start in the order in which they can be
useful: the store first (nothing is accepted before it can be kept), then the door, then what answers.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot import __version__
from bot.clock import Clock, SystemClock
from bot.context import Context
from bot.errors import Permanent, PMAgentError, RetryLater
from bot.log import configure, get_logger
from bot.settings import Settings
from bot.store import Put, StoreUnavailable
from bot.wiring import build

if TYPE_CHECKING:
    from bot.store.embedded.store import TinyStore
    from bot.store.postgres.store import PostgresStore
    from handlers.slack.connection import HttpMode, Socket

log = get_logger(__name__)

DRAIN_SECONDS = 10.0
"""For work that runs at SIGTERM. With what comes after it (2 s for what is parked then, 3 s for the last connections to
us, 3 s for ours to the services) it stays under the 20 s that the README promises. A second signal ends it at once."""


async def serve(settings: Settings, clock: Clock | None = None, prompts: Path | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit code: 0 after a drain, 2 when Slack refuses the token.

    `clock`: another than the machine's, for whoever runs the program at another hour. `prompts`: as in `build`.
    Raises `DataFolderLocked` when another process holds the data folder, `UserError` when the store cannot be
    opened.
    """
    from bot.http.connections import most_connections, raise_file_limit
    from bot.http.server import listen, make_server
    from bot.store.opening import data_at, store_of
    from bot.workflow import adopt_mode, mark_restored
    from handlers import create_sidecar
    from handlers.slack.listeners import build_bolt, connect, http_route

    configure(settings)
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: (hurry if stop.is_set() else stop).set())
    clock = clock or SystemClock()
    folder, url = settings.pmagent_data_dir.resolve(), settings.database_url
    store = await store_of(folder, url, clock=clock, zone=settings.timezone)
    ctx = build(settings, store, clock, prompts=prompts)
    if url and not cast("PostgresStore", store).others:
        ctx.first_since = clock.now()
    background: list[asyncio.Task[None]] = []
    slack_handle: Socket | HttpMode | None = None
    server = serving = None
    code = 0
    # First of all, in a thread: loading Anthropic's SDK takes a second that the first question should not wait for.
    background.append(_keep_trying("claude", ctx.claude.start))
    try:
        now = await adopt_mode(ctx)
        await mark_restored(ctx)
        await _recall_account(ctx)
        await ctx.outages.load()  # before anybody asks Jira: else an outage that goes on would begin anew
        background.append(_keep_trying("jira", lambda: _learn_account(ctx)))
        bolt = build_bolt(ctx)
        sidecar = create_sidecar(ctx)
        if not settings.socket_mode:
            sidecar.router.routes.insert(0, http_route(ctx, bolt))
        listening = listen(settings.pmagent_host, settings.pmagent_port)
        server = make_server(sidecar, drain_seconds=2, most=most_connections(raise_file_limit()))
        serving = asyncio.create_task(server.serve(sockets=[listening]), name="sidecar")
        host, port = listening.getsockname()[:2]
        _say(f"PM Agent {__version__} listens on http://{f'[{host}]' if ':' in host else host}:{port}")
        _say(f"mode {now.mode} (set by {now.by}), store {data_at(folder, url).place}")
        try:
            await _unless(stop, ctx.slack.start())
        except Permanent as error:
            print(f"SLACK_BOT_TOKEN: {error.reason}\nTo try everything: python -m bot check", file=sys.stderr)  # noqa: T201 - for the person at the terminal
            code = 2
            stop.set()
        except PMAgentError as error:
            log.warning("slack.unreachable", reason=str(error))
            background.append(_keep_trying("slack", ctx.slack.start))
        if not stop.is_set():
            slack_handle = ctx.slack.connection = await connect(ctx, bolt)
            await ctx.queue.start()
            from bot.schedule.loop import run_schedule

            background.append(asyncio.create_task(run_schedule(ctx), name="schedule"))
            if not url:
                from bot.store.embedded.erasing import serve_requests

                requests = serve_requests(cast("TinyStore", store), folder)
                background.append(asyncio.create_task(requests, name="requests"))
            for task in background:
                task.add_done_callback(_report_end)
            _spare_the_collector()
            background[0].add_done_callback(lambda _: _spare_the_collector())  # once more, with Anthropic's SDK
        await stop.wait()
        log.info("stopping")
    finally:
        if server is not None:
            server.stop_intake()
        for task in background:
            task.cancel()
        hurrying = asyncio.create_task(_park_in_a_hurry(ctx, hurry))
        # Side by side, so that the slowest of them, and not their sum, is what a stop takes.
        draining = [ctx.queue.drain(DRAIN_SECONDS)]
        if slack_handle is not None:
            draining.append(slack_handle.close())
        await _all(DRAIN_SECONDS + 2.0, *draining)
        hurrying.cancel()
        if server is not None and serving is not None:
            server.should_exit = True
            await asyncio.wait({serving}, timeout=3.0)
        await _all(3.0, ctx.slack.close(), ctx.jira.close(), ctx.bitbucket.close(), ctx.claude.close())
        await store.close()
    log.info("stopped", exit_code=code)
    return code


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do this work, or leave it when the program is to stop. Raises what the work raises."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    else:
        working.cancel()
        await asyncio.wait({working})


async def _park_in_a_hurry(ctx: Context, hurry: asyncio.Event) -> None:
    await hurry.wait()
    log.info("stopping.at_once")
    ctx.queue.park()


async def _all(seconds: float, *endings: Coroutine[Any, Any, None]) -> None:
    """Do all of these side by side. What fails or takes longer is logged and keeps no other from its end."""
    tasks = [asyncio.create_task(ending) for ending in endings]
    done, late = await asyncio.wait(tasks, timeout=seconds)
    for task in done:
        if problem := task.exception():
            log.error("stop.failed", exc_info=problem)
    for task in late:
        task.cancel()
        log.warning("stop.took_too_long", what=getattr(task.get_coro(), "__qualname__", ""))


async def _recall_account(ctx: Context) -> None:
    """Know our own Jira account from the last start, before Jira has answered in this one."""
    record = await ctx.store.get("state", "me")
    if record:
        ctx.jira.account_id = record["account_id"]
        ctx.introduced.set()


async def _learn_account(ctx: Context) -> None:
    try:
        me = await ctx.jira.myself()
    except RetryLater as error:
        await ctx.outages.jira.down(error)
        raise
    ctx.introduced.set()
    await ctx.store.commit(Put("state", {"id": "me", "at": ctx.clock.now().isoformat(), "account_id": me.account_id}))


def _keep_trying(name: str, attempt: Callable[[], Awaitable[object]]) -> asyncio.Task[None]:
    """Try until it works, with pauses of 1 to 60 s: a home server may be up before its network."""

    async def trying() -> None:
        pause, said = 1.0, ""
        while True:
            try:
                await attempt()
            except (PMAgentError, StoreUnavailable) as error:
                if str(error) != said:  # once for each change, however often it is tried
                    said = str(error)
                    log.warning("start.waits", part=name, reason=said, next_try_in=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 60.0)
            else:
                return

    return asyncio.create_task(trying(), name=f"start:{name}")


def _spare_the_collector() -> None:
    """Keep the garbage collector from what stays as long as the program: modules, classes, settings, clients.

    Looking at those 220,000 objects stops everything for 80 to 140 ms each time (measured), and a delivery or a click
    that comes then waits. Reference counting frees nearly all that a delivery makes; so the collector also looks less
    often: after 10,000 new objects instead of 700.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("background.ended", task=task.get_name(), exc_info=task.exception())


def _say(line: str) -> None:
    """What the person who started it reads first, whatever the log's format is."""
    print(line, flush=True)  # noqa: T201 - for the person at the terminal
