"""Pull requests and branches as webhooks told of them, kept for the issues that they name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bot.errors import Permanent, RetryLater
from bot.events import BranchPushed, BuildReported, Event, PullRequestChanged
from bot.issues import PullRequest
from bot.log import get_logger
from bot.store import Conflict, Expect, Put, Record

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
REFRESHED = 5
"""How many open pull requests of an issue are read from Bitbucket again before a draft, where there is a token."""


async def remember(ctx: Context, event: Event) -> None:
    """Bring the `development` table up to date with a Bitbucket event; other events change nothing."""
    if isinstance(event, PullRequestChanged):
        await _remember_pull_request(ctx, event)
    elif isinstance(event, BuildReported):
        await _remember_build(ctx, event)
    elif isinstance(event, BranchPushed) and not event.deleted:
        record = {
            "id": f"{event.repository}:{event.branch}", "at": event.at.isoformat(), "type": "branch",
            "keys": list(event.issues), "repository": event.repository, "branch": event.branch,
            "commits": list(event.commits), "by": event.by.name if event.by else "",
        }  # fmt: skip
        await ctx.store.commit(Put("development", record))


async def pull_requests(ctx: Context, key: str) -> tuple[PullRequest, ...]:
    """The pull requests known for this issue, newest first; open ones read from Bitbucket anew, given a token."""
    records = await ctx.store.find("development", keys=key)
    known = sorted((_read(r) for r in records if r["type"] == "pull_request"), key=lambda p: p.updated, reverse=True)
    if not ctx.bitbucket.configured:
        return tuple(known)
    return (*await asyncio.gather(*(_refreshed(ctx, one) for one in known[:REFRESHED])), *known[REFRESHED:])


async def _refreshed(ctx: Context, known: PullRequest) -> PullRequest:
    if known.state != "OPEN":
        return known
    try:
        found = await ctx.bitbucket.pull_request(known)
    except (RetryLater, Permanent) as error:
        # What the webhooks told is still true as far as we know; a draft does not wait for Bitbucket.
        log.warning("bitbucket.not_read", pull_request=known.id, reason=error.reason)
        return known
    return found.model_copy(update={"builds": known.builds, "keys": known.keys})


def _record(pull_request: PullRequest) -> Record:
    data = pull_request.model_dump(mode="json")
    return {**data, "at": data["updated"], "type": "pull_request"}


def _read(record: Record) -> PullRequest:
    return PullRequest.model_validate({k: v for k, v in record.items() if k not in ("at", "type")})


async def _remember_pull_request(ctx: Context, event: PullRequestChanged) -> None:
    wanted = event.pull_request
    while True:
        old = await ctx.store.get("development", wanted.id)
        if old is not None:
            before = _read(old)
            if before.updated > wanted.updated:
                return  # events come in no promised order: an older one does not undo a newer
            keys = tuple(dict.fromkeys((*wanted.keys, *before.keys)))
            wanted = wanted.model_copy(update={"builds": {**before.builds, **wanted.builds}, "keys": keys})
        expect = Expect("development", wanted.id, old)
        try:
            await ctx.store.commit(Put("development", _record(wanted)), expect=(expect,))
            return
        except Conflict:
            continue


async def _remember_build(ctx: Context, event: BuildReported) -> None:
    """A build's state belongs to the open pull requests of its branch."""
    for key in event.issues:
        for record in await ctx.store.find("development", keys=key):
            if record["type"] == "pull_request" and record["branch"] == event.branch:
                await _add_build(ctx, record, event)


async def _add_build(ctx: Context, record: Record, event: BuildReported) -> None:
    while True:
        after = {**record, "builds": {**record["builds"], event.name: event.state}}
        try:
            await ctx.store.commit(Put("development", after), expect=(Expect("development", record["id"], record),))
            return
        except Conflict as conflict:  # another build of it, or its next change, came at the same time
            if conflict.found is None:
                return
            record = conflict.found
