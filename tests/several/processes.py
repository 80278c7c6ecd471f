"""A process of the program as far as others can tell it from one: its own memory, clock and way to the store.

What stands for a process here is a `Context` that was built for a store with others on it. It hangs where it waits for
the store: between two steps, as after SIGSTOP, while the others go on and the time passes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from bot.context import Context
from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.domain.drafts import Draft
from bot.domain.events import IssueCommented
from bot.domain.issues import Comment, Person
from bot.errors import RetryLater
from bot.intake.accept import Delivery, Receipt, accept
from bot.queue import Queue
from bot.settings import load
from bot.store import Audit, Condition, Delete, Job, Put, Record, Store
from bot.store.embedded.store import TinyStore
from bot.wiring import build
from bot.work.kinds import TABLE
from bot.workflow import Actor, decide, load_draft
from bot.workflow.records import read_draft
from tests.acceptance.test_main_path import YES

D = Actor(DANA, "Dana Petrova")


class Clock:
    """The machine's clocks, put forward by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Hang:
    """A stop of the process right after the commit, or right before it, that changes such a record."""

    table: str
    when: Callable[[Record], bool]
    before: bool = False
    met: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def meet(self, changes: Sequence[Put | Delete]) -> None:
        if not self.met.is_set() and any(
            isinstance(c, Put) and c.table == self.table and self.when(dict(c.record)) for c in changes
        ):
            self.met.set()
            await self.over.wait()


class Line:
    """A process's way to the store, on which it can be made to hang. `jobs`: what is to be done, by any process."""

    def __init__(self, store: Store, jobs: dict[str, Job]) -> None:
        self.hangs: list[Hang] = []
        self._jobs = jobs
        self._store = store

    async def commit(
        self,
        *changes: Put | Delete,
        expect: Sequence[Condition] = (),
        audit: Sequence[Audit] = (),
        jobs: Sequence[Job] = (),
    ) -> None:
        for hang in self.hangs:
            if hang.before:
                await hang.meet(changes)
        await self._store.commit(*changes, expect=expect, audit=audit, jobs=jobs)
        for change in changes:
            if change.table == "jobs" and isinstance(change, Delete):
                self._jobs.pop(change.id, None)
        self._jobs.update({job.id: job for job in jobs})
        for hang in self.hangs:
            if not hang.before:
                await hang.meet(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Process:
    """One of several. `ctx`: its services. Its queue is not started: a test says who carries out which job."""

    def __init__(self, stage: Stage, store: Store, clock: Clock, jobs: dict[str, Job], **changes: str) -> None:
        self.stage = stage
        self.clock = clock
        self.jobs = jobs
        self.line = Line(store, jobs)
        settings = load({**stage.env, **changes})
        self.ctx: Context = build(settings, cast(TinyStore, self.line), clock, alone=False)
        self.lifted: list[str] = []
        self.ctx.queue = cast(Queue, self)

    @classmethod
    async def start(cls, stage: Stage, store: Store, clock: Clock, jobs: dict[str, Job]) -> Process:
        made = cls(stage, store, clock, jobs, PMAGENT_STANDUP_AT="09:30")
        await made.ctx.slack.start()
        return made

    async def close(self) -> None:
        for part in (self.ctx.slack, self.ctx.jira, self.ctx.bitbucket, self.ctx.claude):
            await part.close()

    # Its queue, as far as it is asked for anything here.

    async def defer(self, *jobs: Job) -> None:
        if jobs:
            await self.ctx.store.commit(jobs=jobs)

    def lift(self, kind: str) -> None:
        self.lifted.append(kind)

    def waits_for(self, key: str) -> str | None:
        return None

    # What happens to it, and what it does.

    def hang(self, table: str, when: Callable[[Record], bool], *, before: bool = False) -> Hang:
        """Hang once, right after such a record was stored."""
        self.line.hangs.append(Hang(table, when, before))
        return self.line.hangs[-1]

    async def do(self, kind: str, key: str) -> float | None:
        """One attempt at a job, and its end. Seconds until it is to be tried again; None: it is done."""
        job = Job(kind, key)
        self.jobs.pop(job.id, None)
        try:
            left = await TABLE[kind][0](self.ctx, key)
        except RetryLater as error:
            left = error.after or 1.0
        if left is not None:
            self.jobs.setdefault(job.id, job)
        return left

    async def work(self) -> None:
        """Carry out all that can be done now."""
        later: set[str] = set()
        while waiting := [job for job in self.jobs.values() if job.id not in later]:
            for job in waiting:
                if await self.do(job.kind, job.key) is not None:
                    later.add(job.id)

    async def told(self, key: str = "ECD-1", delivery_id: str | None = None) -> Receipt:
        """A webhook about Ben's question reaches this process."""
        jira = self.stage.jira
        if key not in jira.issues:
            jira.issue(key, status="In Progress", assignee="ana", reporter="ben")
            jira.write(key, "ben", "Is anybody looking at this?")
        found = jira.issues[key].comments[-1]
        author = Person(account_id=found.author.account_id, name=found.author.name)
        comment = Comment(
            id=found.id, author=author, text="Is anybody looking at this?", created=found.created, updated=found.updated
        )
        event = IssueCommented(
            issues=(key,), project=key.partition("-")[0], summary="Export", comment=comment, at=self.clock.now()
        )
        return await accept(self.ctx, Delivery("jira", delivery_id or found.id, None, self.clock.now()), event)

    async def waiting(self, key: str = "ECD-1") -> Draft:
        """A draft with its card."""
        self.stage.claude.script(YES)
        await self.told(key)
        await self.work()
        return await self.draft()

    async def draft(self) -> Draft:
        return read_draft((await self.ctx.store.find("drafts"))[-1])

    async def approve(self, draft: Draft) -> Draft:
        return await decide(self.ctx, draft.id, "approve", by=D, seen=await self.seen(draft))

    async def seen(self, draft: Draft) -> str:
        return (await load_draft(self.ctx, draft.id)).fingerprint


def passes(seconds: float, *processes: Process) -> None:
    """So much time passes for these."""
    for process in processes:
        process.clock.ahead += seconds
