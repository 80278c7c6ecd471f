"""The composition root: settings, a store and a clock in, everything that a use case needs out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from bot.clock import Clock
from bot.context import Context
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.queue import Kinds, Queue
    from bot.store.embedded.store import TinyStore
    from bot.store.postgres.store import PostgresStore


def build(
    settings: Settings, store: TinyStore | PostgresStore, clock: Clock, *, alone: bool | None = None,
    prompts: Path | None = None,
) -> Context:  # fmt: skip
    """Everything a use case needs, wired together. Nothing is connected yet. Call it inside the running loop.

    `alone`: no other process works on this store. None: so it is with a store in a folder, which is locked.
    `prompts`: a folder of prompts, if not the project's.
    """
    from bot.access.people import People
    from bot.clients.bitbucket import Bitbucket
    from bot.clients.claude.client import Claude
    from bot.clients.jira.client import Jira
    from bot.clients.slack.client import Slack
    from bot.domain.leases import Leases
    from bot.prompting import load_prompts
    from bot.work.kinds import kinds
    from bot.work.outage import ServiceOutages

    leases = Leases(clock, alone=not settings.database_url if alone is None else alone)
    slack = Slack(settings, None if leases.alone else (store, clock))
    ctx = Context(
        settings=settings,
        store=store,
        slack=slack,
        jira=Jira(settings),
        bitbucket=Bitbucket(settings),
        claude=Claude(settings, store, clock, leases),
        prompts=load_prompts(prompts),
        people=People(slack, settings, clock),
        clock=clock,
        leases=leases,
    )
    ctx.outages = ServiceOutages(ctx)
    ctx.queue = _queue(ctx, store, kinds(ctx))
    return ctx


def _queue(ctx: Context, store: TinyStore | PostgresStore, kinds: Kinds) -> Queue:
    """The engine that goes with the store. Nothing is imported for the other one."""
    if url := ctx.settings.database_url:
        from bot.queue.procrastinate.engine import ProcrastinateQueue

        return ProcrastinateQueue(url, store, kinds, ctx.clock)
    from bot.queue.embedded import EmbeddedQueue

    return EmbeddedQueue(cast("TinyStore", store), kinds, ctx.clock)
